"""Pictures show what a model did: the right tokens, the right colours, whole letters."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from everest.report import canvas, strip
from everest.report.curves import draw_curves, plain
from everest.report.film import write_film, write_mp4
from everest.report.panels import MASKED, VISIBLE, film, sheet

GRID = (2, 4, 4)  # (t, h, w)
TUBELET, PATCH = 2, 8
SIDE = 32  # pixels of the clip, seven times enlarged


def parts(kind: str = "pretraining") -> list:
    """Makes the positional arguments of film(): a grey clip, token 5 of step 1 read, 6 hidden."""
    video = np.full((4, SIDE, SIDE, 3), 200, np.uint8)
    scores = np.zeros(GRID)
    scores[1, 1, 1:3] = 5.0
    is_visible, is_masked = np.zeros(GRID, bool), np.zeros(GRID, bool)
    is_visible[1, 1, 1] = True
    is_masked[1, 1, 2] = kind != "classifier"
    rebuilt = None if kind == "classifier" else np.full_like(video, 90)
    if kind != "frames":
        return [video, scores, is_visible, is_masked, rebuilt, None, None]
    candidates = np.full((3, 16, 16, 3), 60, np.uint8)
    return [video, scores, is_visible, is_masked, rebuilt, np.array([1, 0, 1], bool), candidates]


def draw(kind: str = "pretraining", height: int = 224) -> list[np.ndarray]:
    return film(*parts(kind), tubelet=TUBELET, patch=PATCH, height=height)


def panel(frame: np.ndarray, number: int, side: int = 224) -> np.ndarray:
    """Cuts one panel out of a film frame."""
    top = canvas.MARGIN + canvas.text_height(title=True) + 6
    left = canvas.MARGIN + number * (side + 16)
    return frame[top : top + side, left : left + side]


def token(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """Takes the middle pixel of a token of an enlarged panel."""
    side = len(picture) // GRID[1]
    return picture[row * side + side // 2, column * side + side // 2]


def test_a_film_has_one_picture_a_frame_all_of_one_size():
    frames = draw("frames")
    assert len(frames) == 4
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert all(frame.dtype == np.uint8 for frame in frames)


def test_the_input_is_enlarged_by_a_whole_factor_without_new_colours():
    picture = panel(draw()[0], 0)
    assert picture.shape == (224, 224, 3)
    assert (picture == 200).all()


def test_a_clip_larger_than_a_panel_is_shrunk_to_it():
    values = parts()
    values[0] = values[0].repeat(16, axis=1).repeat(16, axis=2)
    values[4] = None
    frame = film(*values, tubelet=TUBELET, patch=PATCH * 16, height=224)[0]
    assert (panel(frame, 0) == 200).all()
    assert tuple(frame[canvas.MARGIN + canvas.text_height(title=True) + 6 + 224, 30]) == canvas.PAGE


def test_kept_tokens_are_bright_hidden_ones_half_and_the_rest_dim():
    picture = panel(draw()[2], 2)
    assert token(picture, 1, 1).tolist() == [200] * 3
    assert token(picture, 1, 2).tolist() == [100] * 3
    assert token(picture, 3, 3).max() < 0.25 * 200


def test_kept_tokens_are_outlined_only_in_the_step_they_belong_to():
    later, earlier = panel(draw()[2], 2), panel(draw()[1], 2)
    corner = (224 // 4, 224 // 4)
    assert tuple(later[corner]) == VISIBLE
    assert tuple(later[corner[0], 2 * corner[1]]) == MASKED
    assert not (earlier == VISIBLE).all(-1).any()
    assert not (earlier == MASKED).all(-1).any()


def test_the_reconstruction_takes_hidden_tokens_from_the_model_and_the_others_from_the_clip():
    picture = panel(draw()[2], 3)
    assert token(picture, 1, 1).tolist() == [200] * 3
    assert token(picture, 1, 2).tolist() == [90] * 3
    assert token(picture, 0, 0).max() < 0.25 * 200


def test_the_heat_map_is_brighter_where_the_score_is_higher_and_its_scale_is_the_clips():
    earlier, later = panel(draw()[0], 1), panel(draw()[2], 1)
    assert int(token(later, 1, 1).sum()) > int(token(later, 0, 0).sum()) + 150
    assert (token(later, 0, 0) == token(earlier, 0, 0)).all()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_scores_without_a_finite_range_still_make_a_film(value):
    values = parts()
    values[1] = np.full(GRID, value)
    assert len(film(*values, tubelet=TUBELET, patch=PATCH)) == 4


def test_a_classifier_has_three_panels_and_no_colour_of_hidden_tokens():
    frame = draw("classifier")[2]
    assert frame.shape[1] == 3 * 224 + 2 * 16 + 2 * canvas.MARGIN
    assert (frame == VISIBLE).all(-1).any()
    assert not (frame == MASKED).all(-1).any()


def test_the_pair_on_view_is_marked_among_the_chosen_ones():
    frames = draw("frames")
    marks = [np.argwhere((frame == strip.NOW).all(-1)) for frame in frames]
    assert marks[0].tolist() == marks[1].tolist()
    assert marks[0][:, 1].max() < marks[2][:, 1].min(), "pair 1 stands left of pair 3"
    assert (frames[0] == strip.CHOSEN).all(-1).any()


def test_many_candidates_go_on_in_a_second_row():
    values = parts("frames")
    values[5], values[6] = np.ones(20, bool), np.full((20, 16, 16, 3), 60, np.uint8)
    few, many = draw("frames")[0], film(*values, tubelet=TUBELET, patch=PATCH)[0]
    assert many.shape[1] == few.shape[1]
    layout = strip.strip_layout(values[6], few.shape[1] - 2 * canvas.MARGIN)
    assert layout.height > 2 * layout.down


@pytest.mark.parametrize("kind", ["pretraining", "classifier", "frames"])
@pytest.mark.parametrize("shape", [(32, 32), (32, 8), (8, 64)])
def test_nothing_is_drawn_in_the_margins(kind, shape):
    values = parts(kind)
    rows, columns = shape
    grid = (2, rows // 8, columns // 8)
    values[0] = np.zeros((4, rows, columns, 3), np.uint8)
    values[1:4] = [np.ones(grid), np.ones(grid, bool), np.zeros(grid, bool)]
    values[4] = None if values[4] is None else values[0]
    frame = film(*values, tubelet=TUBELET, patch=8)[0]
    edges = np.concatenate([frame[:, : canvas.MARGIN - 3], frame[:, -canvas.MARGIN + 3 :]], 1)
    is_page = (edges == canvas.PAGE).all(-1) | (edges == canvas.RULE).all(-1)
    assert is_page.all()
    assert (frame[:4] == canvas.PAGE).all() and (frame[-4:] == canvas.PAGE).all()


def test_a_legend_too_long_for_one_line_takes_another():
    keys = [canvas.Key("a label of some length", fill=(0, 0, 0)) for _ in range(4)]
    assert canvas.keys_height(keys, 300) > canvas.keys_height(keys, 3000)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (0, np.zeros((3, 32, 32, 3), np.uint8)),
        (1, np.zeros((2, 4, 5))),
        (4, np.zeros((4, 8, 8, 3))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(place, wrong):
    values = parts()
    values[place] = wrong
    with pytest.raises(ValueError, match="shape"):
        film(*values, tubelet=TUBELET, patch=PATCH)


def test_a_choice_of_another_length_than_the_candidates_is_refused():
    values = parts("frames")
    values[5] = np.ones(5, bool)
    with pytest.raises(ValueError, match="3 candidates"):
        film(*values, tubelet=TUBELET, patch=PATCH)


def test_a_sheet_repeats_the_panels_but_not_titles_and_legend():
    frames = draw("frames")
    picture = sheet(frames)
    assert picture.shape[1] == frames[0].shape[1]
    assert len(frames[0]) < len(picture) < 4 * len(frames[0])
    assert (picture[-30:] == frames[0][-30:]).all()
    marks = np.argwhere((picture == strip.NOW).all(-1))[:, 1]
    assert np.ptp(marks) > 100, "the pairs of both steps are marked"


def test_a_sheet_of_other_pictures_stacks_them():
    frames = [np.full((10, 12, 3), value, np.uint8) for value in range(8)]
    picture = sheet(frames)
    assert picture.shape == (40, 12, 3)
    assert picture[::10, 0, 0].tolist() == [1, 3, 5, 7]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def pictures(count: int = 5, height: int = 33, width: int = 47) -> list[np.ndarray]:
    """Makes frames of odd sides with one square that moves."""
    frames = [np.full((height, width, 3), (40, 90, 160), np.uint8) for _ in range(count)]
    for time, frame in enumerate(frames):
        frame[8:20, 4 + 4 * time : 16 + 4 * time] = (250, 200, 60)
    return frames


def test_a_gif_holds_every_frame_and_loops_for_ever(tmp_path: Path):
    path = write_film(pictures(), tmp_path / "a b.gif", fps=10)
    with Image.open(path) as picture:
        assert (picture.n_frames, picture.size) == (5, (47, 33))
        assert (picture.info["loop"], picture.info["duration"]) == (0, 100)
        picture.seek(3)
        got = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(got - pictures()[3]).max() <= 3


def test_a_still_film_as_gif_keeps_its_frames(tmp_path: Path):
    path = write_film([pictures()[0]] * 3, tmp_path / "still.gif", fps=10)
    with Image.open(path) as picture:
        seconds = 0.0
        for number in range(picture.n_frames):
            picture.seek(number)
            seconds += picture.info["duration"] / 1000
    assert seconds == pytest.approx(0.3)


def test_an_mp4_is_plain_h264_of_even_sides(tmp_path: Path):
    import av

    path = write_film(pictures(), tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        got = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in got] == [(34, 48, 3)] * 5
    assert np.abs(got[2][:33, :47].astype(int) - pictures()[2]).mean() < 6


def test_the_same_frames_give_the_same_bytes(tmp_path: Path):
    first, second = (write_mp4(pictures(), tmp_path / name) for name in ("a.mp4", "b.mp4"))
    assert first.read_bytes() == second.read_bytes()


def test_a_png_of_one_frame_is_that_frame_and_of_several_a_sheet(tmp_path: Path):
    one = write_film(pictures(1), tmp_path / "one.png")
    several = write_film(pictures(5), tmp_path / "several.PNG")
    assert (read(one) == pictures(1)[0]).all()
    assert (read(several) == sheet(pictures(5))).all()


@pytest.mark.parametrize("name", ["a.webm", "a"])
def test_another_ending_is_refused_and_the_right_ones_are_named(name, tmp_path: Path):
    with pytest.raises(ValueError, match=r"\.gif, \.mp4, \.png"):
        write_film(pictures(), tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "0 frames"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)], "one size"),
        ([np.zeros((4, 4, 3))], "float64"),
        ([np.zeros((4, 4), np.uint8)], "shape"),
    ],
)
@pytest.mark.parametrize("ending", ["gif", "mp4", "png"])
def test_frames_that_make_no_film_are_refused(frames, reason, ending, tmp_path: Path):
    with pytest.raises(ValueError, match=reason):
        write_film(frames, tmp_path / f"a.{ending}")
    assert not any(tmp_path.iterdir())


def lines(count: int) -> list[dict]:
    metrics = [
        {"kind": "step", "step": step, "loss": 1 / (1 + step), "lr": 0.001} for step in range(count)
    ]
    return [*metrics, {"kind": "epoch", "step": count - 1, "epoch": 0, "loss": 0.5, "lr": 0.001}]


EVAL = {"kind": "eval", "step": 3, "held_out": 0.8, "constant": 1.0, "other_clip": 0.9}
BROKEN = [
    {"kind": "step", "step": 0, "loss": float("nan"), "lr": float("inf")},
    {"kind": "step", "step": 1, "loss": None},
    {"kind": "step"},
    {"kind": "hello"},
    {},
]


@pytest.mark.parametrize(
    ("metrics", "panels"),
    [
        ([], 1),
        (lines(1)[:1], 2),
        (BROKEN, 1),
        ([*lines(5), *BROKEN, EVAL], 3),
        ([*lines(4000), {**EVAL, "top1": 0.7}], 4),
        ([*lines(2), {"kind": "eval", "step": 1, "loss": 0.7}], 3),
    ],
)
def test_curves_have_a_panel_for_each_thing_that_was_measured(metrics, panels, tmp_path: Path):
    draw_curves(metrics, tmp_path / "curves.png", "a run")
    height, width = read(tmp_path / "curves.png").shape[:2]
    assert round(width / height / (4.6 / 3.6)) == panels
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


@pytest.mark.parametrize("title", ["$x^ \\frac{", "runs/日本語 \udcff\n\t", "w" * 500])
def test_any_name_of_a_run_can_be_drawn(title, tmp_path: Path):
    draw_curves(lines(3), tmp_path / "curves.png", title)
    assert read(tmp_path / "curves.png").shape[1] > 900


def test_a_title_is_one_line_of_known_letters():
    assert plain("a\nb 語 $x$", longest=40) == "a b ? $x$"
    assert len(plain("w" * 500, longest=40)) <= 40


def test_the_curve_of_a_worse_run_looks_different(tmp_path: Path):
    for name, loss in (("a", 0.2), ("b", 0.9)):
        metrics = [
            {"kind": "step", "step": 0, "loss": 1.0},
            {"kind": "step", "step": 9, "loss": loss},
        ]
        draw_curves(metrics, tmp_path / f"{name}.png", "run")
    first, second = (read(tmp_path / f"{name}.png") for name in "ab")
    assert (first != second).any()
