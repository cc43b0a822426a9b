"""The classifier: selection in training and evaluation, norms of the features, label columns."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.classify import ClipStandardize, VideoClassifier
from everest.clips import Clips
from everest.heads import SingleLabel
from everest.selection import AllTokens, Look, ReRo, Selection, Selector
from textures import generator, noisy_clips, small_vit


def features_of(count: int, width: int = 6, seed: int = 0) -> Tensor:
    return 2 + 3 * torch.randn(count, width, generator=generator(seed))


def labelled(count: int = 4, labels: list[int] | None = None) -> Clips:
    own = torch.arange(count) % 3 if labels is None else torch.tensor(labels)
    return noisy_clips(count)._replace(labels={"label": own})


def classifier(
    select: Selector | None = None, *, heads: dict[str, SingleLabel] | None = None, norm: str = ""
) -> VideoClassifier:
    torch.manual_seed(2)
    own = heads or {"label": SingleLabel(24, 3)}
    return VideoClassifier(
        small_vit(norm=False),
        own,
        select,
        head_norm="batch" if norm == "batch" else "layer",
    )


# The norm over clips


def test_standardizing_equals_batch_norm_when_every_clip_was_read() -> None:
    ours, theirs = ClipStandardize(6), nn.BatchNorm1d(6, affine=False)
    for step in range(4):
        features = features_of(5, seed=step)
        torch.testing.assert_close(ours(features, torch.ones(5)), theirs(features))
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.variance, theirs.running_var)
    features = features_of(3, seed=9)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(features, torch.ones(3)), theirs(features))


def test_standardizing_has_the_gradient_of_batch_norm() -> None:
    gradients = []
    for layer in (ClipStandardize(6), nn.BatchNorm1d(6, affine=False)):
        features = features_of(5).requires_grad_()
        arguments = (features, torch.ones(5)) if isinstance(layer, ClipStandardize) else (features,)
        (layer(*arguments) * features_of(5, seed=1)).sum().backward()
        gradients.append(features.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lost", [0.0, 1e6, math.nan])
def test_standardizing_passes_over_clips_that_were_not_read(lost: float) -> None:
    features, weight = features_of(5), torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    features[weight == 0] = lost
    with_lost, without = ClipStandardize(6), ClipStandardize(6)
    found = with_lost(features, weight)
    wanted = without(features[weight > 0], torch.ones(3))
    torch.testing.assert_close(found[weight > 0], wanted)
    torch.testing.assert_close(with_lost.mean, without.mean)
    torch.testing.assert_close(with_lost.variance, without.variance)
    assert found.isfinite().all()


@pytest.mark.parametrize("weight", [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
def test_one_clip_or_none_leaves_the_running_figures_alone(weight: list[float]) -> None:
    layer = ClipStandardize(6)
    out = layer(features_of(3), torch.tensor(weight))
    assert out.isfinite().all()
    assert torch.equal(layer.mean, torch.zeros(6))
    assert torch.equal(layer.variance, torch.ones(6))


# The classifier


def test_logits_are_the_head_of_the_normed_mean_of_the_kept_tokens() -> None:
    select = ReRo(0.6, None)
    model, clips = classifier(select).eval(), labelled()
    out = model(clips)
    reader = model.reader
    kept = select(reader.look(clips)).visible
    rows = reader.patchify(clips.video).flatten(1, 3)[torch.arange(4)[:, None], kept]
    read = reader.encode(reader.embed(rows), kept, (4, 2, 3), clips.key)
    features = read.mean(dim=1)
    norm, linear = model.fc_norm, model.heads[0].linear
    normed = F.layer_norm(features, (24,), norm.weight, norm.bias, eps=1e-6)
    torch.testing.assert_close(out["features"], features, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(out["logits.label"], linear(normed), rtol=1e-4, atol=1e-5)
    wanted = F.cross_entropy(out["logits.label"], clips.labels["label"], reduction="none")
    torch.testing.assert_close(out["loss"], wanted)


@pytest.mark.parametrize("training", [True, False])
def test_tokens_are_selected_in_evaluation_too(training: bool) -> None:
    clips = labelled()
    out = classifier(ReRo(0.5, None)).train(training)(clips)
    assert out["visible"].shape == (4, 12)
    full = classifier(AllTokens()).train(training)(clips)
    assert full["visible"].shape == (4, 24)
    assert not torch.allclose(out["logits.label"], full["logits.label"], atol=1e-4)


def test_evaluation_gives_scores_and_training_does_not() -> None:
    clips = labelled()
    model = classifier(ReRo(0.5, None))
    both = {"visible", "features", "logits.label", "loss", "loss.label"}
    assert set(model.train()(clips)) == both
    out = model.eval()(clips)
    assert set(out) == both | {"scores"}
    assert out["scores"].shape == (4, 4, 2, 3)


def test_without_a_selector_every_token_is_read() -> None:
    clips = labelled()
    out, full = classifier().eval()(clips), classifier(AllTokens()).eval()(clips)
    assert "visible" not in out
    torch.testing.assert_close(out["logits.label"], full["logits.label"])


def test_clips_without_labels_have_no_loss() -> None:
    assert "loss" not in classifier().train()(noisy_clips())


def test_losses_of_label_columns_add_up_and_a_missing_one_adds_nothing() -> None:
    heads = {"verb": SingleLabel(24, 3), "noun": SingleLabel(24, 5)}
    model = classifier(heads=heads).eval()
    labels = {"verb": torch.tensor([0, 2, 1]), "noun": torch.tensor([4, -1, 0])}
    out = model(noisy_clips()._replace(labels=labels))
    assert out["logits.verb"].shape == (3, 3)
    assert out["logits.noun"].shape == (3, 5)
    parts = {
        column: F.cross_entropy(out[f"logits.{column}"], own, ignore_index=-1, reduction="none")
        for column, own in labels.items()
    }
    torch.testing.assert_close(out["loss"], parts["verb"] + parts["noun"])
    assert out["loss"][1] == parts["verb"][1]
    for column, part in parts.items():
        torch.testing.assert_close(out[f"loss.{column}"], part)


def test_what_a_clip_counts_is_known_without_reading_it() -> None:
    heads = {"verb": SingleLabel(24, 3), "noun": SingleLabel(24, 5)}
    labels = {"verb": torch.tensor([0, 2, 1]), "noun": torch.tensor([4, -1, 0])}
    clips = noisy_clips()._replace(labels=labels, weight=torch.tensor([1.0, 1.0, 0.0]))
    counts = classifier(heads=heads).counts(clips)
    assert {name: count.tolist() for name, count in counts.items()} == {
        "loss.verb": [1, 1, 0],
        "loss.noun": [1, 0, 0],
    }


def test_without_a_head_norm_the_head_reads_the_features_themselves() -> None:
    torch.manual_seed(2)
    head = SingleLabel(24, 3)
    model = VideoClassifier(small_vit(norm=False), {"label": head}, head_norm="none").eval()
    out = model(labelled())
    torch.testing.assert_close(out["logits.label"], head.linear(out["features"]))


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_a_clip_of_weight_0_changes_nothing_for_the_others(norm: str) -> None:
    clips = labelled()._replace(weight=torch.tensor([1.0, 1.0, 0.0, 1.0]))
    video = clips.video.clone()
    video[2] = 0
    losses = [
        classifier(ReRo(0.5, None), norm=norm).train()(batch)["loss"][[0, 1, 3]]
        for batch in (clips, clips._replace(video=video))
    ]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)


class Whole(nn.Module):
    """A reader that cannot read a part of the tokens."""

    features = 4
    average = "softmax"

    def look(self, clips: Clips) -> None:
        return None

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        return clips.video.float().mean(dim=(2, 3, 4)) @ torch.ones(3, 4)


def test_a_selection_for_a_reader_of_whole_clips_is_refused() -> None:
    heads = {"label": SingleLabel(4, 2)}
    assert VideoClassifier(Whole(), heads)(noisy_clips())["logits.label"].shape == (3, 2)
    with pytest.raises(ValueError, match="leave out --keep"):
        VideoClassifier(Whole(), heads, ReRo(0.5, None))(noisy_clips())
