"""This file decides how a run is exported: what is refused, made, tried on a clip, and told."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from everest import build
from everest.data import together_of
from everest.exporting.agreeing import Agreement, agreement
from everest.exporting.folder import write_folder
from everest.exporting.int8 import whole_size, write_int8
from everest.exporting.making import about_of, program_of, write_onnx, write_program
from everest.exporting.measuring import Measured, compare
from everest.exporting.module import Exported, refuse_model
from everest.exporting.opening import Opened, open_onnx, open_program
from everest.exporting.places import Place, place_of, whole
from everest.exporting.script import script_name, script_of
from everest.exporting.trying import Trial, several, trial_of
from everest.selection import Budget

if TYPE_CHECKING:
    from everest.index import Row
    from everest.run import Run


@dataclass(frozen=True)
class ExportOptions:
    """What is asked of an export."""

    dynamic_batch: bool = False  # any number of clips at once, instead of one
    int8: bool = False
    clip: str | Path | None = None  # a video to try it on
    data: str | Path | Sequence[str | Path] = ()  # labelled videos, to measure int8 on
    keep: Budget | None = None  # tokens read; the model's own where not given
    overwrite: bool = False
    part: str = "auto"  # of the data
    workers: int = 0  # that read the data


@dataclass(frozen=True)
class Written:
    """An export that was written, and how it was tried."""

    out: str
    files: tuple[str, ...]
    clip: str  # what it was tried on
    agreements: tuple[Agreement, ...] = ()  # a batch each
    inputs: dict[str, list[int | str]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    int8: Measured | None = None
    megabytes: tuple[float, ...] = ()  # of the file; with int8 also before
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Sentences for the console."""
        said = []
        if self.inputs:
            shapes = "; ".join(
                f"{name} ({', '.join(map(str, shape))})" for name, shape in self.inputs.items()
            )
            said.append(f"takes {shapes} uint8, gives {', '.join(self.outputs)}")
        if self.agreements:
            said.append(f"tried on {self.clip}")
        said += [f"a batch of {part.clips}: {part.told()}" for part in self.agreements]
        said += self.notes
        if self.int8 is not None:
            before, after = self.megabytes
            said.append(f"int8: {after:.1f} MB, before {before:.1f}")
            said += self.int8.lines()
        return [*said, f"written: {', '.join(self.files)}"]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export(run: "Run", out: str | Path, options: ExportOptions) -> Written:
    """Writes a model as a file, or as a folder for transformers, and runs it on a clip.

    Raises ValueError for what cannot be exported, Disagreement where the result gives other numbers
    than the model (by more than 1e-3): nothing is left behind then.
    """
    place = place_of(str(out), overwrite=options.overwrite)
    refuse_options(run, place, options)
    keep = options.keep
    if keep is None and run.kind == "autoencoder" and place.form != "hf":
        keep = build.default_keep(run.config)
    try:
        if place.form == "hf":
            return write_hf(run, place, options)
        run.keep(keep)
        refuse_model(run.model, run.source)
        rows = rows_for(run, options) if options.int8 else ()
        trial = trial_of(run, options.clip)
        return write_file(run, Exported(run.model), place, options, trial, rows)
    finally:
        run.keep(None)


def refuse_options(run: "Run", place: Place, options: ExportOptions) -> None:
    """Raises ValueError for options that mean nothing to this form."""
    if options.int8 and place.form != "onnx":
        raise ValueError(f"--int8 --out {place.path}: 8-bit weights are ONNX's; end it in .onnx")
    if options.int8 and not options.data:
        wanted = "labelled videos" if run.kind == "classifier" else "videos"
        raise ValueError(f"--int8: give {wanted} as --data, to measure what it costs")
    if options.data and not options.int8:
        raise ValueError("--data: measures what --int8 costs; give both, or use everest evaluate")
    if place.form == "hf":
        if options.dynamic_batch:
            raise ValueError("--dynamic-batch: transformers takes any batch; leave it out")
        if options.keep not in (None, 1.0):
            raise ValueError(
                f"--keep {options.keep}: every token is read in transformers; leave it out"
            )


def rows_for(run: "Run", options: ExportOptions) -> Sequence["Row"]:
    """The videos that int8 is measured on; of a classifier with the model's own classes."""
    from everest.commands.evaluate import columns_asked, part_of, with_model_classes
    from everest.index import read_index

    data = options.data
    sources = [str(each) for each in ([data] if isinstance(data, (str, Path)) else data)]
    if run.kind != "classifier":
        return read_index(sources, labelled=False).rows
    index = read_index(sources, label=columns_asked(run), labelled=True, allow_unseen=True)
    return with_model_classes(part_of(index, options.part)[0], index, run)


def write_file(
    run: "Run",
    module: Exported,
    place: Place,
    options: ExportOptions,
    trial: Trial,
    rows: Sequence["Row"],
) -> Written:
    """An .onnx or .pt2 file and its script."""
    about = about_of(run.config, module)
    program = program_of(module, trial.video, dynamic=options.dynamic_batch)
    name = place.path.name
    measured = None
    sizes: tuple[float, ...] = ()
    with whole(place) as folder:
        file = folder / name
        if place.form == "onnx":
            write_onnx(program, about, file, trial.video)
        else:
            write_program(program, about, file)
        found = opened(place, file)
        agreements = tuple(tried(module, found, trial, options.dynamic_batch))
        if options.int8:
            small = folder / "int8" / name
            small.parent.mkdir()
            write_int8(file, small)
            after = open_onnx(small)
            measured = compare(run, rows, found, after, options.workers)
            sizes = (whole_size(file) / 1e6, whole_size(small) / 1e6)
            for each in (file, file.with_name(f"{name}.data")):
                each.unlink(missing_ok=True)
            for each in small.parent.iterdir():
                each.rename(folder / each.name)
            small.parent.rmdir()
        (folder / script_name(name)).write_text(
            script_of(run.config, name, together_of(run.config)), encoding="utf-8"
        )
        made = {each.name for each in folder.iterdir()}
    batch: int | str = "batch" if options.dynamic_batch else 1
    return Written(
        str(place.path),
        tuple(str(each) for each in place.files if each.name in made),
        trial.told,
        agreements,
        {"video": [batch, *trial.video.shape[1:]]},
        module.names,
        measured,
        sizes,
    )


def opened(place: Place, file: Path) -> Opened:
    return open_onnx(file) if place.form == "onnx" else open_program(file)


def tried(module: Exported, found: Opened, trial: Trial, dynamic: bool) -> list[Agreement]:
    """The clip alone, and of an export for any batch three; raises Disagreement."""
    videos = [trial.video, several(trial.video)] if dynamic else [trial.video]
    return [agreement(module, video, found(video.contiguous().numpy())) for video in videos]


@torch.inference_mode()
def write_hf(run: "Run", place: Place, options: ExportOptions) -> Written:
    """A folder for transformers, which reads every token of the frames it is given."""
    told, agreed, trial = write_folder(run, place.path, options.clip, overwrite=options.overwrite)
    files = tuple(str(file) for file in sorted(place.path.iterdir()))
    return Written(str(place.path), files, trial.told, (agreed,), notes=tuple(told))
