"""Annotation files cut, spoilt or of another set: a sentence, never a traceback."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import test_diving48
import test_epic100
import test_hmdb51
import test_kinetics
import test_oscc
import test_ssv2
from imitations import read
from test_sets import imitate_ucf

from everest.index import SourceError

IMITATIONS: dict[str, Callable[[Path], Path]] = {
    "ucf101": imitate_ucf,
    "hmdb51": test_hmdb51.imitate,
    "ssv2": test_ssv2.imitate,
    "k400": test_kinetics.imitate,
    "oscc": lambda root: test_oscc.imitate(root, [test_oscc.TRAIN]),
    "diving48": test_diving48.imitate,
    "epic100": test_epic100.imitate,
}


def spoilt(content: bytes, draw: random.Random) -> bytes:
    """The content cut, with bytes changed, or with one piece replaced by another kind of value."""
    kind = draw.randrange(3)
    place = draw.randrange(len(content))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + bytes(draw.randrange(256) for _ in range(3)) + content[place + 3 :]
    old = draw.choice([b"null", b"true", b'"0"', b"0", b"1", b"[", b"{", b",", b'"', b"."])
    new = draw.choice([b"null", b"-1", b"[]", b"{}", b"1e999", b'"x"', b"\n", b"\0", b"NaN"])
    return content.replace(old, new, draw.choice((1, -1)))


@pytest.mark.parametrize("name", sorted(IMITATIONS))
def test_a_spoilt_annotation_is_read_or_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    root = IMITATIONS[name](tmp_path)
    files = [path for path in root.rglob("*") if path.suffix in (".txt", ".csv", ".json")]
    draw = random.Random(name)
    refused = 0
    for _ in range(60):
        file = draw.choice(files)
        content = file.read_bytes()
        file.write_bytes(spoilt(content, draw))
        try:
            read(name, root, labelled=None)
        except SourceError as error:
            assert str(root) in str(error)
            refused += 1
        file.write_bytes(content)
    assert refused  # or nothing was spoilt
    read(name, root, labelled=None)
