"""This file decides how the training step is measured: time and memory beside a peer's, one run.

The peer is Hugging Face transformers' VideoMAE (fused AdamW, the same autocast), or with --quick
the package's own VideoMAE. Both take turns in one process, so that a change of the machine's speed
falls on both; the product of two 2048 x 2048 matrices taken beside them is the floor. Medians and,
since other work can only add to a time, least times. Memory is measured in a fresh process each.
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
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import everest
from everest.build import build
from everest.clips import Clips
from everest.configuring import configure
from everest.machine import Machine, Precision, cpu_name, keep_freed_memory
from everest.optim import optimizer
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe
from everest.vit import SIZES, VideoTransformer, VitConfig

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
METHODS = ("everest", "videomae", "mme", "mvd")
TEACHERS = {"vit-s": "vit-b", "vit-b": "vit-b"}  # of MVD's student, both of them


@dataclass(frozen=True)
class Task:
    """What is measured."""

    model: str
    job: str
    precision: Precision
    batch: int  # clips a step
    attention: str  # the peer's
    quick: bool
    methods: tuple[str, ...] = ("everest",)

    @property
    def peer(self) -> str:
        return "own videomae" if self.quick else f"hf videomae {self.attention}"

    @property
    def products(self) -> int:
        """Products taken in a turn."""
        return 1 if self.quick else 4

    @property
    def contenders(self) -> list[str]:
        return [*self.methods, self.peer]

    @property
    def machine(self) -> Machine:
        return Machine(torch.device("cpu"), self.precision)

    def recipe(self, **more: Any) -> Recipe:
        size = QUICK_SIZE if self.quick else 224
        name = QUICK_MODEL if self.quick else self.model
        if self.job == "pretrain":
            return PretrainRecipe(model=name, size=size, **more)
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


def our_model(task: Task, method: str) -> nn.Module:
    if task.job == "finetune":
        select = {} if method == "everest" else {"select": "all"}
        recipe = task.recipe()
        return everest.create_model(recipe.model, classes=CLASSES, size=recipe.size, **select)
    if method != "mvd":
        return build(configure(task.recipe(method=method)))
    recipe = task.recipe(method="mvd", image_teacher="drawn", video_teacher="drawn")
    shape = SIZES[TEACHERS.get(recipe.model, "vit-ti")]
    teachers = {
        "image_features": VideoTransformer(VitConfig(*shape, tubelet=1, class_token=True)),
        "video_features": VideoTransformer(VitConfig(*shape)),
    }
    for teacher in teachers.values():
        task.machine.freeze(teacher)
    dims = {name: teacher.width for name, teacher in teachers.items()}
    return build(configure(recipe, None, dims), teachers)


def our_step(task: Task, method: str) -> Callable[[], None]:
    """A step of this package, from uint8 clips to moved weights."""
    recipe = task.recipe()
    model = our_model(task, method).train()
    moved = optimizer(model, recipe.optim, configure(recipe).vit.depth)
    for group in moved.param_groups:
        group["lr"] = RATE * group["scale"]
    clips, machine = clips_of(task), task.machine
    if method == "mme":  # a 2 x 2 grid of points a token, two coordinates of four steps
        height, width = (2 * side // 16 for side in recipe.sides)
        moves = torch.randn(task.batch, 8, 8, height, width)
        clips = clips._replace(extra={"trajectory": moves})

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


def peer_step(task: Task) -> Callable[[], None]:
    """A step of transformers' VideoMAE, from normalised float32 clips to moved weights."""
    import transformers

    vit = configure(task.recipe()).vit
    config = transformers.VideoMAEConfig(
        hidden_size=vit.width,
        num_hidden_layers=vit.depth,
        num_attention_heads=vit.heads,
        intermediate_size=4 * vit.width,
        decoder_hidden_size=vit.width // 2,
        decoder_num_attention_heads=vit.heads // 2,
        decoder_intermediate_size=2 * vit.width,
        num_labels=CLASSES,
        attn_implementation=task.attention,
    )
    kinds = {
        "pretrain": transformers.VideoMAEForPreTraining,
        "finetune": transformers.VideoMAEForVideoClassification,
    }
    model: nn.Module = kinds[task.job](config).train()
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
    **{name: partial(our_step, method=name) for name in METHODS},
    "own videomae": partial(our_step, method="videomae"),
    "hf videomae sdpa": peer_step,
    "hf videomae eager": peer_step,
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
    built, _ = resident()
    for _ in range(MEMORY_STEPS):
        step()
    print(json.dumps({"built": built, "peak": resident()[1]}))


def memory_of(contender: str, arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments, "--memory-of", contender]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(told.splitlines()[-1])


def floor_step(task: Task) -> Callable[[], None]:
    dtype = torch.bfloat16 if task.precision == "bf16" else torch.float32
    left, right = torch.randn(SIDE, SIDE).to(dtype), torch.randn(SIDE, SIDE).to(dtype)

    def step() -> None:
        for _ in range(task.products):
            torch.mm(left, right)

    return step


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


def commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def report(task: Task, taken: dict[str, list[float]], memory: dict[str, dict[str, float]]) -> None:
    """The table, ratios first."""
    both = (median, min)  # a column each
    times = {name: [of(taken[name]) for of in both] for name in task.contenders}
    peers = times[task.peer]
    rates = [task.products * 2 * SIDE**3 / of(taken["product"]) / 1e9 for of in both]  # GFLOP/s
    rows = []
    for name in task.methods:
        over = (f"{a / b:.3f}" for a, b in zip(times[name], peers, strict=True))
        rows.append((f"step over the peer's, {name}", *over))
    if not task.quick and "everest" in times:
        work = task.batch * GFLOP[task.model, task.job]
        pairs = zip(times["everest"], rates, strict=True)
        rows.append(
            ("everest over the matrix floor", *(f"{a * rate / work:.2f}" for a, rate in pairs))
        )
    above = {name: told["peak"] - told["built"] for name, told in memory.items()}
    for name in task.methods:
        if above:
            share = above[name] / above[task.peer]
            rows.append((f"memory above construction over the peer's, {name}", f"{share:.2f}", ""))
    for name, values in times.items():
        rows.append((f"{name}, ms", *(f"{1000 * value:.0f}" for value in values)))
    rows.append((f"product of {SIDE}^3, GFLOP/s", *(f"{rate:.0f}" for rate in rates)))
    for name, told in memory.items():
        rows.append((f"{name}, MiB above construction", f"{above[name]:.0f}", ""))
        rows.append((f"{name}, MiB built, peak", f"{told['built']:.0f}", f"{told['peak']:.0f}"))
    name = task.recipe().model
    print(
        f"{name}, {task.job}, {task.precision}, batch {task.batch}, {len(taken['product'])} rounds"
    )
    print(f"  {'':<52}{'median':>9}{'least':>9}")
    for name, *values in rows:
        print(f"  {name:<52}" + "".join(f"{value:>9}" for value in values))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"  {cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load {load}")
    versions = ", ".join(version_of(name) for name in ("everest-video", "torch", "transformers"))
    print(f"  {versions}, Python {platform.python_version()}, commit {commit()}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Times a training step beside a peer's.")
    parser.add_argument("--model", choices=("vit-s", "vit-b"), default="vit-s")
    parser.add_argument("--job", choices=("pretrain", "finetune"), default="pretrain")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa", help="the peer's")
    parser.add_argument("--batch", type=int, default=2, help="clips a step")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, own VideoMAE as the peer")
    parser.add_argument("--no-memory", action="store_true", help="leaves the memory out")
    parser.add_argument("--keep-freed", action="store_true", help="as in a run: freed memory stays")
    parser.add_argument("--methods", default="everest", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--memory-of", choices=tuple(CONTENDERS), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    torch.set_num_threads(chosen.threads)
    if chosen.keep_freed:
        keep_freed_memory()
    task = Task(
        chosen.model,
        chosen.job,
        chosen.precision,
        chosen.batch,
        chosen.attention,
        chosen.quick,
        tuple(chosen.methods.split(",")),
    )
    if chosen.memory_of:
        measure_memory(task, chosen.memory_of)
        return
    names = task.contenders
    memory = {} if chosen.no_memory else {name: memory_of(name, arguments) for name in names}
    steps = {name: CONTENDERS[name](task) for name in names} | {"product": floor_step(task)}
    report(task, take_turns(steps, 3 if chosen.quick else chosen.rounds), memory)


if __name__ == "__main__":
    main(sys.argv[1:])
