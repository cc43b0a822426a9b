"""This file decides where the work is done: device, precision, placement; nothing else knows."""

import ctypes
import os
import platform
import resource
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from everest.clips import Clips

Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Machine:
    device: torch.device
    precision: Precision

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def place(self, model: nn.Module) -> nn.Module:
        return model.to(self.device)

    def freeze(self, teacher: nn.Module) -> None:
        """Places a model that only teaches: no gradient, no drawing, products in bfloat16 where
        the device has them."""
        teacher.requires_grad_(False).eval().to(self.device)
        if has_bf16(self.device):
            for layer in teacher.modules():
                if isinstance(layer, nn.Linear):
                    layer.to(torch.bfloat16)

    def bring(self, clips: Clips) -> Clips:
        """The batch on the device."""
        if self.device.type == "cpu":
            return clips
        if self.device.type == "cuda":
            clips = clips._replace(video=clips.video.pin_memory())
        return clips.to(self.device)

    def peak_megabytes(self) -> float:
        """The largest memory the device held (the process's resident memory on a CPU)."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

    def told(self) -> str:
        """One phrase for the console."""
        if self.device.type == "cuda":
            name = torch.cuda.get_device_name(self.device)
        else:
            name = f"{cpu_name()}, {torch.get_num_threads()} threads"
        return f"{self.device} ({name}), {self.precision}"


def capabilities() -> dict[str, object]:
    """What torch tells of the processor; nothing where it tells nothing (older releases)."""
    told = getattr(torch.cpu, "get_capabilities", None)
    return told() if told is not None else {}


def cpu_name() -> str:
    return str(capabilities().get("cpu_name", "")) or platform.processor() or platform.machine()


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware there."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        known = capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    return False


def choose(device: str = "auto", precision: str = "auto") -> Machine:
    """The machine asked for, or the best there is; raises ValueError for one that is not there."""
    if device == "auto":
        if torch.cuda.is_available():
            device = "cuda"
        elif torch.backends.mps.is_available():
            device = "mps"
        else:
            device = "cpu"
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device {device}: not on this machine; use auto, cpu, cuda or mps"
        ) from error
    if precision == "auto":
        precision = "bf16" if has_bf16(found) else "float32"
    return Machine(found, "bf16" if precision == "bf16" else "float32")


def keep_freed_memory() -> None:
    """Lets glibc keep large freed blocks for the next step instead of giving them back and having
    each page cleared again (measured in benchmarks/results/main-job.md)."""
    if platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, 1 << 30)
    libc.mallopt(trim_threshold, 1 << 30)
    libc.mallopt(top_pad, 64 << 20)


def reading_processes(workers: int | Literal["auto"], device: torch.device) -> int:
    """How many processes read videos: all cores but one feed a GPU; a CPU needs one beside it."""
    if workers != "auto":
        return workers
    cores = os.cpu_count() or 1
    return max(min(cores - 1, 8), 1) if device.type == "cuda" else 1
