"""This file decides which official sets are known by name, and who reads each: `ucf101:DIR`."""

from collections.abc import Callable
from functools import partial

from everest.datasets import hmdb51, ucf101
from everest.datasets.diving48 import read_diving48
from everest.datasets.epic100 import read_epic100
from everest.datasets.hmdb51 import read_hmdb51
from everest.datasets.kinetics import read_kinetics
from everest.datasets.oscc import read_oscc
from everest.datasets.ssv2 import read_ssv2
from everest.datasets.ucf101 import read_ucf101
from everest.entries import Listing, SourceError, Wanted, listed, shown

SETS: dict[str, Callable[[str, Wanted], Listing]] = {
    "ucf101": read_ucf101,
    "hmdb51": read_hmdb51,
    "ssv2": read_ssv2,
    "k400": partial(read_kinetics, 400),
    "k600": partial(read_kinetics, 600),
    "k700": partial(read_kinetics, 700),
    "oscc": partial(read_oscc, "truth"),
    "oscc-official": partial(read_oscc, "official"),
    "diving48": read_diving48,
    "epic100": read_epic100,
}
FOLDS = {ucf101.NAME: ucf101.FOLDS, hmdb51.NAME: hmdb51.FOLDS}  # official splits, counted from 1


def check_fold(source: str, prefix: str | None, fold: int | None) -> None:
    """Raises SourceError for a --fold that the source, of the set `prefix` or of none, has not."""
    if fold is None:
        return
    have = listed(f"{name}: 1 to {count}" for name, count in FOLDS.items())
    if prefix not in FOLDS:
        what = "has one official split" if prefix in SETS else "has no official splits"
        raise SourceError(
            f"--fold {fold}: {shown(source)} {what}; leave --fold out (sets with several: {have})"
        )
    if not 1 <= fold <= FOLDS[prefix]:
        raise SourceError(
            f"--fold {fold}: {prefix} has the official splits 1 to {FOLDS[prefix]}; give one of"
            " them, or leave --fold out for the first"
        )
