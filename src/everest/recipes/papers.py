"""This file decides the recipes of EVEREST itself: the rows of its paper and poster."""

from dataclasses import replace

from everest.recipe import FinetuneRecipe, PretrainRecipe
from everest.recipes import taught, videomae
from everest.recipes.named import FINETUNE_OPTIM, RANDAUGMENT, NamedRecipe

SCRIPTS = "METHOD.md 1.3, the authors' scripts for 8 GPUs"
MODELS = {"s": "vit-s", "b": "vit-b", "l": "vit-l"}
EPOCHS = 200  # of pre-training, as reviewers of the paper count them
UNPUBLISHED = (
    f"the authors' schedule there is not published: VideoMAE's, with EVEREST's selection and "
    f"{EPOCHS} epochs of pre-training"
)
KINETICS_HOURS = {"b": "8 min 18 s an epoch of pre-training on 8 A6000 (VideoMAE: 18 min 42 s)"}

UCF_PRETRAIN = PretrainRecipe(epochs=3200, batch_size=192)
UCF_FINETUNE = FinetuneRecipe(
    epochs=100,
    batch_size=128,
    flip=0.5,
    randaugment=RANDAUGMENT,
    erasing=0.25,
    optim=FINETUNE_OPTIM,
)
UCF101 = NamedRecipe(
    "EVEREST vit-b on UCF101, 16x4.",
    SCRIPTS,
    UCF_PRETRAIN,
    UCF_FINETUNE,
    "ucf101:DIR",
    published="93.4, the released weights 93.7 on split 1; 92.8, 91.6 and 89.7 after 1,600, 800 "
    "and 400 epochs",
)
HMDB51 = NamedRecipe(
    "EVEREST vit-b on HMDB51, 16x2.",
    SCRIPTS,
    replace(UCF_PRETRAIN, epochs=4800, stride=2),
    replace(UCF_FINETUNE, epochs=50, stride=2),
    "hmdb51:DIR",
    views="10x3",
    published="65.8",
)


def with_selection(theirs: NamedRecipe) -> NamedRecipe:
    """VideoMAE's schedule with what EVEREST reads and predicts."""
    assert theirs.pretrain is not None and theirs.finetune is not None
    # The poster counts a decoder of 4 blocks at every size (METHOD.md 3.1).
    pretrain = replace(theirs.pretrain, method="everest", epochs=EPOCHS, decoder_depth="auto")
    finetune = replace(theirs.finetune, select="auto", keep=0.6)
    what = theirs.what.replace("VideoMAE", "EVEREST").replace(", tube masking at 0.9", "")
    return replace(
        theirs,
        what=what,
        source="METHOD.md 1.3 and 1.4",
        pretrain=pretrain,
        finetune=finetune,
        published="not among the facts at hand",
        hours="not known",
        assumed=UNPUBLISHED,
    )


def with_frames(theirs: NamedRecipe, assumed: str) -> NamedRecipe:
    """The same with information-intensive frame selection, alpha 1.5."""
    assert theirs.pretrain is not None and theirs.finetune is not None
    return replace(
        theirs,
        what=theirs.what.replace(".", ", with information-intensive frame selection, alpha 1.5."),
        pretrain=replace(theirs.pretrain, frame_select=True),
        finetune=replace(theirs.finetune, frame_select=True),
        published="not among the facts at hand",
        assumed=assumed,
    )


def kinetics(size: str) -> NamedRecipe:
    hours = KINETICS_HOURS.get(size, "not known")
    return replace(with_selection(videomae.kinetics(size)), hours=hours)


def from_weights(theirs: NamedRecipe, weights: str) -> NamedRecipe:
    """The poster's rows that fine-tune another autoencoder's weights with EVEREST."""
    assert theirs.finetune is not None
    name = theirs.what.split()[0]
    return replace(
        theirs,
        what=f"Weights of {name}, fine-tuned with EVEREST's selection on Kinetics-400: vit-b, "
        f"98.1 GFLOPs a view and not 180.5.",
        pretrain=None,
        finetune=replace(theirs.finetune, select="auto", keep=0.6),
        init=weights,
        published="not among the facts at hand",
        hours="not known",
        assumed=f"{name}'s own fine-tuning schedule",
    )


ROWS: dict[str, NamedRecipe] = {
    "everest-ucf101": UCF101,
    "everest-hmdb51": HMDB51,
    "everest-ucf101-frames": with_frames(UCF101, "frame selection on the same schedule"),
    **{f"everest-k400-{size}": kinetics(size) for size in MODELS},
    "everest-k400-b-frames": with_frames(kinetics("b"), UNPUBLISHED),
    "everest-ssv2-b": with_selection(videomae.something("b")),
    "everest-oscc-b": replace(
        kinetics("b"),
        what="EVEREST vit-b on Ego4D object state change, 8 s clips, 16 frames.",
        data="oscc:DIR",
        published="76.2 (Egocentric VLP: 73.9)",
        hours="not known",
        assumed=f"{UNPUBLISHED}; 2 frames a second, so that 16 are the 8 s",
        pretrain=replace(UCF_PRETRAIN, epochs=EPOCHS, fps=2),
        finetune=replace(UCF_FINETUNE, fps=2),
    ),
    "everest-from-videomae": from_weights(videomae.kinetics("b"), "hf:MCG-NJU/videomae-base"),
    "everest-from-mvd": from_weights(taught.mvd_kinetics("b"), "MVD-WEIGHTS.pth"),
    "everest-from-mme": from_weights(taught.MME_KINETICS, "MME-WEIGHTS.pth"),
}
