"""What a step costs where it runs, and what is done when it does not fit."""

from pathlib import Path

import pytest
import torch

from everest import build, fitting, machine, measuring
from tiny import TINY_PRETRAIN, LabelledSet, done, everest

PLACE = machine.choose("cpu", "float32")


def small_model() -> build.Model:
    return build.create_model(
        "32x2x2", frames=4, size=32, patch=8, decoder_width=16, decoder_depth=1
    ).train()


def test_what_is_kept_for_the_backward_pass_grows_with_the_clips() -> None:
    model = small_model()
    one, three, five = (
        measuring.kept_bytes(model, measuring.blank_clips(count, 3, 4, (32, 32)), PLACE)
        for count in (1, 3, 5)
    )
    assert one > 0 and three - one == pytest.approx(five - three, rel=0.05) and three > 1.5 * one


def test_a_step_is_timed_and_leaves_no_gradient() -> None:
    model = small_model()
    (cost,) = measuring.step_costs([model], [measuring.blank_clips(2, 3, 4, (32, 32))], PLACE)
    assert cost.seconds > 0 and cost.kept > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_fewer_clips_fit_where_less_memory_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    model, clips = small_model(), measuring.blank_clips(1, 3, 4, (32, 32))
    fits = []
    for free in (1 << 30, 1 << 20):
        monkeypatch.setattr(measuring, "free_bytes", lambda place, free=free: free)
        fits.append(measuring.fitting_clips(model, clips, PLACE))
    assert fits[0] > 100 * fits[1] and fits[1] >= 1


def test_an_automatic_batch_is_computed_in_parts_that_fit(
    labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "fitting_clips", lambda *_: 1)
    words = [*TINY_PRETRAIN, "--batch-size", "auto", "--epochs", 1]
    told = done("pretrain", labelled.table, "--out", tmp_path / "a", *words)
    assert "2 clips a step in 2 parts" in told.out


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_running_out_of_memory_names_a_batch_that_fits(
    error: Exception, labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(fitting, "backward", full)
    words = ["pretrain", labelled.table, "--out", tmp_path / "a", "--epochs", 1, *TINY_PRETRAIN]
    told = everest(*words)
    assert told.code == 1
    assert "out of memory with 4 clips at once; about 2 fit: --accumulate 2" in told.err
    monkeypatch.undo()
    done(*words, "--overwrite", "--accumulate", 2)


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    assert not measuring.is_out_of_memory(RuntimeError("shapes do not fit"))
