"""`everest check`, the probing of files, and what is remembered of them."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from everest import checking
from everest.checking import look_at
from everest.commands.check import run
from everest.facts import Facts, Memory, Stamp
from everest.index import SourceError, read_index


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EVEREST_CACHE", str(folder))
    return folder


def film(path: Path, frames: int = 5, fps: int = 25, size: tuple[int, int] = (32, 24)) -> Path:
    """A small video; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 20 * number % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two good files and one of text."""
    film(tmp_path / "videos/run/a.mp4", frames=5)
    film(tmp_path / "videos/walk/b.mp4", frames=20, fps=10, size=(64, 48))
    (tmp_path / "videos/walk/text.mp4").write_text("this is no video, whatever its name says\n")
    return tmp_path / "videos"


def check(*words: object, workers: int = 0) -> int:
    return run([*map(str, words), "--workers", str(workers)])


def document(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    capsys.readouterr()
    check(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_table_says_what_is_there_and_what_is_broken(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(videos) == 0
    told = capsys.readouterr().out
    lines = re.findall(r"^(\w+) +(.*?) *$", told, flags=re.MULTILINE)
    rows = dict(reversed(lines))  # of two lines that begin alike, the first
    assert rows["found"].startswith("3 files in")
    assert (rows["good"], rows["bad"]) == ("2", "1")
    assert rows["fps"] == "25 (1), 10 (1)"
    assert rows["sizes"] == "32x24 (1), 64x48 (1)"
    assert rows["shortest"] == "0.20 s, 5 frames: run/a.mp4"
    assert rows["longest"] == "2.00 s, 20 frames: walk/b.mp4"
    assert (rows["run"], rows["walk"]) == ("1", "2")
    assert re.search(r"^walk/text.mp4 +\S", told, flags=re.MULTILINE)
    assert "everest finetune" in told


def test_strict_exits_with_one_if_a_file_is_bad(videos: Path) -> None:
    assert check(videos, "--strict") == 1
    (videos / "walk/text.mp4").unlink()
    assert check(videos, "--strict") == 0


def test_json_is_one_document_on_stdout_with_its_schema_first(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(videos, "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert next(iter(found.items())) == ("schema", 1)
    assert (found["found"], found["good"]) == (3, 2)
    assert [Path(bad["path"]).name for bad in found["bad"]] == ["text.mp4"]
    assert found["bad"][0]["reason"] and str(videos) not in found["bad"][0]["reason"]
    assert found["hours"] == pytest.approx(2.2 / 3600)
    assert found["fps"] == {"25": 1, "10": 1}
    assert found["sizes"] == {"32x24": 1, "64x48": 1}
    assert found["classes"] == {"label": {"run": 1, "walk": 2}}
    assert Path(found["index"]).is_file()
    assert "found" in captured.err


def test_a_source_with_nothing_that_plays_is_refused_after_it_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mp4").write_text("text")
    (tmp_path / "empty.mp4").write_bytes(b"")
    cut = film(tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(cut[: len(cut) // 4])
    with pytest.raises(SourceError, match="none of the 3 files can be read") as caught:
        check(tmp_path, "--json")
    assert str(caught.value).count("\n") == 3
    assert json.loads(capsys.readouterr().out)["good"] == 0
    film(tmp_path / "good.mp4")
    assert check(tmp_path) == 0


def test_files_missing_from_a_list_count_as_bad(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos / "x.csv").write_text("path,label\nrun/a.mp4,run\nwalk/gone.mp4,walk\n")
    found = document(capsys, videos / "x.csv")
    assert (found["found"], found["good"]) == (2, 1)
    assert found["bad"] == [{"path": str(videos / "walk/gone.mp4"), "reason": "no such file"}]
    assert check(videos / "x.csv", "--strict") == 1


def test_spans_of_one_file_are_decoded_once(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos / "x.csv").write_text("path,start,end\nwalk/b.mp4,0,1\nwalk/b.mp4,1,2\n")
    found = document(capsys, videos / "x.csv")
    assert (found["found"], found["clips"], found["frames"]) == (1, 2, 20)


def test_what_was_decoded_once_is_known(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [document(capsys, videos)["known"] for _ in range(2)] == [0, 3]
    check(videos)
    assert "3 files already known" in capsys.readouterr().out
    assert document(capsys, videos, "--again")["known"] == 0


def test_a_changed_file_is_looked_at_again(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document(capsys, videos)
    film(videos / "run/a.mp4", frames=7)
    found = document(capsys, videos)
    assert (found["known"], found["frames"]) == (2, 27)


def test_names_from_strangers_do_not_act_on_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path / "[red]a[b]\x1b[31m\n.mp4")
    (tmp_path / "[bold]\x07bad.mp4").write_text("text")
    check(tmp_path)
    told = capsys.readouterr().out
    assert "\x1b" not in told and "\x07" not in told
    assert r"[red]a[b]\x1b[31m\n.mp4" in told and r"[bold]\x07bad.mp4" in told


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_not_utf8_is_remembered_and_written_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"\xff.mp4")
    (tmp_path / name).write_text("text")
    film(tmp_path / "a.mp4")
    assert [document(capsys, tmp_path)["known"] for _ in range(2)] == [0, 2]
    assert document(capsys, tmp_path)["bad"][0]["path"] == str(tmp_path / name)


def test_a_class_that_train_lacks_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train/a/1", "train/b/2", "val/c/3"):
        film(tmp_path / f"{name}.mp4")
    assert check(tmp_path) == 0
    assert "1 class of val or test not in train" in capsys.readouterr().out


def test_worker_processes_find_the_same(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = document(capsys, videos)
    run([str(videos), "--json", "--again", "--workers", "2"])
    assert json.loads(capsys.readouterr().out) == alone


def test_an_index_knows_its_files_and_names_the_bad_ones(videos: Path) -> None:
    index = read_index([str(videos)], labelled=True)
    first, second, third = index.rows
    assert (first.frames, first.fps, first.width, first.height) == (5, 25.0, 32, 24)
    assert second.bad is None and third.bad and third.frames == 0
    assert any("1 clip of 3 cannot be read: text.mp4" in told for told in index.reading)


def test_an_index_of_bad_files_alone_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(SourceError, match=r"the only file cannot be read.*\n.*text.mp4: "):
        read_index([str(tmp_path)])
    film(tmp_path / "good.mp4")
    assert len(read_index([str(tmp_path)]).rows) == 2


def test_a_class_whose_training_files_are_all_bad_is_unseen(tmp_path: Path) -> None:
    for name in ("train/a/1", "train/b/2", "val/b/3"):
        film(tmp_path / f"{name}.mp4")
    assert len(read_index([str(tmp_path)], labelled=True).rows) == 3
    (tmp_path / "train/b/2.mp4").write_text("text")
    with pytest.raises(SourceError, match="--allow-unseen"):
        read_index([str(tmp_path)], labelled=True)


def test_a_probe_believes_a_scan_and_a_scan_does_not_believe_a_probe(videos: Path) -> None:
    path = str(videos / "run/a.mp4")
    assert look_at([path], scan=False).known == 0
    assert look_at([path], scan=False).known == 1
    assert look_at([path], scan=True).known == 0
    assert look_at([path], scan=False).facts[path].scanned


def test_what_is_no_regular_file_is_bad_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nothing.mp4")
    paths = [str(tmp_path / f"{name}.mp4") for name in ("pipe", "folder", "link", "gone")]
    facts = look_at(paths, scan=True, workers=0).facts
    assert [facts[path].bad for path in paths] == [
        "not a regular file",
        "a folder without numbered pictures (img_00001.jpg, 000001.png, ...)",
        "a link to nothing",
        "no such file",
    ]


def hang(path: str, alive: object) -> Facts:
    time.sleep(60)
    return Facts()


def test_a_file_that_hangs_is_set_aside_and_tried_again_by_the_next_check(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(videos / "run/a.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(checking, "scan_facts", hang)
        patch.setattr(checking, "DEADLINE", 0.5)
        facts = look_at([path], scan=True, workers=1).facts[path]
    assert facts.bad and facts.passing
    assert look_at([path], scan=False, workers=0).facts[path].bad == facts.bad
    assert look_at([path], scan=True, workers=0).facts[path].bad is None


def test_a_refusal_that_can_pass_is_not_remembered(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(videos / "run/a.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        assert look_at([path], scan=False).facts[path].bad == "no permission to read it"
    assert look_at([path], scan=False).facts[path].bad is None


def test_progress_counts_every_file_known_or_not(videos: Path) -> None:
    paths = [str(path) for path in videos.rglob("*.mp4")]
    look_at(paths[:1], scan=True, workers=0)
    calls: list[tuple[int, int]] = []
    look_at(paths, scan=True, workers=0, progress=lambda *counts: calls.append(counts))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("harm", ["garbage", "a folder", "another table", "no folder"])
def test_a_broken_cache_is_told_and_worked_around(
    videos: Path, cache: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if harm == "garbage":
        (cache / "facts.sqlite").write_bytes(b"no database at all" * 100)
    elif harm == "a folder":
        (cache / "facts.sqlite").mkdir()
    elif harm == "another table":
        connection = sqlite3.connect(cache / "facts.sqlite")
        connection.execute("CREATE TABLE facts_1 (path TEXT)")
        connection.close()
    else:
        (cache / "file").write_text("")
        monkeypatch.setenv("EVEREST_CACHE", str(cache / "file"))
    index = read_index([str(videos)])
    assert [row.frames for row in index.rows] == [5, 20, 0]
    assert sum("cannot be used" in told and "EVEREST_CACHE" in told for told in index.reading) == 1


def test_a_locked_cache_is_worked_around(
    videos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everest.facts.PATIENCE", 0.1)
    Memory().close()
    other = sqlite3.connect(cache / "facts.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    index = read_index([str(videos)])
    other.close()
    assert [row.frames for row in index.rows] == [5, 20, 0]
    assert any("locked" in told for told in index.reading)


def test_several_processes_remember_side_by_side(cache: Path) -> None:
    code = (
        "import sys; from everest.facts import Facts, Memory, Stamp\n"
        "with Memory() as memory:\n"
        "    for n in range(600):\n"
        "        memory.put(f'/v/{sys.argv[1]}/{n}.mp4', Stamp(n, n), Facts(frames=n))\n"
        "assert memory.trouble is None, memory.trouble\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    stamps = {f"/v/{name}/{n}.mp4": Stamp(n, n) for name in "abc" for n in range(600)}
    with Memory() as memory:
        known = memory.known(stamps, scanned=False)
    assert len(known) == 1800 and known["/v/b/7.mp4"] == Facts(frames=7)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from everest.facts import cache_folder

    monkeypatch.setenv("EVEREST_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("EVEREST_CACHE")
    assert cache_folder() == Path("/c/everest")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache/everest"


def test_label_columns_are_chosen_with_a_comma(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos / "x.csv").write_text("path,digit,word\nrun/a.mp4,1,x\nwalk/b.mp4,0,y\n")
    found = document(capsys, videos / "x.csv", "--label", "digit,word")
    assert found["classes"] == {"digit": {"0": 1, "1": 1}, "word": {"x": 1, "y": 1}}


@pytest.mark.slow
def test_the_table_of_real_files_agrees_with_their_manifest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = os.environ.get("EVEREST_DATA")
    if not root:
        pytest.skip("EVEREST_DATA names no folder of real videos")
    found = document(capsys, Path(root) / "testvids")
    assert (found["found"], found["good"]) == (48, 46)
    assert {Path(bad["path"]).name for bad in found["bad"]} == {
        "decord__corrupted.mp4",
        "moviepy__result.webm",
    }
