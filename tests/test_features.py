"""MVD: what frozen teachers make of the clip is what the student predicts."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from everest import machine
from everest.build import build
from everest.configuring import configure
from everest.masked import MaskedVideoAutoencoder
from everest.recipe import PretrainRecipe
from everest.targets.features import Features
from everest.teachers import digest_of, load_teachers
from everest.vit import VideoTransformer
from textures import noisy_clips, small_vit
from theirs import image_mae
from tiny import TINY_PRETRAIN, LabelledSet, done, everest


def image_teacher(patch: int = 8, **changes: Any) -> VideoTransformer:
    return small_vit(
        tubelet=1, steps=1, patch=patch, class_token=True, norm=False, **changes
    ).eval()


def test_an_image_teacher_reads_the_first_frame_of_each_tubelet() -> None:
    teacher, clips = image_teacher(), noisy_clips(count=2)
    target = Features("image_features", 24, 2, teacher)
    positions = torch.tensor([[0, 7, 23], [5, 6, 12]])
    found = target(clips, small_vit().look(clips), positions)
    for clip in range(2):
        for slot, position in enumerate(positions[clip].tolist()):
            step, place = divmod(position, 6)
            frame = clips.video[clip : clip + 1, :, 2 * step : 2 * step + 1]
            patches = teacher.patchify(frame).flatten(1, 3)
            tokens = teacher.encode(
                teacher.embed(patches), torch.arange(6)[None], (1, 2, 3), clips.key[:1]
            )
            torch.testing.assert_close(found[clip, slot], tokens[0, place], rtol=1e-4, atol=1e-5)


def test_a_video_teacher_reads_the_whole_clip() -> None:
    teacher, clips = small_vit(norm=False).eval(), noisy_clips(count=2)
    positions = torch.tensor([[1, 2], [3, 20]])
    look = small_vit().look(clips)
    found = Features("video_features", 24, 2, teacher)(clips, look, positions)
    rows = look.patches.flatten(1, 3)
    every = teacher.encode(
        teacher.embed(rows), torch.arange(24).expand(2, -1), look.grid, clips.key
    )
    torch.testing.assert_close(found, every[torch.arange(2)[:, None], positions])
    assert not found.requires_grad


def test_a_teacher_of_another_patch_reads_the_same_grid_of_tokens() -> None:
    clips = noisy_clips(count=2)
    target = Features("image_features", 24, 2, image_teacher(patch=6))
    found = target(clips, small_vit().look(clips), torch.tensor([[0, 23], [1, 2]]))
    assert found.shape == (2, 2, 24) and found.isfinite().all()


def test_the_loss_is_smooth_l1_and_a_constant_predictor_says_the_mean_feature() -> None:
    target = Features("video_features", 5, 2)
    predicted, wanted = torch.randn(3, 4, 5) * 2, torch.randn(3, 4, 5)
    each = F.smooth_l1_loss(predicted, wanted, reduction="none").mean(dim=(1, 2))
    torch.testing.assert_close(target.loss(predicted, wanted), each)
    constant = target.constant(wanted)
    torch.testing.assert_close(constant[1, 2], wanted.mean(dim=(0, 1)))
    wanted[0, 1] = torch.nan
    kept = [0, 2, 3]
    alone = F.smooth_l1_loss(predicted[0, kept], wanted[0, kept])
    torch.testing.assert_close(target.loss(predicted, wanted)[0], alone)


def test_without_its_teacher_a_target_says_which_option_brings_it() -> None:
    target, clips = Features("image_features", 24, 2), noisy_clips()
    assert not target.possible(clips)
    with pytest.raises(ValueError, match="--image-teacher"):
        target(clips, small_vit().look(clips), torch.zeros(3, 1, dtype=torch.int64))


def mvd(**fields: Any) -> PretrainRecipe:
    return PretrainRecipe(
        method="mvd",
        model="32x2x2",
        frames=8,
        size="16x32",
        patch=8,
        visible=0.5,
        image_teacher="image",
        video_teacher="video",
        **fields,
    )


def test_a_student_has_three_dimensional_positions_and_a_decoder_a_teacher() -> None:
    config = configure(mvd(), None, {"image_features": 24, "video_features": 40})
    assert config.vit.positions == "sincos3d"
    shapes = [(it.width, it.depth, it.heads, it.bias) for it in config.decoders]
    assert shapes == [(32, 2, 2, True), (32, 2, 2, True)]
    model = build(config)
    assert isinstance(model, MaskedVideoAutoencoder)
    out = model.eval()(noisy_clips(sides=(16, 32)))
    assert "loss" not in out  # no teacher: predictions alone
    assert out["prediction.0.image_features"].shape[2] == 24
    assert out["prediction.1.video_features"].shape[2] == 40


@pytest.mark.parametrize(
    ("width", "decoder"), [(384, (384, 2, 6)), (1024, (512, 4, 8)), (1280, (640, 8, 8))]
)
def test_decoders_are_of_mvds_sizes(width: int, decoder: tuple[int, int, int]) -> None:
    name = {384: "vit-s", 1024: "vit-l", 1280: "vit-h"}[width]
    recipe = PretrainRecipe(method="mvd", model=name, image_teacher="a", video_teacher="b")
    config = configure(recipe, None, {"image_features": 768, "video_features": 768})
    assert {(it.width, it.depth, it.heads) for it in config.decoders} == {decoder}


def test_a_frozen_teacher_is_no_parameter_of_the_student_and_draws_nothing() -> None:
    teacher = small_vit(norm=False, drop_path=0.5)
    place = machine.choose("cpu", "float32")
    place.freeze(teacher)
    config = configure(mvd(targets="video_features"), None, {"video_features": 24})
    model = build(config, {"video_features": teacher})
    assert model.frozen() == [teacher]  # type: ignore[union-attr]
    assert not [name for name in model.state_dict() if "teacher" in name]
    model.train()
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    dtype = torch.bfloat16 if machine.has_bf16(place.device) else torch.float32
    assert teacher.blocks[0].mlp.fc1.weight.dtype == dtype  # type: ignore[union-attr]


def test_the_digest_is_of_names_shapes_and_numbers() -> None:
    tensors = {"a": torch.arange(4.0), "b": torch.zeros(2, dtype=torch.bfloat16)}
    assert digest_of(tensors) == digest_of(dict(reversed(tensors.items())))
    others = ({**tensors, "a": tensors["a"].view(2, 2)}, {**tensors, "a": tensors["a"] + 1})
    assert len({digest_of(tensors), *(digest_of(other) for other in others)}) == 3


def test_a_released_image_mae_teaches_at_another_size(tmp_path: Path) -> None:
    path = tmp_path / "mae.safetensors"
    save_file(image_mae(), path)
    recipe = replace(mvd(targets="image_features"), video_teacher=None, image_teacher=str(path))
    patch = image_mae()["patch_embed.proj.weight"].shape[-1]
    wide = replace(recipe, patch=patch, size=f"{2 * patch}x{4 * patch}")
    found = load_teachers(wide)["image_features"]
    assert found.model.config.table == (1, 2, 4)
    assert "stretched" in found.told()


# From the command line


@pytest.fixture(scope="module")
def teachers(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `image` and `video` of teachers pre-trained on the set by this package."""
    folder = tmp_path_factory.mktemp("teachers")
    words = [labelled.table, *TINY_PRETRAIN, "--epochs", 1, "--method", "videomae"]
    image = [*words, "--frames", 1, "--tubelet", 1, "--visible", 0.25]
    done("pretrain", *image, "--out", folder / "image")
    done("pretrain", *words, "--visible", 0.25, "--out", folder / "video")
    return folder


def student(labelled: LabelledSet, teachers: Path, *more: object) -> list[object]:
    return [
        *("pretrain", labelled.table, *TINY_PRETRAIN, "--method", "mvd", "--visible", 0.25),
        *("--image-teacher", teachers / "image", "--video-teacher", teachers / "video", *more),
    ]


def test_a_student_learns_from_teachers_that_this_package_trained(
    labelled: LabelledSet, teachers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "student"
    told = done(*student(labelled, teachers, "--epochs", 2, "--out", out))
    assert "image_features are those of" in told.err + told.out
    recipe = json.loads((out / "recipe.json").read_text())
    assert set(recipe["teachers"]) == {"image_features", "video_features"}
    assert all(len(entry["sha256"]) == 64 for entry in recipe["teachers"].values())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    held = [line for line in lines if line["kind"] == "eval"][-1]
    assert 0 < held["held_out"] < 10 and 0 < held["constant"] < 10
    done("show", out, labelled.files[0], "-o", tmp_path / "x.png")
    done("embed", out, labelled.files[0], "-o", tmp_path / "x.npz")
    words = ["--init", out, "--epochs", 1, "--out", tmp_path / "classifier"]
    told = done("finetune", labelled.table, *words, "--batch-size", 4, "--workers", 0)
    config = json.loads((tmp_path / "classifier/weights/last/config.json").read_text())
    assert config["vit"]["positions"] == "sincos3d"


def test_a_resumed_student_keeps_its_teachers_wherever_they_are(
    labelled: LabelledSet, teachers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "student"
    words = student(labelled, teachers, "--epochs", 2, "--out", out)
    assert everest(*words, "--stop-after", 1).code == 0
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.copytree(teachers / "image" / "weights" / "last", moved)
    shutil.copytree(moved, other)
    weights = load_file(other / "model.safetensors")
    weights["encoder.blocks.0.mlp.fc1.bias"] += 1.0
    save_file(weights, other / "model.safetensors")
    told = everest(*words, "--resume", "--image-teacher", other)
    assert told.code == 2
    assert f"--image-teacher {other} holds other weights than the run was begun with" in told.err
    done(*words, "--resume", "--image-teacher", moved)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--method", "mvd"], "is made by a frozen model: give --image-teacher"),
        (["--video-teacher", "{video}"], "nothing is predicted of it"),
        (
            ["--targets", "image_features", "--image-teacher", "{video}"],
            "needs a model of single frames",
        ),
        (
            ["--targets", "video_features", "--video-teacher", "{image}"],
            "needs a model of a tubelet of 2",
        ),
        (["--targets", "pixels,colours"], "'colours' is no target"),
        (["--targets", "pixels+pixels"], "stands there twice"),
        (["--decoder-share", "0.5"], "use --select tube"),
    ],
)
def test_a_product_that_cannot_work_says_why(
    words: list[str], told: str, labelled: LabelledSet, teachers: Path, tmp_path: Path
) -> None:
    filled = [word.format(image=teachers / "image", video=teachers / "video") for word in words]
    out = tmp_path / "run"
    found = everest(
        "pretrain", labelled.table, *TINY_PRETRAIN, "--epochs", 1, *filled, "--out", out
    )
    assert found.code == 2 and told in found.err, found.err
    assert not out.exists()


def test_every_selector_goes_with_teachers_and_with_frame_selection(
    labelled: LabelledSet, teachers: Path, tmp_path: Path
) -> None:
    for number, words in enumerate(
        (
            ["--select", "rero", "--frame-select"],
            ["--select", "random", "--targets", "image_features+pixels,video_features"],
        )
    ):
        more = ["--epochs", 1, "--out", tmp_path / str(number), *words]
        done(*student(labelled, teachers, *more))
