"""This file decides what `everest tables` leaves: the page, CSV files, pictures, figures."""

import json
from collections.abc import Sequence
from pathlib import Path

from everest.benching.where import where
from everest.checkpoint import write_text
from everest.machine import Machine
from everest.poster.masking import clip_of, draw_masking, generated_clip
from everest.poster.measured import Findings
from everest.poster.pictures import draw_accuracy, draw_efficiency
from everest.poster.tables import all_tables
from everest.poster.writing import FILES, how_made, write_csv, write_page


def make(
    found: Findings | None, out: Path, *, place: Machine, clip: Path | None, command: str
) -> Sequence[Path]:
    """Writes all files and returns their paths, the page first; raises ValueError for a clip that
    cannot be read."""
    picture = generated_clip() if clip is None else clip_of(clip)
    tables = all_tables(found)
    files = [write_csv(table, out) for table in tables]
    folder = out / FILES
    files.append(draw_accuracy(folder / "accuracy.png"))
    files.append(draw_masking(picture, folder / "masking.png"))
    shown = "a clip that this package makes" if clip is None else "one clip"
    pictures = {
        "Performance and GFLOPs": (
            "accuracy.png",
            "Published accuracies. Left: dots at the GFLOPs that the poster prints, crosses at "
            "those counted here; EVEREST's accuracies on Kinetics-400 are not known here, so that "
            "lines mark its GFLOPs alone. Right: ViT-B on UCF101, where they are known, against "
            "the work of the whole pre-training: at 800 epochs EVEREST passes VideoMAE's 3,200 "
            "with 14 % of the work.",
        ),
        "Efficiency of EVEREST against VideoMAE": ("", "not run: add --measure."),
        "Masking comparison": (
            "masking.png",
            f"Four time steps of {shown}, and what four ways of masking make of it. Tubes and "
            f"random tokens look at nothing; running cells decode a moving half of all tokens; "
            f"ReRo ranks the change of pixels here, as no trained model is asked. EVEREST reads "
            f"and predicts where something moves, and leaves out the rest.",
        ),
    }
    if found is not None:
        files.append(draw_efficiency(found, folder / "efficiency.png"))
        pictures["Efficiency of EVEREST against VideoMAE"] = (
            "efficiency.png",
            f"Measured here: clips of 16 frames of {found.scale.size} pixels, forward, backward "
            f"and AdamW; medians, with the least and the most of at least {fewest_rounds(found)} "
            f"rounds. The cases of one model took turns, those of the two models did not.",
        )
        path = folder / "measured.json"
        write_text(path, json.dumps(found.to_json(), indent=1) + "\n")
        files.append(path)
    machine = found.machine if found else where(place)
    made = how_made(command, machine, measured=found is not None)
    return [write_page(tables, pictures, out, made=made), *files]


def fewest_rounds(found: Findings) -> int:
    return min(
        len(row.times.seconds)
        for measured in found.efficiency.values()
        for row in measured.rows
        if row.times is not None
    )
