"""This file decides what several rows of lists say together: repeats, contradictions, gaps."""

from collections.abc import Sequence

from everest.entries import MISSING, Entry, Listing, SourceError, counted, lines_of, shown

REASONS = 5  # told of what is wrong with rows


def without_repeats(listings: Sequence[Listing], *, compare_labels: bool) -> list[str]:
    """Takes rows out that say again what an earlier one said; returns the sentence about them.

    A published set keeps its own rows, however often it names a span. Raises SourceError where one
    span of one file stands under two labels.
    """
    first: dict[object, Entry] = {}
    others: set[tuple[object, str | None]] = set()  # rows of a span that is in several splits
    repeats: list[Entry] = []
    brought: dict[int, Listing] = {}  # by identity of a published set's entry
    for listing in listings:
        kept = []
        for entry in listing.entries:
            whole = entry.start is None and entry.end is None
            span = entry.path if whole else (entry.path, entry.start, entry.end)
            earlier = first.setdefault(span, entry)
            if listing.official is not None:
                brought[id(entry)] = listing
            own = listing.official is not None and brought.get(id(earlier)) is listing
            if earlier is not entry and not own:
                labelled = compare_labels and earlier.labels and entry.labels
                if labelled and earlier.labels != entry.labels:
                    raise _two_labels(earlier, entry, whole)
                if earlier.split == entry.split or (span, entry.split) in others:
                    repeats.append(entry)
                    continue
                others.add((span, entry.split))
            kept.append(entry)
        listing.entries = kept
    if not repeats:
        return []
    rows = counted(len(repeats), "row repeats an earlier one", "rows repeat earlier ones")
    return [f"{rows} and {'is' if len(repeats) == 1 else 'are'} left out: {lines_of(repeats)}"]


def _two_labels(earlier: Entry, later: Entry, whole: bool) -> SourceError:
    names = [",".join(label or "" for label in entry.labels) for entry in (earlier, later)]
    span = "" if whole else "the same span of "
    return SourceError(
        f"{later.where()}: {span}{shown(later.path)} has the label '{shown(names[1])}', and"
        f" '{shown(names[0])}' by {earlier.where()}; remove one of the two"
    )


def tell_unusable(entries: Sequence[Entry]) -> list[str]:
    """Sentences about rows whose file is not there, or is none."""
    told = []
    bad: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.bad is not None:
            bad.setdefault(entry.bad, []).append(entry)
    for reason, rows in list(bad.items())[:REASONS]:
        what = "cannot be found" if reason == MISSING else f"cannot be used: {shown(reason)}"
        files = counted(len(rows), "row names a file", "rows name files")
        told.append(f"{files} that {what} ({lines_of(rows)}, as {shown(rows[0].path)})")
    return told
