"""A head of each kind of label: its loss by formula, and nothing learnt of a missing label."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from everest.heads import Head, MultiLabel, Number, SingleLabel, head_of
from everest.kinds import Column
from fairness import equally_often
from textures import generator, keys_of


def features_of(count: int, width: int = 6, seed: int = 0) -> Tensor:
    return 2 + 3 * torch.randn(count, width, generator=generator(seed))


# One class


def test_smoothing_is_in_training_alone() -> None:
    head = SingleLabel(6, 4, smoothing=0.2)
    logits, labels = features_of(3, 4), torch.tensor([0, 3, 1])
    chances = logits.log_softmax(dim=1)
    plain = -chances[torch.arange(3), labels]
    torch.testing.assert_close(head.eval().loss(logits, labels), plain)
    smoothed = 0.8 * plain - 0.2 * chances.mean(dim=1)
    torch.testing.assert_close(head.train().loss(logits, labels), smoothed)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_missing_label_counts_nothing(smoothing: float) -> None:
    head = SingleLabel(6, 4, smoothing=smoothing)
    features = features_of(3).requires_grad_()
    loss = head.loss(head(features, keys_of(3)), torch.tensor([2, -1, 0]))
    assert loss.shape == (3,)
    assert loss[1] == 0 and loss[0] > 0 and loss[2] > 0
    loss.sum().backward()
    assert features.grad is not None
    assert not features.grad[1].any() and features.grad[0].any()


def test_dropout_drops_its_share_and_scales_the_rest_up() -> None:
    head = SingleLabel(500, 500, dropout=0.3).train()
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(500))
        head.linear.bias.zero_()
    out = head(torch.ones(20, 500), keys_of(20))
    kept = out > 0
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / 0.7))
    assert equally_often(kept.sum().numpy(), 20 * 500, 0.7)
    assert torch.equal(head.eval()(torch.ones(2, 500), keys_of(2)), torch.ones(2, 500))


def test_dropout_is_the_same_for_any_split_of_the_batch() -> None:
    head, features, key = SingleLabel(6, 4, dropout=0.5).train(), features_of(6), keys_of(6)
    parts = [head(features[at : at + 3], key[at : at + 3]) for at in (0, 3)]
    torch.testing.assert_close(head(features, key), torch.cat(parts))
    assert not torch.equal(head(features, key), head(features, key + 1))


def test_shares_of_classes_are_learnt_as_they_are() -> None:
    head = SingleLabel(6, 3, smoothing=0.2).train()  # what mixes labels has smoothed them
    logits = features_of(2, 3)
    shares = torch.tensor([[0.3, 0.0, 0.7], [0.0, 1.0, 0.0]])
    wanted = -(shares * logits.log_softmax(dim=1)).sum(dim=1)
    torch.testing.assert_close(head.loss(logits, shares), wanted)
    assert head.counts(shares).tolist() == [1, 1]


def test_a_clip_mixed_with_an_unlabelled_one_counts_by_its_share() -> None:
    head, logits = SingleLabel(6, 3), features_of(2, 3)
    shares = torch.tensor([[0.75, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert head.counts(shares).tolist() == [0.75, 0]
    loss = head.loss(logits, shares)
    torch.testing.assert_close(loss[0], -0.75 * logits[0].log_softmax(dim=0)[0])
    assert loss[1] == 0


# Several classes


def test_several_classes_have_the_mean_of_their_binary_losses() -> None:
    head, logits = MultiLabel(6, 3), features_of(2, 3)
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    shares = logits.sigmoid()
    each = -(labels * shares.log() + (1 - labels) * (1 - shares).log())
    torch.testing.assert_close(head.loss(logits, labels), each.mean(dim=1))
    assert head.counts(labels).tolist() == [1, 1]  # none of them is an answer too
    torch.testing.assert_close(head.probabilities(logits), shares)


# Numbers


def test_numbers_are_learnt_in_standard_deviations_and_told_in_their_unit() -> None:
    head = Number(6, (50.0, 4.0))
    features = features_of(3)
    told = head(features, keys_of(3))
    torch.testing.assert_close(told, 50 + 4 * head.linear(features)[:, 0])
    labels = torch.tensor([48.0, 50.0, 60.0])
    torch.testing.assert_close(head.loss(told, labels), ((told - labels) / 4).square())
    assert torch.equal(head.probabilities(told), told)


def test_a_fresh_head_of_numbers_tells_their_mean() -> None:
    head = Number(6, (50.0, 4.0))
    head.start(0.0)
    assert head(features_of(3), keys_of(3)).tolist() == [50, 50, 50]


# All of them


def missing_in_the_middle(kind: str) -> tuple[Head, Tensor]:
    """A head, and labels of three clips of which the second has none."""
    if kind == "class":
        return SingleLabel(6, 4, dropout=0.5), torch.tensor([2, -1, 0])
    if kind == "multi":
        labels = torch.tensor([[1.0, 0.0], [math.nan, math.nan], [0.0, 1.0]])
        return MultiLabel(6, 2, dropout=0.5), labels
    return Number(6, (1.0, 2.0), dropout=0.5), torch.tensor([3.0, math.nan, -1.0])


KINDS = pytest.mark.parametrize("kind", ["class", "multi", "number"])


@KINDS
def test_nothing_is_learnt_from_a_missing_label(kind: str) -> None:
    head, labels = missing_in_the_middle(kind)
    features = features_of(3).requires_grad_()
    loss = head.loss(head(features, keys_of(3)), labels)
    assert loss.shape == (3,) and loss[1] == 0 and loss[0] > 0 and loss[2] > 0
    loss.sum().backward()
    assert features.grad is not None and features.grad.isfinite().all()
    assert not features.grad[1].any() and features.grad[0].any()
    assert head.counts(labels).tolist() == [1, 0, 1]


@KINDS
def test_dropout_is_in_training_alone_and_the_same_for_any_split(kind: str) -> None:
    head, _ = missing_in_the_middle(kind)
    assert isinstance(head, torch.nn.Module)
    features, key = features_of(6), keys_of(6)
    parts = [head(features[at : at + 3], key[at : at + 3]) for at in (0, 3)]
    torch.testing.assert_close(head(features, key), torch.cat(parts))
    dropped = head(features, key)
    assert not torch.allclose(dropped, head(features, key + 1))
    assert not torch.allclose(dropped, head.eval()(features, key))
    torch.testing.assert_close(head(features, key), head(features, key + 1))


@KINDS
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_losses_are_float32(kind: str, precision: torch.dtype) -> None:
    head, labels = missing_in_the_middle(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        loss = head.loss(head(features_of(3), keys_of(3)), labels)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    "make", [lambda: SingleLabel(400, 50), lambda: MultiLabel(400, 50)], ids=["class", "multi"]
)
@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_a_head_starts_with_small_logits(
    make: Callable[[], SingleLabel | MultiLabel], scale: float
) -> None:
    torch.manual_seed(0)
    head = make()
    head.start(scale)
    assert head.linear.weight.std().item() == pytest.approx(0.02 * scale, rel=0.1)
    assert not head.linear.bias.any()


def test_a_column_gets_the_head_of_its_kind() -> None:
    single = head_of(6, Column("class", 4), (0.0, 1.0), smoothing=0.1, dropout=0.2)
    assert isinstance(single, SingleLabel) and single.linear.out_features == 4
    assert (single.smoothing, single.dropout) == (0.1, 0.2)
    multi = head_of(6, Column("multi", 3), (0.0, 1.0), dropout=0.2)
    assert isinstance(multi, MultiLabel) and multi.linear.out_features == 3
    number = head_of(6, Column("number"), (5.0, 2.0))
    assert isinstance(number, Number) and (number.mean, number.deviation) == (5.0, 2.0)
