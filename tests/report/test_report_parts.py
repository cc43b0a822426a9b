"""What a report knows and says: facts, curves, features, confusions, recipes, commands, card."""

import json
import math
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretended
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretended import CLASSES, EPOCHS, HOSTILE, IMAGE

from everest.folder import FolderError
from everest.report.page import series
from everest.report.page.card import MARK, card, escaped, fenced, write_card
from everest.report.page.comparing import comparison_page, short_names
from everest.report.page.costs import compared_cost
from everest.report.page.evaluated import evaluated
from everest.report.page.facts import Facts, commands, read_facts
from everest.report.page.fields import recipe_fields
from everest.report.page.going_on import steps
from everest.report.page.material import data_of
from everest.report.page.rendering import embedded, link, run_page, write_page
from everest.report.page.spread import spread_of
from everest.report.page.sprites import sprites
from everest.report.page.words import held_out_share, status, tiles


@pytest.fixture(scope="session")
def pretraining(pretrained_folder: Path) -> Facts:
    return read_facts(pretrained_folder)


@pytest.fixture(scope="session")
def finetuning(finetuned_folder: Path) -> Facts:
    return read_facts(finetuned_folder)


def test_a_folder_that_is_no_run_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"not a run folder.*recipe\.json"):
        read_facts(tmp_path)


def test_a_damaged_document_is_refused_by_its_name(tmp_path: Path) -> None:
    run = pretended.pretrained(tmp_path / "run")
    (run / "data.json").write_text("[1]")
    with pytest.raises(FolderError, match=r"data\.json.*no JSON object"):
        read_facts(run)
    (run / "data.json").write_text("{")
    with pytest.raises(FolderError, match=r"data\.json: cannot be read"):
        read_facts(run)


def test_a_half_written_line_of_a_running_run_is_left_out(tmp_path: Path) -> None:
    run = pretended.pretrained(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "ep')
    assert read_facts(run).epochs_done == EPOCHS


def test_a_command_with_a_line_break_in_a_name_is_one_command(tmp_path: Path) -> None:
    words = ["everest", "pretrain", "two\nlines", "--out", "it's"]
    path = tmp_path / "command.txt"
    path.write_text(f"{shlex.join(words)}\n{shlex.join(['everest', 'x'])}\n")
    assert [shlex.split(command) for command in commands(path)] == [words, ["everest", "x"]]


def test_mean_speed_weighs_epochs_by_their_time(pretraining: Facts) -> None:
    lines = [
        {"epoch": 1, "seconds": 30.0, "clips_per_second": 10.0},
        {"epoch": 2, "seconds": 10.0, "clips_per_second": 50.0},
    ]
    assert replace(pretraining, timings=lines).mean_timing("clips_per_second") == 20.0
    assert replace(pretraining, timings=[]).mean_timing("clips_per_second") is None


def test_the_clock_tells_steps_epochs_and_hours(pretraining: Facts) -> None:
    clock = series.clock(pretraining)
    assert clock[0] == (0.0, 0.0, 0.0)
    assert clock[-1] == (10.0 * EPOCHS, EPOCHS, pytest.approx(EPOCHS * 60 / 3600, rel=1e-5))


def test_a_long_curve_is_averaged_over_equal_parts_and_gaps_stay() -> None:
    points = [(float(step), None if step < 4 else float(step)) for step in range(2 * 500)]
    found = series.thinned(points)
    assert len(found) == 500
    assert found[0] == (0.5, None)
    assert found[2] == (4.5, 4.5)


def test_values_that_are_not_finite_are_gaps_and_a_curve_without_values_is_none() -> None:
    lines = [{"step": 1, "loss": math.nan}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": None}]
    assert series.curve_of(lines, "loss") == [(1.0, None), (2.0, 1.0), (3.0, None)]
    assert series.curve_of(lines[:1], "loss") == []


def test_charts_without_a_value_are_left_out(pretraining: Facts, finetuning: Facts) -> None:
    common = {"speed", "wait", "rate", "gradient", "loss"}
    assert {chart.name for chart in series.charts_of(pretraining)} == common | {"held_out"}
    assert {chart.name for chart in series.charts_of(finetuning)} == common | {"top1"}


def test_a_figure_of_a_new_kind_gets_a_chart_of_its_name() -> None:
    lines = [{"step": 1, "columns": {"a": {"odd": 2.0, "clips": 3}, "b": {"map": 0.5}}}]
    assert [(chart.name, chart.title) for chart in series.accuracy_charts(lines)] == [
        ("odd", "odd"),
        ("map", "Mean average precision"),
    ]


def test_the_effective_rank_counts_equal_directions() -> None:
    directions = np.eye(6, dtype=np.float32)[:4]
    vectors = np.concatenate((directions, -directions)) + 7
    spread = spread_of(vectors)
    assert spread is not None
    assert spread.effective_rank == pytest.approx(4)
    assert (spread.ceiling, spread.ninety) == (6, 4)


def test_the_effective_rank_of_collapsed_features_is_one() -> None:
    line = np.outer(np.arange(5, dtype=np.float32), np.ones(8, np.float32))
    spread = spread_of(line)
    assert spread is not None
    assert spread.effective_rank == pytest.approx(1, abs=1e-3)


def test_the_effective_rank_does_not_hear_of_scale_or_place() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 7)).astype(np.float32)
    one, other = spread_of(vectors), spread_of(100 * vectors - 3)
    assert one is not None and other is not None
    assert one.effective_rank == pytest.approx(other.effective_rank, rel=1e-4)
    assert np.allclose(one.points, other.points, atol=1e-3)


def test_features_that_say_nothing_have_no_spread() -> None:
    assert spread_of(np.ones((9, 4), np.float32)) is None
    assert spread_of(np.zeros((2, 4), np.float32)) is None
    assert spread_of(np.full((9, 4), np.nan, np.float32)) is None


@pytest.mark.parametrize("count", [1, 5, 16])
def test_a_sheet_holds_every_frame_at_its_place(count: int) -> None:
    import base64
    import io

    from PIL import Image

    levels = np.linspace(20, 235, count).astype(np.uint8)
    video = np.broadcast_to(levels[:, None, None, None], (count, 12, 20, 3))
    found = sprites(video)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.picture.split(",")[1]))))
    for number in range(count):
        row, column = divmod(number, found.columns)
        top, left = row * found.height + 6, column * found.width + 10
        assert abs(int(sheet[top, left, 0]) - int(levels[number])) <= 4


def test_large_frames_are_shrunk_and_grey_ones_are_shown() -> None:
    found = sprites(np.zeros((2, 320, 640, 1), np.uint8))
    assert (found.width, found.height) == (320, 160)


def test_confusions_and_worst_clips_come_of_the_evaluation(finetuning: Facts) -> None:
    (column,) = evaluated(finetuning)
    assert column.confusion is not None and column.confusion.names == list(CLASSES)
    assert column.confusion.counts[3] == [0, 0, 1, 2]
    assert [(one.label, one.predicted) for one in column.worst] == [
        (CLASSES[0], CLASSES[1]),
        (CLASSES[2], CLASSES[0]),
        (CLASSES[3], CLASSES[2]),
    ]
    assert column.total == 12
    assert column.per_class[0][1] == pytest.approx(2 / 3)
    assert column.calibration is not None
    assert column.calibration.error == pytest.approx((4 * 0.2 + 8 * 0.025) / 12)


def test_predictions_of_another_evaluation_are_not_mixed_in(tmp_path: Path) -> None:
    run = pretended.finetuned(tmp_path / "run")
    lines = (run / "predictions.csv").read_text().splitlines()
    (run / "predictions.csv").write_text("\n".join(lines[:5]) + "\n")
    (column,) = evaluated(read_facts(run))
    assert column.total == 0 and not column.listed
    assert column.confusion is not None


def test_without_an_evaluation_nothing_is_shown_of_one(tmp_path: Path) -> None:
    run = pretended.finetuned(tmp_path / "run")
    (run / "evaluation.json").unlink()
    assert evaluated(read_facts(run)) == []
    assert "What is taken for what" not in run_page(read_facts(run))


def test_a_recipe_marks_what_is_not_the_default(pretraining: Facts) -> None:
    marked = {field.name for field in recipe_fields([pretraining.recipe]) if field.is_marked}
    assert marked == {"model", "size", "patch", "frames", "stride", "epochs"}


def test_several_recipes_mark_what_differs(pretraining: Facts, finetuning: Facts) -> None:
    other = {**pretraining.recipe, "keep": 0.5}
    fields = recipe_fields([pretraining.recipe, other])
    assert [(field.name, field.values) for field in fields if field.is_marked] == [
        ("keep", ["0.3", "0.5"])
    ]
    both = {field.name: field.values for field in recipe_fields([other, finetuning.recipe])}
    assert both["visible"][1] == "–" and both["pool"][0] == "–"


def test_fields_are_explained_by_the_comments_of_the_recipe(pretraining: Facts) -> None:
    told = {field.name: field.meaning for field in recipe_fields([pretraining.recipe])}
    assert told["frames"] == "of a clip"
    assert told["optim.eps"] == ""


def test_the_cost_is_held_against_videomaes(pretraining: Facts, finetuning: Facts) -> None:
    cost = compared_cost(pretraining)
    assert cost is not None
    assert cost.tokens == (
        "reads 6 of 64 tokens, predicts 13",
        "reads 8 of 64 tokens, predicts 56",
    )
    assert cost.times > 1.5
    assert compared_cost(replace(finetuning, config={})) is None


def test_commands_hold_names_that_a_shell_could_misread(pretraining: Facts) -> None:
    found = steps(pretraining)
    again = next(step.command for step in found if step.why.startswith("Do the same"))
    assert shlex.split(again)[:3] == ["everest", "pretrain", f"/videos/{IMAGE}"]
    run = str(pretraining.path.absolute())
    assert shlex.split(found[0].command)[:3] == ["everest", "show", run]


def test_a_run_that_was_stopped_is_gone_on_with_first(pretraining: Facts) -> None:
    recipe = {**pretraining.recipe, "epochs": 2 * EPOCHS}
    facts = replace(pretraining, recipe=recipe)
    assert status(facts) == ("going", f"{EPOCHS} of {2 * EPOCHS} epochs done")
    assert steps(facts)[0].command == f"{pretraining.commands[0]} --resume"


def test_bad_files_and_classes_are_counted(finetuning: Facts) -> None:
    data = data_of(finetuning)
    assert [entry["path"] for entry in data.bad] == [f"/videos/{name}" for name in HOSTILE]
    assert [(one.train, one.held_out) for one in data.classes["label"]] == [
        (6, 3),
        (5, 3),
        (5, 3),
        (5, 3),
    ]
    assert data.chance == {"label": 0.25}
    assert data.train_bad == 1


def test_the_figures_at_the_top_are_those_of_the_last_validation(
    pretraining: Facts, finetuning: Facts
) -> None:
    assert held_out_share(pretraining) == pytest.approx(0.4)
    assert tiles(pretraining, None)[0].value == "0.40"
    assert tiles(finetuning, None)[0].value == "75.0 %"
    bare = replace(finetuning, evaluation={})
    assert tiles(bare, None)[0].value == "60.0 %"
    assert tiles(replace(bare, metrics=[], timings=[], looks={}), None) == []


def test_a_run_without_a_single_epoch_has_a_page(tmp_path: Path) -> None:
    run = pretended.pretrained(tmp_path / "run")
    for name in ("metrics.jsonl", "timings.jsonl", "samples/looks.json", "data.json", "env.json"):
        (run / name).unlink()
    (run / "weights" / "last" / "config.json").unlink()
    assert "no epoch is done yet" in run_page(read_facts(run))


@given(st.text())
def test_no_text_can_leave_the_script_that_holds_the_data(text: str) -> None:
    found = embedded({text: [text, math.inf]})
    assert not set("<>&\u2028\u2029") & set(found)
    (value,) = json.loads(found).values()
    assert value[1] is None


@pytest.mark.parametrize("name", ["pretrained_folder", "finetuned_folder"])
def test_no_tag_of_a_stranger_is_in_the_source(name: str, request: pytest.FixtureRequest) -> None:
    text = run_page(read_facts(request.getfixturevalue(name)))
    assert "<img" not in text and "<i>run" not in text
    assert text.count("</script>") == text.count("<script") == 2
    assert 'onmouseover="' not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_the_policy_names_the_script_by_its_digest(pretraining: Facts) -> None:
    import base64
    import hashlib
    import re

    text = run_page(pretraining)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"script-src &#39;sha256-{digest}&#39;" in text
    assert "default-src &#39;none&#39;" in text


def test_a_path_that_is_not_whole_is_no_link() -> None:
    assert link("a b.mp4") == ""
    assert link('/v/"><b>.mp4') == "file:///v/%22%3E%3Cb%3E.mp4"


def test_a_file_that_is_none_of_ours_is_not_written_over(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<html>mine</html>")
    with pytest.raises(FolderError, match="not written by everest report"):
        write_page("<html></html>", page)
    assert page.read_text() == "<html>mine</html>"


def test_pages_of_ours_are_written_over_and_leave_no_parts(
    pretraining: Facts, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    write_page(run_page(pretraining), page)
    write_page(run_page(pretraining), page)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_runs_of_one_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    facts = [
        read_facts(pretended.pretrained(tmp_path / above / "run", keep=keep))
        for above, keep in (("a", 0.3), ("b", 0.5))
    ]
    assert short_names(facts) == ["a/run", "b/run"]
    text = comparison_page(facts, tmp_path / "comparison.html")
    assert "Their recipes differ in <code>keep</code>." in text


def test_the_card_says_what_it_is_how_it_is_loaded_and_what_is_owed(finetuning: Facts) -> None:
    text = card(finetuning)
    assert text.startswith("---\nlibrary_name: everest-video\n")
    assert "| Accuracy (top-1), label (evaluated, 12 clips) | 75.0 %" in text
    for part in ("ev.load(", "## Licence", "@inproceedings{hwang2024everest,", "everest predict"):
        assert part in text


def test_the_card_escapes_names(finetuning: Facts, pretraining: Facts) -> None:
    text = card(finetuning)
    outside = "".join(text.split("```")[::2])
    assert "<b>" not in outside.replace("\\<b\\>", "")
    assert "# pre \\<i\\>run\n" in card(pretraining)
    assert escaped("a|b\n<c>") == "a\\|b \\<c\\>"
    assert fenced("``` x").startswith("````\n")


def test_a_card_that_its_owner_changed_is_left_alone(tmp_path: Path) -> None:
    facts = read_facts(pretended.pretrained(tmp_path / "run"))
    path = write_card(facts)
    assert path is not None
    path.write_text(path.read_text().replace(MARK, "") + "mine")
    assert write_card(facts) is None
    assert path.read_text().endswith("mine")
