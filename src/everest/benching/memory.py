"""This file decides how the peak memory of a step is measured: in a process of its own on a CPU,
by the allocator's count on a GPU."""

import gc
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from everest.benching.steps import step_of
from everest.cases import Case
from everest.machine import Machine

STEPS = 2  # the optimiser's moments are made in the first
MEBI = 2**20


@dataclass(frozen=True)
class Peak:
    """Bytes in use after construction, and at the most during some steps."""

    built: int
    peak: int

    @property
    def above(self) -> int:
        """What steps take beyond the weights: gradients, moments, activations, work space."""
        return self.peak - self.built


def peak_of(case: Case, place: Machine, *, moves: bool = True, steps: int = STEPS) -> Peak | str:
    """The peak of some steps; a sentence where it could not be measured.

    `moves`: with the optimiser. Other work in this process does not count. Raises RecipeError for
    a case that cannot be built.
    """
    case.config()
    if place.device.type == "cuda":
        return on_gpu(case, place, moves, steps)
    asked = {"case": case.to_json(), "moves": moves, "steps": steps, "precision": place.precision}
    command = [sys.executable, "-m", "everest.benching.memory", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["ended without a word"]
        return f"not measured: {last[0]}" if done.returncode > 0 else "not measured: it was killed"
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def on_gpu(case: Case, place: Machine, moves: bool, steps: int) -> Peak | str:
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(place.device)
    try:
        step = step_of(case, place, moves=moves)
        built = torch.cuda.memory_allocated(place.device) - before
        torch.cuda.reset_peak_memory_stats(place.device)
        for _ in range(steps):
            step()
    except torch.OutOfMemoryError:
        return "not measured: the GPU has not enough memory"
    return Peak(built, torch.cuda.max_memory_allocated(place.device) - before)


def resident() -> tuple[int, int]:
    """Bytes of this process (now, at its peak)."""
    try:
        # Not ru_maxrss where this is: a process begins it with the peak of the one that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        told = dict(line.split(":", 1) for line in lines)
        return tuple(int(told[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]
    except (OSError, KeyError, ValueError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1 << 10
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak


def main(words: list[str]) -> None:
    """The process of one case: prints its bytes after construction and at their peak."""
    asked = json.loads(words[0])
    place = Machine(torch.device("cpu"), asked["precision"])
    step = step_of(Case.from_json(asked["case"]), place, moves=asked["moves"])
    built, _ = resident()
    for _ in range(asked["steps"]):
        step()
    print(json.dumps({"built": built, "peak": resident()[1]}))


if __name__ == "__main__":
    main(sys.argv[1:])
