"""A step moves the weights by the mean over the clips that were read, or not at all."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from everest import build, fitting, machine, optim
from everest.build import Model
from everest.classify import VideoClassifier
from everest.clips import Clips
from everest.fitting import NON_FINITE_LIMIT, NotFinite
from everest.folder import RunFolder
from everest.kinds import Kind
from everest.loop import Job, Loop
from everest.optim import Schedule
from everest.recipe import FinetuneRecipe, Optim
from everest.samples import make_samples
from everest.stopping import Stopped
from tiny import TINY, TINY_PRETRAIN, LabelledSet, contents, damage, done, everest

SIZES: dict[str, Any] = {
    "model": "32x2x2", "frames": 4, "size": 32, "patch": 8,
}  # fmt: skip


def autoencoder() -> Model:
    torch.manual_seed(0)
    return build.create_model(**SIZES, decoder_width=16, decoder_depth=1)


def classifier(head_norm: str = "layer") -> Model:
    torch.manual_seed(0)
    return build.create_model(**SIZES, classes=3, head_norm=head_norm, head_scale=1.0)


def clips_of(count: int, *, unread: tuple[int, ...] = (), seed: int = 0) -> Clips:
    """Noise with labels; clips in `unread` are zeros of weight 0, as the loader leaves them."""
    generator = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, (count, 3, 4, 32, 32), dtype=torch.uint8, generator=generator)
    weight = torch.ones(count)
    for slot in unread:
        video[slot], weight[slot] = 0, 0
    keys = torch.arange(count) + 1000 * seed
    return Clips(video, {"label": keys % 3}, weight, keys, torch.arange(count), {})


@dataclass
class Listed:
    """Batches that are given beforehand, the same each epoch."""

    batches: list[Clips]
    waited: float = 0.0
    bad: dict[str, list[Any]] = field(default_factory=dict)

    def epoch(self, epoch: int, batch: int, *, start: int = 0) -> Iterator[Clips]:
        yield from self.batches[start:]

    def set_aside(self) -> dict[str, list[Any]]:
        return self.bad

    def restore(self, aside: dict[str, list[Any]]) -> None:
        self.bad = aside


def job_of(
    model: nn.Module, folder: Path, batches: list[Clips], *, parts: int = 1, epochs: int = 1
) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(
        model=model.train(),
        optimizer=optim.optimizer(model, Optim(), 2),
        schedule=Schedule(1e-3, 1e-5, 0, 100),
        machine=machine.choose("cpu", "float32"),
        batches=Listed(batches),
        folder=RunFolder(folder),
        batch=len(batches[0].weight),
        parts=parts,
        epochs=epochs,
        steps_per_epoch=len(batches),
        clip_grad=None,
        validate=None,
        validate_every=1,
        score=lambda found: 0.0,
        tell=lambda line: None,
        log_every=1,
    )


def state_of(job: Job) -> dict[str, Tensor]:
    """Weights, buffers and the optimiser's moments."""
    from everest.checkpoint import optimizer_tensors

    state = {**job.model.state_dict(), **optimizer_tensors(job.optimizer)}
    return {name: value.clone() for name, value in state.items()}


def assert_equal(state: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert state.keys() == other.keys()
    assert [name for name in state if not state[name].equal(other[name])] == []


# Accumulation


@pytest.mark.parametrize("make", [autoencoder, classifier])
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_a_batch_computed_in_parts_gives_the_same_losses_and_gradients(
    make: Any, parts: int, tmp_path: Path
) -> None:
    whole, split = job_of(make(), tmp_path / "whole", [clips_of(6)]), None
    split = job_of(make(), tmp_path / "split", [clips_of(6)], parts=parts)
    losses: list[list[float]] = [[], []]
    for number in range(4):
        for place, job in enumerate((whole, split)):
            clips = clips_of(6, unread=(1,) if number == 2 else (), seed=number)
            losses[place].append(fitting.step(job, Loop(step=number), clips)["loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert len(set(losses[0])) == 4
    for one, other in zip(whole.model.parameters(), split.model.parameters(), strict=True):
        if one.grad is not None:
            assert other.grad is not None
            torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-3)


def test_accumulation_in_a_whole_run_changes_no_loss(labelled: LabelledSet, tmp_path: Path) -> None:
    lines = []
    for parts in (1, 4):
        out = tmp_path / str(parts)
        words = ["pretrain", labelled.videos, "--out", out, "--epochs", 2, *TINY_PRETRAIN]
        assert everest(*words, "--accumulate", parts).code == 0
        lines.append(RunFolder(out).metrics())
    assert len(lines[0]) == len(lines[1]) > 2
    for one, other in zip(*lines, strict=True):
        kind = "held_out" if one["kind"] == "eval" else "loss"
        assert one[kind] == pytest.approx(other[kind], abs=1e-6)


# Clips that could not be read


@pytest.mark.parametrize(
    "make", [autoencoder, classifier, lambda: classifier("batch")], ids=["pre", "layer", "batch"]
)
def test_what_lies_in_an_unread_slot_changes_nothing(make: Any, tmp_path: Path) -> None:
    blank = clips_of(4, unread=(2,))
    noise = blank._replace(video=clips_of(4, seed=5).video.where(
        (blank.weight == 0)[:, None, None, None, None], blank.video
    ))  # fmt: skip
    assert not noise.video.equal(blank.video)
    states = []
    for name, clips in (("blank", blank), ("noise", noise)):
        job = job_of(make(), tmp_path / name, [clips])
        assert fitting.step(job, Loop(), clips)
        states.append(state_of(job))
    assert_equal(*states)


def test_the_loss_is_the_mean_over_the_clips_that_were_read(tmp_path: Path) -> None:
    clips = clips_of(4, unread=(0, 3))
    job = job_of(autoencoder(), tmp_path / "run", [clips])
    with torch.no_grad():
        each = job.model(clips)["loss"]
    loop = Loop()
    figures = fitting.step(job, loop, clips)
    assert figures["loss"] == pytest.approx(float(each[1:3].mean()), abs=1e-6)
    assert (loop.unread, loop.clip_sum) == (2, 2.0)


def test_a_step_of_unread_clips_alone_is_passed_over(tmp_path: Path) -> None:
    clips = clips_of(3, unread=(0, 1, 2))
    job = job_of(classifier("batch"), tmp_path / "run", [clips])
    fitting.step(job, Loop(), clips_of(3))
    before, loop = state_of(job), Loop()
    assert fitting.step(job, loop, clips) == {}
    assert_equal(state_of(job), before)
    assert (loop.step, loop.unread, loop.skipped) == (1, 3, 0)


# Clips without a label


def columns_model() -> VideoClassifier:
    """A classifier of one class, of several and of a number, with heads that are not 0."""
    torch.manual_seed(0)
    kinds: dict[str, Kind] = {"tags": "multi", "score": "number"}
    model = build.create_model(**SIZES, classes=3)
    assert isinstance(model, VideoClassifier)
    classes = {"label": ("a", "b", "c"), "tags": ("x", "y"), "score": ()}
    config = replace(model.config, classes=classes, kinds=kinds, scales={"score": (3.0, 2.0)})
    made = build.build(config)
    assert isinstance(made, VideoClassifier)
    build.start_classifier(made, FinetuneRecipe(head_scale=1.0))
    return made


def half_labelled(count: int = 6, *, unread: tuple[int, ...] = ()) -> Clips:
    """Clips of which the columns lack the labels of 2, 3 and 5."""
    clips = clips_of(count, unread=unread)
    nan = torch.nan
    tags = torch.tensor([[1.0, 0.0], [nan, nan], [0.0, 0.0], [nan, nan], [nan, nan], [0.0, 1.0]])
    labels = {
        "label": torch.tensor([0, -1, 2, 1, -1, 0]),
        "tags": tags,
        "score": torch.tensor([nan, nan, nan, 4.0, nan, nan]),
    }
    return clips._replace(labels=labels)


def counting(job: Job) -> Job:
    assert isinstance(job.model, VideoClassifier)
    return replace(job, counts=job.model.counts)


def test_the_loss_is_the_mean_over_the_clips_with_a_label_a_column_each(tmp_path: Path) -> None:
    clips = half_labelled(unread=(5,))
    job = counting(job_of(columns_model(), tmp_path / "run", [clips]))
    with torch.no_grad():
        out = job.model(clips)
    wanted = (
        out["loss.label"][[0, 2, 3]].mean()
        + out["loss.tags"][[0, 2]].mean()
        + out["loss.score"][[3]].mean()
    )
    assert fitting.step(job, Loop(), clips)["loss"] == pytest.approx(float(wanted), rel=1e-6)


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_missing_labels_give_the_same_step_for_any_split_of_the_batch(
    parts: int, tmp_path: Path
) -> None:
    clips = half_labelled(unread=(5,))
    jobs = [
        counting(job_of(columns_model(), tmp_path / str(number), [clips], parts=number))
        for number in (1, parts)
    ]
    losses = [fitting.step(job, Loop(), clips)["loss"] for job in jobs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for one, other in zip(*(job.model.parameters() for job in jobs), strict=True):
        if one.grad is not None:
            assert other.grad is not None
            torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-3)


def test_a_clip_without_any_label_changes_nothing_for_the_others(tmp_path: Path) -> None:
    clips = clips_of(4)
    clips = clips._replace(labels={"label": torch.tensor([0, 1, -1, 2])})
    alone = clips_of(4, unread=(2,))
    alone = alone._replace(labels=clips.labels)
    states = []
    for name, batch in (("unlabelled", clips), ("unread", alone)):
        job = counting(job_of(classifier(), tmp_path / name, [batch]))
        assert fitting.step(job, Loop(), batch)
        states.append(state_of(job))
    assert_equal(*states)


def test_a_batch_without_labels_is_no_step(tmp_path: Path) -> None:
    clips = clips_of(3)._replace(labels={"label": torch.full((3,), -1)})
    job, loop = counting(job_of(classifier(), tmp_path / "run", [clips])), Loop()
    before = state_of(job)
    assert fitting.step(job, loop, clips) == {}
    assert_equal(state_of(job), before)
    assert (loop.step, loop.skipped, loop.unread, loop.clip_sum) == (1, 0, 0, 0)


# Steps that are not finite


class Poisoned(nn.Module):
    """A model whose loss, or gradient, is not finite for clips with the key 666."""

    def __init__(self, model: nn.Module, what: str) -> None:
        super().__init__()
        self.model = model
        self.what = what

    def forward(self, clips: Clips) -> dict[str, Tensor]:
        out = self.model(clips)
        ill = (clips.key == 666).any()
        if ill and self.what == "gradient":
            weight = next(self.model.parameters())
            # sqrt has a finite value and an infinite slope at 0.
            out["loss"] = out["loss"] + (weight * 0).abs().sum().sqrt()
        elif ill:
            out["loss"] = out["loss"] * {"nan": torch.nan, "inf": torch.inf}[self.what]
        return out

    def save_pretrained(self, folder: Path) -> None:
        self.model.save_pretrained(folder)  # type: ignore[operator]


def ill_clips(seed: int = 1) -> Clips:
    clips = clips_of(3, seed=seed)
    return clips._replace(key=torch.full_like(clips.key, 666))


@pytest.mark.parametrize("what", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("make", [autoencoder, lambda: classifier("batch")], ids=["pre", "fine"])
def test_a_step_that_is_not_finite_leaves_weights_and_optimiser_bit_equal_and_is_counted(
    make: Any, what: str, tmp_path: Path
) -> None:
    job, loop = job_of(Poisoned(make(), what), tmp_path / "run", [clips_of(3)]), Loop()
    fitting.step(job, loop, clips_of(3))
    before = state_of(job)
    assert fitting.step(job, loop, ill_clips()) == {}
    assert_equal(state_of(job), before)
    assert (loop.step, loop.skipped, loop.skipped_in_row, loop.clip_sum) == (2, 1, 1, 3.0)
    assert fitting.step(job, loop, clips_of(3, seed=2))
    assert (loop.step, loop.skipped, loop.skipped_in_row) == (3, 1, 0)
    assert any(not before[name].equal(value) for name, value in state_of(job).items())


def test_skipped_steps_are_shown_in_the_metrics_and_on_the_console(tmp_path: Path) -> None:
    from everest.console import Console
    from everest.telling import EpochLines

    batches = [clips_of(3), ill_clips(), clips_of(3, seed=2)]
    job = job_of(Poisoned(autoencoder(), "nan"), tmp_path / "run", batches)
    console = Console(quiet=True)
    console.log = tmp_path / "log.txt"
    told = EpochLines(console, 1, 0.0)
    fitting.fit(Job(**{**vars(job), "tell": told}), Loop())
    lines = job.folder.metrics()
    assert [line["step"] for line in lines if line["kind"] == "step"] == [1, 3]
    assert [line["skipped"] for line in lines if line["kind"] == "epoch"] == [1]
    assert "1 steps skipped (not finite)" in console.log.read_text()


def test_ten_such_steps_in_a_row_stop_the_run_with_the_last_good_state_kept(
    tmp_path: Path,
) -> None:
    from everest import checkpoint

    batches = [clips_of(3), *(ill_clips(seed) for seed in range(1, 2 + NON_FINITE_LIMIT))]
    job = job_of(Poisoned(autoencoder(), "nan"), tmp_path / "run", batches)
    good = job_of(Poisoned(autoencoder(), "nan"), tmp_path / "good", batches)
    fitting.step(good, Loop(), batches[0])
    with pytest.raises(NotFinite, match=r"10 steps in a row.*kept in .*--optim\.lr") as caught:
        fitting.fit(job, Loop())
    assert getattr(caught.value, "exit_code", None) == 1
    state = checkpoint.load_state(job.folder.state)
    assert state is not None and state.step == 1 + NON_FINITE_LIMIT
    assert_equal(state.model | state.optimizer, state_of(good))


def test_nine_such_steps_in_a_row_do_not_stop_it(tmp_path: Path) -> None:
    ill = [ill_clips(seed) for seed in range(1, NON_FINITE_LIMIT)]
    batches = [*ill, clips_of(3), *ill]
    job = job_of(Poisoned(autoencoder(), "nan"), tmp_path / "run", batches)
    assert fitting.fit(job, Loop()).skipped == 2 * (NON_FINITE_LIMIT - 1)


def test_a_run_that_goes_astray_exits_with_1_and_keeps_its_folder(
    labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from everest.targets.pixels import Pixels

    monkeypatch.setattr(Pixels, "loss", lambda self, made, wanted: made.sum((1, 2)) * torch.nan)
    out = tmp_path / "run"
    words = ["pretrain", labelled.videos, "--out", out, "--epochs", 9, *TINY_PRETRAIN]
    told = everest(*words)
    assert told.code == 1
    assert "10 steps in a row" in told.err and str(out / "state") in told.err
    assert "Traceback" not in told.err
    kept = contents(out)
    assert "state/step-10/model.safetensors" in kept and "data.json" in kept


# Speed and limits


def test_the_gradient_is_scaled_down_to_its_limit(tmp_path: Path) -> None:
    free = job_of(autoencoder(), tmp_path / "free", [clips_of(3)])
    norm = fitting.step(free, Loop(), clips_of(3))["gradient_norm"]
    bound = job_of(autoencoder(), tmp_path / "bound", [clips_of(3)])
    bound = Job(**{**vars(bound), "clip_grad": norm / 4})
    assert fitting.step(bound, Loop(), clips_of(3))["gradient_norm"] == pytest.approx(norm)
    after = sum(p.grad.square().sum() for p in bound.model.parameters() if p.grad is not None)
    assert float(after) ** 0.5 == pytest.approx(norm / 4, rel=1e-4)


def test_the_rate_of_a_step_is_that_of_its_group_and_number(tmp_path: Path) -> None:
    job = job_of(autoencoder(), tmp_path / "run", [clips_of(3)])
    fitting.step(job, Loop(step=40), clips_of(3))
    rate = job.schedule.rate(40)
    assert [group["lr"] for group in job.optimizer.param_groups] == [
        rate * group["scale"] for group in job.optimizer.param_groups
    ]


def test_a_run_that_is_stopped_after_an_epoch_says_so_with_code_0(tmp_path: Path) -> None:
    job = job_of(autoencoder(), tmp_path / "run", [clips_of(3)], epochs=3)
    with pytest.raises(Stopped, match="after epoch 1 as asked") as caught:
        fitting.fit(Job(**{**vars(job), "stop_after": 1}), Loop())
    assert caught.value.code == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that CUDA can use")
@pytest.mark.parametrize("make", [autoencoder, lambda: classifier("batch")], ids=["pre", "fine"])
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_a_step_on_a_gpu_moves_the_weights(make: Any, precision: str, tmp_path: Path) -> None:
    place = machine.choose("cuda", precision)
    model = place.place(make())
    job = job_of(model, tmp_path / "run", [clips_of(4, unread=(2,))])
    job = Job(**{**vars(job), "machine": place, "parts": 2})
    before = state_of(job)
    figures = fitting.step(job, Loop(), clips_of(4, unread=(2,)))
    assert 0 < figures["loss"] < 100 and figures["gradient_norm"] > 0
    after = job.model.state_dict()
    assert any(not before[name].equal(value) for name, value in after.items())


def test_a_frozen_encoder_keeps_its_weights_while_the_head_learns(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    words = ["--init", pretrained, "--out", tmp_path / "a", "--epochs", 1, "--freeze", *TINY]
    told = done("finetune", labelled.table, *words)
    assert "the encoder is frozen" in told.out
    before = load_file(pretrained / "weights" / "last" / "model.safetensors")
    after = load_file(tmp_path / "a" / "weights" / "last" / "model.safetensors")
    for name, value in after.items():
        if name.startswith("reader."):
            assert torch.equal(value, before[name.replace("reader.", "encoder.", 1)]), name
    assert after["heads.0.linear.weight"].abs().sum() > 0


def test_a_validation_that_cannot_be_read_ends_no_run_and_chooses_nothing(tmp_path: Path) -> None:
    table = make_samples(tmp_path / "made", train=8, val=4, test=4, size=32, frames=8)
    for video in (tmp_path / "made" / "videos").glob("val-*"):
        damage(video)
    run = tmp_path / "run"
    for job, more in (("finetune", TINY), ("pretrain", TINY_PRETRAIN)):
        words = [job, table, "--out", run, "--epochs", 1, "--overwrite", *more]
        told = done(*words)
        assert "validation: no clip could be read" in told.out
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        (found,) = [line for line in lines if line["kind"] == "eval"]
        assert found["clips"] == 0
        assert not (run / "weights" / "best").exists()
    assert "whether it has learnt is not known" in told.out


def test_an_epoch_that_validates_tells_its_own_loss(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    job = job_of(autoencoder(), tmp_path / "run", [clips_of(4)])
    found = {"loss": 123.0, "held_out": 0.5, "constant": 1.0}
    more = {"validate": lambda epoch: found, "tell": lines.append}
    fitting.fit(Job(**{**vars(job), **more}), Loop())
    (line,) = [line for line in lines if "epoch" in line]
    assert line["loss"] < 10 and line["held_out"] == 0.5
