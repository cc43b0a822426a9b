"""Every family's files, in every container: read whole, told of, and with the outputs they had."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

import theirs
from everest.clips import Clips
from everest.convert import FAMILIES, WeightsError, read_weights
from everest.convert.beside import Beside
from everest.convert.read import Content, read_content
from everest.convert.renaming import to_ours, to_theirs
from everest.convert.tables import ALIKE, FINETUNE, MME, MVD, NAMED, PRETRAIN
from everest.convert.weights import Weights, model_of, weights_of
from everest.positions import sincos3d, sinusoid
from everest.selection import AllTokens, ReRo, Selection, take
from theirs import (
    ARGUMENTS,
    CLASSES,
    CONTAINERS,
    FRAMES,
    GRID,
    HEADS,
    SIZE,
    TUBELET,
    WIDTH,
    Code,
    Tensors,
    deepspeed,
    pickled,
    saved,
)

GOLDEN = Path(__file__).parent / "golden"
FROM_FILE = Beside(frames=FRAMES, size=(SIZE, SIZE), stride=3)


def made(kind: str) -> Tensors:
    return theirs.FAMILIES[kind][0]()


def read(tensors: Tensors, family: str | None = None, beside: Beside = FROM_FILE) -> Weights:
    return weights_of(Content(tensors, beside), "a.pth", family)


def clip(frames: int = FRAMES) -> Clips:
    video = torch.randint(
        0, 256, (2, 3, frames, SIZE, SIZE), generator=torch.Generator().manual_seed(1)
    )
    key = torch.arange(2)
    return Clips(video.to(torch.uint8), {}, torch.ones(2), key, key, {})


# Containers


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", theirs.FAMILIES)
def test_every_family_is_read_whole_from_every_container(
    kind: str, container: str, tmp_path: Path
) -> None:
    make, family = theirs.FAMILIES[kind]
    found = read_weights(CONTAINERS[container](make(), tmp_path))
    report = found.report
    assert report is not None and not report.missing
    assert found.family == family
    vit = found.config.vit
    assert (vit.width, vit.depth, vit.heads, vit.patch) == (WIDTH, 2, HEADS, 8)
    assert vit.tubelet == (1 if "image" in kind else TUBELET)
    assert all(value.dtype == torch.float32 for value in found.tensors.values())
    model = model_of(found)  # strict: every parameter is there
    assert found.tensors.keys() == model.state_dict().keys()


@pytest.mark.parametrize("container", ["pth", "deepspeed"])
def test_the_arguments_of_the_training_tell_clip_and_size(container: str, tmp_path: Path) -> None:
    found = read_weights(CONTAINERS[container](made("videomae pretrain"), tmp_path))
    assert (found.config.clip.frames, found.config.clip.size) == (FRAMES, (SIZE, SIZE))
    assert found.config.clip.stride == ARGUMENTS.sampling_rate
    assert found.report is not None
    assert not {"frames", "size", "stride"} & set(found.report.assumed)


def test_a_file_that_does_not_say_has_the_released_models_clip_and_that_is_told(
    tmp_path: Path,
) -> None:
    found = read_weights(CONTAINERS["bin"](made("videomae pretrain"), tmp_path))
    assert (found.config.clip.frames, found.config.clip.size) == (16, (224, 224))
    assert any("16 frames (assumed) x stride 4 (assumed), 224x224" in line for line in found.lines)


def test_half_precision_becomes_float32_and_is_told(tmp_path: Path) -> None:
    tensors = made("videomae finetune")
    found = read_weights(deepspeed(tensors, tmp_path))
    theirs_half = tensors["head.weight"].half().float()
    assert torch.equal(found.tensors["heads.0.linear.weight"], theirs_half)
    assert f"{len(tensors)} tensors of another precision became float32" in found.lines


def test_the_best_checkpoint_of_a_run_is_taken_and_else_the_newest(tmp_path: Path) -> None:
    tensors = made("videomae finetune")
    for number, place in enumerate(("checkpoint-9", "checkpoint-10", "checkpoint-best")):
        tensors["head.bias"] = torch.full((CLASSES,), float(number))
        deepspeed(tensors, tmp_path, place)
        assert read_weights(tmp_path).tensors["heads.0.linear.bias"][0] == number


def test_a_folder_with_several_files_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="a folder without weights; give a run folder"):
        read_weights(tmp_path)
    saved(made("videomae finetune"), tmp_path / "a.pth")
    assert read_weights(tmp_path).family == "videomae-finetune"
    saved(made("videomae finetune"), tmp_path / "b.pth")
    with pytest.raises(WeightsError, match="2 weights files: give one"):
        read_weights(tmp_path)


@pytest.mark.parametrize("place", ["mp_rank_00_model_states.pt", "pytorch_model.bin", "x.pyth"])
def test_code_in_a_folder_of_weights_is_never_run(place: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = {"module": made("videomae finetune"), "extra": Code(canary)}
    for write in (saved, pickled):
        write(content, tmp_path / "folder" / place)
        with pytest.raises(WeightsError, match="nothing in it was run") as refused:
            read_weights(tmp_path / "folder")
        assert "weights_only" not in str(refused.value)
    assert not canary.exists()


# Families


@pytest.mark.parametrize("family", [PRETRAIN, FINETUNE, MME], ids=lambda family: family.name)
def test_a_round_trip_is_exact(family: object) -> None:
    kinds = {PRETRAIN.name: "videomae pretrain", FINETUNE.name: "videomae finetune"}
    assert family in (PRETRAIN, FINETUNE, MME)
    tensors = made(kinds.get(family.name, "mme pretrain"))
    back = to_theirs(to_ours(tensors, family)[0], family)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], value) for name, value in tensors.items())


def test_a_family_that_is_named_is_no_longer_assumed() -> None:
    tensors = made("videomae finetune")
    report = read(tensors).report
    assert report is not None and "positions" in report.assumed
    assert "--family mvd-finetune" in report.positions_line()
    for family in ALIKE:
        if family.kind == "classifier":
            found = read(tensors, family.name)
            assert found.config.vit.positions == family.positions
            assert found.report is not None and "positions" not in found.report.assumed
    assert read(tensors, "mvd-finetune").config.vit.positions == "sincos3d"
    assert read(tensors, "everest-finetune").config.select.keep == 0.6
    assert {family.name for family in (*FAMILIES, *ALIKE)} == set(NAMED)


def test_a_family_that_the_names_are_not_of_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"no mme-pretrain file.*looks like videomae-finetune"):
        read(made("videomae finetune"), "mme-pretrain")
    with pytest.raises(WeightsError, match="--family mvd: choose one of"):
        read(made("videomae finetune"), "mvd")


def test_two_decoders_and_two_heads_come_with_their_sizes() -> None:
    mvd, mme = read(made("mvd pretrain")).config, read(made("mme pretrain")).config
    assert [[(part.name, part.dim) for part in spec.targets] for spec in mvd.decoders] == [
        [("image_features", 48)],
        [("video_features", 80)],
    ]
    assert [(spec.width, spec.depth, spec.heads, spec.bias) for spec in mvd.decoders] == [
        (WIDTH, 2, HEADS, True)
    ] * 2
    (spec,) = mme.decoders
    assert [(part.name, part.weight) for part in spec.targets] == [
        ("hog", 0.5),
        ("trajectory", 0.5),
    ]
    assert (spec.width, spec.depth, spec.heads) == (32, 1, 1)


def test_a_table_that_equals_a_computed_one_is_computed() -> None:
    found = read(made("mvd pretrain"))
    assert found.config.vit.positions == "sincos3d"
    assert not [name for name in found.tensors if "position" in name]
    tensors = made("first token")
    for table, kind in ((sincos3d(GRID, WIDTH), "sincos3d"), (sinusoid(32, WIDTH), "sinusoid")):
        assert read({**tensors, "pos_embed": table[None]}).config.vit.positions == kind


def test_a_table_of_its_own_is_kept() -> None:
    table = torch.randn(1, 32, WIDTH)
    found = read({**made("first token"), "pos_embed": table})
    assert (found.config.vit.positions, found.config.vit.table) == ("table", GRID)
    assert torch.equal(found.tensors["encoder.position_table"], table[0])


def test_a_decoder_with_a_table_of_its_own_is_refused() -> None:
    tensors = made("mvd pretrain")
    tensors["pos_embed_img"] = torch.randn(1, 32, WIDTH)
    with pytest.raises(WeightsError, match="a decoder's table of positions that is none"):
        read(tensors)


def test_a_table_of_no_grid_is_refused() -> None:
    with pytest.raises(WeightsError, match="a table of 31 positions"):
        read({**made("first token"), "pos_embed": torch.randn(1, 31, WIDTH)}, beside=Beside())


def test_a_head_that_reads_the_first_token_is_left_aside_and_told() -> None:
    found = read(made("first token"))
    assert found.kind == "autoencoder" and found.config.vit.norm and not found.config.decoders
    assert found.report is not None
    assert [name for name, _ in found.report.unused] == ["head.weight", "head.bias"]
    assert any("reads the first token alone" in line for line in found.lines)


def test_the_decoder_of_an_image_model_is_left_aside_and_told() -> None:
    found = read(made("image mae whole"))
    assert found.report is not None
    unused = dict(found.report.unused)
    assert unused["decoder_pred.weight"] == unused["mask_token"]
    assert "class token has no place" in unused["mask_token"]
    assert "blocks.0.attn.k_bias" in unused


# Outputs


def reference(tensors: Tensors, positions: Tensor, video: Tensor, style: str) -> Tensor:
    """(B, N, D) after the last block and without the class token, as the authors' blocks have it:
    with key biases, from their own names. (B, C, T, H, W) normalised video."""
    weight = tensors["patch_embed.proj.weight"]
    if weight.ndim == 4:
        weight = weight[:, :, None]
    tokens = F.conv3d(video, weight, tensors["patch_embed.proj.bias"], stride=weight.shape[2:])
    rows = tokens.flatten(2).transpose(1, 2)
    first = tensors["cls_token"].expand(len(rows), -1, -1)
    rows = torch.cat((first, rows), dim=1) + positions
    for number in range(2):
        block = f"blocks.{number}."

        def linear(name: str, inner: Tensor, block: str = block) -> Tensor:
            return F.linear(inner, tensors[f"{block}{name}.weight"], tensors[f"{block}{name}.bias"])

        def norm(name: str, inner: Tensor, block: str = block) -> Tensor:
            pair = tensors[f"{block}{name}.weight"], tensors[f"{block}{name}.bias"]
            return F.layer_norm(inner, (WIDTH,), *pair, eps=1e-6)

        inner = norm("norm1", rows)
        if style == "separate":
            parts = [linear(f"attn.{part}", inner) for part in "qkv"]
        else:
            parts = list(linear("attn.qkv", inner).chunk(3, dim=2))
        split = [part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in parts]
        read_rows = F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
        rows = rows + linear("attn.proj", read_rows)
        rows = rows + linear("mlp.fc2", F.gelu(linear("mlp.fc1", norm("norm2", rows))))
    return rows[:, 1:]


def normalised(clips: Clips, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    shape = (3, 1, 1, 1)
    video = clips.video.float() / 255
    return (video - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def separable(tensors: Tensors) -> Tensor:
    """(1, 1 + N, D) as ST-MAE adds its three tables up."""
    space, time = tensors["pos_embed_spatial"], tensors["pos_embed_temporal"]
    table = space.repeat(1, GRID[0], 1) + time.repeat_interleave(GRID[1] * GRID[2], dim=1)
    return torch.cat((tensors["pos_embed_class"], table), dim=1)


@pytest.mark.parametrize("kind", ["st-mae finetune", "st-mae slowfast", "image mae finetune"])
@torch.no_grad()
def test_a_classifier_with_a_class_token_gives_its_logits(kind: str) -> None:
    tensors = made(kind)
    image = "image" in kind
    found = read(tensors)
    model = model_of(found)
    model.select = AllTokens()
    clips = clip(1 if image else FRAMES)
    video = normalised(clips, found.config.vit.mean, found.config.vit.std)
    positions = tensors["pos_embed"] if image else separable(tensors)
    features = reference(tensors, positions, video, "joint" if image else "separate").mean(dim=1)
    norm, head = ("fc_norm", "head") if image else ("norm", "head")
    if "slowfast" in kind:
        head = "head.projection"
    features = F.layer_norm(
        features, (WIDTH,), tensors[f"{norm}.weight"], tensors[f"{norm}.bias"], eps=1e-6
    )
    wanted = F.linear(features, tensors[f"{head}.weight"], tensors[f"{head}.bias"])
    torch.testing.assert_close(model(clips)["logits.label"], wanted, atol=2e-5, rtol=0)
    assert wanted.std() > 0.01


@pytest.mark.parametrize("kind", ["st-mae pretrain", "image mae"])
@torch.no_grad()
def test_an_encoder_with_a_class_token_gives_its_features(kind: str) -> None:
    tensors = made(kind)
    image = kind == "image mae"
    found = read(tensors)
    clips = clip(1 if image else FRAMES)
    video = normalised(clips, found.config.vit.mean, found.config.vit.std)
    positions = tensors["pos_embed"] if image else separable(tensors)
    rows = reference(tensors, positions, video, "joint" if image else "separate")
    rows = F.layer_norm(rows, (WIDTH,), tensors["norm.weight"], tensors["norm.bias"], eps=1e-6)
    features = model_of(found)(clips)["features"]
    torch.testing.assert_close(features, rows.mean(dim=1), atol=2e-5, rtol=0)


def test_st_mae_has_its_own_pixel_mean_and_says_so() -> None:
    found = read(made("st-mae pretrain"))
    assert found.config.vit.mean == (0.45, 0.45, 0.45)
    assert "pixels: mean 0.45/0.45/0.45, std 0.225/0.225/0.225 (assumed)" in found.lines


# The authors' own outputs, through a file and this reader


def golden(name: str, folder: Path) -> tuple[Weights, dict[str, Tensor], Clips]:
    """(the weights as read from a checkpoint of the golden figures, the figures, their clip)."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        told = json.loads(file.metadata()["config"])
    own = {
        key.removeprefix("weights."): value
        for key, value in tensors.items()
        if key.startswith("weights.")
    }
    arguments = argparse.Namespace(num_frames=told["frames"], input_size=told["image_size"])
    content = read_content(saved({"model": own, "args": arguments}, folder / "a.pth"))
    # A file does not tell heads, and at these widths the usual rule does not hold.
    beside = replace(content.beside, heads=told["heads"], decoder_heads=told.get("decoder_heads"))
    found = weights_of(Content(content.tensors, beside), name)
    video = tensors["video"].permute(0, 4, 1, 2, 3)
    key = torch.arange(len(video))
    return found, tensors, Clips(video, {}, torch.ones(len(video)), key, key, {})


def positions_of(chosen: Tensor) -> Tensor:
    """(B, N) of 0 and 1 -> (B, K) ascending positions."""
    return torch.stack([row.nonzero()[:, 0] for row in chosen])


@pytest.mark.parametrize("name", ["videomae_finetune", "everest_finetune"])
@torch.no_grad()
def test_a_golden_classifier_gives_its_logits(name: str, tmp_path: Path) -> None:
    found, figures, clips = golden(name, tmp_path)
    model = model_of(found)
    model.select = ReRo(0.6, None) if name == "everest_finetune" else AllTokens()
    ours = model(clips)["logits.label"]
    torch.testing.assert_close(ours, figures["logits"], atol=5e-5, rtol=0)


@pytest.mark.parametrize("name", ["videomae_pretrain", "everest_pretrain", "mvd_student"])
@torch.no_grad()
def test_a_golden_autoencoder_gives_its_predictions(name: str, tmp_path: Path) -> None:
    found, figures, clips = golden(name, tmp_path)
    model = model_of(found)
    hidden = positions_of(figures["target_mask"])
    shown = figures.get("visible_mask", 1 - figures["target_mask"])
    selection = Selection(positions_of(shown), hidden)
    look = model.encoder.look(clips)
    tokens = model.encoder.embed(take(look.patches.flatten(1, 3), selection.visible))
    rows = model.encoder.encode(tokens, selection.visible, look.grid, clips.key)
    features = model.encoder.norm(rows)
    wanted = [
        figures[key]
        for key in ("prediction", "image_prediction", "video_prediction")
        if key in figures
    ]
    for decoder, figure in zip(model.decoders, wanted, strict=True):
        (ours,) = decoder(features, selection, look.grid, clips.key)
        stride = -(-ours.shape[1] // figure.shape[1])  # of a large file, only some rows are kept
        torch.testing.assert_close(ours[:, ::stride], figure, atol=5e-5, rtol=0)


# Refusals


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("encoder.blocks.0.attn.scale", "cosine attention"),
        ("encoder.blocks.1.gamma_1", "layer scale"),
    ],
)
def test_blocks_that_compute_something_else_are_refused(name: str, what: str) -> None:
    tensors = {**made("videomae pretrain"), name: torch.ones(HEADS)}
    for allow in (False, True):
        with pytest.raises(WeightsError, match=f"{name}.*{what}"):
            weights_of(Content(tensors, FROM_FILE), "a.pth", allow_missing=allow)


def test_blocks_of_another_shape_inside_are_refused() -> None:
    tensors = made("videomae finetune")
    tensors["blocks.0.mlp.fc1.weight"] = torch.zeros(3 * WIDTH, WIDTH)
    with pytest.raises(WeightsError, match=r"384x128; blocks here are 4 times as wide"):
        read(tensors)


def test_a_tensor_of_another_shape_is_refused() -> None:
    tensors = made("videomae pretrain")
    tensors["decoder.head.weight"] = torch.zeros(12, 64)
    with pytest.raises(WeightsError, match=r"decoders\.0\.heads\.0\.weight is \(12, 64\)"):
        read(tensors)


def test_missing_tensors_are_refused_unless_they_are_allowed() -> None:
    tensors = made("videomae pretrain")
    del tensors["encoder.blocks.1.norm2.weight"]
    with pytest.raises(WeightsError, match=r"without 1 of its tensors.*--allow-missing"):
        read(tensors)
    found = weights_of(Content(tensors, FROM_FILE), "a.pth", allow_missing=True)
    assert found.report is not None
    assert found.report.missing == ("encoder.blocks.1.norm2.weight",)
    assert "missing 1 tensor: encoder.blocks.1.norm2.weight" in found.lines
    first, second = model_of(found), model_of(found)
    assert torch.equal(first.encoder.blocks[1].norm2.weight, torch.ones(WIDTH))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_block_between_that_is_missing_is_refused_always() -> None:
    tensors = {
        name: value for name, value in made("videomae finetune").items() if "blocks.0" not in name
    }
    tensors["blocks.0.attn.q_bias"] = torch.zeros(WIDTH)
    del tensors["blocks.1.norm1.weight"]
    tensors |= {"blocks.3.norm1.weight": torch.ones(WIDTH)}
    with pytest.raises(WeightsError, match="a model has all from 0 on"):
        weights_of(Content(tensors, FROM_FILE), "a.pth", allow_missing=True)


def test_a_parameter_too_many_may_be_left_aside_and_is_told() -> None:
    tensors = {**made("videomae finetune"), "teacher.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"1 parameters .*teacher\.weight"):
        read(tensors)
    found = weights_of(Content(tensors, FROM_FILE), "a.pth", allow_missing=True)
    assert "left aside 1 tensor (teacher.weight): this reader does not know it" in found.lines


def test_a_lightning_file_is_told_to_have_other_layer_norms(tmp_path: Path) -> None:
    path = theirs.lightning(made("videomae finetune"), tmp_path)
    assert any("RLT" in line and "1e-5" in line for line in read_weights(path).lines)
    assert any("RLT" in line for line in read_weights(path, "rlt-finetune").lines)
    assert not any("RLT" in line for line in read(made("videomae finetune")).lines)


# Reports


def test_a_report_accounts_for_every_tensor() -> None:
    for kind, (make, _) in theirs.FAMILIES.items():
        tensors = make()
        report = read(tensors).report
        assert report is not None
        told = {*report.matched, *(name for name, _ in (*report.renamed, *report.unused))}
        split = {name for name, _ in report.reshaped if name.endswith("qkv.bias")}
        slowfast = {name.replace(".projection", "") for name in tensors}
        whole = {name for name in slowfast if not name.endswith("qkv.bias")}
        assert whole <= told, kind
        assert split == slowfast - whole, kind


def test_a_report_is_a_document() -> None:
    report = read(made("st-mae finetune")).report
    assert report is not None
    document = report.to_json()
    assert document["family"] == "st-mae-finetune"
    assert document["grid"] == GRID and document["class_token"]
    assert ["reader.position_table", "the sum of its tables of time and of space"] in [
        list(pair) for pair in document["reshaped"]
    ]
    assert replace(report, assumed=()).to_json()["assumed"] == ()


def test_mvd_marks_its_released_names() -> None:
    tensors = made("mvd pretrain")
    back = to_theirs(read(tensors).tensors, MVD)
    assert back.keys() == {name for name in tensors if not name.startswith("pos_embed")}
