"""This file decides how the training step is measured: time and memory beside a peer's, one run.

The peer is Hugging Face transformers' VideoMAE (sdpa attention, fused AdamW, the same autocast), or
with --quick the package's own VideoMAE. Both take turns in one process, so that a change of the
machine's speed falls on both; the product of two 2048 x 2048 matrices taken beside them is the
floor. Memory is measured in a fresh process for each.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import everest
from everest.clips import Clips
from everest.config import configure
from everest.machine import Machine, keep_freed_memory
from everest.optim import optimizer
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe

SIDE = 2048  # of the matrices whose product is the floor
MEMORY_STEPS = 3
CLASSES = 400
RATE = 1e-4
# Arithmetic of one lean step, GFLOP a clip of 16x224x224 (2 x multiply-adds, forward + backward).
GFLOP = {
    ("vit-s", "pretrain"): 30.4,
    ("vit-b", "pretrain"): 110.0,
    ("vit-s", "finetune"): 168.3,
    ("vit-b", "finetune"): 569.4,
}
QUICK_MODEL, QUICK_SIZE = "64x4x2", 64


@dataclass(frozen=True)
class Task:
    """What is measured."""

    model: str
    job: str
    precision: str
    batch: int  # clips a step
    quick: bool

    @property
    def machine(self) -> Machine:
        precision = "bf16" if self.precision == "bf16" else "float32"
        return Machine(torch.device("cpu"), precision)

    def recipe(self) -> Recipe:
        size = QUICK_SIZE if self.quick else 224
        name = QUICK_MODEL if self.quick else self.model
        if self.job == "pretrain":
            return PretrainRecipe(model=name, size=size)
        return FinetuneRecipe(model=name, size=size)


def clips_of(task: Task) -> Clips:
    """A batch of noise: what is in a clip changes no shape and no time."""
    size = task.recipe().sides
    drawn = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (task.batch, 16, *size, 3), dtype=torch.uint8, generator=drawn)
    numbers = torch.arange(task.batch)
    labels = {"label": numbers} if task.job == "finetune" else {}
    # The loader's layout: frames are decoded with the channels last.
    video = video.permute(0, 4, 1, 2, 3)
    return Clips(video, labels, torch.ones(task.batch), numbers, numbers, {})


def our_step(task: Task, method: str) -> Callable[[], None]:
    """A step of this package, from uint8 clips to moved weights."""
    recipe = task.recipe()
    chosen: dict[str, Any] = {"size": recipe.size}
    if task.job == "finetune":
        chosen |= {"classes": CLASSES} | ({} if method == "everest" else {"select": "all"})
    model = everest.create_model(recipe.model, method=method, **chosen).train()
    moved = optimizer(model, recipe.optim, configure(recipe).vit.depth)
    for group in moved.param_groups:
        group["lr"] = RATE * group["scale"]
    clips, machine = clips_of(task), task.machine

    def step() -> None:
        moved.zero_grad(set_to_none=True)
        with machine.autocast():
            loss = model(clips)["loss"]
        loss.mean().backward()
        moved.step()

    return step


def tube_mask(batch: int, steps: int, places: int) -> Tensor:
    """(B, N) bool, true where hidden: 0.9 of the places, the same at every time step."""
    drawn = torch.Generator().manual_seed(0)
    order = torch.rand(batch, places, generator=drawn).argsort(dim=1)
    hidden = order < int(0.9 * places)
    return hidden[:, None].expand(-1, steps, -1).flatten(1)


def peer_step(task: Task, attention: str) -> Callable[[], None]:
    """A step of transformers' VideoMAE, from normalised float32 clips to moved weights."""
    from transformers import (
        VideoMAEConfig,
        VideoMAEForPreTraining,
        VideoMAEForVideoClassification,
    )

    vit = configure(task.recipe()).vit
    config = VideoMAEConfig(
        hidden_size=vit.width,
        num_hidden_layers=vit.depth,
        num_attention_heads=vit.heads,
        intermediate_size=4 * vit.width,
        decoder_hidden_size=vit.width // 2,
        decoder_num_attention_heads=vit.heads // 2,
        decoder_intermediate_size=2 * vit.width,
        num_labels=CLASSES,
        attn_implementation=attention,
    )
    kind = VideoMAEForPreTraining if task.job == "pretrain" else VideoMAEForVideoClassification
    model: nn.Module = kind(config).train()
    moved = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05, fused=True)
    clips, machine = clips_of(task), task.machine
    # Normalised beforehand, in the peer's favour; a copy, so that it lies as the peer wants it.
    pixels = ((clips.video.float() / 255 - 0.45) / 0.225).transpose(1, 2).contiguous()
    if task.job == "pretrain":
        told = {"bool_masked_pos": tube_mask(task.batch, 8, (224 // vit.patch) ** 2)}
    else:
        told = {"labels": clips.labels["label"]}
    del clips

    def step() -> None:
        moved.zero_grad(set_to_none=True)
        with machine.autocast():
            loss = model(pixels, **told).loss
        loss.backward()
        moved.step()

    return step


CONTENDERS: dict[str, Callable[[Task], Callable[[], None]]] = {
    "everest": lambda task: our_step(task, "everest"),
    "own videomae": lambda task: our_step(task, "videomae"),
    "hf videomae": lambda task: peer_step(task, "sdpa"),
    "hf videomae, eager": lambda task: peer_step(task, "eager"),
}


def resident() -> tuple[float, float]:
    """(now, at its peak) MiB of this process; NaN where the system does not tell.

    Not ru_maxrss: a process begins it with the peak of the one that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan"), float("nan")
    told = dict(line.split(":", 1) for line in lines)
    now, peak = (int(told[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def measure_memory(task: Task, contender: str) -> None:
    """Prints what this process holds after construction, and its peak after the steps."""
    step = CONTENDERS[contender](task)
    built, built_peak = resident()
    for _ in range(MEMORY_STEPS):
        step()
    print(json.dumps({"built": built, "built_peak": built_peak, "peak": resident()[1]}))


def memory_of(contender: str, arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments, "--memory-of", contender]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(told.splitlines()[-1])


def floor_step(task: Task) -> Callable[[], None]:
    dtype = torch.bfloat16 if task.precision == "bf16" else torch.float32
    left, right = torch.randn(SIDE, SIDE).to(dtype), torch.randn(SIDE, SIDE).to(dtype)
    return lambda: [left @ right for _ in range(1 if task.quick else 4)] and None


def take_turns(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in each round, in turn, after two rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            if number >= 2:
                taken[name].append(time.perf_counter() - begun)
    return taken


def version_of(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} absent"


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")


def commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def report(task: Task, taken: dict[str, list[float]], memory: dict[str, dict[str, float]]) -> None:
    """The table, ratios first."""
    ours, peer, product = taken["everest"], taken[peer_of(task)], taken["product"]
    ratios = sorted(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
    products = 1 if task.quick else 4
    rate = products * 2 * SIDE**3 / median(product) / 1e9  # GFLOP/s
    rows = [
        ("step over the peer's", f"{median(ours) / median(peer):.3f}"),
        ("  least and most of a round", f"{ratios[0]:.3f} {ratios[-1]:.3f}"),
    ]
    if not task.quick:
        floor = task.batch * GFLOP[task.model, task.job] / rate  # seconds
        rows.append(("step over the matrix floor", f"{median(ours) / floor:.2f}"))
    if memory:
        above = {name: told["peak"] - told["built"] for name, told in memory.items()}
        share = above["everest"] / above[peer_of(task)]
        rows.append(("memory above construction over the peer's", f"{share:.2f}"))
    for name in ("everest", peer_of(task)):
        rows.append((f"{name}, ms", f"{1000 * median(taken[name]):.1f}"))
    rows.append((f"product of {SIDE}^3, GFLOP/s", f"{rate:.0f}"))
    for name, told in memory.items():
        rows.append((f"{name}, MiB above construction", f"{above[name]:.0f}"))
        rows.append(
            (
                f"{name}, MiB built (its peak), peak",
                f"{told['built']:.0f} ({told['built_peak']:.0f}), {told['peak']:.0f}",
            )
        )
    print(f"{task.model}, {task.job}, {task.precision}, batch {task.batch}, {len(ours)} rounds")
    for name, value in rows:
        print(f"  {name:<44}{value:>14}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"  {cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load {load}"
    )
    told = ", ".join(version_of(name) for name in ("everest-video", "torch", "transformers"))
    print(f"  {told}, Python {platform.python_version()}, commit {commit()}")


def peer_of(task: Task) -> str:
    return "own videomae" if task.quick else "hf videomae"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Times a training step beside a peer's.")
    parser.add_argument("--model", choices=("vit-s", "vit-b"), default="vit-s")
    parser.add_argument("--job", choices=("pretrain", "finetune"), default="pretrain")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--batch", type=int, default=2, help="clips a step")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, own VideoMAE as the peer")
    parser.add_argument("--no-memory", action="store_true", help="leaves the memory out")
    parser.add_argument("--keep-freed", action="store_true", help="as in a run: freed memory stays")
    parser.add_argument("--memory-of", choices=tuple(CONTENDERS), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    torch.set_num_threads(chosen.threads)
    if chosen.keep_freed:
        keep_freed_memory()
    task = Task(chosen.model, chosen.job, chosen.precision, chosen.batch, chosen.quick)
    if chosen.memory_of:
        measure_memory(task, chosen.memory_of)
        return
    names = ("everest", peer_of(task))
    memory = {} if chosen.no_memory else {name: memory_of(name, arguments) for name in names}
    steps = {name: CONTENDERS[name](task) for name in names} | {"product": floor_step(task)}
    report(task, take_turns(steps, 3 if chosen.quick else chosen.rounds), memory)


if __name__ == "__main__":
    main(sys.argv[1:])
