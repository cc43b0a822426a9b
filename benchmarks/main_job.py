"""The study of the main job on real video: what pre-training is worth, by method and by minutes.

    EVEREST_DATA=DIR python benchmarks/main_job.py --out runs/study [--only rates,pretrain,...]

Every figure comes from `everest` commands, one thread each, one at a time. A method's epochs are
chosen so that each has the same CPU minutes at the rates measured first, in turn, on the same
machine; rates taken while other work runs are not worth much. A run that is finished is not run
again, so the study can be stopped and gone on with. It ends with a table and, with matplotlib, a
picture of test accuracy against minutes of pre-training.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

METHODS = {
    "everest": [],
    "videomae": ["--method", "videomae"],
    "random": ["--select", "random"],
}
MINUTES = (4, 12, 40)
FEW = ["--labels-per-class", "14", "--epochs", "75"]
ALL = ["--epochs", "30"]
ABLATION = {  # the recipe's fine-tuning for 15 epochs, with one choice changed at a time
    "as is": [],
    "pool mean": ["--pool", "mean"],
    "head norm layer": ["--head-norm", "layer"],
    "encoder norm dropped": ["--encoder-norm", "drop"],
    "the three together, as in the paper": [
        *("--pool", "mean", "--head-norm", "layer", "--encoder-norm", "drop")
    ],
    "crop within 8 pixels": ["--crop-shift", "8"],
    "crop by area": ["--crop", "area"],
    "head times 0.001": ["--head-scale", "0.001"],
}
STAGES = (
    *("rates", "pretrain", "finetune", "few", "probe", "ablation", "scratch", "equal"),
    *("fights", "tell"),
)
ROUNDS = 3
RATE_EPOCHS = 3


class Study:
    def __init__(self, out: Path, data: Path) -> None:
        self.out = out
        self.data = data
        self.digits = str(data / "grid_digits" / "labels.csv")
        self.sentences = str(data / "grid_s1" / "labels.csv")
        out.mkdir(parents=True, exist_ok=True)

    def everest(self, name: str, *words: str) -> str:
        """Runs a command with one thread; its words and what it says are kept beside the runs."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "everest", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        with (self.out / f"{name}.log").open("a") as log:
            log.write(f"$ everest {' '.join(words)}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            sys.exit(f"everest {' '.join(words)}\n{done.stderr}")
        return done.stdout

    def train(self, job: str, name: str, *words: str) -> None:
        """A run, unless it is finished; one that was stopped goes on."""
        run = self.out / name
        if (run / "curves.png").exists():
            return
        shared = ["--recipe", "small-data", "--cache", str(self.out / "cache"), "--workers", "0"]
        again = ["--resume"] if (run / "recipe.json").exists() else []
        print(f"{job} {name}", flush=True)
        self.everest(name, job, *words, "--out", str(run), *shared, *again)

    def pretrain(self, name: str, method: str, epochs: int, *more: str) -> None:
        words = [self.digits, self.sentences, "--epochs", str(epochs), *METHODS[method], *more]
        self.train("pretrain", name, *words)

    def finetune(self, name: str, start: str, *words: str) -> None:
        init = str(self.out / start) if start not in ("none",) else "none"
        self.train("finetune", name, self.digits, "--init", init, *words)
        self.evaluate(name, self.digits)

    def evaluate(self, name: str, source: str) -> None:
        figures = self.out / f"{name}.json"
        if not figures.exists():
            parts = {
                part: json.loads(
                    self.everest(
                        name, "evaluate", str(self.out / name), source, "--part", part, "--json"
                    )
                )
                for part in ("val", "test")
                if not (part == "val" and source != self.digits)
            }
            figures.write_text(json.dumps(parts))

    def rates(self) -> dict[str, float]:
        """CPU seconds of an epoch, by method: the least seen, the methods in turn."""
        kept = self.out / "rates.json"
        if kept.exists():
            return json.loads(kept.read_text())
        self.pretrain("warm_cache", "everest", 1)
        seconds: dict[str, list[float]] = {method: [] for method in METHODS}
        for turn in range(ROUNDS):
            for method in METHODS:
                name = f"rate_{method}_{turn}"
                # Validations are dear in a short run and few in a long one: none between epochs.
                self.pretrain(name, method, RATE_EPOCHS, "--eval-every", str(RATE_EPOCHS))
                lines = (self.out / name / "timings.jsonl").read_text().splitlines()
                clocks = [json.loads(line)["cpu_seconds"] for line in lines]
                seconds[method] += [b - a for a, b in itertools.pairwise(clocks)]
        least = {method: min(values) for method, values in seconds.items()}
        kept.write_text(json.dumps(least))
        return least

    def top1(self, name: str) -> tuple[float, float] | None:
        """(test, val + test) top-1 in percent, None where it was not run."""
        path = self.out / f"{name}.json"
        if not path.exists():
            return None
        parts = json.loads(path.read_text())
        pairs = [
            (next(iter(part["columns"].values()))["top1"], part["clips"]) for part in parts.values()
        ]
        test = next(iter(parts["test"]["columns"].values()))["top1"]
        both = sum(top * clips for top, clips in pairs) / sum(clips for _, clips in pairs)
        return 100 * test, 100 * both


def starts() -> dict[str, list[str]]:
    """What a fine-tuning starts from -> the words beside `--init`."""
    return {"scratch": [], "unpretrained": ["--start", "xavier"]}


def ablated(told: str) -> str:
    return "ablation_" + told.replace(",", "").replace(" ", "_")


def row(study: Study, told: str, names: list[str]) -> str | None:
    found = [top for top in map(study.top1, names) if top is not None]
    if not found:
        return None
    test = [pair[0] for pair in found]
    both = [pair[1] for pair in found]
    each = ", ".join(f"{top:.1f}" for top in test)
    return f"| {told} | {each} | {statistics.mean(test):.1f} | {statistics.mean(both):.1f} |"


def tell(study: Study) -> str:
    lines = ["| run | test | mean | val + test |", "|-|-|-|-|"]
    runs: list[tuple[str, list[str]]] = []
    for start in starts():
        runs.append((f"{start}, all labels", [f"{start}_s{seed}" for seed in (0, 1)]))
        runs.append((f"{start}, 14 a class", [f"{start}_few{seed}" for seed in range(3)]))
    for minutes in MINUTES:
        for method in METHODS:
            name = f"{method}{minutes}"
            runs.append((f"{method} {minutes} min, all", [f"{name}_s{seed}" for seed in (0, 1)]))
            few = [f"{name}_few{seed}" for seed in range(3)]
            runs.append((f"{method} {minutes} min, 14 a class", few))
            runs.append((f"{method} {minutes} min, frozen", [f"{name}_probe"]))
    runs.append(("scratch, CPU of 12 min + fine-tuning", ["scratch_long12"]))
    runs.append(("scratch, CPU of 40 min + fine-tuning", ["scratch_long40"]))
    runs.append(("fights: everest", ["fights_everest"]))
    runs.append(("fights: scratch", ["fights_scratch"]))
    runs += [(f"15 epochs, {told}", [ablated(told)]) for told in ABLATION]
    lines += [line for told, names in runs if (line := row(study, told, names))]
    return "\n".join(lines)


def picture(study: Study) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for kind, count, style in (("few", 3, "--"), ("s", 2, "-")):
        for method in METHODS:
            points = []
            for minutes in (0, *MINUTES):
                start = f"{method}{minutes}" if minutes else "scratch"
                tops = [study.top1(f"{start}_{kind}{seed}") for seed in range(count)]
                known = [top[0] for top in tops if top]
                if known:
                    points.append((minutes, statistics.mean(known)))
            labels = "14 labels a class" if kind == "few" else "all labels"
            if points:
                axes.plot(
                    *zip(*points, strict=True), style, marker="o", label=f"{method}, {labels}"
                )
    axes.set(xlabel="CPU minutes of pre-training", ylabel="test top-1, percent")
    axes.legend(fontsize=8)
    figure.savefig(study.out / "accuracy.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("EVEREST_DATA"))
    parser.add_argument("--only", default=",".join(STAGES), help=f"of {', '.join(STAGES)}")
    parser.add_argument("--minutes", default=",".join(map(str, MINUTES)))
    parser.add_argument("--methods", default=",".join(METHODS), help="for two at a time")
    asked = parser.parse_args()
    if asked.data is None:
        sys.exit(
            "set EVEREST_DATA, or give --data: the folder with grid_digits, grid_s1, fight_surv"
        )
    study, only = Study(asked.out, asked.data), set(asked.only.split(","))
    minutes = [int(part) for part in asked.minutes.split(",")]
    if "rates" in only or "pretrain" in only:
        rates = study.rates()
        print({method: f"{1344 / seconds:.0f} clips/s of CPU" for method, seconds in rates.items()})
    for length in minutes:
        for method in asked.methods.split(","):
            name = f"{method}{length}"
            if "pretrain" in only:
                study.pretrain(name, method, round(length * 60 / rates[method]))
            if "finetune" in only:
                for seed in (0, 1):
                    study.finetune(f"{name}_s{seed}", name, *ALL, "--seed", str(seed))
            if "few" in only:
                for seed in range(3):
                    study.finetune(f"{name}_few{seed}", name, *FEW, "--seed", str(seed))
            if "probe" in only:
                study.finetune(f"{name}_probe", name, *ALL, "--freeze")
    if "ablation" in only:
        for told, words in ABLATION.items():
            study.finetune(ablated(told), "everest12", "--epochs", "15", *words)
    if "scratch" in only:
        for start, words in starts().items():
            for seed in (0, 1):
                study.finetune(f"{start}_s{seed}", "none", *ALL, *words, "--seed", str(seed))
            for seed in range(3):
                study.finetune(f"{start}_few{seed}", "none", *FEW, *words, "--seed", str(seed))
    if "equal" in only:
        for length in (12, 40):
            lines = (study.out / "scratch_s0" / "timings.jsonl").read_text().splitlines()
            each = json.loads(lines[-1])["cpu_seconds"] / len(lines)
            epochs = str(30 + round(length * 60 / each))
            study.finetune(f"scratch_long{length}", "none", "--epochs", epochs)
    if "fights" in only:
        fights = str(study.data / "fight_surv" / "labels.csv")
        study.train("pretrain", "fights12", fights, "--epochs", "300")
        for name, start in (
            ("fights_everest", str(study.out / "fights12")),
            ("fights_scratch", "none"),
        ):
            study.train(
                "finetune", name, fights, "--label", "label", "--init", start, "--epochs", "60"
            )
            study.evaluate(name, fights)
    if "tell" in only:
        print(tell(study))
        picture(study)


if __name__ == "__main__":
    main()
