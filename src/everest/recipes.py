"""This file decides the named recipes: one entry per row of the paper, and one for small sets."""

from dataclasses import dataclass, replace
from typing import Any

from everest.recipe import FinetuneRecipe, Optim, PretrainRecipe


@dataclass(frozen=True)
class NamedRecipe:
    """A pre-training and the fine-tuning after it; `told` is source, command, hours, result."""

    told: str
    pretrain: PretrainRecipe
    finetune: FinetuneRecipe


FINETUNE_OPTIM = Optim(min_lr=1e-6, betas=(0.9, 0.999), warmup=5, layer_decay=0.75)

SMALL_PRETRAIN = PretrainRecipe(
    model="192x6x3",
    size=96,
    stride=1,
    short_side=112,
    crop="shift",
    crop_shift=8,
    decoder_width=96,
    decoder_depth=2,
    epochs=150,
    batch_size=64,
    optim=Optim(lr=4e-3, min_lr=4e-5, warmup_share=0.05, clip_grad=1.0),
)
SMALL_FINETUNE = FinetuneRecipe(
    model="192x6x3",
    size=96,
    stride=1,
    short_side=112,
    crop="shift",
    crop_shift=2,
    epochs=30,
    batch_size=16,
    pool="steps",
    head_norm="batch",
    encoder_norm="keep",
    head_scale=1.0,
    drop_path=0.0,
    smoothing=0.0,
    optim=Optim(lr=1.6e-2, min_lr=0.0, betas=(0.9, 0.999), warmup_share=0.1, clip_grad=5.0),
)
DEMO_SHAPE: dict[str, Any] = {
    "model": "128x4x2",
    "size": 64,
    "short_side": None,
    "crop": "center",
    "crop_shift": 0,
}

RECIPES: dict[str, NamedRecipe] = {
    "everest-ucf101": NamedRecipe(
        "EVEREST on UCF101, ViT-B 16x4, 3,200 epochs on 8 GPUs (METHOD.md 1.3; the authors report "
        "93.4). Not run here.",
        PretrainRecipe(epochs=3200, batch_size=192),
        FinetuneRecipe(epochs=100, batch_size=128, flip=0.5, optim=FINETUNE_OPTIM),
    ),
    "everest-hmdb51": NamedRecipe(
        "EVEREST on HMDB51, ViT-B 16x2, 4,800 epochs on 8 GPUs (METHOD.md 1.3; the authors report "
        "65.8). Not run here.",
        PretrainRecipe(epochs=4800, batch_size=192, stride=2),
        FinetuneRecipe(epochs=50, batch_size=128, stride=2, flip=0.5, optim=FINETUNE_OPTIM),
    ),
    "everest-frames": NamedRecipe(
        "As everest-ucf101 with information-intensive frame selection, alpha 1.5 (the paper's K400 "
        "and Ego4D setting; its schedule there is not published). Not run here.",
        PretrainRecipe(epochs=3200, batch_size=192, frame_select=True),
        FinetuneRecipe(
            epochs=100, batch_size=128, flip=0.5, frame_select=True, optim=FINETUNE_OPTIM
        ),
    ),
    "videomae-ucf101": NamedRecipe(
        "VideoMAE on UCF101, ViT-B, tube masking at 0.75, 3,200 epochs (METHOD.md 1.3; the authors "
        "report 91.3). Not run here.",
        PretrainRecipe(
            method="videomae",
            visible=0.25,
            epochs=3200,
            batch_size=192,
            optim=Optim(lr=3e-4),
        ),
        FinetuneRecipe(
            select="all",
            keep=1.0,
            epochs=100,
            batch_size=128,
            flip=0.5,
            drop_path=0.2,
            dropout=0.5,
            optim=Optim(lr=5e-4, min_lr=1e-6, betas=(0.9, 0.999), warmup=5, layer_decay=0.7),
        ),
    ),
    "demo": NamedRecipe(
        "What `everest demo` trains on the clips it makes: 64 pixels, a 4-block model, minutes on "
        "two cores (benchmarks/results/main-job.md).",
        replace(
            SMALL_PRETRAIN,
            **DEMO_SHAPE,
            epochs=28,
            batch_size=16,
            optim=replace(SMALL_PRETRAIN.optim, lr=2.4e-2, min_lr=2.4e-4),
        ),
        replace(SMALL_FINETUNE, **DEMO_SHAPE, epochs=3, eval_every=1),
    ),
    "small-data": NamedRecipe(
        "For some hundreds to thousands of clips on one machine (SMALL_DATA.md, "
        "benchmarks/results/main-job.md): a 6-block model, 16 frames of 96 pixels, crops by "
        "pixels, and a head over time steps.",
        SMALL_PRETRAIN,
        SMALL_FINETUNE,
    ),
}
