"""This file decides `everest demo`: the whole path, each step as the command one would type."""

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from everest.options import parse

if TYPE_CHECKING:
    from everest.console import Console
    from everest.demo import FullTokens, OneFrame
    from everest.index import Index

SUMMARY = "the whole path in a few minutes: own clips, or a folder of yours"
EXAMPLES = ("everest demo", "everest demo my_videos/ --out runs/mine")
TRAIN, VAL, TEST = 1100, 100, 300  # clips that the demo makes
PRETRAIN_CLIPS = 9000  # that a folder of one's own is trained for, in all epochs
FINETUNE_CLIPS = 4000
SPLIT = "0.8"


@dataclass(frozen=True)
class Options:
    """Run the whole path: check, pretrain, finetune, evaluate, show. Without videos it makes its
    own labelled motion clips."""

    videos: tyro.conf.Positional[tuple[str, ...]] = ()
    """A folder of your own; labelled if it is a folder per class or a .csv."""
    out: Path = Path("runs/demo")
    """Where everything goes (also -o)."""
    overwrite: bool = False
    """Replace an earlier demo."""


class Demo:
    """The steps, each said and run as a command."""

    def __init__(self, out: Path, console: "Console") -> None:
        self.out = out
        self.console = console
        self.seconds: dict[str, float] = {}

    def step(self, name: str, *words: str) -> None:
        import importlib

        from everest.console import duration

        command = words[0]
        self.console.title(f"\n$ everest {shlex.join(words)}")
        begun = time.perf_counter()
        module = importlib.import_module(f"everest.commands.{command}")
        if module.run(list(words[1:])):
            raise ValueError(f"everest {shlex.join(words)}: failed")
        self.seconds[name] = time.perf_counter() - begun
        self.console.say(f"({duration(self.seconds[name])})")

    def place(self, name: str) -> str:
        return str(self.out / name)


def run(words: list[str]) -> int:
    options = parse(Options, words, "demo", examples=EXAMPLES)
    from everest.console import Console
    from everest.folder import FolderError

    if options.out.exists() and not options.out.is_dir():
        raise FolderError(f"--out {options.out}: is a file; give a folder")
    made = [options.out / name for name in ("clips", "pretrained", "finetuned", "scratch")]
    if not options.overwrite and any(path.exists() for path in made):
        raise FolderError(
            f"--out {options.out}: holds an earlier demo; replace it with --overwrite, or give "
            f"another folder"
        )
    demo = Demo(options.out, Console())
    begun = time.perf_counter()
    if options.videos:
        own_videos(demo, options)
    else:
        made_videos(demo, options)
    from everest.console import duration

    demo.console.say(f"the demo took {duration(time.perf_counter() - begun)}")
    return 0


def made_videos(demo: Demo, options: Options) -> None:
    from everest.samples import make_samples, remove_samples

    clips = options.out / "clips"
    if clips.exists():
        remove_samples(clips)
    demo.console.say(
        f"making {TRAIN + VAL + TEST} clips of moving digits, labelled by direction, as real video "
        f"files in {clips}"
    )
    listed = str(make_samples(clips, train=TRAIN, val=VAL, test=TEST))
    demo.step("check", "check", listed)
    recipe = ["--recipe", "demo", "--cache", demo.place("cache")]
    pretrain(demo, options, [listed], recipe)
    classify(demo, options, [listed], recipe)


def own_videos(demo: Demo, options: Options) -> None:
    from everest.index import SourceError, read_index

    sources = list(options.videos)
    demo.step("check", "check", *sources)
    bare = read_index(sources, labelled=False)
    cache = ["--cache", demo.place("cache")]
    pretrain(demo, options, sources, [*budget(PRETRAIN_CLIPS, len(bare.rows)), *cache])
    try:
        index = read_index(sources, labelled=True, split=float(SPLIT))
    except SourceError as error:
        show(demo, first_video(bare))
        demo.console.title(f"stopped here, there are no labels to learn: {error}")
        demo.console.say("fine-tuning takes a folder per class, or a .csv with path,label")
        return
    words = [*budget(FINETUNE_CLIPS, len(index.part("train").rows)), *cache]
    if not any(row.split for row in read_index(sources, labelled=True, allow_unseen=True).rows):
        words += ["--split", SPLIT]
    classify(demo, options, sources, words)


def budget(clips: int, videos: int) -> list[str]:
    return ["--epochs", str(max(round(clips / max(videos, 1)), 1))]


def pretrain(demo: Demo, options: Options, sources: list[str], more: list[str]) -> None:
    overwrite = ["--overwrite"] if options.overwrite else []
    demo.step(
        "pretrain", "pretrain", *sources, "--out", demo.place("pretrained"), *more, *overwrite
    )


def show(demo: Demo, path: str) -> None:
    demo.step("show", "show", demo.place("pretrained"), path, "--out", demo.place("tokens.gif"))


def first_video(index: "Index") -> str:
    return next(row.path for row in index.rows if not row.bad)


def classify(demo: Demo, options: Options, sources: list[str], more: list[str]) -> None:
    """Fine-tunes twice, measures both, and says what that is worth."""
    from everest.commands import evaluate
    from everest.demo import full_tokens, one_frame
    from everest.index import read_index

    overwrite = ["--overwrite"] if options.overwrite else []
    starts = (("finetuned", demo.place("pretrained")), ("scratch", "none"))
    for name, start in starts:
        words = [*sources, "--init", start, "--out", demo.place(name), *more, *overwrite]
        demo.step(name, "finetune", *words)
    share = float(SPLIT) if "--split" in more else None
    index = read_index(sources, labelled=True, split=share)
    rows, part = evaluate.part_of(index, "auto")
    show(demo, next(row.path for row in rows if not row.bad))
    documents = {}
    for name, _ in starts:
        words = [demo.place(name), *sources]
        if share is not None:
            words += ["--split", SPLIT]
        demo.console.title(f"\n$ everest evaluate {shlex.join(words)}")
        asked = parse(evaluate.Options, words, "evaluate")
        documents[name] = evaluate.evaluate(asked, demo.console)[0]
    train = [row for row in index.part("train").rows if not row.bad]
    still = one_frame(index, train, [row for row in rows if not row.bad])
    costs = [full_tokens(demo.place("pretrained")), full_tokens(demo.place("finetuned"))]
    if share is not None:
        demo.console.warn("the pre-training saw all clips, those of val too, without their labels")
    conclude(demo, documents, still, costs, part)


def conclude(
    demo: Demo,
    documents: dict[str, dict[str, Any]],
    still: "list[OneFrame]",
    costs: "list[FullTokens]",
    part: str,
) -> None:
    from everest.console import percent

    say, title = demo.console.say, demo.console.title
    title("\nwhat came of it")
    tops = {}
    for name, told in (("finetuned", "fine-tuned"), ("scratch", "from scratch")):
        figure = next(iter(documents[name]["columns"].values()))
        low, high = figure["top1_interval"]
        tops[name] = figure["top1"]
        say(
            f"  {told:13} top-1 {percent(figure['top1'])} of {documents[name]['clips']} {part} "
            f"clips (95 % interval {100 * low:.1f} to {100 * high:.1f})"
        )
    gain = 100 * (tops["finetuned"] - tops["scratch"])
    say(f"  pre-training gained {gain:+.1f} points at the same fine-tuning")
    say(f"  {'chance':13} {percent(still[0].chance)}")
    told = "; ".join(
        f"{one.name} {percent(one.top1)} (99.9 % interval {100 * one.low:.1f} to "
        f"{100 * one.high:.1f})"
        for one in still
    )
    alone = all(one.at_chance for one in still)
    verdict = "motion is needed" if alone else "a single frame tells something here"
    say(f"  {'one frame':13} {told}: {verdict}")
    for cost, step in zip(costs, ("pretrain", "finetuned"), strict=True):
        say(f"  {cost.told(demo.seconds[step])}")
    say(f"  picture: {demo.place('tokens.gif')}; curves: {demo.place('pretrained/curves.png')}")
    title("\nwith your own videos:")
    say("  everest check my_videos/")
    say("  everest pretrain my_videos/ --out runs/a")
    say("  everest finetune labelled_videos/ --split 0.8 --init runs/a --out runs/b")
