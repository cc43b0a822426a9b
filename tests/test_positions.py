"""Where a token stands: computed tables, a learned one, and the class token."""

import math

import pytest
import torch

from everest.positions import Positions, sincos3d, sinusoid
from everest.vit import VitConfig
from textures import clips_of, noise, noisy_clips, small_config, small_vit


def test_three_dimensional_positions_are_a_quarter_time_then_column_then_row() -> None:
    t, h, w, width = 3, 4, 5, 32
    table = sincos3d((t, h, w), width).view(t, h, w, width)
    parts = {"time": (0, 8), "column": (8, 12), "row": (20, 12)}
    for at in ((0, 0, 0), (2, 1, 4), (1, 3, 2)):
        places = {"time": at[0], "column": at[2], "row": at[1]}
        for name, (begin, count) in parts.items():
            half = count // 2
            for channel in range(half):
                angle = places[name] / 10000 ** (channel / half)
                assert table[at][begin + channel] == pytest.approx(math.sin(angle), abs=1e-6)
                assert table[at][begin + half + channel] == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_width_that_three_dimensions_cannot_share_is_refused_when_built() -> None:
    with pytest.raises(ValueError, match="multiple of 16, not 24"):
        Positions("sincos3d", 24)


def test_positions_follow_the_grid_of_the_clip_at_hand() -> None:
    places = torch.arange(12)[None]
    three = Positions("sincos3d", 16)
    for grid in ((2, 2, 3), (3, 2, 2), (2, 2, 3)):
        assert torch.equal(three(places, grid)[0], sincos3d(grid, 16))
    flat = Positions("sinusoid", 16)
    for grid in ((2, 2, 3), (1, 3, 4), (4, 4, 4)):
        assert torch.equal(flat(places, grid)[0], sinusoid(12, 16))
    assert not flat.state_dict() and not three.state_dict()


def test_a_table_is_read_on_its_own_grid_and_refused_on_another() -> None:
    model = small_vit(positions="table", table=(4, 2, 3))
    tokens, places = torch.zeros(1, 24, 24), torch.arange(24)[None]
    assert torch.equal(model.place(tokens, places, (4, 2, 3))[0], model.position_table)
    with pytest.raises(ValueError, match="table of \\(4, 2, 3\\): give the same --frames"):
        model.place(tokens, places, (2, 4, 3))


def test_a_table_learns_and_is_saved() -> None:
    model = small_vit(positions="table", table=(4, 2, 3))
    model(noisy_clips(), None, None).sum().backward()
    assert model.position_table.grad is not None and model.position_table.grad.any()
    assert "position_table" in model.state_dict()


def test_a_table_without_a_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="is of one grid"):
        VitConfig(24, 2, 3, positions="table")


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("pool", ["mean", "steps"])
def test_a_class_token_is_read_by_all_and_pooled_nowhere(norm: bool, pool: str) -> None:
    model = small_vit(class_token=True, norm=norm, pool=pool).eval()
    clips = noisy_clips()
    look = model.look(clips)
    rows = look.patches.flatten(1, 3)
    places = torch.arange(24).expand(3, -1)
    encoded = model.norm(model.encode(model.embed(rows), places, look.grid, clips.key))
    assert encoded.shape == (3, 24, 24)
    steps = encoded.view(3, 4, 6, 24).mean(dim=2)
    wanted = steps.flatten(1) if pool == "steps" else steps.mean(dim=1)
    torch.testing.assert_close(model(clips, None, None), wanted, rtol=1e-4, atol=1e-5)
    before = model(clips, None, None)
    with torch.no_grad():
        model.cls_token.copy_(torch.linspace(-3.0, 3.0, 24))
    assert not torch.allclose(model(clips, None, None), before, atol=1e-3)


def test_an_image_is_a_clip_of_one_frame_with_a_tubelet_of_one() -> None:
    model = small_vit(tubelet=1, steps=1, class_token=True)
    clips = clips_of(noise(2, 3, 1, 16, 24))
    assert model.look(clips).grid == (1, 2, 3)
    assert model(clips, None, None).shape == (2, 24)
    assert small_config(tubelet=1).tubelet == 1
