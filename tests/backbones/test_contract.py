"""What every supervised backbone keeps to: one entry of CASES each."""

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.kcentered import KCentered, KCenteredConfig
from everest.backbones.motionformer import Motionformer, MotionformerConfig
from everest.backbones.mvit import MViT, MViTConfig
from everest.backbones.timesformer import TimeSformer, TimeSformerConfig
from everest.backbones.vivit import ViViT, ViViTConfig
from everest.backbones.xvit import XViT, XViTConfig
from everest.classify import SingleLabel, VideoClassifier
from everest.clips import Clips
from everest.selection import ReRo

Sizes = tuple[int, int, int]  # frames, height, width


@dataclass(frozen=True)
class Case:
    """A tiny backbone, and where it is exempt."""

    build: Callable[[Any], nn.Module]
    config: Any  # its chances of dropping, where it has them, are well above 0
    sizes: Sizes  # of its clips: those of its config
    others: tuple[Sizes, ...] = ()  # that it reads as well; none: it has no rule for them
    wrong: Sizes | None = (4, 33, 32)  # that leave a remainder
    dead: str = "$^"  # parameters that its method never uses
    unused: int = 0  # multiply-adds that are published as its cost and lead nowhere
    exports: bool = True
    draws: bool = True  # whether anything is drawn in training


TINY = {"width": 16, "depth": 2, "heads": 2, "patch": 8, "drop_path": 0.5}
SAMPLED = {**TINY, "frames": 8, "size": (32, 32), "steps": 4, "segments": 4}
# The last block's class token alone is read, and it has no path.
PLAIN = {name: value for name, value in TINY.items() if name != "drop_path"}
PATHLESS = r".*blocks\.1\.attn\.proj_(q|kv)\..*"
CASES: dict[str, Case] = {
    "timesformer": Case(
        TimeSformer,
        TimeSformerConfig(**TINY, frames=4, size=(32, 32)),
        (4, 32, 32),
        others=((6, 32, 32), (4, 48, 24)),
    ),
    "motionformer": Case(
        Motionformer,
        MotionformerConfig(**TINY, frames=4, size=(32, 32), values="projected"),
        (4, 32, 32),
        others=((8, 32, 32), (4, 48, 24)),
        dead=PATHLESS,
    ),
    "joint": Case(
        JointTransformer,
        JointConfig(**TINY, frames=4, size=(32, 32)),
        (4, 32, 32),
        others=((8, 32, 32), (4, 48, 24)),
    ),
    "mvit": Case(
        MViT,
        MViTConfig(16, 3, 1, (1,), (1, 2, 2), frames=4, size=(32, 32), drop_path=0.5),
        (4, 32, 32),
        wrong=None,  # it has no rule for any other size, and refuses each in its own words
    ),
    "vivit": Case(
        ViViT,
        ViViTConfig(**PLAIN, temporal_depth=1, frames=8, size=(32, 32)),
        (8, 32, 32),
        others=((4, 32, 32), (8, 48, 24)),
        wrong=(8, 33, 32),
        draws=False,
    ),
    "xvit": Case(
        XViT,
        XViTConfig(**PLAIN, frames=4, size=(32, 32), dropout=0.5),
        (4, 32, 32),
        others=((8, 32, 32), (4, 48, 24)),
    ),
    **{
        f"kcentered-{reader}": Case(
            KCentered,
            KCenteredConfig(reader, **{**SAMPLED, **fields}),
            (8, 32, 32),
            others=((16, 32, 32), (8, 48, 24)),
            wrong=(8, 33, 32),
            dead=PATHLESS if reader == "motionformer" else "$^",
            unused=2 * 64 * 4 * 16**2 if reader == "motionformer" else 0,  # values along paths
            exports=False,  # its sampling is a loop of hundreds of choices
        )
        for reader, fields in (
            ("joint", {"segments": 1, "whole": 2}),
            ("motionformer", {"whole": 1}),
            ("timesformer", {}),
            ("xvit", {}),
        )
    },
}
every_backbone = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def made(case: Case) -> Any:
    """The backbone with weights that are far from their first ones: none is zero."""
    model = case.build(case.config)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def clips_of(sizes: Sizes, count: int = 2, first: int = 0) -> Clips:
    torch.manual_seed(2)
    video = torch.randint(0, 256, (first + count, 3, *sizes), dtype=torch.uint8)[first:]
    key = torch.arange(first, first + count) * 7919 + 1
    return Clips(video, {}, torch.ones(count), key, key, {})


def read(model: Any, clips: Clips) -> Tensor:
    with torch.no_grad():
        return model(clips, None, None)


@every_backbone
def test_it_gives_each_clip_a_vector_of_its_features(case: Case) -> None:
    model = made(case).eval()
    features = read(model, clips_of(case.sizes))
    assert features.shape == (2, model.features)
    assert features.dtype == torch.float32 and features.isfinite().all()
    assert not torch.allclose(features[0], features[1])
    assert model.average in ("softmax", "logits")


@every_backbone
def test_it_refuses_a_selector_in_words(case: Case) -> None:
    model = made(case)
    assert model.look(clips_of(case.sizes)) is None
    heads = {"label": SingleLabel(model.features, 3)}
    whole = VideoClassifier(model, heads, ReRo(0.5, None))
    with pytest.raises(ValueError, match="cannot read a part of the tokens"):
        whole(clips_of(case.sizes))


@every_backbone
def test_every_live_parameter_gets_a_gradient_and_no_other(case: Case) -> None:
    model = made(case).eval()
    model(clips_of(case.sizes), None, None).square().sum().backward()
    for name, parameter in model.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        assert reached == (re.fullmatch(case.dead, name) is None), name


@every_backbone
def test_what_is_drawn_in_training_depends_on_the_key_alone(case: Case) -> None:
    model = made(case).train()
    clips = clips_of(case.sizes, count=8)
    first = read(model, clips)
    torch.manual_seed(99)
    assert torch.equal(read(model, clips), first)
    other = read(model, clips._replace(key=clips.key + 1))
    assert torch.allclose(other, first) != case.draws


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@every_backbone
def test_a_clip_is_read_alike_alone_and_in_a_batch(case: Case, training: bool) -> None:
    model = made(case).train(training)
    together = read(model, clips_of(case.sizes, count=3))
    for place in range(3):
        alone = read(model, clips_of(case.sizes, count=1, first=place))
        torch.testing.assert_close(alone[0], together[place], rtol=1e-4, atol=1e-5)


@every_backbone
def test_clips_of_other_frames_and_sizes_are_read_where_there_is_a_rule(case: Case) -> None:
    model = made(case).eval()
    for sizes in case.others:
        assert read(model, clips_of(sizes)).isfinite().all()
        assert sum(model.cost(*sizes).values()) > 0


@every_backbone
def test_a_size_that_leaves_a_remainder_is_refused(case: Case) -> None:
    model = made(case)
    if case.wrong is not None:
        with pytest.raises(ValueError, match="must be a multiple"):
            read(model, clips_of(case.wrong))
    with pytest.raises(ValueError, match="4 channels"):
        clips = clips_of(case.sizes)
        model(clips._replace(video=clips.video[:, [0, 1, 2, 2]]), None, None)


@every_backbone
def test_its_config_is_json(case: Case) -> None:
    content = json.loads(json.dumps(dataclasses.asdict(case.config)))
    fields = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    assert type(case.config)(**fields) == case.config


@every_backbone
def test_its_cost_is_what_a_counter_finds(case: Case) -> None:
    model = made(case).eval()
    clips = clips_of(case.sizes, count=1)
    with FlopCounterMode(display=False) as counter:
        read(model, clips)
    cost = dict(model.cost(*case.sizes))
    assert cost.pop("norm") > 0  # the counter knows no norms
    assert 2 * (sum(cost.values()) - case.unused) == counter.get_total_flops()


class Bare(nn.Module):
    """A backbone of tensors alone, as it is exported."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, video: Tensor, key: Tensor) -> Tensor:
        return self.model(Clips(video, {}, torch.ones(len(key)), key, key, {}), None, None)


EXPORTED = {name: case for name, case in CASES.items() if case.exports}


@pytest.mark.parametrize("case", EXPORTED.values(), ids=EXPORTED.keys())
def test_it_exports(case: Case) -> None:
    clips = clips_of(case.sizes)
    given = (clips.video, clips.key)
    model = Bare(made(case).eval())
    exported = torch.export.export(model, given)
    torch.testing.assert_close(exported.module()(*given), model(*given))
