"""What is said of a pre-training by its held-out loss and the two controls."""

import json
import math
from collections.abc import Iterator

import torch

from everest import machine
from everest.clips import Clips
from everest.evaluating import HeldOut, held_out, held_out_of
from everest.training import accuracy_score, held_out_score
from textures import noisy_clips


def test_one_held_out_clip_is_not_said_to_be_like_another() -> None:
    told = HeldOut(1, 0.5, 1.0, float("nan")).told()
    assert "0.50 of a constant predictor's" in told and "no other" in told
    assert "nan" not in told and "hardly better" not in told
    line = json.loads(json.dumps(HeldOut(1, 0.5, 1.0, float("nan")).to_json(), allow_nan=False))
    assert line["other_clip"] is None
    assert held_out_of(line).told() == told


def test_a_loss_that_is_not_finite_is_told_and_chooses_nothing() -> None:
    found = HeldOut(4, float("nan"), 1.0, 1.0)
    assert "astray" in found.told()
    assert math.isnan(held_out_score(found.to_json()))
    assert math.isnan(accuracy_score({"top1": 0.9, "loss": None}))
    assert held_out_score(HeldOut(4, 0.5, 1.0, 1.0).to_json()) == -0.5


def test_a_clip_without_a_finite_loss_is_not_left_out_of_the_held_out_loss() -> None:
    class Model(torch.nn.Module):
        def forward(self, clips: Clips) -> dict[str, torch.Tensor]:
            losses = torch.tensor([1.0, float("nan")])
            return {"loss": losses, "loss_constant": losses, "loss_other": losses}

    class Once:
        def evaluation(self, batch: int, *, views: int = 1, crops: int = 1) -> Iterator[Clips]:
            yield noisy_clips(2)

    found = held_out(Model(), Once(), machine.choose("cpu", "float32"))
    assert found.clips == 2 and math.isnan(found.loss)
    assert found.other_clip == 1.0  # there a clip may have none
