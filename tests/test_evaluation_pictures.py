"""Pictures of an evaluation: confusions of few and many classes, shares of tokens side by side."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from everest.report.confusion import BLUE, ORANGE, colours, draw_confusion
from everest.report.keeping import Kept, draw_keeping, short, told_change


def test_right_is_blue_mistakes_are_orange_and_darker_where_they_are_a_larger_share() -> None:
    found = colours(np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]]))
    right, few, none = found[0]
    assert (right < found[0, 2]).all() and right == pytest.approx(
        1 + (np.array(BLUE) - 1) * (0.14 + 0.86 * 0.8**0.55)
    )
    assert none == pytest.approx(1.0)
    assert found[1, 2].sum() < few.sum() < 3  # half of a row against a fifth
    assert (np.argsort(few) == np.argsort(ORANGE)).all()
    assert found[2] == pytest.approx(0.93)  # no clips: grey


@pytest.mark.parametrize(("classes", "least"), [(2, 300), (101, 1600)])
def test_a_confusion_is_as_large_as_its_classes_need(
    classes: int, least: int, tmp_path: Path
) -> None:
    names = [f"class {number} $x^2" for number in range(classes)]
    draw_confusion(np.eye(classes, dtype=int), names, tmp_path / "c.png", "run: äö\nlabel")
    with Image.open(tmp_path / "c.png") as picture:
        assert least < min(picture.size) and max(picture.size) < 2400
    assert [path.name for path in tmp_path.iterdir()] == ["c.png"]


def test_shares_of_tokens_have_a_line_each(tmp_path: Path) -> None:
    sizes = []
    for count in (1, 4):
        kept = [
            Kept(f"keep {number}", 0.5, (0.4, 0.6), 2.0, 10.0, 0.1, (-0.1, 0.2))
            for number in range(count)
        ]
        draw_keeping(kept, tmp_path / "k.png", "run", "top-1")
        with Image.open(tmp_path / "k.png") as picture:
            sizes.append(picture.size)
    assert sizes[0][0] == sizes[1][0] and sizes[0][1] < sizes[1][1]


def test_figures_without_an_interval_are_drawn_too(tmp_path: Path) -> None:
    draw_keeping(
        [Kept("keep 1.0", 1.0, None, 0.0, 0.0, None, None)], tmp_path / "k.png", "run", "mAP"
    )
    assert (tmp_path / "k.png").is_file()


def test_values_are_written_without_exponents() -> None:
    assert [short(value) for value in (0.000142, 8.1, 33.94, 2100.4, 0.0)] == [
        "0.000142", "8.10", "33.9", "2,100", "0",
    ]  # fmt: skip
    changed = Kept("", 0, None, 0, 0, -0.05, (-0.1, 0.01))
    assert told_change(changed) == "-5.0 points (-10.0 to +1.0)"
