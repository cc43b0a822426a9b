"""This file decides `everest export`."""

from dataclasses import dataclass

import tyro

from everest.options import parse, print_json

SUMMARY = "a model as one file, for programs without everest"
EXAMPLES = (
    "everest export runs/b -o model.onnx",
    "everest export runs/b -o model.onnx --dynamic-batch --clip one.mp4",
    "everest export runs/b -o small.onnx --int8 --data labelled/",
    "everest export runs/a -o encoder.pt2 --keep 0.4",
    "everest export runs/b -o hf:for_transformers/",
)


@dataclass(frozen=True)
class Options:
    """Write a classifier, or an encoder's features, as a file that takes uint8 video and chooses
    its tokens itself; run it on a clip and refuse it where it differs."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file."""
    out: str
    """Where to write (also -o): a new .onnx or .pt2 file, or hf:DIR for transformers."""
    dynamic_batch: bool = False
    """Take any number of clips at once, instead of one."""
    int8: bool = False
    """Make the weights of an .onnx file 8-bit, and measure what that costs on --data."""
    clip: str | None = None
    """A video to try it on; a clip that the run held out where not given, or noise."""
    data: tuple[str, ...] = ()
    """Labelled videos for --int8; of an encoder any videos."""
    part: str = "auto"
    """Which part of --data: test, val, train, all."""
    keep: int | float | None = None
    """Share or count of tokens read; the model's own where not given."""
    overwrite: bool = False
    """Replace what is in --out."""
    workers: int = 0
    """Processes that read --data."""
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "export", examples=EXAMPLES)
    from everest.console import Console
    from everest.exporting.places import place_of
    from everest.exporting.writing import ExportOptions, export
    from everest.run import load

    place_of(options.out, overwrite=options.overwrite)  # before weights are read
    console = Console(to_stderr=options.json)
    model = load(options.run, device="cpu")
    model.tell(console)
    written = export(
        model,
        options.out,
        ExportOptions(
            dynamic_batch=options.dynamic_batch,
            int8=options.int8,
            clip=options.clip,
            data=options.data,
            part=options.part,
            keep=options.keep,
            overwrite=options.overwrite,
            workers=options.workers,
        ),
    )
    for line in written.lines():
        console.say(line)
    if options.json:
        print_json(written.to_json())
    return 0
