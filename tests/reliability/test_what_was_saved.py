"""What was saved is what is loaded; where nothing can be saved, that is said at once (tests 6-8, 10
and 11 of the reliability table)."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import ended, slow_steps, start
from test_a_run_survives import small

from everest import locking
from everest.checkpoint import load_state, save_state
from everest.convert.read import WeightsError, read_tensors
from tiny import TINY_PRETRAIN, LabelledSet, contents, done, everest

MEGABYTES = 64


def command(labelled: LabelledSet, out: Path, *more: object) -> list[object]:
    words = ["pretrain", labelled.videos, "--out", out, "--epochs", 2, *TINY_PRETRAIN]
    return [*words, "--clips-per-video", 4, *more]


# Disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a file system of its own needs root and mount")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    found = subprocess.run(mount, capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"no file system can be mounted here: {found.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: str, left: int = 0) -> None:
    """Takes all room of a disk, but for so many bytes."""
    with suppress_full(), open(Path(disk) / "filler", "ab", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    with suppress_full(), open(Path(disk) / "filler", "ab", buffering=0) as file:
        while True:
            file.write(bytes(512))
    if left:
        os.truncate(Path(disk) / "filler", (Path(disk) / "filler").stat().st_size - left)


class suppress_full:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return isinstance(error, OSError) and error.errno == 28


def full_at(disk: str, what: str, times: int) -> None:
    """The disk is full when this process saves, logs or reports for the n-th time."""
    from everest import checkpoint, fitting
    from everest.folder import RunFolder
    from everest.report.page import writing

    place: Any
    place, name = {
        "save": (checkpoint, "save_state"),
        "log": (RunFolder, "append"),
        "report": (writing.Reporter, "write_pages"),
    }[what]
    before, done = getattr(place, name), [0]

    def act(*words: Any) -> Any:
        done[0] += 1
        if done[0] == times:
            fill(disk)
            Path(disk).with_name("full").write_text(str(time.time()))
        return before(*words)

    setattr(place, name, act)
    fitting.SAVE_SECONDS = 0.0  # a state after each epoch and step


@pytest.mark.slow
@pytest.mark.parametrize("what", ["save", "log", "report"])
def test_06_a_full_disk_ends_a_run_with_what_is_needed_and_free(
    what: str, labelled: LabelledSet, small_disk: Path, tmp_path: Path
) -> None:
    """6. Output on a 64 MB tmpfs, full during save, log, report: exit 1 within 10 s, names path,
    needed and free bytes; older checkpoint intact, no broken final name."""
    out = small_disk / "run"
    times = {"save": 5, "log": 3, "report": 1}[what]
    words = command(labelled, out, "--model", "128x4x4")
    code, said = ended(words, tmp_path / "said", (full_at, str(small_disk), what, times))
    took = time.time() - float((tmp_path / "full").read_text())
    assert code == 1 and "Traceback" not in said, said
    assert took < 10
    last = said.strip().splitlines()[-1]
    assert str(out) in last and re.search(r"[\d,]+ bytes needed, [\d,]+ free", last), said
    state = load_state(out / "state")
    assert state is not None and state.warning is None and state.step > 0
    for folder in (out / "weights").glob("*"):
        assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json"}
        read_tensors(folder / "model.safetensors")
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]
    (small_disk / "filler").unlink()
    assert ended([*words, "--resume"], tmp_path / "resumed")[0] == 0


def read_only(tmp_path: Path) -> Path:
    """Root can write to all but the kernel's own folders."""
    if os.geteuid() == 0:
        return Path("/sys")
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    return folder


@pytest.mark.parametrize(
    "kind", ["read-only", "a file", "missing parent", "parent is a file", "dangling link"]
)
def test_07_an_output_that_cannot_be_is_refused_before_a_video_is_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7. Output read-only, a file, missing parent, dangling link: error within 5 s, before the
    first video is read. (A missing parent that can be made is made: see the next test.)"""
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "deep")
    out = {
        "read-only": read_only(tmp_path) / "run",
        "a file": tmp_path / "file",
        "missing parent": read_only(tmp_path) / "missing" / "run",
        "parent is a file": tmp_path / "file" / "missing" / "run",
        "dangling link": tmp_path / "link",
    }[kind]
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(4):
        (videos / f"{number}.mp4").write_bytes(b"never looked at")

    def opened(self: Any) -> None:
        raise AssertionError("a video was opened")

    monkeypatch.setattr("everest.decoder.Source.__enter__", opened)
    before, begun = contents(tmp_path), time.monotonic()
    told = everest("pretrain", videos, "--out", out, *TINY_PRETRAIN)
    assert told.code == 2 and str(out) in told.err and "give a folder" in told.err
    assert time.monotonic() - begun < 5
    assert contents(tmp_path) == before


def test_07_a_missing_parent_that_can_be_made_is_made(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """7. ... the other half of a missing parent: `--out runs/a` works where there is no runs."""
    out = tmp_path / "runs" / "deep" / "a"
    done("pretrain", labelled.videos, "--out", out, "--epochs", 1, *TINY_PRETRAIN)
    assert (out / "weights" / "last" / "model.safetensors").exists()


# Locks


@pytest.mark.slow
def test_08_a_second_run_into_a_folder_is_refused_and_a_killed_ones_lock_taken_over(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """8. Two runs into one folder: second refuses, names pid and host; then a stale lock after
    kill -9: taken over."""
    out = tmp_path / "run"
    words = command(labelled, out)
    first = start(words, tmp_path / "first", (slow_steps, 1.0))
    first.wait_for((out / "recipe.json").exists)
    before = contents(out / "state")
    for more in ([], ["--resume"], ["--overwrite"]):
        told = everest(*words, *more)
        assert told.code == 2
        assert f"process {first.pid} on {socket.gethostname()}" in told.err
        assert "is writing to it" in told.err and str(out) in told.err
    assert (out / "recipe.json").exists() and contents(out / "state") == before
    first.tell(signal.SIGKILL)
    first.end()
    assert json.loads((out / locking.NAME).read_text())["pid"] == first.pid  # the stale lock
    done(*words, "--resume")
    assert not (out / locking.NAME).exists()


def test_08_a_lock_that_nobody_holds_is_taken_over_whatever_it_says(tmp_path: Path) -> None:
    """8. ... stale lock taken over: also one that names a living process, or another machine."""
    for content in ("", "{", json.dumps({"pid": os.getpid(), "host": "elsewhere"})):
        (tmp_path / locking.NAME).write_text(content)
        assert locking.holder(tmp_path) is None
        locking.take(tmp_path)
        with pytest.raises(locking.Locked, match=f"process {os.getpid()} on "):
            locking.take(tmp_path)
        assert locking.holder(tmp_path) is not None
        locking.release(tmp_path)
        assert locking.holder(tmp_path) is None


@pytest.mark.slow
def test_08_of_two_that_begin_at_once_one_has_the_folder(tmp_path: Path) -> None:
    """8. ... however close they come."""
    for _ in range(5):
        pids = []
        for _ in range(6):
            pid = os.fork()
            if pid == 0:
                try:
                    locking.take(tmp_path)
                    time.sleep(0.6)
                    os._exit(0)
                except locking.Locked:
                    os._exit(7)
            pids.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        assert sorted(codes) == [0, 7, 7, 7, 7, 7]


def test_08_where_a_disk_keeps_no_locks_what_the_lock_says_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8. ... on a network disk without locks: a dead process of this machine is passed over, and
    another machine's is believed."""

    def unable(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unable)
    gone = subprocess.Popen(["true"])
    gone.wait()
    own = socket.gethostname()
    for pid, host, free in ((gone.pid, own, True), (os.getppid(), own, False), (1, "x", False)):
        (tmp_path / locking.NAME).write_text(json.dumps({"pid": pid, "host": host}))
        assert (locking.holder(tmp_path) is None) == free


# Damage


def test_10_a_flipped_byte_is_found_and_the_state_before_used(tmp_path: Path) -> None:
    """10. Flip one byte in each checkpoint file, 50 places: found by stored SHA-256, falls back to
    the previous one, says which."""
    save_state(tmp_path, 1, *small(1), {"step": 1})
    newest = save_state(tmp_path, 2, *small(2), {"step": 2, "notes": "x" * 60})
    files = sorted(newest.iterdir())
    assert len(files) == 4
    for file in files:
        whole = file.read_bytes()
        assert len(whole) >= 50
        for number in range(50):
            place = number * (len(whole) - 1) // 49
            flipped = bytes([whole[place] ^ (1 << number % 8)])
            file.write_bytes(whole[:place] + flipped + whole[place + 1 :])
            state = load_state(tmp_path)
            assert state is not None and state.step == 1
            assert state.warning is not None and str(newest) in state.warning
            assert "the one before is used" in state.warning
        file.write_bytes(whole)
    state = load_state(tmp_path)
    assert state is not None and state.step == 2 and state.warning is None


def cut_and_other(whole: bytes) -> dict[str, tuple[bytes, str]]:
    """What may stand under a file's name -> its bytes, and how that is to be called."""
    found = {
        f"cut {number}": (whole[: 1 + number * (len(whole) - 2) // 19], "not a|empty")
        for number in range(20)
    }
    page = b"<!DOCTYPE html><html><body>Sign in</body></html>"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    return found | {
        "0 bytes": (b"", "an empty file"),
        "page": (page, "an HTML page"),
        "pointer": (pointer, "a git-lfs pointer"),
    }


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_11_a_cut_file_and_what_is_no_weights_give_one_error_that_names_it(
    ending: str, tmp_path: Path
) -> None:
    """11. Checkpoint cut at 20 lengths, 0 bytes, HTML page, git-lfs pointer: one exception class of
    ours, <= 3 lines, names what the file seems to be."""
    path = tmp_path / f"a{ending}"
    tensors = {f"part.{number}": torch.randn(8, 9) for number in range(5)}
    if ending == ".safetensors":
        from safetensors.torch import save_file

        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=ending == ".pth")
    whole = path.read_bytes()
    assert read_tensors(path).keys() == tensors.keys()
    for content, told in cut_and_other(whole).values():
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=told) as refused:
            read_tensors(path)
        said = str(refused.value)
        assert said.startswith(str(path)) and said.count("\n") < 3 and len(said) < 500


def test_11_a_damaged_run_is_refused_in_three_lines(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    """11. ... the same of the weights of a run of ours, on the command line."""
    run = tmp_path / "run"
    shutil.copytree(pretrained, run)
    file = run / "weights" / "last" / "model.safetensors"
    whole = file.read_bytes()
    for content, told in cut_and_other(whole).values():
        file.write_bytes(content)
        found = everest("embed", run, labelled.files[0], "-o", tmp_path / "e.npz")
        assert found.code == 2 and re.search(told, found.err), found.err
        assert str(file) in found.err and found.err.count("\n") <= 3
        assert "Traceback" not in found.err
