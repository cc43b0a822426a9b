"""A model as a step of a scikit-learn pipeline."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import everest as ev
from tiny import LabelledSet


def test_vectors_come_in_the_order_of_the_paths(pretrained: Path, labelled: LabelledSet) -> None:
    paths = [labelled.files[place] for place in (3, 0, 3)]
    found = ev.VideoEmbedder(pretrained).fit_transform(paths)
    assert found.shape == (3, 32) and found.dtype == np.float32
    assert np.array_equal(found[0], found[2])
    wanted = ev.load(pretrained).embed(str(labelled.files[0])).vectors[0]
    np.testing.assert_allclose(found[1], wanted, atol=1e-5)
    assert ev.VideoEmbedder(pretrained).transform([]).shape == (0, 32)


def test_it_is_a_step_of_a_pipeline(pretrained: Path, labelled: LabelledSet) -> None:
    paths = [str(path) for path in labelled.files[:8]]
    labels = [0, 1] * 4
    step = ev.VideoEmbedder(pretrained, pool="max")
    model = make_pipeline(clone(step), LogisticRegression()).fit(paths, labels)
    assert model.predict(paths).shape == (8,)
    model.set_params(videoembedder__keep=1.0)
    assert model.get_params()["videoembedder__keep"] == 1.0
    assert step.get_params()["keep"] is None and step.get_params()["run"] == pretrained


def test_a_video_that_cannot_be_read_is_told_or_nan(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    broken, good = tmp_path / "broken.mp4", labelled.files[0]
    broken.write_bytes(b"")
    gone = tmp_path / "gone.mp4"
    for path, why in ((broken, "0 bytes"), (gone, "no such file")):
        with pytest.raises(ValueError, match=why):
            ev.VideoEmbedder(pretrained).fit_transform([good, path])
        found = ev.VideoEmbedder(pretrained, bad="nan").fit_transform([path, good])
        assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
        assert np.isnan(ev.VideoEmbedder(pretrained, bad="nan").fit_transform([path])).all()


def test_what_cannot_work_is_told_at_fit(pretrained: Path) -> None:
    for step, said in (
        (ev.VideoEmbedder(), "give one"),
        (ev.VideoEmbedder(pretrained, pool="tokens"), "mean or max"),
        (ev.VideoEmbedder(pretrained, bad="skip"), "nan"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=said):
            step.fit()
