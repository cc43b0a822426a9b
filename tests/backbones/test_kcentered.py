"""K-centered sampling: its authors' patches, index for index, and logits; its cost."""

from pathlib import Path

import pytest
import torch
from parity import Held, close, held, over
from torch import Tensor

from everest.backbones.farthest import coordinates, farthest
from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.kcentered import KCentered, KCenteredConfig, drawn_starts
from everest.backbones.patches import normalised
from everest.clips import Clips
from everest.convert.backbones_kcentered import LAYOUTS, from_image
from test_golden import load

BACKBONES = {  # as the figures call them
    "vit": "kcentered-vit",
    "motionformer": "kcentered-motionformer",
    "timesformer": "kcentered-timesformer",
}


def sampled(path: Path, backbone: str) -> Held:
    """The model with the first patches that the file says."""
    config = load(path).config
    places = (config["image_size"] // config["patch"]) ** 2
    fields = {"steps": config["patches"] / places, "whole": config["hybrid"][backbone]}
    if backbone != "vit":
        fields["segments"] = config["segments"]
    model = held(path, LAYOUTS[BACKBONES[backbone]], f"{backbone}.", **fields)
    start = model.tensor(f"{backbone}.start")
    model.reader.starts = lambda key, runs, points: start.view(len(key), runs)
    return model


@pytest.mark.parametrize("backbone", BACKBONES)
@over("kcenter")
def test_the_patches_are_the_authors_index_for_index(path: Path, backbone: str) -> None:
    model = sampled(path, backbone)
    config = model.reader.config
    pixels = normalised(model.clips().video, config.mean, config.std)
    frames, places = model.reader.sample(
        model.reader.backbone.patch_embed.cut(pixels), model.clips().key
    )
    assert torch.equal(frames, model.tensor(f"{backbone}.t_index"))
    assert torch.equal(places, model.tensor(f"{backbone}.s_index"))


@pytest.mark.parametrize("backbone", BACKBONES)
@over("kcenter")
def test_the_logits_are_the_authors(path: Path, backbone: str) -> None:
    model = sampled(path, backbone)
    with torch.no_grad():
        close(model.model(model.clips()), model.tensor(f"{backbone}.logits"))


@over("kcenter")
def test_weights_of_time_and_space_change_the_choice_as_the_authors_do(path: Path) -> None:
    model = sampled(path, "vit")
    config, weights = model.reader.config, model.golden.config["weighted"]
    pixels = normalised(model.clips().video, config.mean, config.std)
    patches = model.reader.backbone.patch_embed.cut(pixels)
    place = coordinates(*patches.shape[1:4], config.patch, config.std[0])
    torch.testing.assert_close(place, model.tensor("coordinates"), rtol=0, atol=1e-6)
    place = place * torch.tensor([weights["time"], weights["space"], weights["space"]])
    points = torch.cat((patches, place.expand(len(patches), -1, -1, -1, -1)), dim=4).flatten(1, 3)
    wanted: Tensor = model.tensor("weighted.index")
    found = farthest(points, model.tensor("weighted.start"), wanted.shape[1])
    assert torch.equal(found, wanted)


def test_the_next_point_is_farthest_from_all_chosen_and_the_first_of_equals() -> None:
    line = torch.arange(9.0).view(1, 9, 1)
    chosen = farthest(line, torch.tensor([0]), 5)
    assert chosen.tolist() == [[0, 8, 4, 2, 6]]


def test_points_that_exclude_each_other_are_chosen_once_each() -> None:
    line = torch.arange(9.0).view(1, 9, 1)
    chosen = farthest(line, torch.tensor([0]), 3, torch.arange(9) % 3)
    assert sorted(place % 3 for place in chosen[0].tolist()) == [0, 1, 2]
    with pytest.raises(ValueError, match="4 patches to sample of 3"):
        farthest(line, torch.tensor([0]), 4, torch.arange(9) % 3)


def tiny(reader: str, **fields: object) -> KCentered:
    config = {"width": 16, "depth": 1, "heads": 2, "frames": 32, "size": (32, 32), "patch": 8}
    return KCentered(KCenteredConfig(reader, **{**config, **fields}))


def chosen(model: KCentered, video: Tensor, key: int = 5) -> tuple[Tensor, Tensor]:
    config = model.config
    cut = model.backbone.patch_embed.cut(normalised(video, config.mean, config.std))
    return model.sample(cut, torch.full((len(video),), key))


def test_frames_kept_whole_stand_first_in_place_of_their_segment() -> None:
    video = torch.randint(0, 256, (1, 3, 32, 32, 32), dtype=torch.uint8)
    frames, places = chosen(tiny("motionformer", whole=1), video)
    assert frames[0, :16].tolist() == [2] * 16
    assert places[0, :16].tolist() == list(range(16))
    # The others stand segment after segment, each with as many patches as a frame has.
    assert (frames[0, 16:] // 4).tolist() == [segment for segment in range(1, 8) for _ in range(16)]
    frames, places = chosen(tiny("joint", segments=1, whole=3), video)
    assert frames[0, :48].tolist() == [0] * 16 + [15] * 16 + [31] * 16
    assert not set(frames[0, 48:].tolist()) & {0, 15, 31}
    assert len(set(zip(frames[0].tolist(), places[0].tolist(), strict=True))) == 8 * 16


@pytest.mark.parametrize("reader", ["timesformer", "xvit"])
def test_a_segment_gives_each_place_once_in_order(reader: str) -> None:
    video = torch.randint(0, 256, (2, 3, 32, 32, 32), dtype=torch.uint8)
    frames, places = chosen(tiny(reader), video)
    assert torch.equal(places, torch.arange(16).repeat(2, 8))
    assert torch.equal(frames // 4, torch.arange(8).repeat_interleave(16).expand(2, -1))


def test_the_first_patch_is_uniform_and_the_same_for_a_key() -> None:
    keys = torch.arange(4000)
    starts = drawn_starts(keys, 2, 5)
    assert torch.equal(starts, drawn_starts(keys, 2, 5))
    for run in starts.T:
        counts = torch.bincount(run, minlength=5)
        assert len(counts) == 5 and counts.min() > 700
    assert (starts[:, 0] != starts[:, 1]).float().mean() > 0.7


def test_the_patches_that_are_read_are_those_sampled_with_their_place_and_time() -> None:
    model = tiny("joint", segments=1, whole=1).eval()
    video = torch.randint(0, 256, (1, 3, 32, 32, 32), dtype=torch.uint8)
    frames, places = chosen(model, video)
    seen = []
    model.backbone.encode = lambda first, patches, key: seen.append((first, patches)) or first
    key = torch.tensor([5])
    with torch.no_grad():
        model(Clips(video, {}, torch.ones(1), key, key, {}), None, None)
        at = int(frames[0, 40]), int(places[0, 40])
        row, column = at[1] // 4 * 8, at[1] % 4 * 8
        patch = video[:, :, at[0], row : row + 8, column : column + 8]
        embedded = model.backbone.patch_embed.proj(normalised(patch, (0.5,) * 3, (0.5,) * 3))
        wanted = embedded.flatten() + model.backbone.pos_embed[0, 1 + at[1]]
        wanted = wanted + model.backbone.time_embed[0, at[0]]
    torch.testing.assert_close(seen[0][1][0, 0, 40], wanted)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reader": "joint", "whole": 3}, "joint with segments 8"),
        ({"reader": "timesformer", "steps": 6}, "give steps 8"),
        ({"reader": "xvit", "whole": 1}, "keeps no frames whole"),
        ({"reader": "motionformer", "whole": 8}, "fewer whole frames"),
    ],
)
def test_a_config_that_cannot_be_sampled_is_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KCenteredConfig(**fields)


def test_frames_that_do_not_divide_into_segments_are_refused() -> None:
    with pytest.raises(ValueError, match="--frames 30: must be a multiple of the segments, 8"):
        tiny("timesformer").cost(30, 32, 32)


def test_an_image_transformers_weights_go_into_the_backbone() -> None:
    config = JointConfig(16, 1, 2, frames=1, size=(32, 32), patch=8, tubelet=None)
    image = JointTransformer(config).state_dict()
    del image["time_embed"]
    for reader, fields in (
        ("joint", {"segments": 1}),
        ("motionformer", {}),
        ("timesformer", {}),
        ("xvit", {}),
    ):
        model = tiny(reader, **fields)
        tensors = from_image(image, model.config)
        ours = {name.removeprefix("reader."): value for name, value in tensors.items()}
        found = model.load_state_dict(ours, strict=False)
        assert not found.unexpected_keys
        assert torch.equal(
            model.backbone.blocks[0].mlp.fc1.weight, image["blocks.0.mlp.fc1.weight"]
        )
