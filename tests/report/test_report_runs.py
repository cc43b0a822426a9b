"""The report of real runs: written as they go on, written again, and never in their way."""

import json
from pathlib import Path

import pretended
import pytest

from everest.report.page.facts import LOOKS, read_facts
from everest.report.page.writing import SHARE, Reporter
from everest.run import load
from tiny import TINY, LabelledSet, damage, done, everest


def test_a_pretraining_leaves_a_page_and_a_card(pretrained: Path) -> None:
    page = (pretrained / "report.html").read_text()
    assert "finished, 2 epochs" in page
    assert "ev.load(" in (pretrained / "README.md").read_text()
    looks = json.loads((pretrained / LOOKS).read_text())
    (sample, *_) = looks["samples"]
    assert sample["rebuilt"] and sample["grid"] == [2, 4, 4]
    assert (sample["visible"], sample["masked"], sample["total"]) == (3, 6, 32)
    assert looks["epoch"] == 2 and looks["train"]["clips"] > 0


def test_a_fine_tuning_shows_clips_of_each_class_with_what_is_said_of_them(
    finetuned: Path,
) -> None:
    looks = json.loads((finetuned / LOOKS).read_text())
    labels = [sample["labels"][0] for sample in looks["samples"]]
    assert {label["is"] for label in labels} == {"down", "left", "right", "up"}
    assert all(0 < label["says"][0][1] <= 1 for label in labels)
    assert looks["features"]["clips"] == 4
    assert "finished, 2 epochs" in (finetuned / "report.html").read_text()


def test_the_command_writes_the_page_again_and_a_comparison(
    pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    told = done("report", pretrained, "--out", tmp_path / "a.html", "--json")
    assert json.loads(told.out)["report"] == str(tmp_path / "a.html")
    done("report", pretrained, finetuned, "-o", tmp_path / "both.html")
    assert "2 runs beside each other" in (tmp_path / "both.html").read_text()


def test_pictures_are_made_again_with_the_model_where_asked(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done("finetune", labelled.table, "--out", run, "--epochs", 1, *TINY)
    before = json.loads((run / LOOKS).read_text())
    (run / LOOKS).unlink()
    page = load(run).report(quiet=True)
    assert page == run / "report.html"
    again = json.loads((run / LOOKS).read_text())
    assert again["samples"] == before["samples"]
    assert again["features"]["points"] == before["features"]["points"]
    assert again["held_out"] == before["held_out"]


def test_a_run_whose_videos_are_gone_has_a_page_without_pictures(tmp_path: Path) -> None:
    run = pretended.pretrained(tmp_path / "run")
    (run / LOOKS).unlink()
    told = done("report", run)
    assert "without pictures of clips" in told.out and "not where they were" in told.out
    assert (run / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["report"], "runs"),
        (["report", "nowhere"], "not a run folder"),
        (["report", "{run}", "{run}"], "given twice"),
        (["report", "{run}", "-o", "{run}/none/x.html"], "there is no folder"),
    ],
)
def test_what_cannot_be_reported_is_refused_before_any_work(
    words: list[str], told: str, tmp_path: Path, pretrained_folder: Path
) -> None:
    answer = everest(*(word.format(run=pretrained_folder) for word in words))
    assert answer.code == 2
    assert told in answer.err + answer.out


def test_a_stopped_run_leaves_a_page_that_says_how_to_go_on(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["finetune", labelled.table, "--out", run, "--epochs", 3, *TINY]
    done(*words, "--stop-after", 1)
    page = (run / "report.html").read_text()
    assert "1 of 3 epochs done" in page and "--resume" in page
    done(*words, "--resume")
    assert "finished, 3 epochs" in (run / "report.html").read_text()


def test_an_error_in_the_report_is_a_warning_and_the_run_ends_well(
    labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(facts: object) -> str:
        raise ZeroDivisionError("a page that breaks")

    monkeypatch.setattr("everest.report.page.rendering.run_page", broken)
    run = tmp_path / "run"
    told = done("finetune", labelled.table, "--out", run, "--epochs", 1, *TINY)
    assert "report.html could not be written (ZeroDivisionError: a page that breaks)" in told.out
    assert (run / "weights" / "last" / "model.safetensors").is_file()
    assert not (run / "report.html").exists()


def test_a_file_that_breaks_later_is_listed_in_the_page(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for file in labelled.files[:9]:
        (videos / file.name).write_bytes(file.read_bytes())
    broken = videos / "<img src=x onerror=alert(1)>.mp4"
    broken.write_bytes(labelled.files[0].read_bytes())
    damage(broken)
    run = tmp_path / "run"
    small = ["--decoder-width", 16, "--decoder-depth", 1, "--epochs", 1]
    done("pretrain", videos, "--out", run, *TINY, *small)
    page = (run / "report.html").read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;.mp4" in page and "<img" not in page
    assert len(read_facts(run).data["bad"]) == 1


def test_pages_take_a_small_share_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("everest.report.page.writing.time.monotonic", lambda: now[0])

    class Ready:
        class recipe:
            epochs = 1000

    reporter = Reporter(Ready(), 1, None)  # type: ignore[arg-type]
    written = []

    def pages(self: Reporter) -> None:
        now[0] += 2.0
        written.append(now[0])

    monkeypatch.setattr(Reporter, "write_looks", lambda self, epoch, features: None)
    monkeypatch.setattr(Reporter, "write_pages", pages)
    for epoch in range(1, 1000):
        now[0] += 1.0
        reporter.after_epoch(epoch)
    assert len(written) > 2
    assert reporter.spent <= (SHARE + 0.003) * now[0]


def test_pages_along_the_way_change_no_result(
    labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    pages = Reporter.write_pages

    def counted(self: Reporter) -> None:
        pages(self)
        written.append((self.ready.folder.path / "report.html").read_text())

    monkeypatch.setattr(Reporter, "write_pages", counted)
    words = ["pretrain", labelled.videos, "--epochs", 3, "--eval-every", 1, "--frame-select"]
    words += [*TINY, "--decoder-width", 16, "--decoder-depth", 1]
    for name, share in (("often", 1e9), ("once", 0.0)):
        monkeypatch.setattr("everest.report.page.writing.SHARE", share)
        done(*words, "--out", tmp_path / name)
    told = ["1 of 3 epochs done", "2 of 3 epochs done", "finished, 3 epochs", "finished, 3 epochs"]
    assert [words in page for words, page in zip(told, written, strict=True)] == [True] * 4
    for file in ("metrics.jsonl", "weights/last/model.safetensors"):
        often, once = (tmp_path / name / file for name in ("often", "once"))
        assert often.read_bytes() == once.read_bytes()
