"""This file decides what a training step costs where it runs: seconds, and bytes kept for the
backward pass. `--batch-size auto` and the demo ask it."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from everest.clips import Clips
from everest.machine import Machine

SHARE = 0.6  # of the free memory that activations may take
BESIDE = 1.5  # gradients of activations and work space, over what is kept


@dataclass(frozen=True)
class StepCost:
    seconds: float  # the median of some steps
    kept: int  # bytes of activations kept for the backward pass


def blank_clips(
    count: int,
    channels: int,
    frames: int,
    size: tuple[int, int],
    extra: dict[str, Tensor] | None = None,
) -> Clips:
    """Clips of noise, to measure with: (count, channels, frames, height, width)."""
    video = torch.randint(0, 256, (count, frames, *size, channels), dtype=torch.uint8)
    return Clips(
        video.permute(0, 4, 1, 2, 3),
        {},
        torch.ones(count),
        torch.arange(count),
        torch.arange(count),
        extra or {},
    )


def loss_of(out: dict[str, Tensor]) -> Tensor:
    """A number to go backward from, for a classifier without labels too."""
    return out["loss"].sum() if "loss" in out else out["features"].float().square().mean()


def kept_bytes(model: nn.Module, clips: Clips, place: Machine) -> int:
    """Bytes of what one forward pass keeps for its backward pass, the weights left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), place.autocast():
        kept = loss_of(model(place.bring(clips)))
    del kept
    return sum(seen.values())


def step_costs(
    models: Sequence[nn.Module], clips: Sequence[Clips], place: Machine, *, steps: int = 5
) -> list[StepCost]:
    """Forward and backward of each model on its clips, in turn, so that a machine whose speed
    drifts is fair to all; the gradients are thrown away."""
    kept = [kept_bytes(model, batch, place) for model, batch in zip(models, clips, strict=True)]
    times: list[list[float]] = [[] for _ in models]
    for _ in range(steps + 1):
        for model, batch, took in zip(models, clips, times, strict=True):
            begun = time.perf_counter()
            with place.autocast():
                loss = loss_of(model(place.bring(batch)))
            loss.backward()
            model.zero_grad(set_to_none=True)
            if place.device.type == "cuda":
                torch.cuda.synchronize(place.device)
            took.append(time.perf_counter() - begun)
    return [StepCost(median(took[1:]), size) for took, size in zip(times, kept, strict=True)]


def free_bytes(place: Machine) -> int:
    """Memory that a step may still take."""
    if place.device.type == "cuda":
        return torch.cuda.mem_get_info(place.device)[0]
    try:
        with open("/proc/meminfo") as file:
            found = dict(line.split(":", 1) for line in file)
        return int(found["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def fitting_clips(model: nn.Module, clips: Clips, place: Machine) -> int:
    """How many clips a step can compute at once in the memory that is free; at least 1."""
    each = kept_bytes(model, clips, place) / len(clips.weight)
    return max(int(SHARE * free_bytes(place) / (BESIDE * max(each, 1))), 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: CUDA's class, or the CPU allocator's words."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)
