"""This file decides what tests of whole commands share: tiny videos, and runs made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from everest.samples import make_samples
from tiny import TINY, TINY_PRETRAIN, LabelledSet, done


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Facts of files are remembered in a folder of the tests, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVEREST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    folder = tmp_path_factory.mktemp("labelled")
    table = make_samples(folder, train=8, val=4, test=4, size=32, frames=8)
    return LabelledSet(folder, table, folder / "videos")


@pytest.fixture(scope="session")
def pretrained(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished pre-training of two epochs: not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "pretrained"
    done("pretrain", labelled.table, "--out", out, "--epochs", 2, *TINY_PRETRAIN)
    return out


@pytest.fixture(scope="session")
def finetuned(
    labelled: LabelledSet, pretrained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished fine-tuning of two epochs: not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finetuned"
    done("finetune", labelled.table, "--init", pretrained, "--out", out, "--epochs", 2, *TINY)
    return out
