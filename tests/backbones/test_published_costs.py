"""What the supervised rows of the tables cost, at full size: no weights are made."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from everest.backbones import joint, kcentered, motionformer, mvit, timesformer, vivit, xvit
from everest.backbones.joint import JointTransformer
from everest.backbones.kcentered import KCentered
from everest.backbones.motionformer import Motionformer
from everest.backbones.mvit import MViT
from everest.backbones.timesformer import TimeSformer
from everest.backbones.vivit import ViViT, ViViTConfig
from everest.backbones.xvit import XViT

GIGA = 1e9
CLASSES = 400
WITHIN = 1e-3  # of verified counts
ROUNDED = 2e-3  # of printed ones
Published = tuple[Callable[[Any], nn.Module], Any, tuple[int, int, int], float]
# Verified with a counter over the authors' code, of one view (BACKBONES.md 1).
VERIFIED: dict[str, Published] = {
    "timesformer": (TimeSformer, timesformer.SIZES["timesformer"], (8, 224, 224), 196.053),
    "motionformer": (Motionformer, motionformer.SIZES["motionformer"], (16, 224, 224), 369.507),
    "joint": (JointTransformer, joint.JointConfig(), (16, 224, 224), 180.639),
    "mvit-s": (MViT, mvit.SIZES["mvit-s"], (16, 224, 224), 30.054),
    "mvit-b": (MViT, mvit.SIZES["mvit-b"], (16, 224, 224), 70.804),
    "vivit-fe-l": (ViViT, vivit.SIZES["vivit-fe-l"], (128, 224, 224), 3972.32),
    "vivit-fe-l of 32 frames": (ViViT, ViViTConfig(), (32, 224, 224), 993.27),
    "vivit-fe-b": (ViViT, vivit.SIZES["vivit-fe-b"], (32, 224, 224), 283.65),
    "xvit": (XViT, xvit.SIZES["xvit"], (8, 224, 224), 140.721),
    "xvit of 16 frames": (XViT, xvit.SIZES["xvit"], (16, 224, 224), 281.433),
    "kcentered-vit": (KCentered, kcentered.SIZES["kcentered-vit"], (32, 224, 224), 179.713),
    "kcentered-motionformer": (
        KCentered,
        kcentered.SIZES["kcentered-motionformer"],
        (32, 224, 224),
        368.581,
    ),
    "kcentered-timesformer": (
        KCentered,
        kcentered.SIZES["kcentered-timesformer"],
        (32, 224, 224),
        196.053,
    ),
}
# As the papers print them, rounded: of one view, or of three.
PRINTED: dict[str, Published] = {
    "timesformer-hr": (TimeSformer, timesformer.SIZES["timesformer-hr"], (16, 448, 448), 5110 / 3),
    "timesformer-l": (TimeSformer, timesformer.SIZES["timesformer-l"], (96, 224, 224), 7140 / 3),
    "motionformer-hr": (
        Motionformer,
        motionformer.SIZES["motionformer-hr"],
        (16, 336, 336),
        958.8,
    ),
    "motionformer-l": (
        Motionformer,
        motionformer.SIZES["motionformer-l"],
        (32, 224, 224),
        1185.1,
    ),
}
# Millions of parameters with the released files' dead ones, and how many of those there are: a
# key's bias in each attention (not MViT's, whose keys are pooled and normed after it),
# Motionformer's embedding of single frames, and XViT's head that is never reached.
PARAMETERS = {
    "timesformer": (121.566, 24 * 768),
    "motionformer": (109.145, 12 * 768 + 769 * 768),
    "mvit-s": (26.038, 0),
    "mvit-b": (36.611, 0),
    "vivit-fe-l": (606.877, 48 * 1024),
    "vivit-fe-l of 32 frames": (606.828, 48 * 1024),
    "vivit-fe-b": (115.063, 16 * 768),
    "xvit": (94.098, 12 * 768 + CLASSES * 769),
    "kcentered-vit": (86.131, 12 * 768),
    "kcentered-motionformer": (107.392, 12 * 768),
    "kcentered-timesformer": (121.585, 24 * 768),
}


def shaped(published: Published) -> Any:
    build, config, _, _ = published
    with torch.device("meta"):
        return build(config)


@pytest.mark.parametrize("model", [*VERIFIED, *PRINTED])
def test_a_view_costs_what_is_published(model: str) -> None:
    published = {**VERIFIED, **PRINTED}[model]
    reader = shaped(published)
    _, _, sizes, wanted = published
    found = (sum(reader.cost(*sizes).values()) + CLASSES * reader.features) / GIGA
    assert found == pytest.approx(wanted, rel=WITHIN if model in VERIFIED else ROUNDED)


@pytest.mark.parametrize("model", PARAMETERS)
def test_parameters_are_those_published_without_the_dead_ones(model: str) -> None:
    reader = shaped(VERIFIED[model])
    wanted, dead = PARAMETERS[model]
    own = sum(parameter.numel() for parameter in reader.parameters())
    assert own + dead + CLASSES * (reader.features + 1) == pytest.approx(wanted * 1e6, abs=500)
