"""This file decides what a RandAugment name says, such as rand-m7-n4-mstd0.5-inc1."""

import re
from dataclasses import dataclass

EXAMPLE = "rand-m7-n4-mstd0.5-inc1"
MOST = 10.0  # the strongest magnitude


@dataclass(frozen=True)
class RandAugment:
    magnitude: float  # 0..10
    number: int  # operations drawn a clip
    deviation: float  # of the magnitude, drawn anew for each operation


def parse(name: str) -> RandAugment:
    """Reads m (magnitude), n (operations), mstd (its deviation; 0 if left out) and inc1 (strength
    grows with magnitude, the only set there is); raises ValueError."""
    found: dict[str, float] = {}
    head, *sections = name.split("-")
    for section in sections:
        match = re.fullmatch(r"(mstd|m|n|inc)(\d+(?:\.\d+)?)", section)
        if match is None or match[1] in found:
            raise ValueError(f"--randaugment {name}: cannot read {section!r}; write {EXAMPLE}")
        found[match[1]] = float(match[2])
    if head != "rand" or not {"m", "n", "inc"} <= found.keys() or found["inc"] != 1:
        raise ValueError(
            f"--randaugment {name}: give rand, m, n and inc1, and mstd if magnitudes vary, as in "
            f"{EXAMPLE}"
        )
    number, deviation = found["n"], found.get("mstd", 0.0)
    if found["m"] > MOST or deviation > MOST or number < 1 or not number.is_integer():
        raise ValueError(
            f"--randaugment {name}: m and mstd go from 0 to {MOST:g}, and n is a whole number from "
            f"1 on, as in {EXAMPLE}"
        )
    return RandAugment(found["m"], int(number), deviation)
