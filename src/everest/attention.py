"""This file decides how attention is computed: which of three ways, by device, precision, length.

B clips; H heads of d numbers; Q tokens ask, K tokens answer.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# On a CPU plain products and a softmax beat the fused kernel while the scores of a head are few;
# in bfloat16 they do at any length (benchmarks/results/step.md).
EXPLICIT_SCORES = {torch.float32: 256 * 256, torch.bfloat16: 512 * 512}
TOGETHER_SCORES = 3 << 20  # of the heads computed together: as many as stay in a processor's cache


def attend(queries: Tensor, answers: Tensor, values: Tensor) -> Tensor:
    """(B, H, Q, d), (B, H, K, d) twice -> (B, H, Q, d)."""
    if queries.device.type == "cpu":
        if queries.shape[2] * answers.shape[2] <= EXPLICIT_SCORES.get(queries.dtype, 0):
            return weigh(queries, answers) @ values
        if queries.dtype == torch.bfloat16:
            return FewHeads.apply(queries, answers, values)
    return F.scaled_dot_product_attention(queries, answers, values)


class FewHeads(torch.autograd.Function):
    """Attention a few heads at a time, the weights computed again for the gradient: none are kept.

    The heads of one clip only, so that a clip's result is the same in any batch.
    """

    @staticmethod
    def forward(context: Any, queries: Tensor, answers: Tensor, values: Tensor) -> Tensor:
        context.save_for_backward(queries, answers, values)
        B, H, Q, d = queries.shape
        read = values.new_empty(B, Q, H, d).transpose(1, 2)  # in the order of the next product
        for few in few_heads(queries, answers):
            torch.bmm(weigh(queries[few], answers[few]), values[few], out=read[few])
        return read

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, answers, values = context.saved_tensors
        (pull,) = gradients
        scale = queries.shape[3] ** -0.5
        for_queries, for_answers, for_values = map(torch.empty_like, (queries, answers, values))
        for few in few_heads(queries, answers):
            weights = weigh(queries[few], answers[few])
            torch.bmm(weights.transpose(1, 2), pull[few], out=for_values[few])
            moved = torch.bmm(pull[few], values[few].transpose(1, 2))
            moved = torch._softmax_backward_data(moved, weights, -1, weights.dtype)
            torch.bmm(moved, answers[few] * scale, out=for_queries[few])
            torch.bmm(moved.transpose(1, 2), queries[few] * scale, out=for_answers[few])
        return for_queries, for_answers, for_values


def weigh(queries: Tensor, answers: Tensor) -> Tensor:
    """(..., Q, d), (..., K, d) -> (..., Q, K): how much each asking token reads of each."""
    return ((queries * queries.shape[-1] ** -0.5) @ answers.transpose(-2, -1)).softmax(dim=-1)


def few_heads(queries: Tensor, answers: Tensor) -> Iterator[tuple[int, slice]]:
    """Of (B, H, Q, d) and (B, H, K, d): a clip and the heads of it to compute together."""
    B, H, Q, _ = queries.shape
    count = max(TOGETHER_SCORES // (Q * answers.shape[2]), 1)
    return ((clip, slice(head, head + count)) for clip in range(B) for head in range(0, H, count))
