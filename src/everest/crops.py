"""This file decides which part of a frame a clip shows: one box for all frames of the clip.

Sizes are pixels, (height, width). A box is (left, top, width, height) in the frame.
"""

from typing import Literal, NamedTuple

from everest import keys

Crop = Literal["multiscale", "area", "scale", "shift", "center"]
Sides = tuple[int, int]  # height, width
SCALES = (1.0, 0.875, 0.75, 0.66)
CLOSE = 3  # a crop that differs by less from the size wanted is the size wanted
SHORT_SIDES = (8 / 7, 10 / 7)  # of the size wanted
# Where a multi-scale crop may lie, in quarters of the room left (x, y); METHOD.md 1.5.
PLACES = (
    (0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3),
    (3, 3),
)  # fmt: skip


class Box(NamedTuple):
    left: float
    top: float
    width: float
    height: float


def multiscale(frame: Sides, size: Sides, key: int) -> Box:
    """The pre-training crop (METHOD.md 1.5): a drawn scale a side and one of 13 places."""
    height, width = frame
    base = min(height, width)
    tall = [size[0] if abs(int(base * s) - size[0]) < CLOSE else int(base * s) for s in SCALES]
    wide = [size[1] if abs(int(base * s) - size[1]) < CLOSE else int(base * s) for s in SCALES]
    sizes = [
        (wide[column], tall[row])
        for row in range(len(SCALES))
        for column in range(len(SCALES))
        if abs(row - column) <= 1
    ]
    crop_width, crop_height = sizes[keys.below(key, "crop.scale", len(sizes))]
    crop_width, crop_height = min(crop_width, width), min(crop_height, height)
    x, y = PLACES[keys.below(key, "crop.place", len(PLACES))]
    left = x * ((width - crop_width) // 4)
    top = y * ((height - crop_height) // 4)
    return Box(left, top, crop_width, crop_height)


def area(frame: Sides, size: Sides, key: int, smallest: float = 0.08) -> Box:
    """The random resized crop: area `smallest`..1 of the frame, ratio 3/4..4/3; ten tries."""
    height, width = frame
    for attempt in range(10):
        share = smallest + (1 - smallest) * keys.uniform(key, "crop.area", attempt)
        ratio = (3 / 4) * (16 / 9) ** keys.uniform(key, "crop.ratio", attempt)
        crop_width = round((share * height * width * ratio) ** 0.5)
        crop_height = round((share * height * width / ratio) ** 0.5)
        if 0 < crop_width <= width and 0 < crop_height <= height:
            left = keys.below(key, "crop.left", width - crop_width + 1, attempt)
            top = keys.below(key, "crop.top", height - crop_height + 1, attempt)
            return Box(left, top, crop_width, crop_height)
    return center(frame, size)


def scale(frame: Sides, size: Sides, key: int) -> Box:
    """The crop of the supervised rows: as if the short side, drawn from 8/7 to 10/7 of the size
    wanted (256 to 320 pixels for 224), were cut anywhere (BACKBONES.md 2, 7)."""
    height, width = frame
    low, high = SHORT_SIDES
    drawn = low + (high - low) * keys.uniform(key, "crop.scale")
    factor = min(height, width) / (drawn * min(size))
    box_height, box_width = min(size[0] * factor, height), min(size[1] * factor, width)
    left = keys.uniform(key, "crop.left") * (width - box_width)
    top = keys.uniform(key, "crop.top") * (height - box_height)
    return Box(left, top, box_width, box_height)


def center(frame: Sides, size: Sides, number: int = 0, count: int = 1) -> Box:
    """The largest box of the wanted shape; of several, number `number` along the longer side."""
    height, width = frame
    scale = min(height / size[0], width / size[1])
    box_height, box_width = size[0] * scale, size[1] * scale
    # Whole pixels: at the wanted size already, the crop is then an exact copy.
    left, top = along(width - box_width, number, count), along(height - box_height, number, count)
    return Box(left, top, box_width, box_height)


def along(room: float, number: int, count: int) -> int:
    """Where crop `number` of `count` begins in the room left; one alone in the middle."""
    return int(room / 2) if count == 1 else int(number * room / (count - 1))


def shift(frame: Sides, size: Sides, key: int, pixels: int) -> Box:
    """The central box of the wanted size, moved by up to `pixels` each way (SMALL_DATA.md)."""
    height, width = frame
    if height < size[0] or width < size[1]:
        return center(frame, size)
    rooms = ((width - size[1]), (height - size[0]))
    moved = []
    for room, purpose in zip(rooms, ("crop.left", "crop.top"), strict=True):
        reach = min(pixels, room // 2)
        moved.append(room // 2 - reach + keys.below(key, purpose, 2 * reach + 1))
    return Box(moved[0], moved[1], size[1], size[0])


def still(frame: Sides, size: Sides, number: int = 0, count: int = 1) -> Box:
    """What `shift` moves around: the box of the wanted size, where the frame has room for it."""
    height, width = frame
    if height < size[0] or width < size[1]:
        return center(frame, size, number, count)
    across, down = width - size[1], height - size[0]
    left = across // 2 if height > width else along(across, number, count)
    top = down // 2 if height <= width else along(down, number, count)
    return Box(left, top, size[1], size[0])
