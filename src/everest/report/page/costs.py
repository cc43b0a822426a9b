"""This file decides what a page says of cost: this model's clip beside the same model as
VideoMAE would read it."""

from dataclasses import dataclass, replace
from typing import Any

from everest.report.page.facts import Facts


@dataclass(frozen=True)
class Compared:
    """Multiply-adds of one clip, in units of 1e9, and what they are of."""

    names: tuple[str, str]
    totals: tuple[float, float]
    parts: dict[str, tuple[float, float]]  # embed, encoder, decoder, head
    tokens: tuple[str, str]  # how many of them are read, and predicted

    @property
    def times(self) -> float:
        return self.totals[1] / self.totals[0] if self.totals[0] else 1.0


def compared_cost(facts: Facts) -> Compared | None:
    """None where the model's cost is not counted by these formulas."""
    from everest.build import selector_of
    from everest.config import ModelConfig, SelectConfig
    from everest.cost import cost_of

    if not facts.config.get("vit"):
        return None
    try:
        config = ModelConfig.from_json(facts.config)
    except (ValueError, KeyError, TypeError):  # of another version: the rest of the page stands
        return None
    if config.backbone is not None:  # another model: it is not one that VideoMAE would read
        return None
    is_pretraining = config.kind == "autoencoder"
    theirs = SelectConfig("tube", 1.0, 0.1) if is_pretraining else SelectConfig("all")
    configs = (config, replace(config, select=theirs, pairs=None))
    costs = [cost_of(one) for one in configs]
    height, width = config.clip.size
    vit = config.vit
    grid = (config.clip.frames // vit.tubelet, height // vit.patch, width // vit.patch)
    total = grid[0] * grid[1] * grid[2]

    def tokens(one: ModelConfig) -> str:
        visible, masked = selector_of(one.select).counts(grid)
        told = f"reads {visible:,} of {total:,} tokens"
        return f"{told}, predicts {masked:,}" if masked else told

    other = "VideoMAE" if is_pretraining else "reading all tokens, as VideoMAE does"
    return Compared(
        ("this model", other),
        (costs[0].total, costs[1].total),
        {
            name: (getattr(costs[0], name), getattr(costs[1], name))
            for name in ("embed", "encoder", "decoder", "head")
            if getattr(costs[1], name) or getattr(costs[0], name)
        },
        (tokens(configs[0]), tokens(configs[1])),
    )


def to_json(cost: Compared | None) -> dict[str, Any]:
    return {} if cost is None else {"gmac": cost.totals[0], "videomae": cost.totals[1]}
