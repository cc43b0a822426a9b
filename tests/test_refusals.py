"""Bad input is refused with a sentence that names it and says what to do; nothing is touched."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from everest.recipes import RECIPES
from tiny import TINY, TINY_PRETRAIN, LabelledSet, contents, done, everest

SMALL_BATCH = [*TINY_PRETRAIN, "--epochs", "1", "--batch-size", "2"]


def refused(folder: Path, *words: object) -> str:
    """Runs a command that has to be refused; returns what it said, when nothing else happened."""
    before = contents(folder)
    told = everest(*words)
    assert told.code == 2, told.err or told.out
    assert "Traceback" not in told.err + told.out
    assert contents(folder) == before
    assert told.out == ""
    assert len(told.err) < 2000
    print(told.err)
    return told.err


class Once:
    """Commands without a fault, each run once however many tests hold theirs against it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: set[tuple[str, ...]] = set()

    def __call__(self, *words: object) -> None:
        command = tuple(map(str, words))
        if command not in self.ran:
            done(*command, "--out", self.folder / str(len(self.ran)))
            self.ran.add(command)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    return Once(tmp_path_factory.mktemp("done"))


def pretrain(source: object, out: Path | str = "", *more: object) -> list[object]:
    where = ["--out", out] if out else []
    return ["pretrain", source, *where, *SMALL_BATCH, *more]


def finetune(source: object, out: Path | str = "", *more: object) -> list[object]:
    where = ["--out", out] if out else []
    return ["finetune", source, *where, *TINY, "--epochs", "1", "--batch-size", "2", *more]


# Sources


def make_bad_source(kind: str, folder: Path, labelled: LabelledSet) -> None:
    folder.mkdir()
    if kind == "no video":
        (folder / "notes.txt").write_text("a list of things to do\n")
        (folder / "picture.jpg").write_bytes(b"\xff\xd8\xff")
    for number in range(3):
        path = folder / f"{number}.mp4"
        if kind == "text":
            path.write_text("this is no film\n" * 30)
        elif kind == "0 bytes":
            path.write_bytes(b"")
        elif kind == "cut":
            whole = labelled.files[number].read_bytes()
            path.write_bytes(whole[: len(whole) // (2 + number)])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no file", "no video"),
        ("no video", "no video"),
        ("text", "0.mp4"),
        ("0 bytes", "0 bytes"),
        ("cut", "0.mp4"),
    ],
)
def test_a_source_that_holds_no_readable_video_is_refused_and_passes_with_videos_in_it(
    kind: str, said: str, labelled: LabelledSet, tmp_path: Path
) -> None:
    source, out = tmp_path / "videos", tmp_path / "run"
    make_bad_source(kind, source, labelled)
    told = refused(tmp_path, *pretrain(source, out))
    assert said in told
    assert str(source) in told
    assert "give" in told or "for example" in told
    for number in range(3):
        shutil.copy(labelled.files[number], source / f"{number}.mp4")
    done(*pretrain(source, out))


def test_a_missing_path_is_named_with_what_is_there_instead(
    labelled: LabelledSet, tmp_path: Path, once: Once
) -> None:
    missing = labelled.folder / "vidoes"
    told = refused(tmp_path, *pretrain(missing, tmp_path / "run"))
    assert str(missing) in told and "did you mean 'videos'" in told
    once(*pretrain(labelled.videos))


# Lists


def table(path: Path, header: str, rows: list[tuple[object, ...]]) -> Path:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def rows_of(labelled: LabelledSet) -> list[tuple[object, ...]]:
    """path,label,split of four clips in two classes, two a split."""
    files = labelled.files
    labels, splits = ("left", "right", "left", "right"), ("train", "train", "val", "val")
    return list(zip(files[:4], labels, splits, strict=True))


def test_a_list_without_a_column_of_paths_is_refused_and_passes_with_it(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    source = table(tmp_path / "list.csv", "movie,label,split", rows_of(labelled))
    told = refused(tmp_path, *finetune(source, tmp_path / "run"))
    assert "list.csv" in told and "no column 'path'" in told and "movie, label, split" in told
    table(source, "path,label,split", rows_of(labelled))
    done(*finetune(source, tmp_path / "run"))


def test_a_list_without_a_column_of_labels_is_refused_and_passes_with_it(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    bare = [(path, split) for path, _, split in rows_of(labelled)]
    source = table(tmp_path / "list.csv", "path,split", bare)
    told = refused(tmp_path, *finetune(source, tmp_path / "run"))
    assert "list.csv" in told and "label" in told and "path, split" in told
    table(source, "path,label,split", rows_of(labelled))
    done(*finetune(source, tmp_path / "run"))


@pytest.mark.parametrize("option", ["--label", "--group"])
def test_a_column_that_is_asked_for_and_not_there_is_refused(
    option: str, labelled: LabelledSet, tmp_path: Path
) -> None:
    source = table(tmp_path / "list.csv", "path,label,split", rows_of(labelled))
    told = refused(tmp_path, *finetune(source, tmp_path / "run", option, "lable"))
    assert "lable" in told and "label" in told
    done(*finetune(source, tmp_path / "run", "--label", "label"))


def test_a_file_in_train_and_in_val_is_refused(labelled: LabelledSet, tmp_path: Path) -> None:
    rows = rows_of(labelled)
    torn = [*rows, (rows[0][0], rows[0][1], "val")]
    source = table(tmp_path / "list.csv", "path,label,split", torn)
    told = refused(tmp_path, *finetune(source, tmp_path / "run"))
    assert str(rows[0][0]) in told and "line 6" in told and "line 2" in told
    assert "one side only" in told
    table(source, "path,label,split", rows)
    done(*finetune(source, tmp_path / "run"))


def test_one_span_under_two_labels_is_refused(labelled: LabelledSet, tmp_path: Path) -> None:
    spans = [(*row, 0, 0.5) for row in rows_of(labelled)]
    path, _, split, start, end = spans[0]
    header = "path,label,split,start,end"
    twice = [*spans, (path, "right", split, start, end)]
    source = table(tmp_path / "list.csv", header, twice)
    told = refused(tmp_path, *finetune(source, tmp_path / "run"))
    assert "'right'" in told and "'left'" in told and "line 6" in told and "remove one" in told
    table(source, header, [*spans, (path, "right", split, 0.5, 1)])
    done(*finetune(source, tmp_path / "run"))


def test_one_class_alone_is_refused(labelled: LabelledSet, tmp_path: Path) -> None:
    single = [(path, "left", split) for path, _, split in rows_of(labelled)]
    source = table(tmp_path / "list.csv", "path,label,split", single)
    told = refused(tmp_path, *finetune(source, tmp_path / "run"))
    assert "'left'" in told and "two classes" in told
    table(source, "path,label,split", rows_of(labelled))
    done(*finetune(source, tmp_path / "run"))


# Sizes and budgets: the clips have 2 x 4 x 4 = 32 tokens


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("--frames", 5), ("--frames 5", "multiple", "tubelet", "2", "4", "6")),
        (("--size", 36), ("--size 36", "multiple", "patch", "8", "32", "40")),
        (("--size", "32x30"), ("--size 32x30", "multiple", "patch", "8")),
        (("--frames", 16), ("--frames 16", "8 frames", "--frames 8")),
        (("--keep", 0), ("--keep 0", "32 tokens")),
        (("--keep", "0.0"), ("--keep 0.0", "above 0")),
        (("--keep", 1.5), ("--keep 1.5", "at most 1.0")),
        (("--keep", 33), ("--keep 33", "32 tokens", "1 to 32")),
        (("--keep", 1), ("--keep 1 ", "1.0 for all tokens")),
        (("--keep", -1), ("--keep -1", "32 tokens")),
        (("--keep", 3), ("--keep 3", "--visible 0.1", "fewer")),
        (("--visible", 9), ("--visible 9", "--keep 0.3", "fewer")),
        (("--visible", 0.5), ("--visible 0.5", "--keep 0.3", "fewer")),
        (("--visible", 0), ("--visible 0",)),
        (("--batch-size", 64), ("--batch-size 64", "15 clips", "15 or fewer")),
        (("--batch-size", 0), ("--batch-size 0", "at least 1")),
        (("--model", "vit-z"), ("--model vit-z", "vit-ti", "vit-s", "vit-b", "vit-l", "vit-h")),
        (("--recipe", "small-date"), ("--recipe small-date", "small-data")),
        (("--device", "cuda:99"), ("--device cuda:99", "cpu")),
        (("--epochs", 0), ("--epochs 0", "above 0")),
        (("--stride", 0), ("--stride 0", "above 0")),
        (("--workers", -1), ("--workers -1",)),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_refused_by_name(
    fault: tuple[object, ...],
    said: tuple[str, ...],
    labelled: LabelledSet,
    tmp_path: Path,
    once: Once,
) -> None:
    told = refused(tmp_path, *pretrain(labelled.videos, tmp_path / "run", *fault))
    assert [part for part in said if part not in told] == []
    once(*pretrain(labelled.videos))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("--keep", 1), ("--keep 1 ", "1.0 for all tokens")),
        (("--keep", "0.0"), ("--keep 0.0", "above 0")),
        (("--batch-size", 9), ("--batch-size 9", "8 clips")),
        (("--frames", 16), ("--frames 16", "8 frames")),
        (("--labels-per-class", 0), ("--labels-per-class 0", "at least 1")),
    ],
    ids=str,
)
def test_fine_tuning_refuses_by_name_too(
    fault: tuple[object, ...],
    said: tuple[str, ...],
    labelled: LabelledSet,
    tmp_path: Path,
    once: Once,
) -> None:
    told = refused(tmp_path, *finetune(labelled.table, tmp_path / "run", *fault))
    assert [part for part in said if part not in told] == []
    once(*finetune(labelled.table))


@pytest.mark.parametrize("share", [0, 1, 80])
def test_a_share_that_is_none_cannot_split(
    share: float, labelled: LabelledSet, tmp_path: Path
) -> None:
    unsplit = [(path, label) for path, label, _ in rows_of(labelled)]
    source = table(tmp_path / "list.csv", "path,label", unsplit)
    told = refused(tmp_path, *finetune(source, tmp_path / "run", "--split", share))
    assert f"--split {share}" in told and "0.8" in told
    told = refused(tmp_path, *finetune(source, tmp_path / "run"))
    assert "no split" in told and "--split 0.8" in told
    done(*finetune(source, tmp_path / "run", "--split", 0.5))


def test_an_unknown_option_is_refused_with_the_nearest_name(
    labelled: LabelledSet, tmp_path: Path, once: Once
) -> None:
    told = refused(tmp_path, *pretrain(labelled.videos, tmp_path / "run", "--keeep", 0.5))
    assert "--keeep" in told and "--keep" in told.replace("--keeep", "")
    once(*pretrain(labelled.videos))


def test_an_unknown_command_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    told = refused(tmp_path, "pretain", "videos")
    assert "pretain" in told and "did you mean pretrain" in told


def test_a_word_where_a_number_belongs_is_refused(
    labelled: LabelledSet, tmp_path: Path, once: Once
) -> None:
    told = refused(tmp_path, *pretrain(labelled.videos, tmp_path / "run", "--epochs", "many"))
    assert "many" in told and "--epochs" in told
    once(*pretrain(labelled.videos))


# Output folders


def test_an_output_folder_that_is_not_empty_is_refused_and_kept(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("three years of work")
    told = refused(tmp_path, *pretrain(labelled.videos, out))
    assert str(out) in told and "not empty" in told and "--resume" in told
    told = refused(tmp_path, *pretrain(labelled.videos, out, "--overwrite"))
    assert str(out) in told and "thesis.txt" in told
    done(*pretrain(labelled.videos, tmp_path / "other"))
    done(*pretrain(labelled.videos, tmp_path / "other", "--overwrite"))


def test_a_refused_command_with_overwrite_leaves_the_run_that_is_there(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(pretrained, out)
    told = refused(tmp_path, *pretrain(labelled.videos, out, "--overwrite", "--frames", 16))
    assert "--frames 16" in told


@pytest.mark.parametrize("below", ["", "run"])
def test_an_output_folder_that_is_a_file_is_refused(
    below: str, labelled: LabelledSet, tmp_path: Path, once: Once
) -> None:
    (tmp_path / "file").write_text("kept")
    out = tmp_path / "file" / below
    told = refused(tmp_path, *pretrain(labelled.videos, out))
    assert str(out) in told and "is a file" in told and "give a folder" in told
    once(*pretrain(labelled.videos))


def read_only_folder(tmp_path: Path) -> Path:
    """A folder that not even this user can write to; root can write to all but the kernel's."""
    if os.geteuid() == 0:
        return Path("/sys")
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    return folder


def test_an_output_folder_that_is_read_only_is_refused(
    labelled: LabelledSet, tmp_path: Path, once: Once
) -> None:
    locked = read_only_folder(tmp_path)
    told = refused(tmp_path, *pretrain(labelled.videos, locked / "everest-run"))
    assert str(locked / "everest-run") in told and "cannot be written" in told
    assert "give a folder" in told
    assert not (locked / "everest-run").exists()
    told = refused(tmp_path, *pretrain(tmp_path / "none", locked / "everest-run"))
    assert "cannot be written" in told  # said before the sources are looked at
    once(*pretrain(labelled.videos))


# What to start from


def from_run(labelled: LabelledSet, out: Path, init: object, *more: object) -> list[object]:
    return ["finetune", labelled.table, "--out", out, "--init", init, "--epochs", 1, *TINY, *more]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("--model", "48x2x2"), ("32", "48", "--model")),
        (("--patch", 16), ("16", "8", "--patch")),
        (("--model", "32x3x2"), ("lacks", "depth")),
        (("--model", "32x1x2"), ("no place", "--model")),
        (("--tubelet", 1), ("--tubelet",)),
    ],
    ids=str,
)
def test_weights_of_another_shape_are_refused_with_both_shapes(
    fault: tuple[object, ...],
    said: tuple[str, ...],
    labelled: LabelledSet,
    pretrained: Path,
    tmp_path: Path,
) -> None:
    told = refused(tmp_path, *from_run(labelled, tmp_path / "run", pretrained, *fault))
    assert f"--init {pretrained}" in told
    assert [part for part in said if part not in told] == []
    done(*from_run(labelled, tmp_path / "run", pretrained))


def test_a_classifier_cannot_start_a_pre_training(
    labelled: LabelledSet, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    command = pretrain(labelled.videos, tmp_path / "run")
    told = refused(tmp_path, *command, "--init", finetuned)
    assert f"--init {finetuned}" in told and "without a decoder" in told
    done(*command, "--init", pretrained)


def test_a_file_without_a_decoder_cannot_start_a_pre_training(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    from everest.convert.tables import FINETUNE, to_theirs

    ours = load_file(finetuned / "weights" / "best" / "model.safetensors")
    kept = {name: value for name, value in ours.items() if name.startswith(("reader", "heads"))}
    theirs = to_theirs(kept, FINETUNE)
    features = theirs["head.weight"].shape[1]
    theirs |= {f"fc_norm.{name}": torch.ones(features) for name in ("weight", "bias")}
    file = tmp_path / "encoder.safetensors"
    save_file(theirs, file)
    told = refused(tmp_path, *pretrain(labelled.videos, tmp_path / "run", "--init", file))
    assert str(file) in told and "without a decoder" in told
    done(*from_run(labelled, tmp_path / "run", file, "--encoder-norm", "keep"))


def test_a_file_that_holds_no_weights_is_refused(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    text = tmp_path / "model.pth"
    text.write_text("not weights at all")
    empty = tmp_path / "empty.pth"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.safetensors"
    whole = (pretrained / "weights" / "last" / "model.safetensors").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    other = tmp_path / "other.pth"
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, other)
    missing = tmp_path / "missing.pth"
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in (text, empty, cut, other, missing, bare, labelled.files[0]):
        told = refused(tmp_path, *from_run(labelled, out, file))
        assert str(file) in told
        assert "weights_only" not in told
    done(*from_run(labelled, out, pretrained))


class Code:
    """A pickle of it runs a command when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.canary}'",)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_with_code_in_it_is_refused_and_never_run(
    form: str, labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    canary, file = tmp_path / "canary", tmp_path / "model.pth"
    content = {"model": {"weight": torch.zeros(2), "code": Code(canary)}}
    if form == "bare":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    told = refused(tmp_path, *from_run(labelled, tmp_path / "run", file))
    assert not canary.exists()
    assert str(file) in told and "nothing in it was run" in told
    assert "weights_only" not in told
    done(*from_run(labelled, tmp_path / "run", pretrained))


def test_the_canary_of_these_tests_would_be_seen(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Code(canary)))
    assert canary.exists()


# Going on


def test_a_resume_with_another_recipe_is_refused_and_tells_the_difference(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = pretrain(labelled.videos, out)
    done(*command)
    told = refused(tmp_path, *command, "--resume", "--keep", 0.5)
    assert "--keep was 0.3 and is 0.5" in told and "--workers" in told
    told = refused(tmp_path, *command, "--resume", "--optim.lr", 0.5)
    rate = RECIPES["small-data"].pretrain.optim.lr
    assert f"--optim.lr was {rate} and is 0.5;" in told.replace(")", ";")
    done(*command, "--resume", "--workers", 1)


def test_resume_and_overwrite_together_are_refused(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    told = refused(pretrained, *pretrain(labelled.videos, pretrained, "--resume", "--overwrite"))
    assert "--resume and --overwrite" in told


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (("thesis.tex",), "thesis.tex"),
        (("thesis.tex", "log.txt"), "thesis.tex"),
        (("thesis.tex", "recipe.json", "metrics.jsonl"), "thesis.tex"),
        (("weights",), "does not look like a run"),
        (("data.json", "log.txt"), "does not look like a run"),
    ],
    ids=str,
)
def test_overwrite_removes_nothing_that_no_run_has_written(
    mine: tuple[str, ...], said: str, labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in mine:
        (out / name).write_text("precious")
    before = contents(out)
    told = everest(*pretrain(labelled.videos, out, "--overwrite"))
    assert told.code == 2 and said in told.err and "--overwrite" in told.err
    assert contents(out) == before


def test_overwrite_replaces_a_run_and_one_that_ended_early(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "samples").mkdir(parents=True)
    (out / "log.txt").write_text("it had begun")
    for _ in range(2):
        done(*pretrain(labelled.videos, out, "--overwrite"))
    assert "it had begun" not in (out / "log.txt").read_text()
