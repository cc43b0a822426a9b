"""Parity with the authors' own code: figures in golden/, made with tiny random weights.

EVEREST_GOLDEN=DIR holds any other folder of such files against this code. A file's family is told
by its name (everest_pretrain_2), or else by what it holds; other files are listed and passed over;
a folder in which none is recognised fails. The supervised backbones are held in tests/backbones.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from everest.classify import SingleLabel, VideoClassifier
from everest.clips import Clips
from everest.convert.tables import FINETUNE, MVD, PRETRAIN, Family, recognise, to_ours
from everest.masked import Decoder, DecoderConfig, MaskedVideoAutoencoder
from everest.positions import sincos3d
from everest.selection import AllTokens, Look, ReRo, Selection, Selector, size_of, take
from everest.targets.features import Features, Kind
from everest.targets.hog import layout
from everest.targets.pixels import Pixels
from everest.targets.trajectory import Trajectories, points_of
from everest.vit import VideoTransformer, VitConfig

FOLDER = Path(os.environ.get("EVEREST_GOLDEN", Path(__file__).parent / "golden"))
TOLERANCE = 5e-5
LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4  # relative


@dataclass(frozen=True)
class Golden:
    config: dict
    loss: float
    stride: int
    tensors: dict[str, Tensor]

    def weights(self) -> dict[str, Tensor]:
        return self.under("weights.")

    def under(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): value
            for name, value in self.tensors.items()
            if name.startswith(prefix)
        }

    def clips(self, labelled: bool) -> Clips:
        video = self.tensors["video"].permute(0, 4, 1, 2, 3)
        count = len(video)
        return Clips(
            video=video,
            labels={"label": torch.arange(count)} if labelled else {},
            weight=torch.ones(count),
            key=torch.arange(count),
            row=torch.arange(count),
            extra={},
        )


def load(path: Path) -> Golden:
    with safe_open(path, "pt") as file:
        facts = file.metadata() or {}
        return Golden(
            json.loads(facts["config"]),
            float(facts.get("loss", "nan")),
            int(facts.get("prediction_stride", 1)),
            {name: file.get_tensor(name) for name in file.keys()},
        )


def vit_config(config: dict, *, norm: bool) -> VitConfig:
    assert config["mlp_ratio"] == 4 and config["eps"] == 1e-6
    return VitConfig(
        config["embed_dim"],
        config["depth"],
        config["heads"],
        patch=config["patch"],
        tubelet=config["tubelet"],
        norm=norm,
    )


class Given:
    """The selector that reads and predicts what the golden file says."""

    def __init__(self, visible: Tensor, masked: Tensor | None) -> None:
        self.visible = positions_of(visible)
        self.masked = self.visible[:, :0] if masked is None else positions_of(masked)

    def counts(self, grid: tuple[int, int, int]) -> tuple[int, int]:
        return self.visible.shape[1], self.masked.shape[1]

    def __call__(self, look: Look) -> Selection:
        return Selection(self.visible, self.masked)


def positions_of(chosen: Tensor) -> Tensor:
    """(B, N) of 0 and 1 -> (B, K) ascending positions."""
    return torch.stack([row.nonzero()[:, 0] for row in chosen])


def autoencoder(golden: Golden, select: Selector) -> MaskedVideoAutoencoder:
    config = golden.config
    encoder = VideoTransformer(vit_config(config, norm=True))
    shape = DecoderConfig(config["decoder_dim"], config["decoder_depth"], config["decoder_heads"])
    target = Pixels(config["tubelet"], config["patch"], 3)
    model = MaskedVideoAutoencoder(encoder, select, [Decoder(shape, encoder.width, {target: 1.0})])
    fill(model, golden, PRETRAIN)
    return model


def classifier(golden: Golden, select: Selector) -> VideoClassifier:
    reader = VideoTransformer(vit_config(golden.config, norm=False))
    head = SingleLabel(reader.features, golden.config["classes"])
    model = VideoClassifier(reader, {"label": head}, select)
    fill(model, golden, FINETUNE)
    return model


def fill(model: nn.Module, golden: Golden, family: Family) -> None:
    ours, unknown = to_ours(golden.weights(), family)
    assert not unknown
    model.load_state_dict(ours, strict=True)


def check_gradients(model: nn.Module, golden: Golden, family: Family) -> None:
    norms = golden.under("grad_norm.")
    wanted, unknown = to_ours(norms, family)
    assert not unknown
    parameters = dict(model.named_parameters())
    assert set(wanted) == set(parameters)
    for name, norm in wanted.items():
        gradient = parameters[name].grad
        assert gradient is not None, name
        torch.testing.assert_close(
            gradient.norm(), norm.reshape(()), rtol=GRADIENT_TOLERANCE, atol=1e-7, msg=name
        )


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


def check_pretrain(golden: Golden) -> None:
    given = Given(golden.tensors["visible_mask"], golden.tensors["target_mask"])
    model = autoencoder(golden, given)
    clips = golden.clips(labelled=False)
    with torch.no_grad():
        out = model.eval()(clips)
    look = model.encoder.look(clips)
    (target,) = model.decoders[0].targets
    wanted = target(clips, look, given.masked)
    for ours, theirs in ((wanted, "target"), (out["prediction.0.pixels"], "prediction")):
        close(ours[:, :: golden.stride], golden.tensors[theirs])
    assert out["loss"].mean().item() == pytest.approx(golden.loss, abs=LOSS_TOLERANCE)
    model.train()(clips)["loss"].mean().backward()
    check_gradients(model, golden, PRETRAIN)


def check_everest_pretrain(golden: Golden) -> None:
    check_pretrain(golden)
    select = ReRo(golden.config["keep"], golden.config["visible"])
    model = autoencoder(golden, select)
    look = model.encoder.look(golden.clips(labelled=False))
    close(look.change().flatten(1), golden.tensors["importance"])
    theirs = golden.tensors["visible_mask"] + golden.tensors["target_mask"]
    ours = select(look)
    kept = torch.cat(ours, dim=1).sort(dim=1).values
    assert torch.equal(kept, positions_of(theirs))
    assert ours.visible.shape[1] == golden.tensors["visible_mask"][0].sum()


class GivenFeatures(Features):
    """The features that the golden file says a teacher made of each token."""

    def __init__(self, kind: Kind, features: Tensor, tubelet: int) -> None:
        super().__init__(kind, features.shape[2], tubelet)
        self.features = features

    def possible(self, clips: Clips) -> bool:
        return True

    def __call__(self, clips: Clips, look: Look, positions: Tensor) -> Tensor:
        return take(self.features, positions)


def student(golden: Golden, given: Given) -> MaskedVideoAutoencoder:
    config, tensors = golden.config, golden.tensors
    encoder = VideoTransformer(replace(vit_config(config, norm=True), positions="sincos3d"))
    shape = DecoderConfig(
        config["decoder_dim"], config["decoder_depth"], config["decoder_heads"], True, "sincos3d"
    )
    kinds: tuple[Kind, Kind] = ("image_features", "video_features")
    targets = [
        GivenFeatures(kind, tensors[kind.replace("features", "target")], config["tubelet"])
        for kind in kinds
    ]
    decoders = [Decoder(shape, encoder.width, {target: 1.0}) for target in targets]
    return MaskedVideoAutoencoder(encoder, given, decoders)


def check_mvd_student(golden: Golden) -> None:
    masked = golden.tensors["target_mask"]
    given = Given(1 - masked, masked)
    model, clips = student(golden, given), golden.clips(labelled=False)
    weights = golden.weights()
    look = model.encoder.look(clips)
    for end, width in (("", "embed_dim"), ("_img", "decoder_dim"), ("_vid", "decoder_dim")):
        table = weights.pop(f"pos_embed{end}")[0]
        torch.testing.assert_close(sincos3d(look.grid, golden.config[width]), table)
    fill(model, replace(golden, tensors={f"weights.{k}": v for k, v in weights.items()}), MVD)
    with torch.no_grad():
        out = model.eval()(clips)
    for number, kind in enumerate(("image", "video")):
        predicted = out[f"prediction.{number}.{kind}_features"][:, :: golden.stride]
        torch.testing.assert_close(
            predicted, golden.tensors[f"{kind}_prediction"], atol=1e-5, rtol=0
        )
    assert out["loss"].mean().item() == pytest.approx(golden.loss, abs=LOSS_TOLERANCE)
    model.train()(clips)["loss"].mean().backward()
    check_gradients(model, golden, MVD)


def check_mme_targets(golden: Golden) -> None:
    """What the displacements become, and where a histogram lies in a target; the histograms'
    values hold a random number of the authors' code (golden/README.md) and cannot be equalled."""
    config, tensors = golden.config, golden.tensors
    clips = golden.clips(labelled=False)
    look = VideoTransformer(vit_config(config, norm=True)).look(clips)
    positions = torch.arange(size_of(look.grid)).expand(len(clips.key), -1)
    steps = look.grid[0]
    # The authors' maps are (B, coordinate, (t, step), rows, columns).
    split = tensors["displacements"].unflatten(2, (steps, config["trajectory_length"]))
    maps = split.transpose(1, 2).flatten(2, 3)
    target = Trajectories(config["tubelet"], config["patch"])
    found = target(clips._replace(extra={"trajectory": maps}), look, positions)
    torch.testing.assert_close(found, tensors["trajectory_target"], rtol=0, atol=1e-6)
    by_token = points_of(tensors["hog"].transpose(1, 2)).flatten(0, 1)  # (B*N, 27, 2, 2)
    dealt = layout(by_token.unflatten(1, (3, config["bins"])))
    assert torch.equal(dealt.unflatten(0, positions.shape), tensors["hog_target"])


def check_finetune(golden: Golden, select: Selector) -> None:
    model = classifier(golden, select)
    clips = golden.clips(labelled=True)
    for out in (model.eval()(clips), model.train()(clips)):
        close(out["logits.label"], golden.tensors["logits"])
        assert out["loss"].mean().item() == pytest.approx(golden.loss, abs=LOSS_TOLERANCE)
    out["loss"].mean().backward()
    check_gradients(model, golden, FINETUNE)


def check_everest_finetune(golden: Golden) -> None:
    select = ReRo(golden.config["keep"], visible=None)
    model = classifier(golden, select)
    look = model.reader.look(golden.clips(labelled=True))
    assert look is not None
    assert torch.equal(select(look).visible, positions_of(golden.tensors["kept_mask"]))
    check_finetune(golden, select)


CHECKS: dict[str, Callable[[Golden], None]] = {
    "everest_pretrain": check_everest_pretrain,
    "everest_finetune": check_everest_finetune,
    "videomae_pretrain": check_pretrain,
    "videomae_finetune": lambda golden: check_finetune(golden, AllTokens()),
    "mvd_student": check_mvd_student,
    "mme_targets": check_mme_targets,
}


# The supervised backbones, which are held in tests/backbones, by name alone.
BACKBONES = ("kcenter", "motionformer", "mvit", "timesformer", "vivit", "xvit")
# A fine-tuned MVD has VideoMAE's names, with other positions: its file's name alone tells it.
OTHERS = (*BACKBONES, "mvd")


def family_by_name(path: Path) -> str | None:
    """The longest known family that the file's name begins with (everest_pretrain_2 is one)."""
    fitting = [family for family in CHECKS if path.stem.startswith(family)]
    return max(fitting, key=len, default=None)


def family_by_content(path: Path) -> str | None:
    """The family whose weights and figures a file holds; None for any other file."""
    try:
        with safe_open(path, "pt") as file:
            facts, names = file.metadata() or {}, set(file.keys())
        config = json.loads(facts["config"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError):
        return None
    if names >= {"displacements", "trajectory_target", "hog", "hog_target"}:
        return "mme_targets"
    family = recognise(
        name.removeprefix("weights.") for name in names if name.startswith("weights.")
    )
    if family is PRETRAIN and names >= {"visible_mask", "target_mask", "prediction", "target"}:
        return "everest_pretrain" if "importance" in names else "videomae_pretrain"
    if family is MVD and names >= {"target_mask", "image_prediction", "video_prediction"}:
        return "mvd_student"
    if family is FINETUNE and "logits" in names:
        everest = "kept_mask" in names and config.get("keep", 1.0) != 1.0
        return "everest_finetune" if everest else "videomae_finetune"
    return None


def family_of(path: Path) -> str | None:
    family = family_by_name(path)
    if family is None and not path.stem.startswith(OTHERS):
        family = family_by_content(path)
    return family


FILES = sorted(FOLDER.glob("*.safetensors"))
KNOWN = [path for path in FILES if family_of(path)]


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: path.stem)
def test_figures_equal_the_authors(path: Path) -> None:
    family = family_of(path)
    assert family is not None
    CHECKS[family](load(path))


def test_some_family_is_recognised() -> None:
    elsewhere = [path for path in FILES if path.stem.startswith(BACKBONES)]
    ignored = [path.stem for path in FILES if path not in (*KNOWN, *elsewhere)]
    if ignored:
        print(f"of no known family, passed over: {', '.join(ignored)}")
    assert KNOWN or elsewhere, (
        f"no golden file of a known family in {FOLDER}; known are {', '.join(CHECKS)}"
    )


@pytest.mark.parametrize("family", CHECKS)
def test_a_file_whose_name_tells_nothing_is_recognised_by_what_it_holds(
    family: str, tmp_path: Path
) -> None:
    own = Path(__file__).parent / "golden" / f"{family}.safetensors"
    path = tmp_path / "tiny_3.safetensors"
    shutil.copy(own, path)
    assert family_of(path) == family


def test_a_name_that_tells_a_family_is_believed(tmp_path: Path) -> None:
    own = Path(__file__).parent / "golden" / "videomae_finetune.safetensors"
    for name, family in (
        ("everest_pretrain_2", "everest_pretrain"),
        ("mvd_finetune", None),
        ("timesformer", None),
    ):
        path = tmp_path / f"{name}.safetensors"
        shutil.copy(own, path)
        assert family_of(path) == family


def test_a_file_that_holds_no_known_figures_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(b"not figures")
    assert family_of(path) is None
    save_file({"weights.blocks.0.attn.q_bias": torch.zeros(1)}, path, {"config": "{}"})
    assert family_of(path) is None
    save_file({"video": torch.zeros(1)}, path)
    assert family_of(path) is None
