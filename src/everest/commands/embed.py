"""This file decides `everest embed`."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import tyro

from everest.frame_folders import RATE
from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.console import Console
    from everest.run import Run

SUMMARY = "one vector a clip, for search and for other tools"
EXAMPLES = (
    "everest embed runs/a my_videos/ -o embeddings.npz",
    "everest embed runs/a long.mp4 -o embeddings.csv --window 2s --hop 1s",
    "everest embed runs/a my_videos/ -o lance:embeddings --keep 0.3",
)
SELDOM = 10.0  # seconds between two words on how far it is


@dataclass(frozen=True)
class Options:
    """Write one vector a file, or a window of one. Stopped, the same command goes on."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders, lists."""
    out: str
    """Where to write (also -o): .npz, .csv, .parquet, or lance:DIR, a database."""
    window: str | None = None
    """Length of a window, such as 2s; whole files where not given."""
    hop: str | None = None
    """From one window to the next, such as 1s."""
    pool: Literal["mean", "max", "tokens"] = "mean"
    """mean, or the largest of each number, over the tokens read; or a vector a token."""
    keep: int | float | None = None
    """Share or count of tokens read."""
    frame_rate: float = RATE
    """Frames a second of folders of frames, where no column fps of a list says it."""
    workers: int = 0
    """Processes that read videos."""
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "embed", examples=EXAMPLES)
    from everest.console import Console, plain
    from everest.embedding import Asked, embed
    from everest.embeddings import check_out, part_of
    from everest.entries import shown
    from everest.run import load
    from everest.stopping import BrokenOff, Signals, Stopped
    from everest.unfinished import forget

    check_out(options.out)
    console = Console(to_stderr=options.json)
    run = load(options.run, device=options.device)
    run.tell(console)
    saved = saving(run, options.keep)
    console.say(saved.pop("told"))
    part = part_of(options.out)
    asked = Asked(options.window, options.hop, options.keep, options.pool, options.frame_rate)
    with Signals() as signals, signals.breaking_off():
        try:
            found = embed(
                run,
                list(options.videos),
                asked,
                workers=options.workers,
                part=part,
                progress=Progress(console),
            )
        except BrokenOff as stop:
            told = f"stopped; what is done is kept in {plain(str(part))}: the same command goes on"
            raise Stopped(signals.stop or 1, told) from stop
    for entry in found.bad:
        console.warn(f"{shown(entry['path'])}: {shown(entry['reason'])}")
    if not len(found.vectors):
        raise ValueError("no video could be read: nothing was written")
    found.save(options.out)
    forget(part)
    count, width = found.vectors.shape
    bad = f"{len(found.bad)} file{'' if len(found.bad) == 1 else 's'} bad"
    console.say(f"{options.out}: {count} vectors of {width} numbers; {bad}")
    if options.json:
        said: dict[str, Any] = {"out": options.out, "vectors": count, "width": width}
        print_json({**said, **saved, "bad": found.bad})
    return 0


class Progress:
    """Says now and then how many rows are done."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self.begun = self.said = time.monotonic()
        self.is_first = True

    def __call__(self, done: int, rows: int, before: int) -> None:
        if self.is_first and before:
            self.console.say(f"goes on: {before:,} of {rows:,} are there from before")
        self.is_first = False
        now = time.monotonic()
        if now - self.said > SELDOM:
            self.said = now
            rate = (done - before) / (now - self.begun)
            self.console.say(f"{done:,} of {rows:,}, {rate:.3g} a second")


def saving(run: "Run", keep: int | float | None) -> dict[str, Any]:
    """What the tokens read cost beside all of them: multiply-adds of one clip, 1e9 each."""
    from everest.build import default_keep, selector_of
    from everest.config import SelectConfig
    from everest.console import percent
    from everest.cost import cost_of

    config = replace(run.config, decoders=())
    if config.backbone is not None:
        cost = cost_of(config).total
        told = f"{cost:.3g} GFLOPs a clip; {config.backbone.model} reads all of it"
        return {"told": told, "gflops": cost, "gflops_full": cost}
    if keep is None and run.kind == "autoencoder":
        keep = default_keep(config)
    select = config.select if keep is None else SelectConfig("random", keep)
    if keep == 1.0 and isinstance(keep, float):
        select = SelectConfig("all")
    part = replace(config, select=select)
    kept, total = selector_of(select).counts(run.grid)[0], run.grid[0] * run.grid[1] * run.grid[2]
    cost, full = cost_of(part).total, cost_of(replace(config, select=SelectConfig("all"))).total
    told = f"reads {kept:,} of {total:,} tokens a clip: {cost:.3g} GFLOPs"
    if kept < total:
        told += f" against {full:.3g} for all ({percent(1 - cost / full)} saved)"
    return {"told": told, "gflops": cost, "gflops_full": full}
