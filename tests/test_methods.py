"""Every method is one path with other parts: each trains, goes on exactly, and is used alike."""

import json
from pathlib import Path

import pytest

from everest.build import read_config
from tiny import TINY_PRETRAIN, LabelledSet, contents, done, everest

pytest.importorskip("cv2", reason="MME's trajectories need the [motion] extra")
METHODS = ("everest", "videomae", "mvd", "mme")


@pytest.fixture(scope="module")
def parts(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What methods learn from beside the clip: teachers `image` and `video`, and `maps`."""
    folder = tmp_path_factory.mktemp("parts")
    words = ["pretrain", labelled.table, *TINY_PRETRAIN, "--epochs", 1, "--method", "videomae"]
    image = ["--frames", 1, "--tubelet", 1, "--visible", 0.25]
    done(*words, *image, "--out", folder / "image")
    done(*words, "--visible", 0.25, "--out", folder / "video")
    side = ["--short-side", 32, "--workers", 1]
    done("trajectories", labelled.table, *side, "--out", folder / "maps")
    return folder


def words_of(method: str, parts: Path) -> list[object]:
    more: dict[str, list[object]] = {
        "mvd": ["--image-teacher", parts / "image", "--video-teacher", parts / "video"],
        "mme": ["--trajectories", parts / "maps"],
    }
    visible = [] if method == "everest" else ["--visible", 0.25]
    return [*TINY_PRETRAIN, "--method", method, *visible, *more.get(method, [])]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("framed", [False, True])
def test_a_method_pretrains_and_is_held_against_its_controls(
    method: str, framed: bool, labelled: LabelledSet, parts: Path, tmp_path: Path
) -> None:
    out = tmp_path / method
    more = ["--frame-select"] if framed else []
    done(
        *("pretrain", labelled.table, *words_of(method, parts), *more),
        *("--epochs", 2, "--out", out),
    )
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    held = [line for line in lines if line["kind"] == "eval"][-1]
    assert held["clips"] > 0
    assert all(held[name] > 0 for name in ("held_out", "constant", "other_clip"))
    names = [
        [target.name for target in it.targets]
        for it in read_config(out / "weights" / "last").decoders
    ]
    assert (
        names
        == {
            "everest": [["pixels"]],
            "videomae": [["pixels"]],
            "mvd": [["image_features"], ["video_features"]],
            "mme": [["hog", "trajectory"]],
        }[method]
    )


@pytest.mark.parametrize("method", ["mvd", "mme"])
def test_a_method_that_was_stopped_goes_on_to_the_same_bits(
    method: str, labelled: LabelledSet, parts: Path, tmp_path: Path
) -> None:
    words = ["pretrain", labelled.table, *words_of(method, parts), "--epochs", 2]
    done(*words, "--out", tmp_path / "whole")
    assert everest(*words, "--out", tmp_path / "parts", "--stop-after", 1).code == 0
    done(*words, "--out", tmp_path / "parts", "--resume", "--workers", 2)
    whole, resumed = (contents(tmp_path / name / "weights" / "last") for name in ("whole", "parts"))
    assert whole == resumed


@pytest.mark.parametrize("method", ["mvd", "mme"])
def test_what_a_method_made_is_shown_embedded_and_finetuned_without_its_parts(
    method: str, labelled: LabelledSet, parts: Path, tmp_path: Path
) -> None:
    out, video = tmp_path / method, labelled.files[0]
    done("pretrain", labelled.table, *words_of(method, parts), "--epochs", 1, "--out", out)
    done("show", out, video, "-o", tmp_path / "tokens.png")
    done("embed", out, video, "-o", tmp_path / "vectors.npz")
    words = ["--init", out, "--epochs", 1, "--batch-size", 4, "--workers", 0]
    done("finetune", labelled.table, *words, "--out", tmp_path / "classifier")
    wanted = "sincos3d" if method == "mvd" else "sinusoid"
    assert read_config(tmp_path / "classifier" / "weights" / "last").vit.positions == wanted


@pytest.mark.parametrize(
    "words",
    [
        ["--select", "rero", "--targets", "hog,trajectory"],
        ["--select", "random", "--targets", "pixels,hog"],
        ["--select", "tube", "--visible", "0.25", "--targets", "pixels+trajectory"],
    ],
)
def test_any_selector_goes_with_any_targets(
    words: list[str], labelled: LabelledSet, parts: Path, tmp_path: Path
) -> None:
    maps = ["--trajectories", parts / "maps"] if "trajectory" in words[-1] else []
    done(
        *("pretrain", labelled.table, *TINY_PRETRAIN, *words, *maps),
        *("--epochs", 1, "--out", tmp_path / "run"),
    )
