"""The masked autoencoder: what is predicted, from what, and what is said of it in evaluation."""

from pathlib import Path

import pytest
import torch

from everest.build import create_model, from_pretrained
from everest.clips import Clips
from everest.masked import Decoder, DecoderConfig, MaskedVideoAutoencoder
from everest.positions import sinusoid
from everest.selection import AllTokens, Look, ReRo, Selection, Selector, Tube
from everest.targets.pixels import Pixels
from textures import clips_of, generator, noisy_clips, small_vit

DIM = 3 * 2 * 8 * 8


def autoencoder(
    select: Selector | None = None, *, decoders: int = 1, depth: int = 2
) -> MaskedVideoAutoencoder:
    torch.manual_seed(1)
    built = [
        Decoder(DecoderConfig(12, depth, 3), 24, {Pixels(2, 8, 3): 1.0}) for _ in range(decoders)
    ]
    return MaskedVideoAutoencoder(small_vit(), select or ReRo(0.6, 0.2), built)


class Given:
    """The selector that reads and predicts the same positions of every clip."""

    def __init__(self, visible: list[int], masked: list[int]) -> None:
        self.visible, self.masked = visible, masked

    def counts(self, grid: tuple[int, int, int]) -> tuple[int, int]:
        return len(self.visible), len(self.masked)

    def __call__(self, look: Look) -> Selection:
        chosen = (torch.tensor(self.visible), torch.tensor(self.masked, dtype=torch.int64))
        return Selection(*(positions.expand(len(look.key), -1) for positions in chosen))


def with_other_patches(clips: Clips, positions: list[int]) -> Clips:
    """The clips with other pixels at positions of a 4x2x3 grid."""
    video = clips.video.clone()
    for position in positions:
        step, row, column = position // 6, position // 3 % 2, position % 3
        part = video[:, :, 2 * step : 2 * step + 2, 8 * row : 8 * row + 8]
        part[..., 8 * column : 8 * column + 8] = 255 - part[..., 8 * column : 8 * column + 8]
    return clips._replace(video=video)


# What a forward pass gives


@pytest.mark.parametrize("select", [ReRo(0.6, 0.2), Tube(0.5)], ids=["rero", "tube"])
def test_training_gives_the_loss_and_what_was_selected(select: Selector) -> None:
    out = autoencoder(select).train()(noisy_clips())
    visible, masked = select.counts((4, 2, 3))
    assert set(out) == {"loss", "visible", "masked"}
    assert out["loss"].shape == (3,)
    assert out["visible"].shape == (3, visible)
    assert out["masked"].shape == (3, masked)


def test_evaluation_gives_the_documented_entries() -> None:
    out = autoencoder(decoders=2).eval()(noisy_clips())
    shapes = {name: tuple(value.shape) for name, value in out.items()}
    assert shapes == {
        "loss": (3,),
        "visible": (3, 4),
        "masked": (3, 10),
        "tokens": (3, 4, 24),
        "features": (3, 24),
        "scores": (3, 4, 2, 3),
        "prediction.0.pixels": (3, 10, DIM),
        "prediction.1.pixels": (3, 10, DIM),
        "loss_constant": (3,),
        "loss_other": (3,),
    }


def test_a_clip_of_one_step_has_no_scores() -> None:
    out = autoencoder(Tube(0.5)).eval()(noisy_clips(frames=2, sides=(32, 32)))
    assert "scores" not in out
    assert out["loss"].isfinite().all()


def test_features_are_the_mean_of_the_visible_tokens_after_the_norm() -> None:
    model, clips = autoencoder(Given([0, 4, 9], [1, 2])).eval(), noisy_clips()
    encoder = model.encoder
    rows = encoder.patchify(clips.video).flatten(1, 3)[:, [0, 4, 9]]
    read = encoder.encode(encoder.embed(rows), torch.tensor([[0, 4, 9]] * 3), (4, 2, 3), clips.key)
    wanted = encoder.norm(read).mean(dim=1)
    torch.testing.assert_close(model(clips)["features"], wanted)


def test_the_loss_is_that_of_the_predictions_given() -> None:
    model, clips = autoencoder().eval(), noisy_clips()
    out = model(clips)
    (target,) = model.decoders[0].targets
    wanted = target(clips, model.encoder.look(clips), out["masked"])
    error = (out["prediction.0.pixels"] - wanted).square().mean(dim=(1, 2))
    torch.testing.assert_close(out["loss"], error)


def test_losses_of_several_decoders_and_targets_add_up_by_weight() -> None:
    clips = noisy_clips()
    model = autoencoder(decoders=2).eval()
    out = model(clips)
    parts = []
    for number, decoder in enumerate(model.decoders):
        (target,) = decoder.targets
        wanted = target(clips, model.encoder.look(clips), out["masked"])
        parts.append(target.loss(out[f"prediction.{number}.pixels"], wanted))
    torch.testing.assert_close(out["loss"], parts[0] + parts[1])
    weighted = Decoder(DecoderConfig(12, 1, 3), 24, {Pixels(2, 8, 3): 0.5, Pixels(2, 8, 3): 2.0})
    ones, zeros = torch.ones(2, 3, DIM), torch.zeros(2, 3, DIM)
    assert weighted.loss([ones, 2 * ones], [zeros, zeros]).tolist() == pytest.approx([8.5, 8.5])


def test_a_constant_predictor_loses_about_one_on_textured_clips() -> None:
    out = autoencoder().eval()(noisy_clips())
    torch.testing.assert_close(out["loss_constant"], torch.full((3,), 127 / 128), rtol=1e-4, atol=0)


def test_a_constant_predictor_loses_nothing_on_flat_clips() -> None:
    flat = clips_of(torch.full((2, 3, 8, 16, 24), 200, dtype=torch.uint8))
    assert autoencoder().eval()(flat)["loss_constant"].tolist() == [0.0, 0.0]


def test_the_other_loss_reads_the_visible_tokens_of_the_clip_before() -> None:
    model, clips = autoencoder().eval(), noisy_clips()
    out = model(clips)
    look = model.encoder.look(clips)
    tokens = model.encoder.patchify(clips.video).flatten(1, 3)
    (target,) = model.decoders[0].targets
    for clip, before in ((0, 2), (1, 0), (2, 1)):
        seen = out["visible"][before][None]
        rows = model.encoder.embed(tokens[before][seen[0]])[None]
        read = model.encoder.norm(model.encoder.encode(rows, seen, look.grid, clips.key[:1]))
        selection = Selection(seen, out["masked"][clip][None])
        (predicted,) = model.decoders[0](read, selection, look.grid, clips.key[:1])
        part = clips.part(clip, clip + 1)
        wanted = target(part, model.encoder.look(part), selection.masked)
        loss = (predicted - wanted).square().mean()
        torch.testing.assert_close(out["loss_other"][clip], loss, rtol=1e-5, atol=1e-5)


def test_the_other_loss_of_a_batch_of_one_is_not_a_number() -> None:
    out = autoencoder().eval()(noisy_clips(count=1))
    assert out["loss_other"].isnan().all()
    assert out["loss"].isfinite().all()


@pytest.mark.parametrize("select", [AllTokens(), ReRo(0.5, None)], ids=["all", "rero"])
def test_with_nothing_masked_no_decoder_runs_and_there_is_no_loss(
    select: Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = autoencoder(select).eval()

    def never(*_: object) -> None:
        raise AssertionError("a decoder ran")

    monkeypatch.setattr(Decoder, "forward", never)
    out = model(noisy_clips())
    assert set(out) == {"visible", "masked", "tokens", "features", "scores"}
    assert out["masked"].shape == (3, 0)


# What is read, and by whom


def test_pixels_of_masked_tokens_do_not_reach_the_encoder() -> None:
    visible, masked = [0, 4, 9, 17], [1, 5, 16, 23]
    model, clips = autoencoder(Given(visible, masked)).eval(), noisy_clips()
    before, after = model(clips), model(with_other_patches(clips, masked))
    assert torch.equal(before["features"], after["features"])
    assert torch.equal(before["prediction.0.pixels"], after["prediction.0.pixels"])
    assert not torch.equal(before["loss"], after["loss"])
    moved = model(with_other_patches(clips, [4]))
    assert not torch.equal(before["prediction.0.pixels"], moved["prediction.0.pixels"])


def test_tokens_that_were_not_kept_play_no_part() -> None:
    visible, masked = [0, 4, 9, 17], [1, 5, 16, 23]
    others = [position for position in range(24) if position not in visible + masked]
    model, clips = autoencoder(Given(visible, masked)), noisy_clips()
    for training in (True, False):
        model.train(training)
        before, after = model(clips), model(with_other_patches(clips, others))
        assert torch.equal(before["loss"], after["loss"])


@pytest.mark.parametrize("training", [True, False])
def test_a_clip_of_weight_0_changes_nothing_for_the_others(training: bool) -> None:
    model, clips = autoencoder().train(training), noisy_clips()
    clips = clips._replace(weight=torch.tensor([1.0, 0.0, 1.0]))
    video = clips.video.clone()
    video[1] = 0
    losses, gradients = [], []
    for batch in (clips, clips._replace(video=video)):
        model.zero_grad()
        out = model(batch)
        assert out["loss"].isfinite().all()
        (out["loss"] * batch.weight).sum().backward()
        losses.append(out["loss"][[0, 2]])
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


def test_losses_are_the_same_for_any_split_of_the_batch() -> None:
    model, clips = autoencoder().train(), noisy_clips(count=4)
    parts = [model(clips.part(at, at + 2))["loss"] for at in (0, 2)]
    torch.testing.assert_close(model(clips)["loss"], torch.cat(parts), rtol=1e-5, atol=0)


def test_the_decoder_reads_visible_and_masked_tokens_in_their_places() -> None:
    decoder = autoencoder().decoders[0].eval()
    assert isinstance(decoder, Decoder)
    features, key = torch.randn(2, 3, 24, generator=generator(0)), torch.tensor([5, 6])
    visible, masked = [[0, 4, 9], [1, 2, 23]], [[2, 3], [0, 20]]
    table = sinusoid(24, 12)
    seen = decoder.embed(features) + table[torch.tensor(visible)]
    hidden = decoder.mask_token + table[torch.tensor(masked)]
    rows = torch.cat((seen, hidden), dim=1)
    for block in decoder.blocks:
        rows = block(rows, key)
    wanted = decoder.heads[0](decoder.norm(rows[:, 3:]))
    selection = Selection(torch.tensor(visible), torch.tensor(masked))
    (predicted,) = decoder(features, selection, (4, 2, 3), key)
    assert predicted.shape == (2, 2, DIM)
    torch.testing.assert_close(predicted, wanted, rtol=1e-5, atol=1e-5)


def test_the_mask_token_starts_as_a_truncated_normal() -> None:
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(384, 1, 6), 24, {Pixels(2, 8, 3): 1.0})
    assert decoder.mask_token.shape == (1, 1, 384)
    assert 0.017 < decoder.mask_token.std() < 0.023
    assert decoder.embed.bias is None


def test_every_parameter_learns() -> None:
    model = autoencoder(depth=2).train()
    model(noisy_clips())["loss"].sum().backward()
    idle = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert not idle


def test_a_saved_model_comes_back_the_same(tmp_path: Path) -> None:
    model = create_model(
        "24x2x3", frames=8, size="16x24", patch=8, decoder_depth=1, keep=0.6, visible=0.2
    )
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "config.json"}
    loaded = from_pretrained(tmp_path)
    assert not loaded.training
    assert loaded.config == model.config
    clips = noisy_clips()
    assert torch.equal(loaded(clips)["loss"], model.eval()(clips)["loss"])
