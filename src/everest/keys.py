"""This file decides what number a (key, purpose) gives, in plain integers: no torch, so that the
processes that read videos stay small. `draw.py` gives the same numbers as tensors."""

from functools import lru_cache
from hashlib import blake2b

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15  # the odd constant of splitmix64: consecutive counters land far apart
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SHIFTS = (30, 27, 31)
FRACTION_BITS = 23  # (k + 1/2) / 2^23 is exact in float32 and never 0 or 1


def signed(word: int) -> int:
    """The same 64 bits as a signed integer, as int64 tensors hold them."""
    word &= WORD
    return word - (1 << 64) if word >> 63 else word


def mix(word: int) -> int:
    """Scrambles 64 bits one to one (the finaliser of splitmix64)."""
    word &= WORD
    word = ((word ^ (word >> SHIFTS[0])) * MULTIPLIERS[0]) & WORD
    word = ((word ^ (word >> SHIFTS[1])) * MULTIPLIERS[1]) & WORD
    return word ^ (word >> SHIFTS[2])


@lru_cache(maxsize=1024)
def code_of(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


def make_key(*parts: int) -> int:
    """The key of a clip: a signed 64-bit hash of (seed, epoch, clip, view)."""
    key = 0
    for part in parts:
        key = mix(key + GOLDEN + mix(part & WORD))
    return signed(key)


def bits(key: int, purpose: str, counter: int = 0) -> int:
    """64 fair bits, the same whenever asked for the same (key, purpose, counter)."""
    return mix(mix((key & WORD) ^ code_of(purpose)) + (counter + 1) * GOLDEN)


def uniform(key: int, purpose: str, counter: int = 0) -> float:
    """A number in the open interval (0, 1), equal to `draw.uniform`'s."""
    return ((bits(key, purpose, counter) >> (64 - FRACTION_BITS)) + 0.5) / (1 << FRACTION_BITS)


def below(key: int, purpose: str, limit: int, counter: int = 0) -> int:
    """A whole number in 0..limit-1."""
    return (bits(key, purpose, counter) * limit) >> 64


def order(key: int, purpose: str, count: int) -> list[int]:
    """A permutation of 0..count-1."""
    return sorted(range(count), key=lambda place: bits(key, purpose, place))
