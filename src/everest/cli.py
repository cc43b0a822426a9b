"""This file decides which command runs; a command's own imports are in its file."""

import importlib
import os
import sys
from collections.abc import Sequence

from everest.version import __version__

COMMANDS = {  # name -> what it does; the module everest.commands.NAME runs it
    "demo": "the whole path in a few minutes: own clips, or a folder of yours",
    "check": "read all videos once: what is there, what is broken",
    "pretrain": "learn from videos without labels",
    "finetune": "train a classifier on labelled videos",
    "probe": "how good a model's frozen features are: kNN and linear",
    "trajectories": "how points move in each video, for --method mme",
    "evaluate": "measure a classifier, at several shares of kept tokens",
    "predict": "name what is in a file or folder",
    "embed": "one vector a clip, for search and for other tools",
    "search": "clips like a query, near-duplicates, clusters",
    "show": "a picture of what the model looks at",
    "report": "a run as one HTML file; several runs beside each other",
    "cost": "multiply-adds, parameters and memory of a model, counted",
    "bench": "time and memory of training steps, measured side by side",
    "tables": "the poster's tables and figures, made again",
    "export": "a model as one file, for programs without everest",
    "convert": "read other people's weights, and write ours for others",
    "models": "list of models",
    "recipes": "list of recipes",
    "info": "versions and machine, for a bug report",
}
EXAMPLES = (
    "everest demo",
    "everest check my_videos/",
    "everest pretrain my_videos/ --out runs/a",
    "everest finetune labelled_videos/ --split 0.8 --init runs/a --out runs/b",
    "everest evaluate runs/b labelled_videos/ --compare-keep 1.0,0.6,0.4",
    "everest show runs/a my_videos/one.mp4 -o tokens.gif",
)
REFUSED = 2


def usage() -> str:
    lines = [f"everest {__version__}: train your own video model, reading only what changes", ""]
    lines += [f"  {example}" for example in EXAMPLES]
    lines += ["", "commands:"]
    lines += [f"  {name:12} {told}" for name, told in COMMANDS.items()]
    lines += ["", "everest COMMAND --help tells a command's options."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0 done, 1 failed, 2 refused before work began."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] in ("-V", "--version"):
        print(__version__)
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(COMMANDS)}"
        return refuse(f"{name}: no such command; {hint}")
    debug = "--debug" in rest
    rest = [word for word in rest if word != "--debug"]
    return run(name, rest, debug)


def run(name: str, rest: list[str], debug: bool) -> int:
    # Threads that spin while they wait make a step ten times slower when anything else runs on
    # the machine (benchmarks/results/main-job.md); read when torch is loaded, so set before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from everest.stopping import Stopped

    command = importlib.import_module(f"everest.commands.{name}")
    try:
        return command.run(rest)
    except Stopped as stopped:
        print(f"everest: {stopped}", file=sys.stderr)
        return stopped.code
    except KeyboardInterrupt:
        return 130
    except MemoryError as error:
        if debug:
            raise
        return refuse(f"out of memory: {error}", code=1)
    except OSError as error:
        if debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        return refuse(f"{place}{error.strerror or error}", code=1)
    except ValueError as error:
        if debug:
            raise
        return refuse(str(error), code=getattr(error, "exit_code", REFUSED))


def refuse(sentence: str, code: int = REFUSED) -> int:
    from everest.console import plain

    told = "\n".join(plain(line) for line in sentence.split("\n"))
    print(f"everest: {told}", file=sys.stderr)
    return code


def entry() -> None:
    sys.exit(main())
