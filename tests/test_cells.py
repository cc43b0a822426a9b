"""Running cells: a fixed part of all tokens is decoded, and what is read counts nothing."""

import pytest
import torch

from everest.build import create_model
from everest.cells import RunningCells, decoded, seen
from everest.masked import MaskedVideoAutoencoder
from everest.selection import RandomTokens, ReRo, Selection, Tube
from textures import noisy_clips, small_vit


@pytest.mark.parametrize("places", [1, 2, 3])
def test_every_cell_of_every_step_decodes_as_many_places(places: int) -> None:
    grid = (5, 4, 6)
    chosen = torch.zeros(5 * 4 * 6)
    chosen[decoded(grid, places)] = 1
    cells = chosen.view(5, 2, 2, 3, 2).sum(dim=(2, 4))
    assert cells.eq(places).all()


def test_the_decoded_places_move_on_by_one_a_step_and_return_after_four() -> None:
    chosen = torch.zeros(9, 2, 2)
    chosen.view(-1)[decoded((9, 2, 2), 1)] = 1
    clockwise = [(0, 0), (0, 1), (1, 1), (1, 0)]
    assert [tuple(step.nonzero()[0].tolist()) for step in chosen] == [
        clockwise[step % 4] for step in range(9)
    ]


def test_over_four_steps_every_place_is_decoded_equally_often() -> None:
    chosen = torch.zeros(4 * 6 * 6)
    chosen[decoded((4, 6, 6), 2)] = 1
    assert chosen.view(4, 36).sum(dim=0).eq(2).all()


def test_counts_are_of_all_tokens_and_the_same_in_every_clip() -> None:
    look = small_vit().look(noisy_clips(count=4, frames=8, sides=(16, 32)))
    select = RunningCells(Tube(0.25), 0.5)
    found = select(look)
    assert select.counts(look.grid) == (found.visible.shape[1], found.masked.shape[1]) == (8, 16)
    assert found.masked.eq(found.masked[:1]).all()
    assert torch.equal(found.visible, Tube(0.25)(look).visible)


def test_what_is_read_and_decoded_is_known() -> None:
    selection = Selection(torch.tensor([[0, 3], [1, 2]]), torch.tensor([[0, 1, 4], [0, 3, 4]]))
    assert seen(selection, 5).tolist() == [[True, False, False], [False, False, False]]


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_a_share_that_cells_cannot_have_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"give 0\.25, 0\.5, 0\.75"):
        RunningCells(Tube(0.1), share)


@pytest.mark.parametrize("select", [ReRo(0.5, 0.1), RandomTokens(0.5, 0.1)])
def test_a_selector_that_leaves_tokens_out_is_refused_with_the_reason(
    select: ReRo | RandomTokens,
) -> None:
    with pytest.raises(ValueError, match="chooses among all hidden tokens, and here only"):
        RunningCells(select, 0.5).counts((8, 4, 4))


def test_the_loss_is_over_decoded_tokens_that_are_not_read() -> None:
    model = create_model(
        "24x2x3", method="videomae", frames=8, size=16, patch=8, visible=0.5, decoder_share=0.5
    ).eval()
    assert isinstance(model, MaskedVideoAutoencoder)
    clips = noisy_clips(sides=(16, 16))
    out = model(clips)
    look = model.encoder.look(clips)
    (target,) = model.decoders[0].targets  # type: ignore[union-attr]
    wanted = target(clips, look, out["masked"])
    counted = ~seen(Selection(out["visible"], out["masked"]), 16)
    assert 0 < counted.sum() < counted.numel()
    errors = (out["prediction.0.pixels"] - wanted).square().mean(dim=2)
    mean = (errors * counted).sum(dim=1) / counted.sum(dim=1)
    torch.testing.assert_close(out["loss"], mean, rtol=1e-5, atol=0)
    assert out["loss_constant"].lt(1.0).all() and out["loss_constant"].gt(0.98).all()
    model.train()(clips)["loss"].sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())  # type: ignore[union-attr]
