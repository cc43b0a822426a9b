"""This file decides every draw a model makes: noise as a function of (key, purpose).

B clips. A key is one int64 a clip (`keys.make_key`). There is no generator state: the same clip
gets the same tokens, frames and dropped paths for any number of workers, any split of the batch
and after a resume (DESIGN: every draw is a function of key and purpose).
"""

import torch
from torch import Tensor

from everest import keys


def shifted(words: Tensor, places: int) -> Tensor:
    """Logical shift to the right: int64 tensors shift in copies of the sign bit."""
    return (words >> places) & ((1 << (64 - places)) - 1)


def mix(words: Tensor) -> Tensor:
    first, second = (keys.signed(multiplier) for multiplier in keys.MULTIPLIERS)
    words = (words ^ shifted(words, keys.SHIFTS[0])) * first
    words = (words ^ shifted(words, keys.SHIFTS[1])) * second
    return words ^ shifted(words, keys.SHIFTS[2])


def bits(key: Tensor, purpose: str, count: int) -> Tensor:
    """(B,) int64 -> (B, count) int64 of 64 fair bits each."""
    counters = torch.arange(1, count + 1, device=key.device) * keys.signed(keys.GOLDEN)
    return mix(mix(key ^ keys.signed(keys.code_of(purpose)))[:, None] + counters)


def uniform(key: Tensor, purpose: str, count: int) -> Tensor:
    """(B,) int64 -> (B, count) float32 in the open interval (0, 1)."""
    fraction = shifted(bits(key, purpose, count), 64 - keys.FRACTION_BITS)
    return (fraction.to(torch.float32) + 0.5) / (1 << keys.FRACTION_BITS)


def order(key: Tensor, purpose: str, count: int) -> Tensor:
    """(B,) int64 -> (B, count) int64: a permutation of 0..count-1 a clip, each equally likely."""
    # Unsigned order, as keys.order sorts: flip the sign bit.
    return (bits(key, purpose, count) ^ keys.signed(1 << 63)).argsort(dim=1, stable=True)
