"""This file decides the recipes of VideoMAE, whose schedules EVEREST's rows share."""

from dataclasses import replace

from everest.recipe import FinetuneRecipe, Optim, PretrainRecipe
from everest.recipes.named import FINETUNE_OPTIM, RANDAUGMENT, NamedRecipe

SCRIPTS = "METHOD.md 1.3 and 2.1, the authors' scripts"
MODELS = {"s": "vit-s", "b": "vit-b", "l": "vit-l", "h": "vit-h"}
KINETICS_RESULT = {"s": "79.0", "b": "81.5 (80.0 and 81.0 after 800)", "l": "85.2", "h": "86.6"}
SSV2_RESULT = {"s": "66.8", "b": "70.8 (69.6 after 800)"}
HOURS = {"b": "27 of pre-training on 64 V100 for 800 epochs, as told by EVEREST's authors"}

PRETRAIN = PretrainRecipe(
    method="videomae", epochs=1600, batch_size=2048, optim=Optim(lr=1.5e-4, min_lr=1e-5, warmup=40)
)
FINETUNE = FinetuneRecipe(
    select="all",
    keep=1.0,
    epochs=75,
    batch_size=384,
    flip=0.5,
    randaugment=RANDAUGMENT,
    erasing=0.25,
    mixup=0.8,
    cutmix=1.0,
    repeats=2,
    optim=replace(FINETUNE_OPTIM, lr=5e-4),
)


def kinetics(size: str) -> NamedRecipe:
    """VideoMAE on Kinetics-400 at s, b, l or h."""
    model = MODELS[size]
    pretrain = replace(PRETRAIN, model=model)
    finetune = replace(FINETUNE, model=model)
    open_points = ""
    match size:
        case "s":
            pretrain = replace(pretrain, batch_size=1024)
            finetune = replace(finetune, epochs=150)
            open_points = "the fine-tuning rate of vit-b"
        case "l":
            pretrain = replace(pretrain, decoder_depth=12)
            finetune = replace(
                finetune, epochs=35, batch_size=128, optim=replace(finetune.optim, lr=2e-3)
            )
        case "h":
            pretrain = replace(pretrain, decoder_depth=12)
            finetune = replace(finetune, epochs=50, batch_size=512, drop_path=0.2, dropout=0.5)
            open_points = "the fine-tuning rate of vit-b"
    return NamedRecipe(
        f"VideoMAE {model} on Kinetics-400, 16x4, tube masking at 0.9.",
        SCRIPTS,
        pretrain,
        finetune,
        "k400:DIR",
        published=KINETICS_RESULT[size],
        hours=HOURS.get(size, "not known"),
        assumed=open_points,
    )


def something(size: str) -> NamedRecipe:
    """VideoMAE on Something-Something v2 at s or b: no mirrored clips, frames of segments."""
    theirs = kinetics(size)
    assert theirs.pretrain is not None and theirs.finetune is not None
    pretrain = replace(theirs.pretrain, stride=2, epochs=2400)
    finetune = replace(theirs.finetune, stride=2, sampling="segments", flip=0.0, epochs=30)
    if size == "s":
        optim = replace(finetune.optim, lr=1e-3, layer_decay=0.7)
        finetune = replace(finetune, epochs=40, optim=optim)
    return NamedRecipe(
        f"VideoMAE {MODELS[size]} on Something-Something v2, tube masking at 0.9.",
        SCRIPTS,
        pretrain,
        finetune,
        "ssv2:DIR",
        views="2x3",
        published=SSV2_RESULT[size],
        assumed="batches of Kinetics-400; 2,400 epochs of pre-training",
    )


UCF101 = NamedRecipe(
    "VideoMAE vit-b on UCF101, 16x4, tube masking at 0.75.",
    SCRIPTS,
    replace(PRETRAIN, visible=0.25, epochs=3200, batch_size=192, optim=Optim(lr=3e-4)),
    replace(
        FINETUNE,
        epochs=100,
        batch_size=128,
        drop_path=0.2,
        dropout=0.5,
        optim=replace(FINETUNE_OPTIM, lr=5e-4, layer_decay=0.7),
    ),
    "ucf101:DIR",
    published="91.3 (90.8 at 0.9)",
    assumed="the batches of EVEREST's scripts",
)

ROWS: dict[str, NamedRecipe] = {
    **{f"videomae-k400-{size}": kinetics(size) for size in MODELS},
    **{f"videomae-ssv2-{size}": something(size) for size in SSV2_RESULT},
    "videomae-ucf101": UCF101,
}
