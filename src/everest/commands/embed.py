"""This file decides `everest embed`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from everest.options import parse, print_json

SUMMARY = "one vector a clip, for search and for other tools"
EXAMPLES = (
    "everest embed runs/a my_videos/ -o embeddings.npz",
    "everest embed runs/a long.mp4 -o embeddings.csv --window 2s --hop 1s",
)


@dataclass(frozen=True)
class Options:
    """Write one vector a file, or a window of one."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders, lists."""
    out: Path
    """Where to write (also -o): .npz, .csv or .parquet."""
    window: str | None = None
    """Length of a window, such as 2s; whole files where not given."""
    hop: str | None = None
    """From one window to the next, such as 1s."""
    keep: int | float | None = None
    """Share or count of tokens read."""
    workers: int = 0
    """Processes that read videos."""
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "embed", examples=EXAMPLES)
    from everest.console import Console
    from everest.embeddings import check_ending
    from everest.entries import shown
    from everest.run import load

    check_ending(options.out)
    console = Console(to_stderr=options.json)
    run = load(options.run, device=options.device)
    run.tell(console)
    found = run.embed(
        list(options.videos),
        window=options.window,
        hop=options.hop,
        keep=options.keep,
        workers=options.workers,
    )
    for entry in found.bad:
        console.warn(f"{shown(entry['path'])}: {shown(entry['reason'])}")
    if not len(found.vectors):
        raise ValueError("no video could be read: nothing was written")
    found.save(options.out)
    count, width = found.vectors.shape
    console.say(f"{options.out}: {count} vectors of {width} numbers; {len(found.bad)} files bad")
    if options.json:
        print_json({"out": str(options.out), "vectors": count, "width": width, "bad": found.bad})
    return 0
