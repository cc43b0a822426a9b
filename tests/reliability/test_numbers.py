"""Numbers can be trusted (tests 25 and 26 of the reliability table; one rank of two is not
run here: nothing trains in several processes yet)."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import ended
from test_a_run_survives import command
from torch import nn

from everest import fitting
from everest.checkpoint import load_state
from everest.fitting import NON_FINITE_LIMIT, NotFinite
from everest.loop import Loop
from test_fitting import assert_equal, autoencoder, classifier, clips_of, job_of, state_of
from tiny import TINY, LabelledSet, contents, done

SICK = 666  # key of a clip that is not finite


class Sick(nn.Module):
    """A model for which clips of one key are not finite in one place: pixels, loss or gradient."""

    def __init__(self, model: nn.Module, where: str, value: float) -> None:
        super().__init__()
        self.model, self.where, self.value = model, where, value

    def forward(self, clips: Any) -> dict[str, Any]:
        ill = clips.key == SICK
        if self.where == "pixels":
            video = clips.video.float()
            video[ill] = self.value  # all of it: which tokens are read is a draw
            clips = clips._replace(video=video)
        out = self.model(clips)
        if self.where == "loss":
            out["loss"] = torch.where(ill, torch.tensor(self.value), out["loss"])
        if self.where == "gradient" and bool(ill.any()):
            parameter = next(it for it in self.model.parameters() if it.requires_grad)
            # Adds 0 to the loss, and to one number of its gradient what is not finite.
            out["loss"] = out["loss"] + Spoil.apply(parameter.flatten()[0], self.value)
        return out

    def save_pretrained(self, folder: Path) -> None:
        self.model.save_pretrained(folder)  # type: ignore[operator]


class Spoil(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, number: torch.Tensor, value: float) -> torch.Tensor:
        context.value = value
        return torch.zeros(())

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.full((), context.value), None


def one_sick(seed: int) -> Any:
    """Three clips, of which one is not finite."""
    clips = clips_of(3, seed=seed)
    key = clips.key.clone()
    key[1] = SICK
    return clips._replace(key=key)


@pytest.mark.parametrize("where", ["pixels", "loss", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("make", [autoencoder, lambda: classifier("batch")], ids=["pre", "fine"])
def test_25_what_is_not_finite_moves_nothing_and_is_counted(
    make: Any, value: float, where: str, tmp_path: Path
) -> None:
    """25. NaN and Inf in pixels, loss, one gradient: step leaves weights and optimiser bit-equal,
    counted and shown."""
    batches = [clips_of(3), one_sick(1), clips_of(3, seed=2)]
    job = job_of(Sick(make(), where, value), tmp_path / "run", batches)
    loop = Loop()
    assert fitting.step(job, loop, batches[0])
    before = state_of(job)
    assert fitting.step(job, loop, batches[1]) == {}
    assert_equal(state_of(job), before)
    assert (loop.skipped, loop.skipped_in_row) == (1, 1)
    assert fitting.step(job, loop, batches[2])
    assert loop.skipped_in_row == 0
    told: list[dict[str, Any]] = []
    job = job_of(Sick(make(), where, value), tmp_path / "whole", batches)
    fitting.fit(replace(job, tell=told.append), Loop())
    assert [line["skipped"] for line in told if "skipped" in line] == [1]
    (epoch,) = [line for line in job.folder.metrics() if line["kind"] == "epoch"]
    assert epoch["skipped"] == 1


@pytest.mark.parametrize("where", ["pixels", "loss", "gradient"])
def test_25_ten_in_a_row_stop_a_run_at_its_last_good_weights(where: str, tmp_path: Path) -> None:
    """25. ... 10 in a row: stops, exit 1, last good checkpoint named."""
    batches = [clips_of(3), *(one_sick(seed) for seed in range(1, 12))]
    job = job_of(Sick(autoencoder(), where, float("nan")), tmp_path / "run", batches)
    reference = job_of(Sick(autoencoder(), where, float("nan")), tmp_path / "good", batches)
    fitting.step(reference, Loop(), batches[0])
    with pytest.raises(NotFinite, match=rf"{NON_FINITE_LIMIT} steps in a row") as stopped:
        fitting.fit(job, Loop())
    assert stopped.value.exit_code == 1 and str(job.folder.state) in str(stopped.value)
    assert_equal(state_of(job), state_of(reference))
    state = load_state(job.folder.state)
    assert state is not None and state.step == NON_FINITE_LIMIT + 1
    good = reference.model.state_dict()
    assert all(good[name].equal(value) for name, value in state.model.items())


# Repeats


def digest(out: Path) -> str:
    """SHA-256 of weights, state and metrics of a run."""
    found = hashlib.sha256()
    for part in ("weights", "state"):
        for name, content in sorted(contents(out / part).items()):
            found.update(name.encode() + b"\0" + (content or b""))
    found.update((out / "metrics.jsonl").read_bytes())
    return found.hexdigest()


@pytest.mark.slow
def test_26_the_same_seed_gives_the_same_bytes_for_any_workers(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """26. Same seed twice; 0, 1, 4 workers: equal SHA-256 of weights and metrics on one machine."""
    digests = {}
    for name, more in {
        "once": ["--workers", 0], "twice": ["--workers", 0], "one": ["--workers", 1],
        "four": ["--workers", 4], "other": ["--workers", 0, "--seed", 5],
    }.items():  # fmt: skip
        out = tmp_path / name / "run"
        out.parent.mkdir()
        code, said = ended(command(labelled, out, *more), tmp_path / name / "said")
        assert code == 0, said
        digests[name] = digest(out)
    other = digests.pop("other")
    assert len(set(digests.values())) == 1
    assert other not in digests.values()


@pytest.mark.slow
@pytest.mark.parametrize("job", ["pretrain", "finetune"])
def test_26_the_order_of_a_directory_changes_nothing(
    job: str, labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """26. ... after a 22-name shuffle of directory order: a file system may give names in any."""
    draw = random.Random(4)
    shuffled(monkeypatch, draw)
    names = [f"{label}/{number:02}.mp4" for number in range(11) for label in ("left", "right")]
    assert len(names) == 22
    found, orders = [], []
    videos = tmp_path / "videos"
    for name in names:
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        number = int(Path(name).stem) + 5 * name.startswith("left")
        shutil.copy(labelled.files[number], videos / name)
    for attempt in range(3):
        out = tmp_path / str(attempt)
        words = [job, videos, "--out", out, "--epochs", 2, *TINY]
        done(*words, *(["--split", 0.8] if job == "finetune" else []))
        found.append(digest(out))
        orders.append(tuple(os.listdir(videos / "left")))
    assert len(set(found)) == 1 and len(set(orders)) == 3


def shuffled(monkeypatch: pytest.MonkeyPatch, draw: random.Random) -> None:
    """Folders give their names in another order each time they are asked."""
    listed, scanned = os.listdir, os.scandir

    class Scanned:
        def __init__(self, *words: Any) -> None:
            with scanned(*words) as entries:
                self.entries = list(entries)
            draw.shuffle(self.entries)

        def __enter__(self) -> "Scanned":
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            self.entries = []

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            if not self.entries:
                raise StopIteration
            return self.entries.pop()

    def listdir(*words: Any) -> list[Any]:
        names = listed(*words)
        draw.shuffle(names)
        return names

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "scandir", Scanned)


@pytest.mark.slow
def test_26_the_report_says_what_is_promised_of_repeats(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """26. ... the report states what is and is not promised."""
    out = tmp_path / "run"
    done(*command(labelled, out))
    page = " ".join((out / "report.html").read_text().split())
    assert "the same weights bit for bit" in page and "Nothing is promised across machines" in page
    assert json.loads((out / "recipe.json").read_text())["seed"] == 0
