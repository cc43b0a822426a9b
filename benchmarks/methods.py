"""Four methods on the same real videos for the same minutes: does each of them learn?

    EVEREST_DATA=DIR python benchmarks/methods.py --out runs/methods [--minutes 5]

Every method pre-trains a vit-ti on `grid_digits` (16 frames of 96 pixels) by the command line with
one thread, in turn; epochs are chosen from a short run of each so that all have the same CPU
minutes. MVD's teachers are an image autoencoder and the VideoMAE of this very study. Then, on
held-out clips and paired over them, the loss is held against that of a constant predictor and of
the same model reading another clip's visible tokens, with 95 % intervals of the mean difference.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from everest import data, machine
from everest.build import build, read_config
from everest.clips import Clips
from everest.index import read_index
from everest.recipe import PretrainRecipe, read_recipe
from everest.teachers import load_teachers

METHODS = ("everest", "videomae", "mme", "mvd")
CALIBRATION = 3  # epochs
IMAGE_EPOCHS = 20
SHARED = ["--recipe", "small-data", "--model", "vit-ti", "--workers", "0"]
DECODERS = ["--decoder-width", "auto", "--decoder-depth", "auto"]  # the methods' own
DRAWS = 10_000


def everest(log: Path, *words: str) -> None:
    """Runs a command with one thread; what it says is kept."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "everest", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    with log.open("a") as file:
        file.write(f"$ everest {' '.join(words)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        sys.exit(f"everest {' '.join(words)}\n{done.stderr}")


def pretrain(out: Path, name: str, source: str, epochs: int, words: list[str]) -> Path:
    run = out / name
    if not (run / "curves.png").exists():
        print(f"pretrain {name}, {epochs} epochs", flush=True)
        again = ["--resume"] if (run / "recipe.json").exists() else []
        cache = ["--cache", str(out / "cache")]
        told = ["--epochs", str(epochs), "--out", str(run), *SHARED, *cache, *words, *again]
        everest(out / f"{name}.log", "pretrain", source, *told)
    return run


def words_of(method: str, out: Path) -> list[str]:
    words = ["--method", method, *DECODERS]
    if method == "mme":
        words += ["--trajectories", str(out / "trajectories")]
    if method == "mvd":
        words += ["--image-teacher", str(out / "image"), "--video-teacher", str(out / "videomae")]
    return words


def timings(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]


def losses(run: Path, source: str) -> dict[str, Tensor]:
    """Held-out losses a clip of the finished model, its two controls, and of its first weights."""
    recipe = read_recipe(PretrainRecipe, run / "recipe.json")
    assert isinstance(recipe, PretrainRecipe)
    config = read_config(run / "weights" / "last")
    teachers = {name: teacher.model for name, teacher in load_teachers(recipe).items()}
    place = machine.choose("cpu", recipe.precision)
    for teacher in teachers.values():
        place.freeze(teacher)
    torch.manual_seed(recipe.seed)
    first, last = build(config, teachers), build(config, teachers)
    last.load_state_dict(load_file(run / "weights" / "last" / "model.safetensors"))
    _, rows = data.hold_out(read_index([source], labelled=None), recipe.seed)
    loader = data.loader_of(data.unlabelled(rows), recipe, config, 0, once=True)
    found: dict[str, list[Tensor]] = {}
    for clips in loader.evaluation(16):
        for name, values in (*each(last, clips, place, ""), *each(first, clips, place, "first_")):
            found.setdefault(name, []).append(values)
    return {name: torch.cat(values) for name, values in found.items()}


@torch.no_grad()
def each(
    model: nn.Module, clips: Clips, place: machine.Machine, prefix: str
) -> list[tuple[str, Tensor]]:
    with place.autocast():
        out = model.eval()(clips)
    names = ("loss", "loss_constant", "loss_other")
    return [(prefix + name, out[name].float()) for name in names]


def interval(difference: Tensor) -> tuple[float, float]:
    """95 % of bootstrap means of a paired difference."""
    values = difference[~difference.isnan()].numpy()
    drawn = np.random.default_rng(0).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def row(method: str, run: Path, source: str) -> str:
    lines, figures = timings(run), losses(run, source)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    trained = [line["loss"] for line in metrics if line["kind"] == "epoch"]
    rates = [1 / (b["cpu_seconds"] - a["cpu_seconds"]) for a, b in itertools.pairwise(lines)]
    clips = len(json.loads((run / "data.json").read_text())["train"])
    batch = read_recipe(PretrainRecipe, run / "recipe.json").batch_size
    assert isinstance(batch, int)
    speed = statistics.median(rates) * (clips // batch * batch)
    mean = {name: float(values.nanmean()) for name, values in figures.items()}
    against = [
        "{:.3f} to {:.3f}".format(*interval(figures[control] - figures["loss"]))
        for control in ("loss_constant", "loss_other")
    ]
    return (
        f"| {method} | {len(lines)} | {lines[-1]['cpu_seconds']:.0f} | {trained[0]:.3f} | "
        f"{trained[-1]:.3f} | {speed:.0f} | {lines[-1]['peak_mb']:.0f} | "
        f"{mean['first_loss']:.3f} | {mean['loss']:.3f} | {mean['loss_constant']:.3f} "
        f"({against[0]}) | {mean['loss_other']:.3f} ({against[1]}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("EVEREST_DATA"))
    parser.add_argument("--minutes", type=float, default=5.0, help="of CPU, for every method")
    asked = parser.parse_args()
    if asked.data is None:
        sys.exit("set EVEREST_DATA, or give --data: the folder with grid_digits")
    out, source = asked.out, str(Path(asked.data) / "grid_digits" / "labels.csv")
    out.mkdir(parents=True, exist_ok=True)
    image = ["--method", "videomae", "--visible", "0.25", "--frames", "1", "--tubelet", "1"]
    pretrain(out, "image", source, IMAGE_EPOCHS, [*image, *DECODERS])
    everest(out / "trajectories.log", "trajectories", source, "--out", str(out / "trajectories"))
    for method in METHODS:
        words = words_of(method, out)
        once = [*words, "--eval-every", str(CALIBRATION)]  # no validation between epochs
        short = timings(pretrain(out, f"rate_{method}", source, CALIBRATION, once))
        seconds = min(b["cpu_seconds"] - a["cpu_seconds"] for a, b in itertools.pairwise(short))
        pretrain(out, method, source, max(round(asked.minutes * 60 / seconds), 1), words)
    print(
        "| method | epochs | CPU s | loss, first epoch | last | clips/s of CPU | peak MB "
        "| held-out before | after | constant (above it by) | another clip (above it by) |"
    )
    print("|-|-|-|-|-|-|-|-|-|-|-|")
    for method in METHODS:
        print(row(method, out / method, source))


if __name__ == "__main__":
    main()
