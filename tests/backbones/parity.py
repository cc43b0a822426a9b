"""This file decides how a supervised backbone is held against figures of its authors' code."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.classify import SingleLabel
from everest.clips import Clips
from everest.convert.backbones import Layout, read_backbone
from test_golden import FOLDER, GRADIENT_TOLERANCE, LOSS_TOLERANCE, Golden, close, load


def figures(family: str) -> list[Path]:
    """The files of a family, told by their names (timesformer_2 is one), in EVEREST_GOLDEN."""
    return sorted(FOLDER.glob(f"{family}*.safetensors"))


def over(family: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", figures(family), ids=lambda path: path.stem)


def clips_of(video: Tensor) -> Clips:
    """(B, T, H, W, C) uint8 -> clips without labels."""
    count = len(video)
    rows = torch.arange(count)
    return Clips(video.permute(0, 4, 1, 2, 3), {}, torch.ones(count), rows, rows, {})


class Whole(nn.Module):
    """A reader and its head, by the names of a classifier."""

    def __init__(self, reader: nn.Module, classes: int) -> None:
        super().__init__()
        self.reader: Any = reader
        self.heads = nn.ModuleList([SingleLabel(self.reader.features, classes)])

    def forward(self, clips: Clips) -> Tensor:
        return self.heads[0](self.reader(clips, None, None), clips.key)


@dataclass(frozen=True)
class Held:
    """A golden file, the model of its weights and how they were read."""

    golden: Golden
    layout: Layout
    model: Whole

    @property
    def reader(self) -> Any:
        return self.model.reader

    def tensor(self, name: str) -> Tensor:
        return self.golden.tensors[name]

    def clips(self, video: str = "video") -> Clips:
        return clips_of(self.tensor(video))


def held(path: Path, layout: Layout, prefix: str = "", **fields: Any) -> Held:
    """The model of a file's weights; `fields` of its config that only the file's config tells."""
    golden = load(path)
    config = golden.config
    assert config["mlp_ratio"] == 4 and config["eps"] == 1e-6
    pixels = {"mean": tuple(config["pixel_mean"]), "std": tuple(config["pixel_std"])}
    told = {"heads": config["heads"]}
    weights = read_backbone(golden.under(f"weights.{prefix}"), path.stem, layout, told)
    assert not weights.report.missing
    model = Whole(layout.model(replace(weights.config, **pixels, **fields)), config["classes"])
    model.load_state_dict(weights.tensors)
    return Held(golden, layout, model.eval())


def check_loss(held: Held) -> None:
    """Logits, loss and the norm of every gradient, in evaluation as in training: nothing drops."""
    with torch.no_grad():
        close(held.model.eval()(held.clips()), held.tensor("logits"))
    logits = held.model.train()(held.clips())
    loss = F.cross_entropy(logits, held.tensor("labels"))
    assert loss.item() == pytest.approx(held.golden.loss, abs=LOSS_TOLERANCE)
    loss.backward()
    check_gradients(held)


def check_gradients(held: Held) -> None:
    family, parameters = held.layout.family, dict(held.model.named_parameters())
    seen = set()
    for name, norm in held.golden.under("grad_norm.").items():
        if family.why_aside(name) is not None:
            assert norm == 0, name
            continue
        names = [name]
        if name.endswith(".qkv.bias"):  # that of the keys has no gradient
            names = [re.sub(r"qkv\.bias$", part, name) for part in ("q_bias", "v_bias")]
        ours = [family.ours(each) or each for each in names]
        if not set(ours) <= set(parameters):  # a bias that is not split
            ours = [family.ours(name) or name]
        seen |= set(ours)
        gradients = [parameters[each].grad for each in ours]
        found = torch.cat([part.flatten() for part in gradients if part is not None]).norm()
        torch.testing.assert_close(
            found, norm.reshape(()), rtol=GRADIENT_TOLERANCE, atol=1e-7, msg=name
        )
    assert seen == set(parameters)


def captured(module: nn.Module, call: Any) -> tuple[Any, Any]:
    """(first argument, output) of a module while `call` runs."""
    found: list[tuple[Any, Any]] = []
    handle = module.register_forward_hook(lambda _, given, out: found.append((given[0], out)))
    with torch.no_grad():
        call()
    handle.remove()
    return found[0]
