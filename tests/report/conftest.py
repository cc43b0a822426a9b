"""This file decides what tests of the report share: folders of runs, and one browser."""

from collections.abc import Iterator
from pathlib import Path

import pretended
import pytest
from browsing import Browser, opened


@pytest.fixture(scope="session")
def pretrained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never trained, for reading alone."""
    return pretended.pretrained(tmp_path_factory.mktemp("pages") / "pre <i>run")


@pytest.fixture(scope="session")
def finetuned_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretended.finetuned(tmp_path_factory.mktemp("pages") / "fine")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium; skipped where there is none, but never in CI."""
    with opened() as found:
        yield found
