"""This file decides how a config becomes a model, with its first weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from everest.backbones.registry import make
from everest.blocks import start_truncated
from everest.cells import RunningCells
from everest.classify import Reader, VideoClassifier
from everest.config import BackboneSpec, ModelConfig, SelectConfig, TargetSpec
from everest.configuring import configure
from everest.convert.read import WeightsError, read_tensors
from everest.heads import head_of
from everest.kinds import columns_of
from everest.masked import Decoder, DecoderConfig, MaskedVideoAutoencoder
from everest.names import TARGETS
from everest.pairs import InformativePairs
from everest.positions import Computed
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, changed
from everest.selection import AllTokens, Budget, RandomTokens, ReRo, Selector, Tube
from everest.targets import Target
from everest.targets.features import Features
from everest.targets.pixels import Pixels
from everest.validating import validate
from everest.vit import VideoTransformer, VitConfig

Model = MaskedVideoAutoencoder | VideoClassifier
EMBED_KEEP = 0.6  # share of tokens an autoencoder embeds by: the method's share in fine-tuning


def selector_of(config: SelectConfig) -> Selector:
    select = whole_selector(config)
    return RunningCells(select, config.decoder_share) if config.decoder_share < 1 else select


def whole_selector(config: SelectConfig) -> Selector:
    match config.name:
        case "rero":
            return ReRo(config.keep, config.visible)
        case "random":
            return RandomTokens(config.keep, config.visible)
        case "tube":
            assert config.visible is not None
            return Tube(config.visible)
        case "all":
            return AllTokens()
    raise ValueError(f"--select {config.name}: choose one of rero, random, tube, all")


def default_keep(config: ModelConfig) -> Budget:
    return EMBED_KEEP if config.select.name == "rero" else 1.0


def reading_selector(config: ModelConfig, keep: Budget) -> Selector:
    """The model's way of choosing, with `keep` tokens read and none hidden."""
    if keep == 1.0 and isinstance(keep, float):
        return AllTokens()
    return RandomTokens(keep, None) if config.select.name == "random" else ReRo(keep, None)


def target_of(
    spec: TargetSpec, vit: VitConfig, *, partial: bool, teacher: VideoTransformer | None
) -> Target:
    """`partial`: some decoded tokens are nothing to predict."""
    match spec.name:
        case "pixels":
            return Pixels(vit.tubelet, vit.patch, vit.channels, partial=partial)
        case "image_features" | "video_features" as kind:
            assert spec.dim is not None
            return Features(kind, spec.dim, vit.tubelet, teacher)
        case "hog":
            from everest.targets.hog import Hog

            return Hog(vit.tubelet, vit.patch, vit.channels, vit.mean, vit.std)
        case "trajectory":
            from everest.targets.trajectory import Trajectories

            return Trajectories(vit.tubelet, vit.patch)
    raise ValueError(f"--targets {spec.name}: choose of {', '.join(TARGETS)}")


def build(config: ModelConfig, teachers: Mapping[str, VideoTransformer] | None = None) -> Model:
    """The model of a config; `teachers` by the name of their target are needed to train alone.

    Raises ValueError for sizes and budgets that do not fit each other.
    """
    if config.backbone is not None:
        return build_backbone(config, config.backbone)
    encoder = VideoTransformer(config.vit)
    select = selector_of(config.select)
    pairs = InformativePairs(config.pairs.alpha, config.pairs.keep) if config.pairs else None
    grid = encoder.grid(config.clip.frames, *config.clip.size)
    select.counts(grid)
    if pairs is not None and pairs.candidates(grid[0]) < 2:
        raise ValueError(
            f"--frame-select with --frames {config.clip.frames}: one frame pair leaves nothing to "
            f"choose; give more frames"
        )
    if config.kind == "autoencoder":
        partial = config.select.decoder_share < 1
        placed: Computed = "sincos3d" if config.vit.positions == "sincos3d" else "sinusoid"
        decoders = []
        for spec in config.decoders:
            targets = {}
            for part in spec.targets:
                teacher = (teachers or {}).get(part.name)
                made = target_of(part, config.vit, partial=partial, teacher=teacher)
                targets[made] = part.weight
            shape = DecoderConfig(spec.width, spec.depth, spec.heads, spec.bias, placed)
            decoders.append(Decoder(shape, encoder.width, targets))
        autoencoder = MaskedVideoAutoencoder(encoder, select, decoders, pairs)
        autoencoder.config = config
        return autoencoder
    return classifier_of(encoder, config, select, pairs)


def build_backbone(config: ModelConfig, spec: BackboneSpec) -> VideoClassifier:
    """A classifier on a supervised model, which reads the whole clip."""
    return classifier_of(make(spec), config)


def classifier_of(
    reader: Reader,
    config: ModelConfig,
    select: Selector | None = None,
    pairs: InformativePairs | None = None,
) -> VideoClassifier:
    heads = {
        name: head_of(
            reader.features,
            column,
            config.scales.get(name, (0.0, 1.0)),
            smoothing=config.smoothing,
            dropout=config.dropout,
        )
        for name, column in columns_of(config.classes, config.kinds).items()
    }
    classifier = VideoClassifier(reader, heads, select, pairs, head_norm=config.head_norm)
    classifier.config = config
    return classifier


def start_classifier(model: VideoClassifier, recipe: FinetuneRecipe) -> None:
    """First weights of a classifier; what `--init` brings is loaded over them."""
    if recipe.start == "truncated" and isinstance(model.reader, VideoTransformer):
        model.reader.apply(start_truncated)
    for head in model.head_of.values():
        head.start(recipe.head_scale)


def candidate_frames(config: ModelConfig) -> int:
    """Frames read of a video for one clip: more than the clip has, with frame selection."""
    if config.pairs is None:
        return config.clip.frames
    pairs = InformativePairs(config.pairs.alpha, config.pairs.keep)
    return pairs.candidates(config.clip.frames // config.vit.tubelet) * config.vit.tubelet


def create_model(
    model: str = "vit-b", *, method: str = "everest", classes: int = 0, **fields: Any
) -> Model:
    """A fresh model: an autoencoder of the method, or with `classes` a classifier.

    `fields` are those of the recipe: frames, size, patch, tubelet, keep, visible, frame_select...
    Raises ValueError for a name or value that cannot be built.
    """
    recipe: Recipe
    if classes:
        recipe = changed(FinetuneRecipe(model=model), **fields)
        names = {"label": tuple(str(number) for number in range(classes))}
    else:
        recipe = changed(PretrainRecipe(model=model), method=method, **fields)
        names = {}
    validate(recipe)
    config = configure(recipe, names)
    built = build(config)
    if isinstance(recipe, FinetuneRecipe) and isinstance(built, VideoClassifier):
        start_classifier(built, recipe)
    return built


def read_config(folder: Path) -> ModelConfig:
    path = folder / "config.json"
    try:
        return ModelConfig.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not a model's config ({error})") from error


def from_pretrained(folder: str | Path) -> Model:
    """The model, in evaluation mode, of a folder that `save_pretrained` wrote."""
    folder = Path(folder)
    config = read_config(folder)
    model = build(config)
    path = folder / "model.safetensors"
    try:
        model.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        raise WeightsError(f"{path}: does not hold this model ({error})") from error
    return model.eval()
