"""This file decides what a Hugging Face config says of a model, and which config ours has there."""

from pathlib import Path
from typing import Any

from everest.config import ModelConfig
from everest.convert.beside import Beside, Sides, whole
from everest.convert.read import WeightsError

OWN_EPS = 1e-6  # of our layer norms
HEAD_EPS = 1e-5  # of fc_norm and decoder.norm there; no config changes it
EPS_NOTE = "its layer norms add {} to the variance and these 1e-6: outputs differ slightly"


def beside_of_config(config: dict[str, Any], pixels: dict[str, Any], path: Path) -> Beside:
    """What config.json and preprocessor_config.json say; both may be empty.

    Raises WeightsError for what this package's blocks cannot do.
    """
    act = config.get("hidden_act", "gelu")
    if act != "gelu":
        raise WeightsError(f"{path}: hidden_act {act}; the blocks here have gelu alone")
    if not config.get("qv_bias", config.get("qkv_bias", True)):
        raise WeightsError(f"{path}: its attention has no biases; the blocks here have them")
    for kind in ("", "decoder_"):
        inner, outer = (config.get(f"{kind}{name}_size") for name in ("intermediate", "hidden"))
        if inner is not None and outer is not None and inner != 4 * outer:
            if kind and "ForPreTraining" not in str(config.get("architectures")):
                continue  # the decoder's sizes stand in a classifier's config too
            raise WeightsError(
                f"{path}: {kind}intermediate_size {inner} is not 4 x {outer}, which blocks here are"
            )
    eps = config.get("layer_norm_eps", OWN_EPS)
    notes = [EPS_NOTE.format(f"{eps:g}")] if eps != OWN_EPS else []
    if config.get("norm_pix_loss") is False:
        notes.append(
            "it was trained on grey levels as they are; here its loss is of normalised ones"
        )
    mean, std = numbers(pixels.get("image_mean")), numbers(pixels.get("image_std"))
    if pixels.get("do_normalize") is False:
        channels = whole(config.get("num_channels")) or 3
        mean, std = (0.0,) * channels, (1.0,) * channels
    return Beside(
        frames=whole(config.get("num_frames")),
        size=sides(config.get("image_size")),
        heads=whole(config.get("num_attention_heads")),
        decoder_heads=whole(config.get("decoder_num_attention_heads")),
        classes=labels(config.get("id2label")),
        mean=mean,
        std=std,
        notes=tuple(notes),
    )


def labels(named: object) -> tuple[str, ...] | None:
    """{"0": name, ...} -> names in the order of the logits."""
    if not isinstance(named, dict) or not named:
        return None
    try:
        return tuple(str(named[key]) for key in sorted(named, key=int))
    except ValueError:
        return None


def sides(value: object) -> Sides | None:
    pair = value if isinstance(value, list) and len(value) == 2 else [value, value]
    height, width = (whole(side) for side in pair)
    return (height, width) if height and width else None


def numbers(value: object) -> tuple[float, ...] | None:
    if isinstance(value, list) and value and all(isinstance(one, (int, float)) for one in value):
        return tuple(map(float, value))
    return None


def config_of(config: ModelConfig) -> dict[str, Any]:
    """config.json of our model as VideoMAEForPreTraining or VideoMAEForVideoClassification.

    Raises ValueError for a model that these two cannot be.
    """
    refuse_foreign(config)
    vit, clip = config.vit, config.clip
    height, width = clip.size
    content: dict[str, Any] = {
        "model_type": "videomae",
        "image_size": height if height == width else [height, width],
        "patch_size": vit.patch,
        "num_channels": vit.channels,
        "num_frames": clip.frames,
        "tubelet_size": vit.tubelet,
        "hidden_size": vit.width,
        "num_hidden_layers": vit.depth,
        "num_attention_heads": vit.heads,
        "intermediate_size": 4 * vit.width,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "layer_norm_eps": OWN_EPS,
        "qkv_bias": True,
        "use_mean_pooling": not vit.norm,
    }
    if config.kind == "classifier":
        (names,) = config.classes.values()
        return {
            "architectures": ["VideoMAEForVideoClassification"],
            **content,
            "id2label": {str(number): name for number, name in enumerate(names)},
            "label2id": {name: number for number, name in enumerate(names)},
        }
    (decoder,) = config.decoders
    return {
        "architectures": ["VideoMAEForPreTraining"],
        **content,
        "decoder_hidden_size": decoder.width,
        "decoder_num_hidden_layers": decoder.depth,
        "decoder_num_attention_heads": decoder.heads,
        "decoder_intermediate_size": 4 * decoder.width,
        "norm_pix_loss": True,
    }


def processor_of(config: ModelConfig) -> dict[str, Any]:
    """preprocessor_config.json: the shorter side resized, the centre cut out, pixels normalised."""
    height, width = config.clip.size
    return {
        "image_processor_type": "VideoMAEImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": max(height, width)},
        "resample": 2,  # bilinear
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(config.vit.mean),
        "image_std": list(config.vit.std),
    }


def refuse_foreign(config: ModelConfig) -> None:
    """Raises ValueError with all that these two classes of Hugging Face cannot be."""
    faults = faults_of(config)
    if faults:
        raise ValueError(
            f"--to hf: VideoMAE's classes there cannot be this model: {'; '.join(faults)}; write "
            f"--to everest"
        )


def faults_of(config: ModelConfig) -> list[str]:
    """What of a model these two classes cannot be."""
    vit = config.vit
    faults = []
    if config.backbone is not None:
        return [f"it is {config.backbone.model}"]
    if vit.positions != "sinusoid":
        faults.append(f"its positions are {vit.positions} and must be sinusoid")
    if vit.class_token:
        faults.append("it has a class token")
    if config.kind == "classifier":
        if vit.pool != "mean":
            faults.append(f"it pools by {vit.pool} and must pool by mean")
        if config.head_norm != "layer":
            faults.append(f"its head norm is {config.head_norm} and must be layer")
        if vit.norm:
            faults.append("it keeps the encoder's norm (--encoder-norm keep)")
        if len(config.classes) != 1:
            faults.append(f"it has {len(config.classes)} label columns and must have one")
        elif config.kinds:
            faults.append(f"its labels are of kind {next(iter(config.kinds.values()))}, not class")
    else:
        names = [[target.name for target in spec.targets] for spec in config.decoders]
        if names != [["pixels"]]:
            said = ", ".join("+".join(part) for part in names) or "nothing"
            faults.append(f"it predicts {said} and must predict pixels with one decoder")
    return faults
