"""A run that was stopped and goes on is the run that nothing disturbed, bit for bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tiny import TINY, TINY_PRETRAIN, LabelledSet, contents, done, everest

CLIPS = 12  # an epoch takes of a video: 15 videos make 45 steps
STEPS = 45
EPOCHS = 2
PATIENCE = 60.0  # seconds that a process may take to show a sign


def command(labelled: LabelledSet, out: Path, *more: object) -> list[str]:
    words = ["pretrain", labelled.videos, "--out", out, "--epochs", EPOCHS, *TINY_PRETRAIN]
    return [str(word) for word in [*words, "--clips-per-video", CLIPS, *more]]


@pytest.fixture(scope="module")
def undisturbed(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    done(*command(labelled, out))
    return out


@pytest.fixture(scope="module")
def saved_twice(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, with a state after each of its epochs."""
    out = tmp_path_factory.mktemp("saved_twice") / "run"
    everest(*command(labelled, out), "--stop-after", 1)
    done(*command(labelled, out), "--resume")
    return out


def assert_same_run(out: Path, other: Path) -> None:
    """Weights, optimiser, place in the loop and metrics are equal bit for bit."""
    assert (out / "state" / "last").read_text() == (other / "state" / "last").read_text()
    name = (other / "state" / "last").read_text().strip()
    assert contents(out / "state" / name) == contents(other / "state" / name)
    assert (out / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    assert contents(out / "weights") == contents(other / "weights")


def loop_of(out: Path) -> dict:
    """Where the newest saved state of a run stands."""
    name = (out / "state" / "last").read_text().strip()
    return json.loads((out / "state" / name / "loop.json").read_text())


@contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen]:
    """The command in a process of its own, which does not outlive the test."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, "-m", "everest", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen, sign: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not sign():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < limit
        time.sleep(0.005)


def has_taken_steps(out: Path) -> bool:
    path = out / "metrics.jsonl"
    return path.exists() and '"kind": "step"' in path.read_text()


def stopped_by(number: signal.Signals, words: list[str], out: Path) -> tuple[int, str]:
    """(exit code, what was said) of a run that gets a signal in the middle of its first epoch."""
    with started(words) as process:
        wait_for(process, lambda: has_taken_steps(out))
        process.send_signal(number)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0)])
def test_a_run_killed_in_an_epoch_and_resumed_is_the_undisturbed_run_for_any_workers(
    before: int, after: int, labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = command(labelled, out, "--workers", before)
    code, said = stopped_by(signal.SIGTERM, words, out)
    assert code == 143, said
    assert "saved" in said and "--resume" in said and "Traceback" not in said
    loop = loop_of(out)
    assert loop["epoch"] < EPOCHS and 0 < loop["step_in_epoch"] < STEPS
    told = done(*command(labelled, out, "--workers", after), "--resume")
    assert f"going on from step {loop['step']}" in told.out
    assert_same_run(out, undisturbed)


def test_ctrl_c_saves_and_exits_with_130(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, said = stopped_by(signal.SIGINT, command(labelled, out), out)
    assert code == 130, said
    assert "saved" in said and "Traceback" not in said
    done(*command(labelled, out), "--resume")
    assert_same_run(out, undisturbed)


def test_sigusr1_saves_and_goes_on(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with started(command(labelled, out)) as process:
        wait_for(process, lambda: has_taken_steps(out))
        process.send_signal(signal.SIGUSR1)
        wait_for(process, (out / "state" / "last").exists)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    saved = sorted(int(path.name[5:]) for path in (out / "state").glob("step-*"))
    assert len(saved) == 2 and 0 < saved[0] < saved[1] == EPOCHS * STEPS
    assert_same_run(out, undisturbed)


def test_a_run_stopped_after_an_epoch_keeps_its_schedule_and_goes_on(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = everest(*command(labelled, out), "--stop-after", 1)
    assert told.code == 0 and "after epoch 1" in told.err
    assert loop_of(out)["epoch"] == 1
    done(*command(labelled, out), "--resume")
    assert_same_run(out, undisturbed)


def test_a_fine_tuning_with_running_statistics_goes_on_exactly(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    def words(out: Path) -> list[object]:
        start = ["finetune", labelled.table, "--out", out, "--epochs", 3, *TINY]
        return [*start, "--head-norm", "batch", "--flip", 0.5]

    done(*words(tmp_path / "whole"))
    everest(*words(tmp_path / "parts"), "--stop-after", 1)
    done(*words(tmp_path / "parts"), "--resume", "--stop-after", 2)
    done(*words(tmp_path / "parts"), "--resume")
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_a_file_found_bad_before_the_stop_stays_set_aside_and_listed(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(labelled.videos, videos)
    victim = videos / "train-00000.mp4"

    def words(out: Path) -> list[object]:
        return ["pretrain", videos, "--out", out, "--epochs", 3, *TINY_PRETRAIN]

    def spoiled() -> None:
        """Its headers stay remembered as good: the size and time of change are the same."""
        times = victim.stat()
        victim.write_bytes(b"x" * times.st_size)
        os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))

    everest(*words(tmp_path / "first"), "--stop-after", 1)
    spoiled()
    for name in ("whole", "parts"):
        everest(*words(tmp_path / name), "--stop-after", 1)
    done(*words(tmp_path / "whole"), "--resume")
    done(*words(tmp_path / "parts"), "--resume", "--stop-after", 2)
    told = done(*words(tmp_path / "parts"), "--resume")
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    bad = json.loads((tmp_path / "parts" / "data.json").read_text())["bad"]
    assert [entry["path"] for entry in bad] == [str(victim)]
    assert f"{victim}: {bad[0]['reason']}" in told.out
    assert str(victim) not in bad[0]["reason"]


def test_a_resume_where_nothing_was_saved_starts_anew_and_says_so(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out, ignore=shutil.ignore_patterns("state", "weights"))
    told = done(*command(labelled, out), "--resume")
    assert "nothing was saved" in told.out and "starting anew" in told.out
    assert_same_run(out, undisturbed)


def test_a_resume_into_a_folder_that_is_not_there_starts_anew(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    words = ["pretrain", labelled.videos, "--out", tmp_path / "run", "--epochs", 1]
    told = done(*words, *TINY_PRETRAIN, "--resume")
    assert "nothing was saved" in told.out and "starting anew" in told.out


def test_a_resume_of_a_finished_run_says_so_and_changes_no_weight(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    told = done(*command(labelled, out), "--resume")
    assert f"finished: {EPOCHS} epochs, {EPOCHS * STEPS} steps" in told.out
    assert_same_run(out, undisturbed)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "loop.json"])
def test_a_damaged_newest_state_falls_back_to_the_one_before_and_says_so(
    file: str, labelled: LabelledSet, undisturbed: Path, saved_twice: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(saved_twice, out)
    damaged = out / "state" / f"step-{EPOCHS * STEPS}" / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    told = done(*command(labelled, out), "--resume")
    assert str(damaged.parent) in told.out and "damaged" in told.out and file in told.out
    assert f"going on from step {STEPS}" in told.out
    assert_same_run(out, undisturbed)


def test_a_run_whose_states_are_all_damaged_is_refused_and_kept(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    for path in (out / "state").glob("step-*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    states = contents(out / "state")
    told = everest(*command(labelled, out), "--resume")
    assert told.code == 2 and "damaged" in told.err and "Traceback" not in told.err
    assert contents(out / "state") == states
    assert (out / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()


def test_a_resume_with_other_videos_is_refused(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(labelled.videos, videos)
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    words = command(labelled, out)
    moved = [str(videos) if word == str(labelled.videos) else word for word in words]
    done(*moved, "--resume")
    (videos / "train-00003.mp4").unlink()
    told = everest(*moved, "--resume")
    assert told.code == 2
    assert "videos" in told.err and "15" in told.err and "14" in told.err


def test_a_state_that_another_version_saved_is_refused_and_kept(
    labelled: LabelledSet, undisturbed: Path, tmp_path: Path
) -> None:
    import hashlib

    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    newest = out / "state" / (out / "state" / "last").read_text().strip()
    loop = json.dumps({**loop_of(out), "a_field_of_tomorrow": 1})
    (newest / "loop.json").write_text(loop)
    manifest = json.loads((newest / "manifest.json").read_text())
    manifest["loop.json"] = hashlib.sha256(loop.encode()).hexdigest()
    (newest / "manifest.json").write_text(json.dumps(manifest))
    before = contents(out / "state")
    told = everest(*command(labelled, out), "--resume")
    assert told.code == 2 and "another version" in told.err and str(out / "state") in told.err
    assert contents(out / "state") == before
