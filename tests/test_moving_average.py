"""The moving average of the weights: by formula, in place for a while, and resumed bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from everest.checkpoint import load_state, save_state
from everest.convert.read import WeightsError
from everest.folder import RunFolder
from everest.jobs import Labels, labelled_index
from everest.machine import choose
from everest.moving_average import MovingAverage, told_average
from everest.predicting import predict_rows
from everest.run import load
from tiny import TINY, LabelledSet, contents, done, everest


def model_of(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def move(model: nn.Module, seed: int) -> None:
    """A step of some kind: weights and running figures move."""
    source = torch.Generator().manual_seed(seed)
    model(torch.randn(5, 3, generator=source))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=source))


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_an_average_is_what_its_formula_says() -> None:
    model = model_of()
    average, wanted = MovingAverage(model, 0.9), state(model)
    for step in range(4):
        move(model, step)
        average.step()
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                wanted[name] = 0.9 * wanted[name] + 0.1 * value
    for name, value in average.values.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, wanted[name])
    assert int(average.values["1.num_batches_tracked"]) == 4  # what is counted is copied


def test_a_weight_that_never_moves_stays_exactly_as_it_is() -> None:
    model = model_of()
    model[0].requires_grad_(False)
    before = state(model)
    average = MovingAverage(model, 0.999)
    for step in range(20):
        move(model, step)
        average.step()
    assert average.values["0.weight"].equal(before["0.weight"])
    assert not average.values["2.weight"].equal(before["2.weight"])


def test_the_weights_come_back_bit_for_bit_whatever_happens() -> None:
    model = model_of()
    average = MovingAverage(model, 0.9)
    move(model, 1)
    average.step()
    own, averaged = state(model), {name: v.clone() for name, v in average.values.items()}
    with pytest.raises(ValueError), average.in_place():
        assert all(model.state_dict()[name].equal(averaged[name]) for name in averaged)
        raise ValueError
    assert all(model.state_dict()[name].equal(own[name]) for name in own)
    assert all(average.values[name].equal(averaged[name]) for name in averaged)


def test_a_state_holds_the_average(tmp_path: Path) -> None:
    model = model_of()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    average = MovingAverage(model, 0.9)
    move(model, 1)
    average.step()
    folder = save_state(tmp_path, 3, model, optimizer, {}, average.values)
    found = load_state(tmp_path)
    assert found is not None and found.average is not None
    other = MovingAverage(model_of(seed=7), 0.9)
    other.restore(found.average)
    assert all(other.values[name].equal(value) for name, value in average.values.items())
    (folder / "average.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match="average"):
        load_state(tmp_path)


def test_a_state_without_an_average_has_none(tmp_path: Path) -> None:
    model = model_of()
    save_state(tmp_path, 3, model, torch.optim.SGD(model.parameters(), lr=0.1), {})
    found = load_state(tmp_path)
    assert found is not None and found.average is None
    with pytest.raises(KeyError):
        MovingAverage(model, 0.9).restore({})


def test_an_average_of_the_first_weights_is_warned_of() -> None:
    assert told_average(None, 10) == [] and told_average(0.9, 100) == []
    (told,) = told_average(0.9999, 300)
    assert "97 % of the averaged weights are still the first ones" in told
    assert told_average(0.99, 300) == []  # what such a sentence proposes is fine


# In a run


def command(labelled: LabelledSet, out: Path, *more: object) -> list[Any]:
    words = ["finetune", labelled.table, "--out", out, "--epochs", 2, *TINY]
    return [*words, "--head-norm", "batch", "--ema", 0.8, "--balance", "--head-scale", 1.0, *more]


@pytest.fixture(scope="module")
def averaged(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("averaged") / "run"
    done(*command(labelled, out))
    return out


def test_a_run_exports_its_average_and_goes_on_from_its_weights(averaged: Path) -> None:
    (folder,) = (averaged / "state").glob("step-*")
    own = load_file(folder / "model.safetensors")
    average = load_file(folder / "average.safetensors")
    exported = load_file(averaged / "weights" / "last" / "model.safetensors")
    assert exported.keys() == average.keys() == own.keys()
    assert all(exported[name].equal(average[name]) for name in average)
    assert not exported["heads.0.linear.weight"].equal(own["heads.0.linear.weight"])


def test_the_figures_of_a_run_are_those_of_its_average(
    averaged: Path, labelled: LabelledSet
) -> None:
    run = load(averaged / "weights" / "last")
    rows = labelled_index([str(labelled.table)], Labels()).part("val").rows
    found = predict_rows(run.model, run.loader(rows), choose("cpu", "float32"))
    lines = RunFolder(averaged).metrics()
    (line,) = [line for line in lines if line["kind"] == "eval" and line["epoch"] == 2]
    assert found.loss == pytest.approx(line["loss"], rel=1e-6)


def test_a_run_that_is_resumed_averages_and_balances_as_if_undisturbed(
    averaged: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    everest(*command(labelled, out), "--stop-after", 1)
    done(*command(labelled, out), "--resume")
    name = (averaged / "state" / "last").read_text().strip()
    assert contents(out / "state" / name) == contents(averaged / "state" / name)
    assert contents(out / "weights") == contents(averaged / "weights")
    assert (out / "metrics.jsonl").read_bytes() == (averaged / "metrics.jsonl").read_bytes()
