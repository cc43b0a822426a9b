"""This file decides how a model becomes a folder for transformers, and how that is tried."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from everest.convert.agree import Disagreement, difference_on
from everest.convert.hf_config import faults_of
from everest.convert.weights import Weights
from everest.convert.write import as_a_whole, write
from everest.exporting.agreeing import AGREES, Agreement
from everest.exporting.module import Exported, clips_of
from everest.exporting.trying import Trial, trial_of

if TYPE_CHECKING:
    from everest.run import Run


def write_folder(
    run: "Run", out: Path, clip: str | Path | None, *, overwrite: bool
) -> tuple[list[str], Agreement, Trial]:
    """Writes it as `everest convert --to hf` does, and holds it against the model on a clip, both
    reading every token of the frames that the model chooses.

    Raises ValueError for a model that transformers has no class for, and for a folder that is
    taken; Disagreement above 1e-3.
    """
    from everest.commands.convert import Options, check_out

    check_out(Options(run.source, out, "hf", overwrite=overwrite))
    faults = faults_of(run.config)
    if faults:
        raise ValueError(
            f"--out hf:{out}: VideoMAE's classes in transformers cannot be this model: "
            f"{'; '.join(faults)}; export it to .onnx or .pt2"
        )
    trial = trial_of(run, clip)
    module = Exported(run.model)
    clips = clips_of(trial.video)
    if module.model.frames is not None:
        steps = module.model.frames(module.look(trial.video), draws=False)
        clips = clips.at(steps, run.config.vit.tubelet)
    with as_a_whole(out) as folder:
        model = copy.deepcopy(run.model).cpu().eval()
        weights = Weights(run.source, run.config, model.state_dict())
        told = write(weights, folder, "hf")[1:]
        largest = difference_on(folder, model, clips)
        if not largest <= AGREES:
            raise Disagreement(
                f"transformers gives other outputs, by up to {largest:.1e} where at most "
                f"{AGREES:.0e} is accepted: nothing was written"
            )
    keep = run.config.select.keep
    if run.kind == "classifier" and keep != 1.0:
        told.append(f"every token is read there; the run reads --keep {keep}")
    return told, Agreement(largest, 0, 0, 0, 1), trial
