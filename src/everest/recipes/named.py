"""This file decides what a named recipe says beside its two halves: where it is from, how it is
run, how long that takes, and what came of it."""

from dataclasses import dataclass

from everest.recipe import FinetuneRecipe, Optim, PretrainRecipe

# Of the fine-tuning scripts that the papers share (METHOD.md 1.3).
FINETUNE_OPTIM = Optim(min_lr=1e-6, betas=(0.9, 0.999), warmup=5, layer_decay=0.75)
RANDAUGMENT = "rand-m7-n4-mstd0.5-inc1"


@dataclass(frozen=True)
class NamedRecipe:
    """A pre-training and the fine-tuning after it; None where a system has no such half."""

    what: str  # one sentence
    source: str  # of its figures
    pretrain: PretrainRecipe | None
    finetune: FinetuneRecipe | None
    data: str  # what to name as VIDEOS and DATA
    views: str = "5x3"  # clips x crops of its evaluation
    init: str = ""  # what fine-tuning starts from, where it is no pre-training of this recipe
    published: str = "not known"  # result of its source
    hours: str = "not known"  # on named hardware
    assumed: str = ""  # what the source leaves open, and what stands in
    run_here: str = ""  # where it was run, with which result; empty: not run

    def commands(self, name: str) -> list[str]:
        """The command lines of this recipe, in their order."""
        first, second = f"runs/{name}", f"runs/{name}-finetuned"
        start = self.init or ("none" if self.pretrain is None else first)
        lines = []
        if self.pretrain is not None:
            lines.append(f"everest pretrain {self.data} --recipe {name} --out {first}")
        if self.finetune is not None:
            lines.append(
                f"everest finetune {self.data} --init {start} --recipe {name} --out {second}"
            )
            lines.append(f"everest evaluate {second} {self.data} --views {self.views}")
        return lines

    @property
    def told(self) -> str:
        """Source, hours and result in sentences."""
        parts = [f"{self.what} Source: {self.source}."]
        if self.assumed:
            parts.append(f"Assumed: {self.assumed}.")
        parts.append(f"Published: {self.published}. Hours: {self.hours}.")
        parts.append(f"Run here: {self.run_here}." if self.run_here else "Not run here.")
        return " ".join(parts)
