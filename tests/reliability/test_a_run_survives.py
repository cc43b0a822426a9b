"""A run that is killed, stopped or put upon goes on as if nothing had happened (tests 1-3, 5, 9 of
the reliability table)."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import ended, killed_in_save, saving_every, slow_steps, start, watched
from torch import nn

from everest.checkpoint import load_state, save_state
from test_resume import assert_same_run, loop_of
from tiny import TINY_PRETRAIN, LabelledSet, everest

EPOCHS, STEPS = 3, 20  # 60 steps of 4 clips
LOOP: dict[str, Any] = {"step": 1, "sizes": {}, "bad": {}}
SLOW = 0.03  # seconds that a step takes at least, so that there is time to stop within it


def command(labelled: LabelledSet, out: Path, *more: object) -> list[object]:
    words = ["pretrain", *labelled.files[:8], "--out", out, "--epochs", EPOCHS, *TINY_PRETRAIN]
    # Seven of the videos are learnt from: 84 clips an epoch make 21 steps of 4.
    return [*words, "--clips-per-video", 12, "--batch-size", 4, *more]


@pytest.fixture(scope="module")
def unbroken(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    code, said = ended(command(labelled, folder / "run"), folder / "said")
    assert code == 0, said
    assert loop_of(folder / "run")["step"] >= EPOCHS * STEPS
    return folder / "run"


def resumed(labelled: LabelledSet, out: Path, *more: object) -> str:
    code, said = ended(command(labelled, out, "--resume", *more), out.parent / "resumed")
    assert code == 0, said
    return said


@pytest.mark.slow
def test_01_killed_at_twenty_moments_and_resumed_it_is_the_unbroken_run(
    labelled: LabelledSet, unbroken: Path, tmp_path: Path
) -> None:
    """1. kill -9 at 20 random moments of a 60-step run (5 aimed inside a save), resume each:
    weights, optimiser and metrics lines equal bit for bit to the unbroken run."""
    draw = random.Random(1)
    going_on = 0
    for number in range(20):
        out = tmp_path / str(number) / "run"
        out.parent.mkdir()
        hooks: list[tuple[Any, ...]] = [(saving_every, 0.2), (slow_steps, SLOW)]
        if number < 5:  # saves come at least every 0.2 s of more than 1.8 s
            hooks.append((killed_in_save, draw.randint(1, 4), draw.randint(1, 25)))
        run = start(command(labelled, out), out.parent / "said", *hooks)
        if number >= 5:
            run.wait_for((out / "recipe.json").exists)
            time.sleep(draw.uniform(0, 60 * SLOW * 1.3))
            if run.process.is_alive():
                run.tell(signal.SIGKILL)
        assert run.end() in (-signal.SIGKILL, 0), run.said
        said = resumed(labelled, out)
        going_on += "going on from step" in said
        assert_same_run(out, unbroken)
    assert going_on >= 8  # the others were killed before their first save, or after their end


@pytest.mark.slow
def test_02_resumed_at_any_step_it_is_the_unbroken_run(
    labelled: LabelledSet, unbroken: Path, tmp_path: Path
) -> None:
    """2. Resume at step 1, mid-epoch, last of epoch, first of next, after the end: as 1; after the
    end nothing runs, and it says so."""
    epoch = loop_of(unbroken)["step"] // EPOCHS
    for step in (1, epoch // 2, epoch, epoch + 1):
        out = tmp_path / str(step) / "run"
        out.parent.mkdir()
        words = command(labelled, out)
        code, said = ended(words, out.parent / "said", (told_at_step, step, signal.SIGTERM))
        assert code == 143 and f"stopped at step {step} and saved" in said, said
        assert loop_of(out)["step"] == step
        assert f"going on from step {step}," in resumed(labelled, out)
        assert_same_run(out, unbroken)
    last = loop_of(unbroken)["step"]
    out = tmp_path / "end" / "run"
    shutil.copytree(unbroken, out)
    said = resumed(labelled, out)
    assert f"is finished: {EPOCHS} epochs, {last} steps" in said and "going on" not in said
    assert_same_run(out, unbroken)


@pytest.mark.slow
def test_03_resumed_with_other_numbers_of_workers_it_is_the_unbroken_run(
    labelled: LabelledSet, unbroken: Path, tmp_path: Path
) -> None:
    """3. Resume with 0 -> 2 -> 4 workers: as 1."""
    out = tmp_path / "run"
    code, said = ended(
        command(labelled, out, "--workers", 0),
        tmp_path / "first",
        (told_at_step, 7, signal.SIGTERM),
    )
    assert code == 143, said
    code, said = ended(
        command(labelled, out, "--workers", 2, "--resume"),
        tmp_path / "second",
        (told_at_step, 33, signal.SIGTERM),
    )
    assert code == 143 and "going on from step 7," in said, said
    assert "going on from step 33," in resumed(labelled, out, "--workers", 4)
    assert_same_run(out, unbroken)


def told_at_step(number: int, told: signal.Signals) -> None:
    """This process gets a signal while it computes its n-th step."""
    from everest import fitting

    before = fitting.step

    def step(job: Any, loop: Any, clips: Any) -> Any:
        if loop.step + 1 == number:
            os.kill(os.getpid(), told)
        return before(job, loop, clips)

    fitting.step = step  # type: ignore[assignment]


# Saves


def small(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Linear(40, 40)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    return model, optimizer


def acts_of_a_save(folder: Path, step: int) -> list[tuple[str, str]]:
    """What a save does with files, in order; it is done in a fork that ends with it."""
    told = folder.parent / "acts.jsonl"
    told.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        acts: list[tuple[str, str]] = []
        watched(str(folder), lambda act, path: acts.append((act, path)))
        save_state(folder, step, *small(step), {**LOOP, "step": step})
        told.write_text(json.dumps(acts))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return [(act, path) for act, path in json.loads(told.read_text())]


def killed_save(folder: Path, step: int, act: int) -> bool:
    """Whether a process that saves was killed at its n-th act."""
    pid = os.fork()
    if pid == 0:
        try:
            from runs import killed_at_act

            killed_at_act(str(folder), act)
            save_state(folder, step, *small(step), {**LOOP, "step": step})
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["a new step", "the same step again"])
def test_05_killed_at_every_act_of_a_save_a_state_is_there(again: bool, tmp_path: Path) -> None:
    """5. Kill at every write/rename/fsync of a save (fault hook, >= 30 points): always one loadable
    checkpoint; no temporary file taken for one."""
    first = tmp_path / "first"
    save_state(first, 1, *small(1), {**LOOP, "step": 1})
    if not again:
        save_state(first, 2, *small(2), {**LOOP, "step": 2})
    step = 1 if again else 3
    points = 0
    while True:
        folder = tmp_path / f"killed{points}"
        shutil.copytree(first, folder)
        if not killed_save(folder, step, points + 1):
            break
        points += 1
        state = load_state(folder)
        assert state is not None and state.warning is None
        assert state.step in ({1} if again else {2, 3}) and state.loop["step"] == state.step
        save_state(folder, 9, *small(9), LOOP)
        after = load_state(folder)
        assert after is not None and after.step == 9
        assert not [path for path in folder.iterdir() if path.name.endswith((".part", ".before"))]
        shutil.rmtree(folder)
    assert points >= 30


def test_05_cut_off_within_a_file_the_state_before_is_there(tmp_path: Path) -> None:
    """5. As above, the kill within a write: the kernel ends the process at a size of file."""
    import resource

    folder = tmp_path / "state"
    save_state(folder, 1, *small(1), {**LOOP, "step": 1})
    for size in (0, 1, 60, 700, 3000, 6000, 9000, 12000):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            save_state(folder, 2, *small(2), LOOP)
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGXFSZ
        state = load_state(folder)
        assert state is not None and state.step == 1 and state.warning is None


def test_05_a_state_is_synced_file_by_file_before_it_has_its_name(tmp_path: Path) -> None:
    """5. ... file and folder fsynced."""
    folder = tmp_path / "state"
    folder.mkdir()
    acts = acts_of_a_save(folder, 1)
    named = acts.index(("os.rename", str(folder / ".step-1.part")))
    beside = folder / ".step-1.part"
    files = {path.name for path in (folder / "step-1").iterdir()}
    synced = {path for act, path in acts[:named] if act == "fsync"}
    assert synced >= {str(beside), *(str(beside / name) for name in files)}
    written = [number for number, (act, _) in enumerate(acts[:named]) if act.startswith("writ")]
    first_sync = next(number for number, (act, _) in enumerate(acts) if act == "fsync")
    assert len(written) == 4 and max(written) < first_sync
    assert ("fsync", str(folder)) in acts[named:]
    assert "last" in (folder / "last").name and (folder / "last").read_text() == "step-1\n"


# Signals


def told_in_save(told: signal.Signals, times: int = 1) -> None:
    """This process gets a signal in the middle of its first save."""
    from everest import tensors

    before, done = tensors.save_file, [0]

    def save_file(content: Any, path: Path) -> None:
        done[0] += 1
        if done[0] == 2:
            for _ in range(times):
                os.kill(os.getpid(), told)
        before(content, path)

    tensors.save_file = save_file


def told_in_validation(told: signal.Signals, slow: float) -> None:
    """This process gets a signal within its first validation, of which a batch takes `slow` s."""
    from everest import evaluating

    before, done = evaluating.held_out, [0]

    class Slowed:
        def __init__(self, batches: Any) -> None:
            self.batches = batches

        def evaluation(self, batch: int, **more: Any) -> Any:
            for clips in self.batches.evaluation(1, **more):
                yield clips
                if not done[0]:
                    done[0] += 1
                    os.kill(os.getpid(), told)
                time.sleep(slow)

    def held_out(model: Any, batches: Any, machine: Any, **more: Any) -> Any:
        return before(model, Slowed(batches), machine, **more)

    evaluating.held_out = held_out


CASES: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
    "a step": (told_at_step, (12,)),
    "a save": (told_in_save, ()),
    "a validation": (told_in_validation, ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("within", CASES)
@pytest.mark.parametrize(
    ("told", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 0)]
)
def test_09_told_within_anything_it_saves_and_goes_on_as_the_unbroken_run(
    told: signal.Signals,
    code: int,
    within: str,
    labelled: LabelledSet,
    unbroken: Path,
    tmp_path: Path,
) -> None:
    """9. SIGTERM mid-step, mid-save, mid-validation; SIGUSR1; Ctrl-C once: saved within 30 s,
    SIGTERM exits 143, Ctrl-C 130, SIGUSR1 goes on; then as 1."""
    hook, words = CASES[within]
    more: tuple[Any, ...] = (told, 0.1) if within == "a validation" else (told,)
    out = tmp_path / "run"
    begun = time.monotonic()
    hooks: list[tuple[Any, ...]] = [(hook, *words, *more)]
    if within == "a save":
        hooks.append((saving_every, 0.05))
    found, said = ended(command(labelled, out), tmp_path / "said", *hooks)
    assert found == code, said
    assert "Traceback" not in said
    if code:
        assert "saved" in said and time.monotonic() - begun < 30
        resumed(labelled, out)
    assert_same_run(out, unbroken)


@pytest.mark.slow
def test_09_a_long_validation_does_not_keep_a_run_that_is_told_to_stop(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """9. ... saved within 30 s: a long validation is broken off, and done after the resume."""
    out = tmp_path / "run"
    words = [
        "pretrain", labelled.table, "--out", out, "--epochs", 2, *TINY_PRETRAIN,
    ]  # fmt: skip
    begun = time.monotonic()
    hook = (told_in_validation, signal.SIGTERM, 15.0)  # of 4 clips: 60 s
    code, said = ended(words, tmp_path / "said", hook)
    assert code == 143 and time.monotonic() - begun < 30, said
    assert loop_of(out)["epoch"] == 0 and "stopped at step 2 and saved" in said
    code, said = ended([*words, "--resume"], tmp_path / "resumed")
    assert code == 0, said
    whole = tmp_path / "whole"
    assert ended([*words[:3], whole, *words[4:]], tmp_path / "other")[0] == 0
    assert_same_run(out, whole)


@pytest.mark.slow
def test_09_ctrl_c_twice_ends_at_once_and_leaves_the_state_before(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """9. Ctrl-C twice = at once, older checkpoint intact."""
    out = tmp_path / "run"
    words = command(labelled, out)
    assert everest(*words, "--stop-after", 1).code == 0
    before = loop_of(out)
    hook = (told_in_save, signal.SIGINT, 2)
    code, said = ended([*words, "--resume"], tmp_path / "said", hook, (saving_every, 0.05))
    assert code == 130 and "Traceback" not in said
    state = load_state(out / "state")
    assert state is not None and state.warning is None and state.loop == before
