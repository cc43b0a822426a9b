"""Embeddings: what is pooled, what is written, and that a stopped one goes on."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import everest as ev
from everest import embedding, stopping, unfinished
from everest.embedding import Asked, embed
from everest.embeddings import About, Embeddings, part_of, read_embeddings
from everest.run import Run, load
from tiny import LabelledSet, damage, done, everest

ABOUT = About("/runs/a", "0" * 64, "mean", 0.6, 2.0, None, 25.0)


class Stop(Exception):
    pass


def stop_after_a_group(done: int, rows: int, before: int) -> None:
    raise Stop


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each embedding reads."""
    counts: list[int] = []
    before = embedding.read_rows

    def counted(run: Run, rows: Sequence[Any], *rest: Any) -> Any:
        counts.append(len(rows))
        return before(run, rows, *rest)

    monkeypatch.setattr(embedding, "read_rows", counted)
    return counts


def stopped(run: Run, videos: Path, part: Path) -> None:
    with pytest.raises(Stop):
        embed(run, str(videos), Asked(), part=part, progress=stop_after_a_group)


def test_an_embedding_that_was_stopped_goes_on_and_ends_the_same(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path, read: list[int]
) -> None:
    run, part = load(pretrained), tmp_path / "part"
    stopped(run, labelled.videos, part)
    found = embed(run, str(labelled.videos), Asked(), part=part)
    undisturbed = embed(run, str(labelled.videos), Asked())
    assert read == [16, 8, 16]
    assert np.array_equal(found.vectors, undisturbed.vectors)
    assert found.paths == undisturbed.paths and found.about == undisturbed.about


def test_what_is_done_is_on_disk_before_the_end(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "SELDOM", 0.0)
    kept: list[int] = []

    def look(done: int, rows: int, before: int) -> None:  # what a killed process leaves
        kept.append(len(unfinished.Unfinished(tmp_path / "part").groups))

    embed(load(pretrained), str(labelled.videos), Asked(), part=tmp_path / "part", progress=look)
    assert kept == [1, 2]


def test_rows_of_a_file_that_changed_are_made_again(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path, read: list[int]
) -> None:
    folder, part = tmp_path / "videos", tmp_path / "part"
    folder.mkdir()
    for file in labelled.files:
        (folder / file.name).write_bytes(file.read_bytes())
    run = load(pretrained)
    stopped(run, folder, part)
    first = sorted(folder.iterdir())[0]
    first.write_bytes(labelled.files[-1].read_bytes())
    found = embed(run, str(folder), Asked(), part=part)
    assert read == [16, 16]
    assert np.array_equal(found.vectors[0], found.vectors[-1])


@pytest.mark.parametrize("other", ["keep", "window", "pool", "weights"])
def test_rows_of_another_embedding_are_not_taken(
    other: str,
    pretrained: Path,
    finetuned: Path,
    labelled: LabelledSet,
    tmp_path: Path,
    read: list[int],
) -> None:
    part = tmp_path / "part"
    stopped(load(pretrained), labelled.videos, part)
    asked = {
        "keep": Asked(keep=1.0),
        "window": Asked(window="5s"),
        "pool": Asked(pool="max"),
        "weights": Asked(keep=0.6),
    }[other]
    run = load(finetuned if other == "weights" else pretrained)
    embed(run, str(labelled.videos), asked, part=part)
    assert read == [16, 16]


def test_a_damaged_file_of_rows_is_passed_over(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path, read: list[int]
) -> None:
    run, part = load(pretrained), tmp_path / "part"
    stopped(run, labelled.videos, part)
    (kept,) = part.iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    embed(run, str(labelled.videos), Asked(), part=part)
    assert read == [16, 16]


def test_the_command_saves_when_it_is_told_to_stop_and_goes_on(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = 0

    def between() -> None:
        nonlocal batches
        batches += 1
        if batches == 7:
            signal.raise_signal(signal.SIGTERM)
        stopping.between_batches()

    monkeypatch.setattr(embedding, "between_batches", between)
    out, other = tmp_path / "e.npz", tmp_path / "o.npz"
    told = everest("embed", pretrained, labelled.videos, "-o", out)
    assert told.code == 143 and "the same command goes on" in told.err
    assert not out.exists() and part_of(str(out)).is_dir()
    told = everest("search", out, "--duplicates")
    assert told.code == 2 and "is not finished" in told.err
    told = done("embed", pretrained, labelled.videos, "-o", out)
    assert "goes on: 8 of 16" in told.out and not part_of(str(out)).exists()
    done("embed", pretrained, labelled.videos, "-o", other)
    assert out.read_bytes() == other.read_bytes()


def test_a_finished_embedding_removes_only_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "rows-000001.npz").write_bytes(b"")
    (tmp_path / "mine.txt").write_bytes(b"")
    unfinished.forget(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_that_is_damaged_in_a_part_has_the_vector_of_the_rest(
    pretrained: Path, tmp_path: Path
) -> None:
    from filming import write_film

    film = write_film(tmp_path / "x.mp4", 100, options={"g": "5"})
    whole = load(pretrained).embed(film, window="1s")
    damage(film)
    run = load(pretrained)
    found = run.embed(film, window="1s")
    assert 0 < len(found.vectors) < len(whole.vectors)
    assert np.array_equal(found.vectors[0], whole.vectors[0])
    assert [entry["path"] for entry in found.bad] == [str(film)]


# Pooling


@pytest.mark.parametrize("which", ["pretrained", "finetuned"])
def test_mean_and_max_are_those_of_the_tokens(
    which: str, labelled: LabelledSet, request: pytest.FixtureRequest
) -> None:
    run, file = load(request.getfixturevalue(which)), labelled.files[0]
    tokens = run.embed(file, window="1s", pool="tokens")
    mean, most = run.embed(file, window="1s"), run.embed(file, window="1s", pool="max")
    assert tokens.vectors.shape == (19, 32) and tokens.positions is not None
    assert (np.diff(tokens.positions) > 0).all()
    steps = tokens.positions // (run.grid[1] * run.grid[2])  # a classifier of --pool steps
    parts = [steps >= 0] if which == "pretrained" else [steps == 0, steps == 1]
    wanted = np.concatenate([tokens.vectors[part].mean(axis=0) for part in parts])
    np.testing.assert_allclose(mean.vectors[0], wanted, atol=0.02)  # bfloat16, where there is
    np.testing.assert_allclose(most.vectors[0], tokens.vectors.max(axis=0), atol=0.02)
    assert tokens.about is not None and tokens.about.grid == run.grid


def test_the_largest_over_a_whole_file_is_that_of_its_clips(
    pretrained: Path, tmp_path: Path
) -> None:
    from filming import write_film

    run, film = load(pretrained), write_film(tmp_path / "x.mp4", 20)
    mean, most = run.embed(film), run.embed(film, pool="max")
    assert most.vectors.shape == mean.vectors.shape == (1, 32)
    assert (most.vectors > mean.vectors).all()


def test_a_pool_that_there_is_not_is_refused(pretrained: Path, labelled: LabelledSet) -> None:
    with pytest.raises(ValueError, match="mean, max, tokens"):
        load(pretrained).embed(labelled.files[0], pool="sum")  # type: ignore[arg-type]


def test_the_saving_is_told(pretrained: Path, labelled: LabelledSet, tmp_path: Path) -> None:
    out = tmp_path / "e.npz"
    told = done("embed", pretrained, labelled.files[0], "-o", out, "--json")
    found = json.loads(told.out)
    assert "reads 19 of 32 tokens a clip" in told.err and "% saved)" in told.err
    assert 0 < found["gflops"] < found["gflops_full"]
    told = done("embed", pretrained, labelled.files[0], "-o", out, "--keep", "1.0", "--json")
    assert json.loads(told.out)["gflops"] == found["gflops_full"]


# Files


def embeddings(positions: np.ndarray | None = None) -> Embeddings:
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    paths = ['/a b/ü,"視".mp4', "/=1+1.mp4", "/two\nlines.mp4"]
    starts, ends = np.array([0.0, 0.1, 2.0]), np.array([1.0, 1.1, 2.5])
    return Embeddings(vectors, paths, starts, ends, [], ABOUT, positions)


@pytest.mark.parametrize("place", ["e.npz", "e.csv", "e.parquet", "lance:e"])
@pytest.mark.parametrize("positions", [None, np.array([4, 5, 9])])
def test_what_is_written_is_read_again(
    place: str, positions: np.ndarray | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = embeddings(positions)
    written.save(place)
    written.save(place)  # in place of what is there
    found = read_embeddings(place)
    assert np.array_equal(found.vectors, written.vectors) and found.vectors.dtype == np.float32
    assert found.paths == written.paths
    assert np.array_equal(found.starts, written.starts) and np.array_equal(found.ends, written.ends)
    assert found.about == (None if place == "e.csv" else ABOUT)
    assert (found.positions is None) == (positions is None)
    assert positions is None or np.array_equal(found.positions, positions)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["e.npz", "e.csv", "e.parquet", "lance:e"])
def test_a_path_of_any_bytes_is_written(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    strange = embeddings()._replace(paths=["/\udcff.mp4"] * 3)
    strange.save(place)
    is_arrow = place in ("e.parquet", "lance:e")
    assert read_embeddings(place).paths == [r"/\udcff.mp4" if is_arrow else "/\udcff.mp4"] * 3


@pytest.mark.parametrize("place", ["e.npz", "e.parquet", "e.csv", "e.mp4"])
def test_another_file_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / place).write_bytes(b"no vectors in here\n")
    with pytest.raises(ValueError, match=place):
        read_embeddings(tmp_path / place)


@pytest.mark.parametrize(
    ("place", "module"), [("lance:e", "lancedb"), ("e.parquet", "pyarrow"), ("lance:e", "pyarrow")]
)
def test_without_the_extra_it_is_named_before_any_work(
    place: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    told = everest("embed", "no_run", "no_video.mp4", "-o", place)
    assert told.code == 2 and "pip install 'everest-video[search]'" in told.err
    assert not os.listdir(tmp_path)


def test_a_folder_of_other_files_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"")
    told = everest("embed", "no_run", "no_video.mp4", "-o", f"lance:{tmp_path}")
    assert told.code == 2 and "holds other files" in told.err


def test_the_public_function_gives_what_the_command_writes(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    done("embed", pretrained, labelled.files[0], "-o", tmp_path / "e.npz")
    found = ev.load(pretrained).embed(labelled.files[0])
    assert np.array_equal(read_embeddings(tmp_path / "e.npz").vectors, found.vectors)
