"""This file decides what model a bare weights file is of, from the shapes of its tensors."""

from torch import Tensor

from everest.config import ClipConfig, DecoderSpec, ModelConfig, TargetSpec
from everest.configuring import MOTION_HEAD, decoder_heads
from everest.convert.beside import Beside
from everest.convert.read import WeightsError
from everest.convert.renaming import Family
from everest.names import TEACHERS
from everest.selection import Grid
from everest.vit import SIZES, PositionKind, VitConfig

FRAMES, SIZE, STRIDE = 16, 224, 4  # of the released models; a file cannot tell
HEADS = {size[0]: size[2] for size in SIZES.values()}


def heads_of(width: int) -> int:
    return HEADS.get(width, max(width // 64, 1))


def depth_of(tensors: dict[str, Tensor], prefix: str) -> int:
    """Blocks of a part; raises WeightsError where there is none or one between is missing."""
    numbers = {
        int(name.removeprefix(prefix).split(".")[0]) for name in tensors if name.startswith(prefix)
    }
    if numbers != set(range(len(numbers))) or not numbers:
        raise WeightsError(
            f"blocks {sorted(numbers)} under {prefix.removesuffix('.')}: a model has all from 0 on"
        )
    return len(numbers)


def part_of(family: Family) -> str:
    """The name of the transformer in our models of a kind."""
    return "encoder" if family.kind == "autoencoder" else "reader"


def infer_config(
    family: Family,
    tensors: dict[str, Tensor],
    beside: Beside | None = None,
    positions: PositionKind | None = None,
    grid: Grid | None = None,
) -> ModelConfig:
    """The config of a file's tensors, under our names; what neither they nor the file say of clip
    length, size and stride is the released models' (16 frames x stride 4, 224 pixels)."""
    beside = beside or Beside()
    part = part_of(family)
    width, channels, tubelet, patch, _ = tensors[f"{part}.patch_embed.proj.weight"].shape
    positions = positions or family.positions
    frames = beside.frames or (FRAMES if tubelet > 1 else 1)
    size = beside.size or (SIZE // patch * patch, SIZE // patch * patch)
    steps = 0  # of a head that reads each time step's mean
    if family.kind == "classifier":
        features = tensors["heads.0.linear.weight"].shape[1]
        steps = features // width if features > width and features % width == 0 else 0
        frames = steps * tubelet or frames
    if grid is not None:
        frames, size = grid[0] * tubelet, (grid[1] * patch, grid[2] * patch)
    vit = VitConfig(
        width,
        depth_of(tensors, f"{part}.blocks."),
        beside.heads or heads_of(width),
        patch=patch,
        tubelet=tubelet,
        channels=channels,
        mean=beside.mean or family.mean,
        std=beside.std or family.std,
        norm=f"{part}.norm.weight" in tensors,
        pool="steps" if steps else "mean",
        steps=max(frames // tubelet, 1),
        positions=positions,
        table=grid if positions == "table" else None,
        class_token=f"{part}.cls_token" in tensors,
    )
    clip = ClipConfig(frames, size, beside.stride or STRIDE)
    if family.kind == "classifier":
        count = len(tensors["heads.0.linear.weight"])
        names = beside.classes or tuple(str(number) for number in range(count))
        select = family.select
        return ModelConfig("classifier", vit, clip, select, classes={"label": names})
    specs = tuple(
        decoder_of(tensors, number, names, vit, beside)
        for number, names in enumerate(family.targets)
    )
    return ModelConfig("autoencoder", vit, clip, family.select, None, specs)


def decoder_of(
    tensors: dict[str, Tensor], number: int, names: tuple[str, ...], vit: VitConfig, beside: Beside
) -> DecoderSpec:
    prefix = f"decoders.{number}"
    inner = tensors[f"{prefix}.embed.weight"].shape[0]
    if beside.decoder_heads:
        heads = beside.decoder_heads
    elif names[0] in TEACHERS and inner == vit.width:
        heads = vit.heads
    elif "hog" in names and inner % MOTION_HEAD == 0:
        heads = inner // MOTION_HEAD
    else:
        heads = decoder_heads(inner)
    targets = tuple(
        TargetSpec(
            name,
            1 / len(names),
            tensors[f"{prefix}.heads.{at}.weight"].shape[0] if name in TEACHERS else None,
        )
        for at, name in enumerate(names)
    )
    return DecoderSpec(
        inner,
        depth_of(tensors, f"{prefix}.blocks."),
        heads,
        targets,
        bias=f"{prefix}.embed.bias" in tensors,
    )
