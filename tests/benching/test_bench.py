"""`everest bench`: steps in turn, and nothing is called faster that is not shown to be."""

import json

import pytest

from everest.benching.memory import MEBI, Peak, peak_of
from everest.benching.turns import Times, take_turns, verdict
from everest.cases import Case, names_of, recipe_of
from everest.machine import choose
from tiny import done, everest

TINY = (
    *("--models", "32x2x2", "--size", 32, "--frames", 4, "--device", "cpu"),
    *("--precision", "float32", "--memory", "none"),
)


def test_steps_take_turns_after_a_round_that_does_not_count() -> None:
    order: list[str] = []
    steps = {name: lambda name=name: order.append(name) for name in "ab"}
    times = take_turns(steps, 3)
    assert "".join(order) == "abababab"
    assert [len(times[name].seconds) for name in "ab"] == [3, 3]


def test_no_round_begins_once_the_time_is_spent_and_there_are_enough() -> None:
    rounds: list[int] = []
    times = take_turns({"a": lambda: None}, 50, seconds=0.0, told=rounds.append)
    assert len(times["a"].seconds) == 3 and rounds == [0, 1, 2, 3]


def test_times_that_overlap_are_called_no_difference() -> None:
    slow, fast = Times((1.0, 1.2, 0.8)), Times((0.6, 0.7, 0.9))
    assert slow.overlaps(fast) and fast.overlaps(slow)
    told = verdict(("a", slow), ("b", fast))
    assert "no difference is shown" in told and "faster" not in told


def test_times_apart_are_called_faster_with_the_ratio_of_each_round() -> None:
    slow, fast = Times((1.0, 1.2, 0.8)), Times((0.4, 0.4, 0.5))
    assert verdict(("a", slow), ("b", fast)) == (
        "b is faster than a: 2.50 times, between 1.60 and 3.00 in 3 rounds"
    )
    assert "rounds say nothing" in verdict(("a", Times((1.0, 1.0))), ("b", Times((0.1, 0.1))))


def test_the_document_has_the_keys_of_the_interface() -> None:
    words = ("--jobs", "pretrain", "--rounds", 3, "--methods", "videomae,everest")
    found = json.loads(done("bench", *TINY, "--size", 64, *words, "--json").out)
    assert found["machine"]["cores"] and found["machine"]["versions"]["torch"]
    first, second = found["rows"]
    keys = {"name", "median_ms", "min_ms", "max_ms", "peak_mb", "ratio"}
    assert keys <= first.keys() and first["ratio"] == 1.0
    assert second["min_ms"] <= second["median_ms"] <= second["max_ms"]
    assert second["ratio"] == pytest.approx(second["median_ms"] / first["median_ms"])
    assert len(found["verdicts"]) == 1


def test_each_job_has_its_own_table_and_cases_that_are_the_same_stand_once() -> None:
    words = ("--methods", "videomae,mvd", "--jobs", "finetune,pretrain", "--rounds", 1)
    told = done("bench", *TINY, *words, "--teacher", "32x2x2", "--size", 64).out
    assert told.count("times and memory over those of") == 2
    assert told.count("32x2x2 all tokens finetune") == 2  # the title, and one row


def test_names_tell_what_differs_and_no_more() -> None:
    cases = [
        Case(recipe_of("finetune", "vit-s", method, batch_size=2, keep=keep))
        for method, keep in (("everest", 0.6), ("everest", 0.4), ("videomae", None))
    ]
    assert names_of(cases) == [
        "vit-s everest finetune, keep 0.6",
        "vit-s everest finetune, keep 0.4",
        "vit-s all tokens finetune",
    ]
    assert names_of(cases[:1]) == ["vit-s everest finetune"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--jobs", "train"), "choose pretrain, finetune"),
        (("--keep", "much"), "give shares (0.3) or counts (470)"),
        (("--frames", "7"), "multiple of the tubelet"),
        (("--models", "mvit-s", "--jobs", "pretrain"), "fine-tuned alone"),
        (("--rounds", 0), "give 1 or more"),
        (("--methods", ","), "give one or more"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    words: tuple[object, ...], part: str
) -> None:
    told = everest("bench", *words)
    assert told.code == 2 and part in told.err


def test_the_peak_is_that_of_a_process_of_its_own() -> None:
    recipe = recipe_of("finetune", "256x2x4", size=64, frames=4, batch_size=1)
    held = [bytearray(1 << 28)]  # not counted, as this process is another one
    peak = peak_of(Case(recipe, classes=3), choose("cpu", "float32"))
    assert isinstance(peak, Peak) and held
    weights = 4 * 2 * 12 * 256**2 / MEBI
    assert weights < peak.above / MEBI < 250  # gradients and two moments are 3 times these
