"""This file decides what of a run's held-out clips is looked at with its model for the report.

What comes of it is a document, samples/looks.json, so that the page can be written again without
the model and the videos. t, h, w is the token grid.
"""

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from everest import build
from everest.clips import Clips
from everest.index import Row
from everest.report.page.spread import spread_of
from everest.report.page.sprites import FRAMES, packed, sprites
from everest.run import Run
from everest.showing import Seen, look

SCHEMA = 1
SAMPLES = 4  # clips that are shown
MOST = 400  # clips of the map
CHUNK = 16  # clips between two looks at the clock
THUMBNAIL = 64  # pixels of a candidate pair's shorter side
SHOWN_LABELS = 3  # likeliest classes of a sample
DROPPED, MASKED, VISIBLE = 0, 1, 2  # what becomes of a token, as the page's script reads it


def chosen(rows: Sequence[Row], most: int = SAMPLES) -> list[Row]:
    """Readable rows to show: of as many classes as there are, spread over the held-out ones."""
    good = [row for row in rows if not row.bad and row.frames]
    if len(good) <= most:
        return good
    column = next(iter(good[0].labels), None)
    if column is None:
        # Many folders hold one video several times: no name is shown twice where others are left.
        names = {os.path.basename(row.path): row for row in reversed(good)}
        good = list(names.values())[::-1] if len(names) >= most else good
        return [good[place * len(good) // most] for place in range(most)]
    firsts: dict[Any, Row] = {}
    for row in good:
        firsts.setdefault(row.labels[column], row)
    rest = [row for row in good if row not in firsts.values()]
    return (list(firsts.values()) + rest)[:most]


def read_clips(run: Run, rows: Sequence[Row]) -> list[tuple[Row, Clips]]:
    """The middle clip of each row that can be read, as a batch of one."""
    loader = run.loader(rows)
    try:
        found = [(rows[int(clips.row[0])], clips) for clips in loader.evaluation(1)]
    finally:
        loader.close()
    return [(row, clips) for row, clips in found if clips.weight[0] > 0]


def samples(run: Run, clips: Sequence[tuple[Row, Clips]]) -> list[dict[str, Any]]:
    return [sample(run, row, clip) for row, clip in clips]


def sample(run: Run, row: Row, clips: Clips) -> dict[str, Any]:
    """What the page shows of one clip: two sheets of frames at most, and a byte or two a token."""
    seen = look(run, clips)
    video, step = thinned(seen.video)
    visible, masked = int(seen.is_visible.sum()), int(seen.is_masked.sum())
    found: dict[str, Any] = {
        "path": row.path,
        "start": row.start,
        "end": row.end,
        "grid": list(seen.scores.shape),
        "tubelet": len(seen.video) // len(seen.scores),
        "step": step,  # frames of the clip from one that is shown to the next
        "input": sprites(video).to_json(),
        "rebuilt": None,
        # None of a model that reads all there is and scores nothing.
        "scores": packed(levels(seen.scores).tobytes()) if "scores" in seen.out else None,
        "tokens": packed(states(seen).tobytes()),
        "visible": visible,
        "masked": masked,
        "total": int(seen.is_visible.size),
        "pairs": pairs(seen),
        "labels": labels(run, row, seen),
    }
    if seen.rebuilt is not None:
        found["rebuilt"] = sprites(seen.rebuilt[::step]).to_json()
    if "loss" in seen.out:
        loss = float(seen.out["loss"][0])
        found["loss"] = loss if np.isfinite(loss) else None
    return found


def thinned(video: np.ndarray) -> tuple[np.ndarray, int]:
    """At most FRAMES frames, every so many."""
    step = -(-len(video) // FRAMES)
    return video[::step], step


def levels(scores: np.ndarray) -> np.ndarray:
    """(t, h, w) -> uint8: 255 is what 99 % of the tokens stay below, so outliers do not darken."""
    known = np.nan_to_num(scores.astype(np.float64))
    top = max(float(np.percentile(known, 99)), 1e-12)
    return np.round(255 * np.clip(known / top, 0, 1)).astype(np.uint8)


def states(seen: Seen) -> np.ndarray:
    """(t, h, w) uint8: DROPPED, MASKED or VISIBLE."""
    return np.where(seen.is_visible, VISIBLE, np.where(seen.is_masked, MASKED, DROPPED)).astype(
        np.uint8
    )


def pairs(seen: Seen) -> dict[str, Any] | None:
    """The candidates of frame selection and which of them make the clip."""
    if seen.candidates is None or seen.is_chosen is None:
        return None
    return {
        **sprites(seen.candidates, shortest=THUMBNAIL).to_json(),
        "chosen": [int(place) for place in np.flatnonzero(seen.is_chosen)],
    }


def labels(run: Run, row: Row, seen: Seen) -> list[dict[str, Any]]:
    """What a classifier says of the clip, a label column each."""
    kinds = run.config.to_json().get("kinds") or {}
    found = []
    for column, names in run.config.classes.items():
        logits = seen.out.get(f"logits.{column}")
        if logits is None or kinds.get(column, "class") != "class":
            continue
        shares = logits[0].float().softmax(dim=0)
        best = torch.argsort(shares, descending=True, stable=True)[:SHOWN_LABELS].tolist()
        known = row.labels.get(column)
        found.append(
            {
                "column": column,
                "is": names[known] if isinstance(known, int) and 0 <= known < len(names) else None,
                "says": [[names[place], round(float(shares[place]), 4)] for place in best],
            }
        )
    return found


def features(run: Run, rows: Sequence[Row], seconds: float) -> dict[str, Any] | None:
    """How the features of held-out clips are spread, as far as the time allows.

    The vectors are those of `everest embed`, one clip a video.
    """
    ends = time.monotonic() + seconds
    good = [row for row in rows if not row.bad and row.frames]
    if len(good) > MOST:
        good = [good[place * len(good) // MOST] for place in range(MOST)]
    if run.kind == "autoencoder":
        run.keep(build.default_keep(run.config))
    vectors: list[np.ndarray] = []
    read: list[Row] = []
    try:
        for start in range(0, len(good), CHUNK):
            part = good[start : start + CHUNK]
            for row, vector in zip(part, run.features(part, batch=CHUNK)[0], strict=True):
                if vector is not None:
                    vectors.append(vector)
                    read.append(row)
            if time.monotonic() > ends:
                break
    finally:
        run.keep(None)
    spread = spread_of(np.stack(vectors)) if vectors else None
    if spread is None:
        return None
    return {
        **spread.to_json(),
        "of": len(good),
        "paths": [row.path for row in read],
        "labels": [
            {column: label for column, label in row.labels.items() if isinstance(label, int)}
            for row in read
        ],
    }


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """How much video the rows are: files, hours, and the commonest sizes and rates."""
    good = [row for row in rows if not row.bad and row.frames and row.fps]
    seconds = 0.0
    for row in good:
        ends = row.frames / row.fps
        last = ends if row.end is None else min(row.end, ends)
        seconds += max(last - (row.start or 0.0), 0.0)
    sizes = Counter(f"{row.width} x {row.height}" for row in good)
    rates = Counter(f"{row.fps:.4g} fps" for row in good)
    return {
        "clips": len(rows),
        "seconds": seconds,
        "sizes": sizes.most_common(3),
        "rates": rates.most_common(3),
    }


def document(
    epoch: int,
    shown: list[dict[str, Any]],
    spread: dict[str, Any] | None,
    rows: tuple[Sequence[Row], Sequence[Row]],
) -> dict[str, Any]:
    """samples/looks.json; `rows` are those learnt from and those held out."""
    return {
        "schema": SCHEMA,
        "epoch": epoch,
        "samples": shown,
        "features": spread,
        "train": summary(rows[0]),
        "held_out": summary(rows[1]),
    }
