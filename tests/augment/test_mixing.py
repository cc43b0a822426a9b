"""Two clips become two mixed ones: pixels and labels by the same share, held against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from everest.augment.mixing import Mixing, beta, cut
from everest.clips import Clips
from everest.heads import SingleLabel
from fairness import LEVEL, believed
from textures import clips_of, noise

CLASSES = 5


def batch(count: int = 8, sides: tuple[int, int] = (16, 20), **more: object) -> Clips:
    labels = {"label": torch.arange(count) % CLASSES}
    return clips_of(noise(count, 3, 4, *sides), labels=labels, **more)  # type: ignore[arg-type]


def mixing(**more: object) -> Mixing:
    return Mixing(classes={"label": CLASSES}, **more)  # type: ignore[arg-type]


def shares_of(clips: Clips, mixed: Clips) -> list[float]:
    """The share of itself that each clip's label kept: neighbours are of different classes."""
    own = mixed.labels["label"].gather(1, clips.labels["label"][:, None])[:, 0]
    return own.tolist()


def partner(tensor: Tensor) -> Tensor:
    """The neighbours of each row of an even batch."""
    return tensor.view(-1, 2, *tensor.shape[1:]).flip(1).view_as(tensor)


# Shares


@pytest.mark.parametrize("alpha", [0.1, 0.8, 1.0, 3.0])
def test_a_share_is_the_quantile_of_the_beta_law(alpha: float) -> None:
    for place in (0.001, 0.2, 0.5, 0.77, 0.999):
        assert beta(alpha, place) == pytest.approx(stats.beta.ppf(place, alpha, alpha), abs=1e-9)


def test_shares_of_pairs_follow_the_beta_law() -> None:
    clips = batch(1600, (1, 1))
    shares = shares_of(clips, mixing(mixup=0.8)(clips))[::2]
    assert stats.kstest(shares, stats.beta(0.8, 0.8).cdf).pvalue > LEVEL


def test_both_of_a_pair_keep_the_same_share() -> None:
    for mix in (mixing(mixup=0.8), mixing(cutmix=1.0), mixing(mixup=0.8, cutmix=1.0)):
        shares = shares_of(batch(), mix(batch()))
        assert shares[::2] == pytest.approx(shares[1::2])
        assert len(set(shares[::2])) == 4


# Pixels


def test_mixup_blends_the_pixels_by_the_labels_share() -> None:
    clips = batch()
    mixed = mixing(mixup=0.8)(clips)
    share = torch.tensor(shares_of(clips, mixed), dtype=torch.float64)[:, None, None, None, None]
    wanted = share * clips.video + (1 - share) * partner(clips.video)
    assert mixed.video.dtype == torch.uint8
    assert (mixed.video - wanted).abs().max() < 0.502  # rounded, the share in float32


def test_cutmix_swaps_one_box_through_all_frames_and_counts_its_pixels() -> None:
    clips = batch()
    mixed = mixing(cutmix=1.0)(clips)
    own, other = mixed.video == clips.video, mixed.video == partner(clips.video)
    assert (own | other).all()
    shares = shares_of(clips, mixed)
    for slot in range(8):
        # Equal bytes of two clips of noise are rare in all of 12 values of a place.
        is_swapped = other[slot].all(0).all(0) & ~own[slot].all(0).all(0)
        rows, columns = is_swapped.any(1).nonzero()[:, 0], is_swapped.any(0).nonzero()[:, 0]
        area = len(rows) * len(columns)
        assert int(is_swapped.sum()) == area
        assert shares[slot] == pytest.approx(1 - area / (16 * 20))
        if area:
            assert rows[-1] - rows[0] + 1 == len(rows)
            assert columns[-1] - columns[0] + 1 == len(columns)
    assert len({round(share, 6) for share in shares}) > 2


def test_a_cut_has_the_area_asked_for_about_a_drawn_centre() -> None:
    spans = [cut(400, 600, 0.75, key) for key in range(500)]
    areas = [(r.stop - r.start) * (c.stop - c.start) / (400 * 600) for r, c in spans]
    assert max(areas) == pytest.approx(0.25, abs=0.01)  # what sticks out of the frame is lost
    assert min(areas) < 0.12
    assert all(0 <= r.start <= r.stop <= 400 and 0 <= c.start <= c.stop <= 600 for r, c in spans)
    whole = cut(400, 600, 0.0, 1)
    assert all(span.stop - span.start <= size for span, size in zip(whole, (400, 600), strict=True))
    assert cut(400, 600, 1.0, 1)[0].start == cut(400, 600, 1.0, 1)[0].stop


def test_where_both_are_on_each_takes_half_of_the_pairs() -> None:
    clips = batch(800, (4, 4))
    mixed = mixing(mixup=2.0, cutmix=1.0)(clips)
    is_cut = ((mixed.video == clips.video) | (mixed.video == partner(clips.video))).flatten(1)
    cuts = int(is_cut.all(1)[::2].sum())
    assert believed([cuts, 400 - cuts]) > LEVEL


# Labels


def test_labels_are_smoothed_exactly_once() -> None:
    clips = batch()
    mixed = mixing(mixup=0.8, smoothing=0.1)(clips)
    plain = shares_of(clips, mixing(mixup=0.8)(clips))
    head = SingleLabel(6, CLASSES, smoothing=0.1).train()
    logits = torch.randn(8, CLASSES, generator=torch.Generator().manual_seed(0))
    each = [
        F.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
        for labels in (clips.labels["label"], partner(clips.labels["label"]))
    ]
    share = torch.tensor(plain)
    wanted = share * each[0] + (1 - share) * each[1]
    assert head.loss(logits, mixed.labels["label"]).allclose(wanted, atol=1e-6)
    assert mixed.labels["label"].sum(1).allclose(torch.ones(8))


def test_a_pair_that_does_not_mix_has_smoothed_labels_of_its_own() -> None:
    clips = batch(2, weight=torch.tensor([1.0, 0.0]))
    mixed = mixing(mixup=0.8, smoothing=0.1)(clips)
    wanted = 0.9 * F.one_hot(clips.labels["label"], CLASSES) + 0.1 / CLASSES
    assert mixed.labels["label"].allclose(wanted) and mixed.labels["label"].dtype == torch.float32


def test_a_missing_label_has_no_share_of_any_class() -> None:
    clips = batch(4)._replace(labels={"label": torch.tensor([2, -1, -1, -1])})
    share = shares_of(batch(4), mixing(mixup=0.8)(batch(4)))[0]
    found = mixing(mixup=0.8)(clips).labels["label"]
    assert found.sum(1).tolist() == pytest.approx([share, 1 - share, 0, 0])
    assert found[0, 2] == pytest.approx(share)


# Who mixes


def test_clips_that_could_not_be_read_and_clips_of_one_video_do_not_mix() -> None:
    clips = batch(8, weight=torch.tensor([1.0, 0, 0, 1, 1, 1, 1, 1]))
    clips = clips._replace(row=torch.tensor([0, 1, 2, 3, 4, 4, 5, 6]))
    for mix in (mixing(mixup=0.8), mixing(cutmix=1.0)):
        mixed = mix(clips)
        assert mixed.video[:6].equal(clips.video[:6])
        assert not mixed.video[6:].equal(clips.video[6:])
        assert shares_of(clips, mixed)[:6] == [1.0] * 6


def test_the_last_clip_of_an_odd_number_rides_alone() -> None:
    clips = batch(7)
    mixed = mixing(mixup=0.8)(clips)
    assert mixed.video[6].equal(clips.video[6])
    assert mixed.video[:6].equal(mixing(mixup=0.8)(clips.part(0, 6)).video)


def test_a_batch_mixes_the_same_in_any_split_and_stays_as_it_was() -> None:
    clips = batch()
    mix = mixing(mixup=0.8, cutmix=1.0, smoothing=0.1)
    mixed = mix(clips)
    for start in range(0, 8, 2):
        part = mix(clips.part(start, start + 2))
        assert part.video.equal(mixed.video[start : start + 2])
        assert part.labels["label"].equal(mixed.labels["label"][start : start + 2])
    assert clips.video.equal(batch().video) and clips.labels["label"].equal(torch.arange(8) % 5)
    for name in ("weight", "key", "row"):
        assert getattr(mixed, name).equal(getattr(clips, name))


def test_other_keys_mix_otherwise() -> None:
    one, other = batch(), batch(seed=1)
    assert (
        np.abs(
            np.subtract(
                shares_of(one, mixing(mixup=0.8)(one)), shares_of(other, mixing(mixup=0.8)(other))
            )
        ).min()
        > 1e-4
    )
