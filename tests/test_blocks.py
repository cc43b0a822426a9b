"""Blocks of the transformer: attention by either way, rows that only answer, pooling before the
last layer, stochastic depth by key."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest import attention
from everest.attention import attend
from everest.blocks import Block
from everest.selection import AllTokens, ReRo, Selection
from everest.vit import VideoTransformer, VitConfig
from fairness import equally_often
from textures import (
    generator,
    keys_of,
    noisy_clips,
    small_vit,
)


def rows_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


def drawn_block(drop_path: float = 0.0, name: str = "0") -> Block:
    """A block whose biases and norms are away from 0 and 1."""
    block = Block(24, 3, drop_path, name)
    source = generator(5)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=source))
    return block


# Attention and blocks


@pytest.mark.parametrize(("asks", "answers"), [(7, 7), (3, 9)])
def test_explicit_attention_equals_the_fused_kernel(asks: int, answers: int) -> None:
    queries = rows_of(2, 3, asks, 8)
    keys, values = rows_of(2, 3, answers, 8, seed=1), rows_of(2, 3, answers, 8, seed=2)
    wanted = F.scaled_dot_product_attention(queries, keys, values)
    torch.testing.assert_close(attend(queries, keys, values), wanted, rtol=1e-5, atol=1e-6)


def test_a_model_gives_the_same_by_either_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    model, clips = small_vit().eval(), noisy_clips()
    calls: list[int] = []
    fused = F.scaled_dot_product_attention

    def counted(*rows: Tensor) -> Tensor:
        calls.append(1)
        return fused(*rows)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    explicit = model(clips, None, None)
    assert not calls
    monkeypatch.setattr(attention, "EXPLICIT_SCORES", {})
    torch.testing.assert_close(model(clips, None, None), explicit, rtol=1e-5, atol=1e-5)
    assert len(calls) == 2  # a block each


def test_long_clips_in_bfloat16_keep_no_attention_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, keys, values = (
        rows_of(2, 3, 9, 8, seed=seed).bfloat16().requires_grad_() for seed in range(3)
    )
    kept: list[int] = []

    def largest() -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            attend(queries, keys, values)
        return max(kept)

    assert largest() == 2 * 3 * 9 * 9
    monkeypatch.setattr(attention, "EXPLICIT_SCORES", {})
    assert largest() == queries.numel()


def test_attention_is_what_the_formula_says() -> None:
    attention = drawn_block().attn
    rows = rows_of(2, 5, 24)
    wide = attention.qkv.weight
    asked = (rows @ wide[:24].T + attention.q_bias).view(2, 5, 3, 8).transpose(1, 2)
    answers = (rows @ wide[24:48].T).view(2, 5, 3, 8).transpose(1, 2)
    values = (rows @ wide[48:].T + attention.v_bias).view(2, 5, 3, 8).transpose(1, 2)
    weights = (asked @ answers.transpose(2, 3) / math.sqrt(8)).softmax(dim=-1)
    wanted = attention.proj((weights @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(rows), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("first", [1, 4, 6])
def test_a_block_for_the_masked_rows_alone_equals_the_full_block(first: int) -> None:
    block, rows, key = drawn_block(), rows_of(2, 7, 24), keys_of(2)
    alone = block(rows, key, first=first)
    assert alone.shape == (2, 7 - first, 24)
    torch.testing.assert_close(alone, block(rows, key)[:, first:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_pooling_before_the_last_layer_equals_pooling_after(training: bool) -> None:
    block = drawn_block(drop_path=0.5).train(training)
    rows, key = rows_of(8, 6, 24), keys_of(8)
    mean = torch.full((8, 1, 6), 1 / 6)
    torch.testing.assert_close(
        block.pooled(rows, key, mean),
        block(rows, key).mean(dim=1, keepdim=True),
        rtol=1e-5,
        atol=1e-5,
    )


def test_pooling_of_steps_equals_the_mean_of_each_and_empty_steps_are_zero() -> None:
    model = small_vit(pool="steps")
    positions = torch.tensor([[0, 3, 5, 6, 20], [1, 7, 8, 13, 19]])  # of 4 steps of 6
    pool = model.pooling(positions, (4, 2, 3))
    block, rows, key = drawn_block(), rows_of(2, 5, 24), keys_of(2)
    full, pooled = block(rows, key), block.pooled(rows, key, pool)
    assert pooled.shape == (2, 4, 24)
    for clip, step, places in (
        (0, 0, [0, 1, 2]),
        (0, 1, [3]),
        (0, 3, [4]),
        (1, 0, [0]),
        (1, 1, [1, 2]),
        (1, 2, [3]),
        (1, 3, [4]),
    ):
        wanted = full[clip, places].mean(dim=0)
        torch.testing.assert_close(pooled[clip, step], wanted, rtol=1e-5, atol=1e-5)
    assert not pooled[0, 2].any()


@pytest.mark.parametrize("pool", ["mean", "steps"])
def test_a_reader_with_and_without_a_final_norm_pools_alike(pool: str) -> None:
    clips = noisy_clips()
    model = small_vit(pool=pool, norm=True).eval()
    bare = small_vit(pool=pool, norm=False).eval()
    bare.load_state_dict(model.state_dict(), strict=False)
    model.norm = nn.Identity()
    select = ReRo(0.4, None)(model.look(clips))
    torch.testing.assert_close(
        model(clips, None, select), bare(clips, None, select), rtol=1e-5, atol=1e-5
    )


def test_step_features_are_the_steps_in_order() -> None:
    clips = noisy_clips()
    model = small_vit(pool="steps").eval()
    assert model.features == 4 * 24
    rows = model.norm(
        model.encode(
            model.embed(model.patchify(clips.video).flatten(1, 3)),
            torch.arange(24).expand(3, -1),
            (4, 2, 3),
            clips.key,
        )
    )
    wanted = rows.view(3, 4, 6, 24).mean(dim=2).flatten(1)
    torch.testing.assert_close(model(clips, None, None), wanted, rtol=1e-5, atol=1e-5)


def test_step_features_of_a_longer_clip_are_refused() -> None:
    with pytest.raises(ValueError, match=r"5 time steps.*built for 4"):
        small_vit(pool="steps")(noisy_clips(frames=10), None, None)


def test_reading_all_tokens_equals_reading_without_a_selection() -> None:
    model, clips = small_vit().eval(), noisy_clips()
    chosen = AllTokens()(model.look(clips))
    torch.testing.assert_close(model(clips, None, chosen), model(clips, None, None))


def test_only_tokens_that_are_read_decide_the_features() -> None:
    model, clips = small_vit().eval(), noisy_clips()
    chosen = Selection(torch.tensor([[0, 4, 11]] * 3), torch.zeros(3, 0, dtype=torch.int64))
    before = model(clips, None, chosen)
    video = clips.video.clone()
    video[:, :, 4:] = 255 - video[:, :, 4:]  # steps 2 and 3: positions from 12 on
    assert torch.equal(model(clips._replace(video=video), None, chosen), before)
    video[:, :, :2] = 255 - video[:, :, :2]
    assert not torch.equal(model(clips._replace(video=video), None, chosen), before)


# Stochastic depth


def test_a_dropped_branch_is_skipped_and_a_taken_one_scaled_up() -> None:
    block = drawn_block(drop_path=0.25).train()
    branch, key = torch.ones(4000, 2, 3), keys_of(4000)
    out = block.path(branch, key, "mlp")
    taken = out[:, 0, 0] > 0
    assert (out[taken] == 1 / 0.75).all()
    assert not out[~taken].any()
    assert equally_often(taken.sum().numpy(), 4000, 0.75)


def test_both_branches_and_each_block_are_dropped_independently() -> None:
    branch, key = torch.ones(4000, 1), keys_of(4000)
    drawn = [
        drawn_block(0.5, name).train().path(branch, key, which)[:, 0] > 0
        for name in ("0", "1", "decoder.0")
        for which in ("attention", "mlp")
    ]
    for number, first in enumerate(drawn):
        for second in drawn[:number]:
            assert equally_often((first == second).sum().numpy(), 4000, 0.5)


def test_paths_are_the_same_for_any_split_of_the_batch() -> None:
    model = small_vit(drop_path=0.6).train()
    clips = noisy_clips(count=12)
    together = model(clips, None, None)
    parts = [model(clips.part(at, at + 4), None, None) for at in (0, 4, 8)]
    torch.testing.assert_close(together, torch.cat(parts), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(together, model.eval()(clips, None, None), atol=1e-3)


def test_drop_rates_rise_linearly_to_the_last_block() -> None:
    model = VideoTransformer(VitConfig(24, 5, 3, drop_path=0.2))
    rates = [block.drop_path for block in model.blocks]  # type: ignore[union-attr]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])
