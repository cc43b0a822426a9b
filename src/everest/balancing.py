"""This file decides which clips an epoch takes where each class is to come equally often."""

from collections.abc import Mapping, Sequence

from everest import keys
from everest.entries import counted, shown
from everest.kinds import Kind, kind_of

Turn = tuple[int, int]  # place of a clip, how many times the epoch has taken it before


def first_class_column(
    classes: Mapping[str, Sequence[str]], kinds: Mapping[str, Kind]
) -> str | None:
    """The first label column of one class a clip."""
    return next((name for name in classes if kind_of(kinds, name) == "class"), None)


def balanced(labels: Sequence[int], seed: int, epoch: int) -> list[Turn]:
    """The clips of an epoch, as many as there are labels, in their order.

    Each class comes equally often, to one (the classes that come once more are drawn). Within a
    class clips come equally often, to one, in a drawn order; which clips of a large class an epoch
    leaves out is drawn anew each epoch. A clip without a label (-1) is left out.
    """
    places: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        if label >= 0:
            places.setdefault(label, []).append(place)
    if not places:
        return []
    names = sorted(places)
    key = keys.make_key(seed, epoch)
    share, more = divmod(len(labels), len(names))
    lucky = set(keys.order(key, "balance.more", len(names))[:more])
    chosen: list[Turn] = []
    for rank, name in enumerate(names):
        own, wanted = places[name], share + (rank in lucky)
        for turn in range(-(-wanted // len(own))):
            order = keys.order(keys.make_key(seed, epoch, name, turn), "balance", len(own))
            left = wanted - turn * len(own)
            chosen.extend((own[at], turn) for at in order[:left])
    return [chosen[at] for at in keys.order(key, "epoch", len(chosen))]


def told_of_balance(labels: Sequence[int], column: str, names: Sequence[str]) -> str:
    """What balancing makes of a training set: one sentence."""
    sizes = {number: 0 for number in range(len(names))}
    for label in labels:
        if label >= 0:
            sizes[label] += 1
    present = {number: size for number, size in sizes.items() if size}
    if not present:
        return f"--balance: no training clip has a label in '{shown(column)}'"
    each = len(labels) / len(present)
    rare, common = (choose(present, key=present.__getitem__) for choose in (min, max))
    unlabelled = len(labels) - sum(sizes.values())
    left = f"; {counted(unlabelled, 'clip')} without a label left out" if unlabelled else ""
    return (
        f"--balance: an epoch takes {each:.0f} clips of each class of '{shown(column)}': each of"
        f" the {present[rare]:,} of '{shown(names[rare])}' {each / present[rare]:.1f} times, of the"
        f" {present[common]:,} of '{shown(names[common])}' {each / present[common]:.1f} times{left}"
    )
