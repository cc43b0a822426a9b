"""Hostile text is neutral in pages, on the console and in tables (test 24)."""

import csv
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everest.spreadsheet import cell, text_of
from tiny import TINY, LabelledSet, done

# Text


HOSTILE = [
    "<script>alert(1)<", '"><img src=x onerror=alert(1)>', "\x1b[31mred\x1b[0m\x07",
    "=1+1", "+1", "-1", "@SUM(A1)",
]  # fmt: skip


class Elements(HTMLParser):
    """Which elements a page has, and what in them could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attributes:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.handlers.append(f"{tag} {name}={value}")


def trained_with_names(labelled: LabelledSet, folder: Path, names: list[str]) -> Path:
    """A run whose videos, classes and folder have these names."""
    folder.mkdir()
    # A metadata title of the files too: nothing is to take it for text of its own.
    rows = []
    for number, name in enumerate(names * 2):
        path = folder / f"{name.replace('/', '')}{number}.mp4"
        with av.open(str(labelled.files[number])) as source, av.open(str(path), "w") as out:
            out.metadata["title"] = name.replace("\x1b", "").replace("\x07", "")
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
        rows.append([str(path), f"{name} ", "train" if number < len(names) else "val"])
    place = folder / "list.csv"
    with place.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split"], *rows])
    run = folder / f"run {names[0].replace('/', '')}"
    words = ["finetune", place, "--out", run, "--epochs", 1, *TINY, "--batch-size", 4]
    told = done(*words)
    assert "\x1b" not in told.out + told.err and "\x07" not in told.out + told.err
    return run


@pytest.mark.slow
def test_24_hostile_names_make_no_element_no_code_and_no_formula(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """24. <script>, "><img onerror=, </script> in file, class and run names, metadata titles; ANSI
    codes; cells beginning = + - @: no new element when the report is parsed, content policy without
    scripts from data, console and CSV neutralised."""
    names = [*HOSTILE, "</script><b>"]
    plain = trained_with_names(labelled, tmp_path / "plain", [f"n{i}" for i in range(len(names))])
    hostile = trained_with_names(labelled, tmp_path / "hostile", names)
    pages = []
    for run in (plain, hostile):
        told = done("evaluate", run, run.parent / "list.csv", "--json")
        assert "\x1b" not in told.err
        done("report", run)
        pages.append((run / "report.html").read_text())
    harmless, found = (Elements(page) for page in pages)
    # Clips that are told wrong may differ in number; kinds of elements and code may not.
    assert found.tags.keys() == harmless.tags.keys()
    assert found.tags["script"] == harmless.tags["script"] if "script" in found.tags else True
    assert found.tags.get("img") == harmless.tags.get("img")
    assert found.handlers == []
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', pages[1])
    policy = html.unescape(policy)
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    scripts = re.findall(r"script-src ([^;]*)", policy)
    assert all("unsafe-inline" not in source and "data:" not in source for source in scripts)
    predictions = tmp_path / "p.csv"
    told = done("predict", hostile, hostile.parent, "--csv", predictions)
    assert "\x1b" not in told.out + told.err
    embeddings = tmp_path / "e.csv"
    done("embed", hostile, hostile.parent, "-o", embeddings)
    tables = [predictions, embeddings, *hostile.rglob("*.csv")]
    for table in tables:
        text = table.read_text(encoding="utf-8", errors="surrogateescape")
        assert "\x1b" not in text and "\x07" not in text
        for row in csv.reader(text.splitlines()):
            assert not [cell for cell in row if is_formula(cell)], (table, row)


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would compute a cell: a negative number alone is none."""
    if not cell or cell[0] not in "=+-@\t\r":
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_24_a_cell_gives_back_any_text_and_acts_on_nothing(text: str) -> None:
    """24. ... and a name in a .csv is still the name."""
    written = cell(text)
    assert text_of(written) == text
    assert not is_formula(written) or text[:1] == "'"
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", written)
