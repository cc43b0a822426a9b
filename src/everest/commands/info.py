"""This file decides `everest info`."""

from dataclasses import dataclass

from everest.options import parse, print_json

SUMMARY = "versions and machine, for a bug report"
EXAMPLES = ("everest info",)


@dataclass(frozen=True)
class Options:
    """Print versions and machine, to put into a bug report."""

    json: bool = False
    """Print one JSON document on stdout."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "info", examples=EXAMPLES)
    from everest import machine
    from everest.folder import environment

    versions = environment()
    place = machine.choose()
    cpu = machine.cpu_name()
    if options.json:
        print_json({"versions": versions, "device": place.told(), "cpu": cpu})
        return 0
    for name, version in versions.items():
        print(f"{name:14} {version}")
    print(f"{'device':14} {place.told()}")
    print(f"{'cpu':14} {cpu}")
    return 0
