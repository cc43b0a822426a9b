"""What a classifier says of clips: every clip once, its views averaged in a fixed order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from everest import machine
from everest.averaging import Views
from everest.build import create_model
from everest.classify import VideoClassifier
from everest.clips import Clips
from everest.keys import make_key
from everest.predicting import predict_each, predict_rows
from textures import noise

ROWS, VIEWS = 5, 3
PLACE = machine.choose("cpu", "float32")


@pytest.fixture(scope="module")
def model() -> VideoClassifier:
    torch.manual_seed(0)
    fields = {"frames": 4, "size": 16, "patch": 8, "head_scale": 1.0, "keep": 1.0}
    made = create_model("32x2x2", classes=4, **fields)
    assert isinstance(made, VideoClassifier)
    return made


def all_views() -> Clips:
    """Three views of five rows; row 3 has none that could be read, row 1 misses one."""
    count = ROWS * VIEWS
    rows = torch.arange(ROWS).repeat_interleave(VIEWS)
    weight = torch.ones(count)
    weight[rows == 3] = 0
    weight[VIEWS] = 0
    keys = [make_key(0, -1, int(row), place % VIEWS) for place, row in enumerate(rows)]
    labels = {"label": rows % 4}
    return Clips(noise(count, 3, 4, 16, 16), labels, weight, torch.tensor(keys), rows, {})


@dataclass(frozen=True)
class Batches:
    """The views in an order, so many at a time."""

    order: Sequence[int]

    def evaluation(self, batch: int, *, views: int = 1, crops: int = 1) -> Iterator[Clips]:
        whole = all_views()
        for start in range(0, len(self.order), batch):
            place = torch.tensor(self.order[start : start + batch])
            yield Clips(
                whole.video[place],
                {name: value[place] for name, value in whole.labels.items()},
                whole.weight[place],
                whole.key[place],
                whole.row[place],
                {},
            )


IN_ORDER = tuple(range(ROWS * VIEWS))
SHUFFLED = tuple(np.random.default_rng(0).permutation(ROWS * VIEWS).tolist())


@pytest.mark.parametrize("average", ["softmax", "logits"])
def test_views_are_averaged_as_the_readers_paper_does(
    model: VideoClassifier, average: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.reader, "average", average)
    found = predict_rows(model, Batches(IN_ORDER), PLACE, batch=4, views=VIEWS)
    with torch.inference_mode():
        logits = model.eval()(all_views())["logits.label"].double()
    votes = (logits.softmax(dim=1) if average == "softmax" else logits).reshape(ROWS, VIEWS, 4)
    wanted = torch.stack(
        [votes[0].mean(0), votes[1, 1:].mean(0), votes[2].mean(0), votes[4].mean(0)]
    )
    if average == "logits":
        wanted = wanted.softmax(dim=1)
    assert found.rows.tolist() == [0, 1, 2, 4]
    assert found.probabilities["label"] == pytest.approx(wanted.numpy(), abs=1e-6)
    assert found.labels["label"].tolist() == [0, 1, 2, 0]


def test_clips_that_could_not_be_read_are_counted_and_named_nowhere(model: VideoClassifier) -> None:
    found = predict_rows(model, Batches(IN_ORDER), PLACE, views=VIEWS)
    assert found.missing == 1 and 3 not in found.rows


def said_of(votes: np.ndarray, order: Sequence[int], batch: int) -> np.ndarray:
    whole, views = all_views(), Views(VIEWS)
    for start in range(0, len(order), batch):
        place = torch.tensor(order[start : start + batch])
        views.put(whole.row[place], whole.key[place], whole.weight[place], [votes[place.numpy()]])
    return np.stack([means[0] for means in views.told().values()])


def test_the_order_and_the_batches_of_views_change_no_bit_of_their_mean() -> None:
    votes = np.random.default_rng(0).normal(size=(ROWS * VIEWS, 4)).astype(np.float32)
    wanted = said_of(votes, IN_ORDER, 15)
    for order in (SHUFFLED, IN_ORDER[::-1], (*IN_ORDER, *SHUFFLED[:4])):  # the last ones twice
        for batch in (1, 2, 7):
            assert (said_of(votes, order, batch) == wanted).all()


def test_predictions_do_not_depend_on_the_batch_size_or_the_order(model: VideoClassifier) -> None:
    wanted = predict_rows(model, Batches(IN_ORDER), PLACE, batch=15, views=VIEWS)
    for order, batch in ((IN_ORDER, 1), (SHUFFLED, 2), (SHUFFLED, 4)):
        found = predict_rows(model, Batches(order), PLACE, batch=batch, views=VIEWS)
        assert found.rows.tolist() == wanted.rows.tolist()
        assert found.probabilities["label"] == pytest.approx(
            wanted.probabilities["label"], abs=1e-6
        )
        assert found.loss == pytest.approx(wanted.loss, abs=1e-6)


def test_rows_that_fill_a_batch_count_nowhere() -> None:
    views = Views(1)
    rows, keys = torch.tensor([2, -1]), torch.tensor([7, 8])
    views.put(rows, keys, torch.ones(2), [np.array([[1.0], [5.0]], np.float32)])
    assert views.seen == 1 and list(views.told()) == [2]


def test_each_way_of_working_is_asked_of_the_same_clips(model: VideoClassifier) -> None:
    calls: list[str] = []

    def way(name: str, scale: float) -> None:
        calls.append(name)
        with torch.no_grad():
            model.head_of["label"].linear.bias[1] = scale  # type: ignore[attr-defined]

    ways = (lambda: way("plain", 0.0), lambda: way("biased", 100.0))
    plain, biased = predict_each(model, ways, Batches(IN_ORDER), PLACE, batch=8, views=VIEWS)
    assert calls == ["plain", "biased"] * 2
    assert (biased.probabilities["label"].argmax(axis=1) == 1).all()
    assert not (plain.probabilities["label"].argmax(axis=1) == 1).all()
    assert plain.rows.tolist() == biased.rows.tolist() and plain.seconds > 0
    ways[0]()
    alone = predict_rows(model, Batches(IN_ORDER), PLACE, batch=8, views=VIEWS)
    assert (alone.probabilities["label"] == plain.probabilities["label"]).all()
