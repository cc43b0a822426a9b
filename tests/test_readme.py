"""The README and the pages beside it: what they show runs, and names only what there is.

It needs nothing but the package and the pages, so that it can be held against a built wheel too.
"""

import csv
import functools
import importlib
import inspect
import pkgutil
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import everest
from everest import api
from everest.cli import COMMANDS
from everest.options import parse
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, changed
from everest.recipes import RECIPES
from everest.samples import make_samples
from everest.validating import validate

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
JOBS: dict[str, Recipe] = {"pretrain": PretrainRecipe(), "finetune": FinetuneRecipe()}
# What makes any job short; laid over the fields that a page gives, once those are checked.
TINY: dict[str, Any] = {
    "model": "32x2x2",
    "frames": 4,
    "size": 32,
    "patch": 8,
    "stride": 1,
    "short_side": 32,
    "epochs": 1,
    "batch_size": 4,
    "workers": 0,
    "device": "cpu",
    "quiet": True,
}


def blocks(page: Path, *languages: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each fenced block of a page in one of the languages."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found[1] in languages:
            yield text.count("\n", 0, found.start(2)) + 1, found[2]


def shell_lines() -> Iterator[str]:
    for page in PAGES:
        for _, text in blocks(page, "console", "sh", "bash"):
            yield from text.replace("\\\n", " ").splitlines()


def commands() -> list[str]:
    """Every use of `everest` in a shell block, once each."""
    parts = (part.strip() for line in shell_lines() for part in re.split(r"\||>", line))
    return sorted({part for part in parts if part.split(" ")[0] == "everest"})


def understand(command: str) -> None:
    """Reads a command's options as the command does; raises SystemExit for one it does not have."""
    _, name, *words = shlex.split(command, comments=True)
    assert name in COMMANDS
    module = importlib.import_module(f"everest.commands.{name}")
    if name in JOBS:
        module.read(words, JOBS[name])
    else:
        parse(module.Options, words, name)
    if "--recipe" in words:
        recipe = words[words.index("--recipe") + 1]
        assert recipe in RECIPES or recipe == "auto" or recipe.endswith(".json")


def short(job: Callable[..., Any], recipe: Recipe) -> Callable[..., Any]:
    """The job with a tiny model, after a look at the fields it was given."""
    named = inspect.signature(job).parameters

    @functools.wraps(job)
    def run(*given: Any, **words: Any) -> Any:
        validate(changed(recipe, **{name: words[name] for name in words if name not in named}))
        return job(*given, **{**words, **TINY})

    return run


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of: my_videos/, labelled_videos/CLASS/ and clips.csv."""
    folder = tmp_path_factory.mktemp("pages")
    table = make_samples(folder / "made", train=8, val=4, test=4, size=32, frames=8)
    (folder / "my_videos").mkdir()
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        file_path = table.parent / row["path"]
        home = folder / "labelled_videos" / row["label"]
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(file_path, home)
        name = "one.mp4" if number == 0 else file_path.name
        shutil.copy(file_path, folder / "my_videos" / name)
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file)
        written.writerow(("path", "label", "split"))
        written.writerows((f"made/{row['path']}", row["label"], row["split"]) for row in rows)
    return folder


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(blocks(page, "python"))], ids=lambda page: page.name
)
def test_the_python_of_a_page_runs(
    page: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    shutil.copytree(videos, place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("EVEREST_CACHE", str(tmp_path / "cache"))
    for name, recipe in JOBS.items():
        monkeypatch.setattr(api, name, short(getattr(api, name), recipe))
    names: dict[str, Any] = {"__name__": "page"}
    for line, text in blocks(page, "python"):
        # Blank lines before it: an error names the line of the page.
        exec(compile("\n" * (line - 1) + text, str(page), "exec"), names)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_has_options_that_there_are(command: str) -> None:
    understand(command)


@pytest.mark.parametrize("wrong", ["--epoch 3", "--epochs three", "--recipe no-such-recipe"])
def test_a_wrong_option_in_a_page_would_be_found(wrong: str) -> None:
    right = "everest pretrain my_videos/ --out runs/a"
    understand(right)
    with pytest.raises((SystemExit, AssertionError)):
        understand(f"{right} {wrong}")


def test_the_pages_show_every_command() -> None:
    shown = {shlex.split(command)[1] for command in commands()}
    assert shown == set(COMMANDS)


def test_links_between_the_pages_lead_somewhere() -> None:
    lost = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert lost == []


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w/]+)\.py` \|", text, re.MULTILINE)
    told = {name.removesuffix("/__init__") for name in named}
    found = pkgutil.walk_packages(everest.__path__, "everest.")
    modules = {module.name.removeprefix("everest.").replace(".", "/") for module in found}
    packages = {name for name in modules if any(m.startswith(f"{name}/") for m in modules)}
    empty = {"commands", "report"}  # packages whose own file says nothing
    assert told - {"__init__"} == modules - empty
    assert empty <= packages
