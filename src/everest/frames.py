"""This file decides which source frames become a clip, in plain integers.

A clip of `frames` at `stride` spans frames * stride source frames. A stride may be a fraction (a
rate in frames a second over the video's own). Source: METHOD.md 1.5.
"""

from collections.abc import Sequence


def window(total: int, frames: int, stride: float, place: float) -> list[int]:
    """A training clip: the start is uniform over all that fit, by `place` in (0, 1).

    A shorter video starts at 0, and an index past its end stays at the last one reached.
    """
    starts = max(int(total - frames * stride), 0) + 1
    return at_stride(int(place * starts), total, frames, stride)


def middle(total: int, frames: int, stride: float) -> list[int]:
    """The clip in the middle of the video."""
    return at_stride(max(int(total - frames * stride), 0) // 2, total, frames, stride)


def at_stride(start: int, total: int, frames: int, stride: float) -> list[int]:
    """Indices from `start` on; past the end of the video the last one reached is repeated."""
    indices = [start + int(number * stride) for number in range(frames)]
    reached = [index for index in indices if index < total]
    return reached + [reached[-1]] * (frames - len(reached))


def drawn_end(total: int, frames: int, stride: float, place: float) -> list[int]:
    """The authors' fine-tuning clip: its end is drawn, its frames spread over the span before it.

    A shorter video gives its frames at the stride, then the last one repeated.
    """
    span = max(int(frames * stride), 1)
    if total > span:
        end = span + int(place * (total - span))
        return [min(int(at), end - 1) for at in stepped(end - span, end, frames)]
    found = [min(int(at), total - 1) for at in stepped(0, total, max(int(total / stride), 1))]
    return (found + [total - 1] * frames)[:frames]


def stepped(first: float, last: float, count: int) -> list[float]:
    """As `spread`, rounded as numpy's linspace rounds: an index is this number truncated."""
    if count == 1:
        return [first]
    step = (last - first) / (count - 1)
    return [first + number * step for number in range(count - 1)] + [last]


def spread(first: float, last: float, count: int) -> list[float]:
    """`count` numbers evenly from first to last, both included."""
    if count == 1:
        return [first]
    return [first + (last - first) * number / (count - 1) for number in range(count)]


def views(total: int, frames: int, stride: float, count: int) -> list[list[int]]:
    """`count` clips spread evenly over the video, for evaluation; one alone is the middle one."""
    if count == 1:
        return [middle(total, frames, stride)]
    listed = [int(number * stride) for number in range(max(int(-(-total // stride)), 1))]
    listed = [min(index, total - 1) for index in listed]
    listed += [listed[-1]] * (frames - len(listed))
    step = max((len(listed) - frames) / (count - 1), 0)
    starts = [int(view * step) for view in range(count)]
    return [listed[start : start + frames] for start in starts]


def segments(
    total: int, places: Sequence[float], *, together: int = 1, stride: float = 1
) -> list[int]:
    """Frames of each of len(places) equal segments of the video, where its place in [0, 1) says.

    Several `together` lie at the stride, within their segment where it is long enough.
    """
    tick = total / len(places)
    reach = (together - 1) * stride
    room = max(tick - reach, 0.0)
    latest = max(int(total - 1 - reach), 0)
    found = []
    for number, place in enumerate(places):
        first = min(int(tick * number + room * place), latest)
        found += at_stride(first, total, together, stride)
    return found


def segment_views(
    total: int, count: int, views: int, *, together: int = 1, stride: float = 1
) -> list[list[int]]:
    """`views` clips of `count` segments, for evaluation: view v lies v/views into each segment;
    one alone lies in their middle. Two are METHOD.md 1.5's of SSv2."""
    places = [0.5] if views == 1 else [view / views for view in range(views)]
    return [segments(total, [place] * count, together=together, stride=stride) for place in places]


def span_of(total: int, fps: float, start: float | None, end: float | None) -> tuple[int, int]:
    """(first frame, number of frames) of a span in seconds; the whole video where none is given."""
    first = 0 if start is None else min(int(start * fps), total - 1)
    last = total if end is None else min(max(int(end * fps), first + 1), total)
    return first, last - first


def shifted(indices: Sequence[int], first: int) -> list[int]:
    return [first + index for index in indices]
