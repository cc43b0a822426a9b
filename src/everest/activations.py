"""This file decides how much memory activations take, without computing them: what one forward
pass keeps for its backward pass is counted on tensors that have shapes and no content."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from everest.backbones.kcentered import KCentered
from everest.cases import Case
from everest.machine import Precision
from everest.measuring import loss_of


def activation_bytes(case: Case, precision: Precision = "float32") -> int:
    """Bytes kept for the backward pass by a training step of the case's batch on a CPU.

    Equal to `measuring.kept_bytes` of the same step there, weights left out; a GPU's fused
    attention keeps no more. Raises RecipeError for a case that cannot be built.
    """
    with torch.device("meta"):
        model, teachers = case.model()
    seen: dict[int, tuple[int, torch.UntypedStorage]] = {}
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in (model, *teachers):
            fill(module.modules())
        for teacher in teachers:
            teacher.requires_grad_(False).eval()
        weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                # The storage is held as well, so that no later one takes its address.
                seen[storage._cdata] = (storage.nbytes(), storage)
            return tensor

        choose_without_looking(model.modules())
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
        kept = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        with kept, autocast:
            loss = loss_of(model.train()(case.clips()))
        del loss
    return sum(size for size, _ in seen.values())


def fill(modules: Iterable[nn.Module]) -> None:
    """Gives parameters and buffers of no device a shape on the CPU, without content."""
    for module in modules:
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                module._parameters[name] = nn.Parameter(torch.empty(parameter.shape))
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def choose_without_looking(modules: Iterable[nn.Module]) -> None:
    """K-centered sampling depends on content and keeps nothing for a gradient: only how many
    patches it takes counts here."""
    for module in modules:
        if isinstance(module, KCentered):
            total, _ = module.counts(*sides_of(module))

            def sample(patches: Tensor, key: Tensor, count: int = total) -> tuple[Tensor, Tensor]:
                places = torch.zeros(len(key), count, dtype=torch.int64)
                return places, places.clone()

            module.__dict__["sample"] = sample  # before the class's own, for this module alone


def sides_of(module: KCentered) -> tuple[int, int, int]:
    config = module.config
    return config.frames, *config.size
