"""This file decides the recipes of MVD and MME."""

from dataclasses import replace

from everest.recipe import FinetuneRecipe, Optim, PretrainRecipe
from everest.recipes.named import NamedRecipe
from everest.recipes.videomae import FINETUNE, MODELS

MVD_SOURCE = "METHOD.md 2.3, the authors' scripts"
MME_SOURCE = "METHOD.md 2.2, the authors' scripts"
# Results with teachers of the same size, and of vit-l where those were tried.
MVD_KINETICS = {"s": "81.0 with L teachers", "b": "82.7, with L teachers 83.4", "l": "86.0"}
MVD_SSV2 = {"s": "70.9 with L teachers", "b": "72.5, with L teachers 73.7", "l": "76.1"}
TEACHERS = "IMAGE-WEIGHTS.pth and VIDEO-WEIGHTS.pth, of the image and of the video teacher"
MVD_HOURS = {"b": "51 min 55 s an epoch of pre-training on 8 A6000 with L teachers"}

MVD_PRETRAIN = PretrainRecipe(
    method="mvd",
    image_teacher="IMAGE-WEIGHTS.pth",
    video_teacher="VIDEO-WEIGHTS.pth",
    epochs=400,
    batch_size=1024,
    drop_path=0.1,
    optim=Optim(lr=1.5e-4, min_lr=1e-4),
)
MME_PRETRAIN = PretrainRecipe(
    method="mme",
    trajectories="TRAJECTORIES",
    epochs=1600,
    batch_size=1024,
    optim=Optim(lr=1.5e-4, warmup=40),
)


MVD_FINETUNE = replace(FINETUNE, positions="sincos3d")


def mvd_kinetics(size: str) -> NamedRecipe:
    """MVD on Kinetics-400 at s, b or l."""
    return NamedRecipe(
        f"MVD {MODELS[size]} on Kinetics-400, 16x4; give {TEACHERS}.",
        MVD_SOURCE,
        replace(MVD_PRETRAIN, model=MODELS[size]),
        replace(MVD_FINETUNE, model=MODELS[size], epochs=150 if size == "s" else 75),
        "k400:DIR",
        published=MVD_KINETICS[size],
        hours=MVD_HOURS.get(size, "not known"),
        assumed="the fine-tuning batch and augmentation of VideoMAE",
    )


def mvd_something(size: str) -> NamedRecipe:
    """MVD pre-trained on Kinetics-400, fine-tuned on Something-Something v2."""
    optim = FINETUNE.optim
    if size == "s":
        optim = replace(optim, lr=1e-3, layer_decay=0.7)
    return NamedRecipe(
        f"MVD {MODELS[size]} on Something-Something v2, frames of segments.",
        MVD_SOURCE,
        None,
        replace(
            MVD_FINETUNE,
            model=MODELS[size],
            stride=2,
            sampling="segments",
            flip=0.0,
            epochs=40 if size == "s" else 30,
            optim=optim,
        ),
        "ssv2:DIR",
        views="2x3",
        init=f"runs/mvd-k400-{size}",
        published=MVD_SSV2[size],
        assumed="the fine-tuning batch and augmentation of VideoMAE",
    )


MME_KINETICS = NamedRecipe(
    "MME vit-b on Kinetics-400, 16x4; everest trajectories VIDEOS --out TRAJECTORIES comes first.",
    MME_SOURCE,
    MME_PRETRAIN,
    replace(FINETUNE, smallest_area=0.25, optim=replace(FINETUNE.optim, lr=1e-3)),
    "k400:DIR",
    views="7x3",
    published="81.8",
    hours="10 min 15 s an epoch of pre-training on 8 A6000",
    assumed="the fine-tuning batch and augmentation of VideoMAE",
)


def mme_after(
    what: str, data: str, views: str, published: str, recipe: FinetuneRecipe
) -> NamedRecipe:
    """MME pre-trained on Kinetics-400, fine-tuned elsewhere."""
    return NamedRecipe(
        what,
        MME_SOURCE,
        None,
        recipe,
        data,
        views=views,
        init="runs/mme-k400",
        published=published,
        assumed="the fine-tuning batch and augmentation of VideoMAE",
    )


MME_LABELLED = MME_KINETICS.finetune or FINETUNE
ROWS: dict[str, NamedRecipe] = {
    **{f"mvd-k400-{size}": mvd_kinetics(size) for size in MVD_KINETICS},
    **{f"mvd-ssv2-{size}": mvd_something(size) for size in MVD_SSV2},
    "mme-k400": MME_KINETICS,
    "mme-ssv2": mme_after(
        "MME vit-b on Something-Something v2, frames of segments.",
        "ssv2:DIR",
        "2x3",
        "71.5",
        replace(FINETUNE, stride=2, sampling="segments", flip=0.0, epochs=30),
    ),
    "mme-ucf101": mme_after(
        "MME vit-b on UCF101, 16x4.",
        "ucf101:DIR",
        "10x3",
        "96.5",
        replace(MME_LABELLED, epochs=100),
    ),
    "mme-hmdb51": mme_after(
        "MME vit-b on HMDB51, 16x2.",
        "hmdb51:DIR",
        "10x3",
        "78.0",
        replace(MME_LABELLED, epochs=100, stride=2),
    ),
}
