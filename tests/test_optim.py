"""Which parameter learns at which rate: METHOD.md 1.5."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from everest.build import create_model
from everest.optim import (
    Schedule,
    decays,
    layer_of,
    optimizer,
    parameter_groups,
    schedule,
)
from everest.recipe import Optim

SMALL = {"frames": 8, "size": 16, "patch": 8}


def naive_rates(peak: float, end: float, warmup: int, steps: int) -> np.ndarray:
    """METHOD.md 1.5: linspace(0, lr, W), then the cosine of the remaining n steps."""
    n = steps - warmup
    cosine = [end + (peak - end) / 2 * (1 + math.cos(math.pi * i / n)) for i in range(n)]
    return np.concatenate((np.linspace(0, peak, warmup), cosine))


@given(st.integers(0, 40), st.integers(1, 200), st.floats(1e-5, 1.0), st.floats(0, 1))
def test_rates_are_a_linear_warm_up_and_then_a_cosine(
    warmup: int, rest: int, peak: float, low: float
) -> None:
    steps = warmup + rest
    made = Schedule(peak, low * peak, warmup, steps)
    rates = [made.rate(step) for step in range(steps)]
    assert rates == pytest.approx(naive_rates(peak, low * peak, warmup, steps).tolist())


def test_the_warm_up_holds_both_of_its_end_points() -> None:
    made = Schedule(0.8, 0.0, 5, 25)
    assert [made.rate(step) for step in range(5)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert made.rate(5) == 0.8  # the cosine starts at the peak
    assert made.rate(15) == pytest.approx(0.4)  # and is at half of it in the middle
    assert 0 < made.rate(24) < 0.01


def test_a_warm_up_of_one_step_has_rate_0() -> None:
    assert [Schedule(0.8, 0.0, 1, 3).rate(step) for step in range(2)] == [0.0, 0.8]


def test_without_a_warm_up_the_first_step_has_the_full_rate() -> None:
    assert Schedule(0.8, 0.0, 0, 3).rate(0) == 0.8


@pytest.mark.parametrize("batch", [64, 192, 256])
def test_rates_are_per_256_clips_and_scaled_by_the_batch(batch: int) -> None:
    made = schedule(Optim(lr=1e-3, min_lr=1e-5, warmup=40), batch, 3200, 49)
    assert made.peak == pytest.approx(1e-3 * batch / 256)
    assert made.end == pytest.approx(1e-5 * batch / 256)
    assert (made.warmup, made.steps) == (40 * 49, 3200 * 49)


def test_the_papers_rate_at_a_batch_of_192_is_seven_and_a_half_in_ten_thousand() -> None:
    assert schedule(Optim(), 192, 3200, 49).peak == pytest.approx(7.5e-4)


def test_a_warm_up_may_be_a_share_of_all_steps_and_is_never_longer_than_they_are() -> None:
    assert schedule(Optim(warmup_share=0.1), 16, 30, 10).warmup == 30
    assert schedule(Optim(warmup=40), 16, 3, 10).warmup == 30


@pytest.mark.parametrize(("batch", "per"), [(512, 512), (64, 512), (256, 64)])
def test_a_rate_may_be_given_for_another_number_of_clips(batch: int, per: int) -> None:
    made = schedule(Optim(lr=1.6e-3, min_lr=1.6e-5, per=per), batch, 200, 10)
    assert made.peak == pytest.approx(1.6e-3 * batch / per)
    assert made.end == pytest.approx(1.6e-5 * batch / per)


def test_a_rate_falls_by_steps_after_the_epochs_it_is_told() -> None:
    optim = Optim(lr=0.005, warmup=0, schedule="steps", decay_at=(11, 14), per=16)
    made = schedule(optim, 16, 15, 7)
    rates = [made.rate(step) for step in range(15 * 7)]
    assert rates[: 11 * 7] == pytest.approx([0.005] * 77)
    assert rates[11 * 7 : 14 * 7] == pytest.approx([0.0005] * 21)
    assert rates[14 * 7 :] == pytest.approx([0.00005] * 7)


def test_steps_follow_their_warm_up_and_need_not_be_whole_epochs() -> None:
    optim = Optim(lr=1.0, warmup=1, schedule="steps", decay_at=(1.5,), decay_by=0.5, per=8)
    made = schedule(optim, 8, 2, 4)
    rates = [made.rate(step) for step in range(8)]
    assert rates == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1, 0.5, 0.5])


# Groups


def names_by(model: nn.Module, groups: list[dict], what: str) -> dict[str, float]:
    """Parameter name -> its group's figure; every parameter is in one group."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [
        (names[id(parameter)], group[what]) for group in groups for parameter in group["params"]
    ]
    assert len(found) == len(names) == len(dict(found))
    return dict(found)


def test_vectors_biases_and_tokens_do_not_decay() -> None:
    model = create_model("24x2x3", decoder_depth=1, keep=0.6, visible=0.2, **SMALL)
    decay = names_by(model, parameter_groups(model, Optim(weight_decay=0.05), 2), "weight_decay")
    for name in (
        "encoder.blocks.0.attn.qkv.weight",
        "encoder.patch_embed.proj.weight",
        "decoders.0.embed.weight",
        "decoders.0.heads.0.weight",
        "decoders.0.blocks.0.mlp.fc1.weight",
    ):
        assert decay.pop(name) == 0.05
    for name in (
        "encoder.blocks.0.attn.q_bias",
        "encoder.blocks.1.norm1.weight",
        "encoder.blocks.1.mlp.fc2.bias",
        "encoder.patch_embed.proj.bias",
        "decoders.0.mask_token",
        "decoders.0.heads.0.bias",
        "decoders.0.norm.bias",
    ):
        assert decay.pop(name) == 0.0
    assert set(decay.values()) == {0.0, 0.05}


@pytest.mark.parametrize(
    "name",
    [
        "encoder.pos_embed",
        "encoder.cls_token",
        "mask_token",
        "a.bias",
        "reader.position_table",
        "reader.pos_embed_spatial",
        "reader.time_embed",
    ],
)
def test_tables_and_tokens_do_not_decay_whatever_their_rank(name: str) -> None:
    matrix = nn.Parameter(torch.zeros(1, 2, 3))
    assert not decays(name, matrix)
    assert decays("a.weight", matrix)
    assert not decays("a.weight", nn.Parameter(torch.zeros(3)))


def test_rates_fall_from_block_to_block_down_to_the_embedding() -> None:
    model = create_model("24x3x3", classes=4, encoder_norm="keep", **SMALL)
    depth = 3
    scale = names_by(model, parameter_groups(model, Optim(layer_decay=0.5), depth), "scale")
    assert scale["reader.patch_embed.proj.weight"] == 0.5**4
    assert scale["reader.patch_embed.proj.bias"] == 0.5**4
    for block in range(depth):
        own = {value for name, value in scale.items() if f".blocks.{block}." in name}
        assert own == {0.5 ** (depth - block)}
    for name in ("fc_norm.weight", "heads.0.linear.weight", "heads.0.linear.bias"):
        assert scale[name] == 1.0
    assert scale["reader.norm.weight"] == 1.0


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("reader.pos_embed", 0),
        ("reader.cls_token", 0),
        ("reader.position_table", 0),
        ("reader.pos_embed_temporal", 0),
        ("reader.temp_embed", 0),
        ("reader.blocks.0.attn.qkv.weight", 1),
        ("reader.blocks.11.mlp.fc1.bias", 12),
        ("encoder.blocks.10.norm1.weight", 11),
        ("decoders.0.blocks.0.attn.qkv.weight", 13),
        ("fc_norm.bias", 13),
    ],
)
def test_a_parameters_layer_is_read_from_its_name(name: str, layer: int) -> None:
    assert layer_of(name, 12) == layer


def test_without_layer_decay_all_rates_are_equal() -> None:
    model = create_model("24x2x3", classes=4, **SMALL)
    assert {group["scale"] for group in parameter_groups(model, Optim(), 2)} == {1.0}


def test_a_frozen_parameter_is_in_no_group() -> None:
    model = create_model("24x2x3", classes=4, **SMALL)
    frozen = next(model.parameters()).requires_grad_(False)
    groups = parameter_groups(model, Optim(), 2)
    assert all(frozen is not parameter for group in groups for parameter in group["params"])


def test_the_optimizer_is_adamw_with_the_recipes_figures() -> None:
    model = create_model("24x2x3", classes=4, **SMALL)
    made = optimizer(model, Optim(betas=(0.8, 0.9), eps=1e-7, weight_decay=0.3), 2)
    assert isinstance(made, torch.optim.AdamW)
    for group in made.param_groups:
        assert group["betas"] == (0.8, 0.9)
        assert group["eps"] == 1e-7
        assert group["lr"] == 0.0  # the loop sets it, step by step
    assert {group["weight_decay"] for group in made.param_groups} == {0.0, 0.3}


def test_sgd_adds_its_decay_to_the_gradient_and_keeps_its_momentum() -> None:
    model = nn.Linear(2, 1)
    made = optimizer(model, Optim(kind="sgd", momentum=0.9, weight_decay=0.01), 2)
    assert isinstance(made, torch.optim.SGD)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    speeds = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for step in range(3):
        for group in made.param_groups:
            group["lr"] = 0.1
        model.weight.grad = torch.full_like(weight, 1.0 + step)
        model.bias.grad = torch.full_like(bias, 2.0)
        speeds[0] = 0.9 * speeds[0] + model.weight.grad + 0.01 * weight
        speeds[1] = 0.9 * speeds[1] + model.bias.grad  # no decay of a bias
        weight, bias = weight - 0.1 * speeds[0], bias - 0.1 * speeds[1]
        made.step()
        torch.testing.assert_close(model.weight.detach(), weight)
        torch.testing.assert_close(model.bias.detach(), bias)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("reader.blocks.2.mlp.fc1.weight", 3),
        ("reader.backbone.blocks.2.mlp.fc1.weight", 3),
        ("reader.spatial.blocks.2.mlp.fc1.weight", 3),
        ("reader.temporal.blocks.2.mlp.fc1.weight", 13),
        ("reader.backbone.patch_embed.proj.weight", 0),
        ("heads.0.linear.weight", 13),
    ],
)
def test_a_supervised_models_blocks_have_layers_of_their_own(name: str, layer: int) -> None:
    assert layer_of(name, 12) == layer
