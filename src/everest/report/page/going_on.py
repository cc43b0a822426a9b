"""This file decides which commands a page gives to go on with, as they can be typed."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from everest.console import plain
from everest.report.page.facts import Facts


@dataclass(frozen=True)
class Step:
    """A command and what it is for."""

    why: str
    command: str


def steps(facts: Facts) -> list[Step]:
    """What to do with a run, the most useful first; paths are whole, so they work anywhere."""
    run = quoted(facts.path.absolute())
    video = example(facts)
    found = []
    if not facts.is_finished and facts.commands:
        typed = facts.commands[-1]
        resume = typed if "--resume" in shlex.split(typed) else f"{typed} --resume"
        found.append(Step("Go on where it stands", plain(resume)))
    if facts.job == "pretrain":
        beside = quoted(facts.path.absolute().with_name("finetuned"))
        found += [
            Step("Look at what it reads and predicts", f"everest show {run} {video} -o tokens.gif"),
            Step(
                "Make a classifier of it (DATA: a folder a class, or a .csv with path,label)",
                f"everest finetune DATA --split 0.8 --init {run} --out {beside}",
            ),
            Step(
                "Measure its features on labelled videos, without training",
                f"everest probe {run} DATA --split 0.8",
            ),
            Step(
                "One vector a video, for search and other tools",
                f"everest embed {run} VIDEOS -o embeddings.npz",
            ),
        ]
    else:
        data = sources(facts) or "DATA"
        found += [
            Step(
                "Measure it, and what fewer tokens cost",
                f"everest evaluate {run} {data} --compare-keep 1.0,0.6,0.4",
            ),
            Step("Name what a video shows", f"everest predict {run} {video}"),
            Step("Look at what it reads", f"everest show {run} {video} -o tokens.gif"),
        ]
    found.append(Step("Write this page again", f"everest report {run}"))
    if facts.commands:
        recipe = quoted(facts.path.absolute() / "recipe.json")
        found.append(
            Step(
                "Do the same again elsewhere",
                f"everest {facts.job} {sources(facts) or 'VIDEOS'} --recipe {recipe} "
                f"--out runs/again",
            )
        )
    return found


def quoted(path: Path | str) -> str:
    return plain(shlex.quote(str(path)))


def example(facts: Facts) -> str:
    """A video that the commands can be tried with: the first held-out one."""
    rows = facts.data.get("held_out") or facts.data.get("train") or []
    bad = {entry.get("path") for entry in facts.data.get("bad") or []}
    path = next((row["path"] for row in rows if row.get("path") not in bad), None)
    return quoted(path) if path else "VIDEO"


def sources(facts: Facts) -> str:
    """The videos as they were named when the run was begun."""
    if not facts.commands:
        return ""
    words = shlex.split(facts.commands[0])
    if len(words) < 3 or Path(words[0]).name != "everest" or words[1] != facts.job:
        return ""
    named = []
    for word in words[2:]:
        if word.startswith("-"):
            break
        named.append(quoted(word))
    return " ".join(named)
