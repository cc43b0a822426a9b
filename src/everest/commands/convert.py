"""This file decides `everest convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.convert.weights import Weights

SUMMARY = "read other people's weights, and write ours for others"
EXAMPLES = (
    "everest convert checkpoint.pth",
    "everest convert checkpoint.pth -o videomae/ --family mvd-finetune",
    "everest convert hf:MCG-NJU/videomae-base -o videomae/",
    "everest convert runs/b -o for_transformers/ --to hf",
)


@dataclass(frozen=True)
class Options:
    """Say what a weights file holds, and write it in another form."""

    source: tyro.conf.Positional[str]
    """A weights file, a folder of DeepSpeed or Hugging Face, hf:ID, a run folder, an export."""
    out: Path | None = None
    """A new folder, or with --to videomae also a file (also -o); where not given only the report
    is made."""
    to: Literal["everest", "hf", "videomae"] = "everest"
    """everest: an export; hf: for transformers' VideoMAE; videomae: names of the authors' files."""
    family: str | None = None
    """Whose weights these are, where the file cannot tell: mvd-finetune and others."""
    allow_missing: bool = False
    """Go on without tensors that the file lacks, and leave aside what it has too much."""
    overwrite: bool = False
    """Replace what is in --out."""
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "convert", examples=EXAMPLES)
    check_out(options)
    from everest.console import Console
    from everest.convert.write import write
    from everest.starting import read_start

    console = Console(to_stderr=options.json)
    weights = read_start(options.source, options.family, options.allow_missing)
    for line in weights.lines or own_lines(weights):
        console.say(line)
    told = []
    if options.out is not None:
        told = write(weights, options.out, options.to)
        for line in told:
            console.say(line)
    if options.json:
        report = weights.report.to_json() if weights.report is not None else None
        out = str(options.out) if options.out is not None else None
        print_json(
            {
                "source": options.source,
                "family": weights.family,
                "kind": weights.kind,
                "tensors": len(weights.tensors),
                "report": report,
                "out": out,
                "to": options.to if out else None,
                "written": told,
            }
        )
    return 0


def check_out(options: Options) -> None:
    """Refuses, before anything is read, a place that cannot be written: ValueError."""
    out = options.out
    if out is None:
        return
    used = any(out.iterdir()) if out.is_dir() else out.exists()
    if used and not options.overwrite:
        raise ValueError(f"--out {out}: is there already; give another, or --overwrite")
    if used and out.is_dir():
        from everest.convert.write import WRITTEN

        foreign = sorted({entry.name for entry in out.iterdir()} - WRITTEN)
        if foreign:
            raise ValueError(
                f"--out {out} --overwrite: holds {', '.join(foreign[:3])}, which no conversion "
                f"writes; give another folder"
            )
    if out.is_file() and options.to != "videomae":
        raise ValueError(f"--out {out}: is a file; --to {options.to} writes a folder")
    source = Path(options.source)
    if source.exists() and source.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"--out {out}: holds what is read; give another folder")


def own_lines(weights: "Weights") -> list[str]:
    vit = weights.config.vit
    return [
        f"{weights.source}: this package's own {weights.kind} {vit.width}x{vit.depth}x{vit.heads}, "
        f"{len(weights.tensors)} tensors"
    ]
