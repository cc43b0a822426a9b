"""This file decides the recipes for a set of one's own, by its size, and that of the demo."""

from dataclasses import replace
from typing import Any

from everest.recipe import FinetuneRecipe, Optim, PretrainRecipe
from everest.recipes.named import RANDAUGMENT, NamedRecipe

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

# No set of these sizes was trained on here: the choices of the published schedules at the size of
# model that the clips can fill, with the head that small sets were seen to need.
MEDIUM_PRETRAIN = PretrainRecipe(
    model="vit-s", size=112, short_side=128, epochs=400, batch_size=256, optim=Optim(lr=6e-4)
)
MEDIUM_FINETUNE = FinetuneRecipe(
    model="vit-s",
    size=112,
    short_side=128,
    epochs=60,
    batch_size=64,
    smallest_area=0.3,
    randaugment=RANDAUGMENT,
    pool="steps",
    head_norm="batch",
    encoder_norm="keep",
    head_scale=1.0,
    optim=Optim(lr=1e-3, min_lr=1e-6, betas=(0.9, 0.999), warmup=5, layer_decay=0.75),
)
LARGE_PRETRAIN = PretrainRecipe(epochs=400, batch_size=512, optim=Optim(lr=3e-4))
LARGE_FINETUNE = FinetuneRecipe(
    epochs=50,
    batch_size=256,
    randaugment=RANDAUGMENT,
    erasing=0.25,
    mixup=0.8,
    cutmix=1.0,
    optim=Optim(lr=5e-4, min_lr=1e-6, betas=(0.9, 0.999), warmup=5, layer_decay=0.75),
)
OWN = "VIDEOS"

ROWS: dict[str, NamedRecipe] = {
    "demo": NamedRecipe(
        "What `everest demo` trains on the clips it makes: 64 pixels, a 4-block model.",
        "benchmarks/results/main-job.md",
        replace(
            SMALL_PRETRAIN,
            **DEMO_SHAPE,
            epochs=28,
            batch_size=16,
            optim=replace(SMALL_PRETRAIN.optim, lr=2.4e-2, min_lr=2.4e-4),
        ),
        replace(SMALL_FINETUNE, **DEMO_SHAPE, epochs=3, eval_every=1),
        OWN,
        views="1x1",
        hours="4 minutes on two cores",
        run_here="94 to 96 % of four directions, chance 25 %",
    ),
    "small-data": NamedRecipe(
        "For some hundreds to thousands of clips on one machine: a 6-block model, 16 frames of 96 "
        "pixels, crops by pixels, and a head over time steps.",
        "benchmarks/results/main-job.md",
        SMALL_PRETRAIN,
        SMALL_FINETUNE,
        OWN,
        views="1x1",
        hours="0.4 of pre-training and 0.1 of fine-tuning for 1,400 clips, on one core",
        run_here="benchmarks/results/main-job.md has the figures, scratch beside them",
    ),
    "medium-data": NamedRecipe(
        "For some thousands to some ten thousand clips: vit-s on 16 frames of 112 pixels, a head "
        "over time steps. Clips are not mirrored: give --flip 0.5 where left and right are alike.",
        "the choices of small-data and of EVEREST's UCF101 scripts, by analogy",
        MEDIUM_PRETRAIN,
        MEDIUM_FINETUNE,
        OWN,
    ),
    "large-data": NamedRecipe(
        "For a hundred thousand clips on GPUs: vit-b on 16 frames of 224 pixels, mixed clips. "
        "They are not mirrored: give --flip 0.5 where left and right are alike.",
        "VideoMAE's Kinetics schedule with EVEREST's selection, shortened, by analogy",
        LARGE_PRETRAIN,
        LARGE_FINETUNE,
        OWN,
    ),
}
