"""This file decides how tests run whole commands: in this process, with a tiny model and set."""

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from everest.cli import main

# Grid of 2 x 4 x 4 tokens: 9 kept and 3 visible in pre-training, 19 read in fine-tuning.
TINY = (
    "--model 32x2x2 --size 32 --patch 8 --frames 4 --stride 1 --short-side 32"
    " --batch-size 4 --workers 0 --device cpu --precision float32"
).split()
TINY_PRETRAIN = [*TINY, "--decoder-width", "16", "--decoder-depth", "1"]


@dataclass(frozen=True)
class Told:
    """What a command left behind: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class LabelledSet:
    """Motion clips of 32 pixels and 8 frames in four classes: 8 train, 4 val, 4 test."""

    folder: Path
    table: Path  # path,label,split
    videos: Path  # the folder of the files

    @property
    def files(self) -> list[Path]:
        return sorted(self.videos.iterdir())


def everest(*words: object) -> Told:
    """Runs a command in this process, with what it prints kept apart."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as left:  # the option parser leaves this way
            code = left.code if isinstance(left.code, int) else 1
    return Told(code, out.getvalue(), err.getvalue())


def done(*words: object) -> Told:
    """Runs a command that has to succeed."""
    told = everest(*words)
    assert told.code == 0, told.err or told.out
    return told


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is below a folder: relative path -> content, None for a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def damage(video: Path) -> None:
    """Spoils a video's frames and leaves its headers: it is found good until it is decoded."""
    content = bytearray(video.read_bytes())
    begin = content.find(b"mdat")
    size = len(content) - begin
    for place in range(begin + size // 3, begin + size * 9 // 10):
        content[place] = 0xFF
    video.write_bytes(content)
