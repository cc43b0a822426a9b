"""This file decides what other people's tiny files look like: their names, random values.

Width 128 with 2 heads, 2 blocks, patches of 8 pixels in tubelets of 2 frames, 4 frames of 32
pixels: a grid of 2 x 4 x 4 tokens.
"""

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from everest.positions import sincos3d

WIDTH, HEADS, DEPTH, INNER, CLASSES = 128, 2, 2, 64, 5
PATCH, TUBELET, FRAMES, SIZE = 8, 2, 4, 32
GRID = (FRAMES // TUBELET, SIZE // PATCH, SIZE // PATCH)
COUNT = GRID[0] * GRID[1] * GRID[2]
PIXELS = 3 * TUBELET * PATCH * PATCH

Tensors = dict[str, Tensor]


class Maker:
    """Random tensors by name, always the same."""

    def __init__(self) -> None:
        self.source = torch.Generator().manual_seed(7)
        self.made: Tensors = {}

    def __call__(self, name: str, *shape: int, scale: float = 0.05) -> None:
        self.made[name] = torch.randn(shape, generator=self.source) * scale

    def linear(self, name: str, reads: int, gives: int, bias: bool = True) -> None:
        self(f"{name}.weight", gives, reads)
        if bias:
            self(f"{name}.bias", gives)

    def norm(self, name: str, width: int) -> None:
        self(f"{name}.weight", width)
        self.made[f"{name}.weight"] += 1
        self(f"{name}.bias", width)

    def blocks(self, prefix: str, width: int, depth: int, style: str = "parts") -> None:
        """`parts`: qkv with q_bias, v_bias; `joint`: qkv with one bias; `separate`: q, k, v."""
        for number in range(depth):
            block = f"{prefix}{number}."
            self.norm(f"{block}norm1", width)
            match style:
                case "parts":
                    self.linear(f"{block}attn.qkv", width, 3 * width, bias=False)
                    self(f"{block}attn.q_bias", width)
                    self(f"{block}attn.v_bias", width)
                case "joint":
                    self.linear(f"{block}attn.qkv", width, 3 * width)
                case "separate":
                    for part in "qkv":
                        self.linear(f"{block}attn.{part}", width, width)
            self.linear(f"{block}attn.proj", width, width)
            self.norm(f"{block}norm2", width)
            self.linear(f"{block}mlp.fc1", width, 4 * width)
            self.linear(f"{block}mlp.fc2", 4 * width, width)

    def vit(self, prefix: str = "", style: str = "parts", tubelet: tuple[int, ...] = (2,)) -> None:
        self(f"{prefix}patch_embed.proj.weight", WIDTH, 3, *tubelet, PATCH, PATCH)
        self(f"{prefix}patch_embed.proj.bias", WIDTH)
        self.blocks(f"{prefix}blocks.", WIDTH, DEPTH, style)


def videomae_pretrain() -> Tensors:
    make = Maker()
    make.vit("encoder.")
    make.norm("encoder.norm", WIDTH)
    make.linear("encoder_to_decoder", WIDTH, INNER, bias=False)
    make("mask_token", 1, 1, INNER)
    make.blocks("decoder.blocks.", INNER, 1)
    make.norm("decoder.norm", INNER)
    make.linear("decoder.head", INNER, PIXELS)
    return make.made


def videomae_finetune() -> Tensors:
    make = Maker()
    make.vit()
    make.norm("fc_norm", WIDTH)
    make.linear("head", WIDTH, CLASSES)
    return make.made


def first_token_finetune() -> Tensors:
    """A file of a model that reads its first token (no mean): `norm`, and no fc_norm."""
    make = Maker()
    make.vit()
    make.norm("norm", WIDTH)
    make.linear("head", WIDTH, CLASSES)
    return make.made


def mme_pretrain() -> Tensors:
    make = Maker()
    make.vit("encoder.")
    make.norm("encoder.norm", WIDTH)
    make.linear("encoder_to_decoder.0", WIDTH, 32, bias=False)
    make("mask_token", 1, 1, 32)
    make.blocks("decoder.0.blocks.", 32, 1)
    make.norm("decoder.0.norm", 32)
    for head, gives in enumerate((27, 32)):  # HOG, trajectory
        make.linear(f"decoder.0.head.{head}.0", 32, 512)
        make.linear(f"decoder.0.head.{head}.2", 512, gives)
    return make.made


def mvd_pretrain() -> Tensors:
    make = Maker()
    make.vit()
    make.norm("norm", WIDTH)
    make.made["pos_embed"] = sincos3d(GRID, WIDTH)[None]
    for end, gives in (("img", 48), ("vid", 80)):
        make.linear(f"down_{end}", WIDTH, WIDTH)
        make(f"mask_token_{end}", 1, 1, WIDTH)
        make.made[f"pos_embed_{end}"] = sincos3d(GRID, WIDTH)[None]
        make.blocks(f"decoder_{end}.blocks.", WIDTH, 2)
        make.norm(f"decoder_{end}.norm", WIDTH)
        make.linear(f"decoder_{end}.head", WIDTH, gives)
    return make.made


def st_mae(head: str | None) -> Tensors:
    make = Maker()
    make.vit(style="separate")
    make.norm("norm", WIDTH)
    make("cls_token", 1, 1, WIDTH)
    make("pos_embed_spatial", 1, GRID[1] * GRID[2], WIDTH)
    make("pos_embed_temporal", 1, GRID[0], WIDTH)
    make("pos_embed_class", 1, 1, WIDTH)
    if head is not None:
        make.linear(head, WIDTH, CLASSES)
        return make.made
    make.linear("decoder_embed", WIDTH, INNER)
    make("mask_token", 1, 1, INNER)
    make("decoder_cls_token", 1, 1, INNER)
    make("decoder_pos_embed_spatial", 1, GRID[1] * GRID[2], INNER)
    make("decoder_pos_embed_temporal", 1, GRID[0], INNER)
    make.blocks("decoder_blocks.", INNER, 1, "separate")
    make.norm("decoder_norm", INNER)
    make.linear("decoder_pred", INNER, 3 * PATCH * PATCH)
    return make.made


def image_mae(finetuned: bool = False, decoder: bool = False) -> Tensors:
    make = Maker()
    make.vit(style="joint", tubelet=())
    make("cls_token", 1, 1, WIDTH)
    make("pos_embed", 1, 1 + GRID[1] * GRID[2], WIDTH)
    if finetuned:
        make.norm("fc_norm", WIDTH)
        make.linear("head", WIDTH, CLASSES)
        return make.made
    make.norm("norm", WIDTH)
    if decoder:
        make.linear("decoder_embed", WIDTH, INNER)
        make("mask_token", 1, 1, INNER)
        make("decoder_pos_embed", 1, 1 + GRID[1] * GRID[2], INNER)
        make.blocks("decoder_blocks.", INNER, 1, "joint")
        make.norm("decoder_norm", INNER)
        make.linear("decoder_pred", INNER, 3 * PATCH * PATCH)
    return make.made


FAMILIES: dict[str, tuple[Callable[[], Tensors], str]] = {  # what it is -> (file, its family)
    "videomae pretrain": (videomae_pretrain, "videomae-pretrain"),
    "videomae finetune": (videomae_finetune, "videomae-finetune"),
    "first token": (first_token_finetune, "videomae-encoder"),
    "mme pretrain": (mme_pretrain, "mme-pretrain"),
    "mvd pretrain": (mvd_pretrain, "mvd-pretrain"),
    "st-mae pretrain": (lambda: st_mae(None), "st-mae-pretrain"),
    "st-mae finetune": (lambda: st_mae("head"), "st-mae-finetune"),
    "st-mae slowfast": (lambda: st_mae("head.projection"), "st-mae-finetune"),
    "image mae": (image_mae, "mae-pretrain"),
    "image mae whole": (lambda: image_mae(decoder=True), "mae-pretrain"),
    "image mae finetune": (lambda: image_mae(finetuned=True), "mae-finetune"),
}
ARGUMENTS = argparse.Namespace(
    num_frames=FRAMES, input_size=SIZE, sampling_rate=3, opt_betas=(0.9, 0.95), output_dir="a b"
)


def saved(content: object, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def lightning(tensors: Tensors, folder: Path) -> Path:
    prefixed = {f"model.{name}": value for name, value in tensors.items()}
    content = {"state_dict": prefixed, "pytorch-lightning_version": "2.0.0", "epoch": 3}
    return saved(content, folder / "last.ckpt")


def deepspeed(tensors: Tensors, folder: Path, inside: str = "") -> Path:
    half = {name: value.half() for name, value in tensors.items()}
    content = {"module": half, "dp_world_size": 8, "args": ARGUMENTS}
    saved(content, folder / inside / "mp_rank_00_model_states.pt")
    return folder


def safetensors(tensors: Tensors, folder: Path) -> Path:
    save_file(tensors, folder / "weights.safetensors")
    return folder / "weights.safetensors"


CONTAINERS: dict[str, Callable[[Tensors, Path], Path]] = {
    "pth": lambda tensors, folder: saved(
        {"model": tensors, "epoch": 799, "args": ARGUMENTS, "optimizer": {}}, folder / "a.pth"
    ),
    "pyth": lambda tensors, folder: saved(
        {"model_state": tensors, "cfg": "TRAIN:"}, folder / "a.pyth"
    ),
    "ckpt": lightning,
    "bin": lambda tensors, folder: saved(tensors, folder / "a.bin"),
    "pt in backbone": lambda tensors, folder: saved(
        {"module": {f"backbone.{name}": value for name, value in tensors.items()}}, folder / "a.pt"
    ),
    "safetensors": safetensors,
    "deepspeed": deepspeed,
    "deepspeed of a run": lambda tensors, folder: deepspeed(tensors, folder, "checkpoint-best"),
}


class Code:
    """Unpickled, it makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.mkdir, (self.canary,)


def pickled(content: object, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return path
