"""This file decides whether an exported file gives what the model gives here, and what of it is a
token that changed sides at a tie.

B clips; N tokens of the clip; V tokens read; s candidate time steps, S chosen.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from everest.convert.agree import Disagreement
from everest.exporting.module import Exported
from everest.pairs import shares
from everest.selection import count_of

AGREES = 1e-3  # largest difference of a number
TIE = 1e-4  # of a score: how close to the cut two sums of the same numbers may change sides


@dataclass(frozen=True)
class Agreement:
    """How an export's outputs compare, with the tokens and frames that it read given to both."""

    largest: float  # difference of any number of the outputs
    tokens: int  # read by the export and not by the model, at ties
    read: int  # tokens that were compared; 0 where none are chosen
    steps: int  # time steps taken by the export and not by the model, at ties
    clips: int

    def told(self) -> str:
        said = f"largest difference {self.largest:.1e} (at most {AGREES:.0e})"
        if self.read:
            said += f", {self.tokens} of {self.read} tokens flipped at near ties"
        return said + (f", {self.steps} time steps flipped" if self.steps else "")


def flipped(theirs: Tensor, ours: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(B, V) positions twice -> (B, size) bool: theirs alone, ours alone."""
    their_own, our_own = (
        torch.zeros(len(part), size, dtype=torch.bool).scatter(1, part, True)
        for part in (theirs, ours)
    )
    return their_own & ~our_own, our_own & ~their_own


def near(scores: Tensor, count: int) -> Tensor:
    """(B, N) -> (B, N) bool: scores that equal the `count`-th highest, but for rounding."""
    cut = scores.sort(dim=1, descending=True).values[:, count - 1, None]
    return (scores - cut).abs() <= TIE * cut


def agreement(module: Exported, video: Tensor, theirs: dict[str, np.ndarray]) -> Agreement:
    """Compares an export's outputs of a video (B, C, T, H, W) with the model's.

    Raises Disagreement where a number differs by more than 1e-3 though both read the same, where
    they read other tokens or frames without a tie, and for outputs of another shape.
    """
    found = {name: torch.from_numpy(np.asarray(value)) for name, value in theirs.items()}
    ours = module.answer(video)
    for name in module.names:
        if ours[name].shape != found[name].shape:
            raise Disagreement(
                f"the export gives {name} of shape {tuple(found[name].shape)}, the model "
                f"{tuple(ours[name].shape)}: nothing was written"
            )
    steps = tokens = 0
    if "steps" in found and not torch.equal(found["steps"], ours["steps"]):
        steps = flipped_steps(module, video, found["steps"], ours["steps"])
        ours = module.answer(video, steps=found["steps"])
    if "visible" in found and not torch.equal(found["visible"], ours["visible"]):
        tokens = flipped_tokens(found["visible"], ours)
        ours = module.answer(video, visible=found["visible"], steps=found.get("steps"))
    numbers = [name for name in module.names if found[name].is_floating_point()]
    differences = {name: (found[name] - ours[name]).abs().max().item() for name in numbers}
    worst = max(differences, key=lambda name: np.nan_to_num(differences[name], nan=np.inf))
    largest = differences[worst]
    if not largest <= AGREES:
        raise Disagreement(
            f"the export gives other {worst}, by up to {largest:.1e} where at most {AGREES:.0e} is "
            f"accepted: nothing was written"
        )
    read = found["visible"].numel() if "visible" in found else 0
    return Agreement(largest, tokens, read, steps, len(video))


def flipped_tokens(theirs: Tensor, ours: dict[str, Tensor]) -> int:
    """How many tokens were read by them alone; raises Disagreement where one was no near tie."""
    scores = ours["scores"].flatten(1)
    alone, left = flipped(theirs, ours["visible"], scores.shape[1])
    if ((alone | left) & ~near(scores, theirs.shape[1])).any():
        raise Disagreement(
            f"the export reads {int(alone.sum())} other tokens, and not because their scores are "
            f"all but equal: nothing was written"
        )
    return int(alone.sum())


def flipped_steps(module: Exported, video: Tensor, theirs: Tensor, ours: Tensor) -> int:
    """The same of time steps, counted by their tokens: one at a tie may count for either."""
    pairs = module.model.frames
    assert pairs is not None
    scores = module.look(video).change()
    kept = count_of(pairs.keep, scores[0].numel(), "--keep")
    counts = shares(scores, kept)
    least = counts.gather(1, ours).amin(dim=1, keepdim=True)
    free = near(scores.flatten(1), kept).sum(dim=1, keepdim=True)
    alone, left = flipped(theirs, ours, counts.shape[1])
    if ((alone | left) & ((counts - least).abs() > 2 * free)).any():
        raise Disagreement(
            f"the export takes {int(alone.sum())} other time steps, and not because their tokens "
            f"are all but as many: nothing was written"
        )
    return int(alone.sum())
