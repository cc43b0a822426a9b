"""This file decides what one line of a source says before classes and splits are settled."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from everest.frame_folders import RATE

VIDEO_EXTENSIONS = frozenset(
    ".3g2 .3gp .asf .avi .divx .f4v .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpe .mpeg .mpg .mts .mxf"
    " .ogv .qt .ts .vob .webm .wmv".split()
)
LIST_EXTENSIONS = frozenset({".csv", ".tsv", ".txt", ".lst", ".list", ".jsonl", ".parquet"})
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip", ".rar", ".7z")
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}

EXAMPLE = "for example: everest check my_videos/, or my_videos.csv, or 'clips/**/*.mp4'"
MISSING = "no such file"


class SourceError(ValueError):
    """A source of videos that cannot be used as given; the message says what to do."""


@dataclass(slots=True)
class Entry:
    """One clip as its source names it."""

    path: str  # absolute
    labels: tuple[str | None, ...] = ()  # as written, one a column of its listing; None: missing
    split: str | None = None
    start: float | None = None  # seconds
    end: float | None = None  # seconds
    group: str | None = None
    line: int = 0  # in the list file; 0: not from a list
    source: str = ""  # name of the list or folder, for messages
    bad: str | None = None
    fps: float | None = None  # frames a second of a folder of frames; None: a file, which knows

    def where(self) -> str:
        """Names the place for a message: the line of a list, or the file itself."""
        if self.line:
            return f"line {self.line} of {shown(self.source)}"
        return shown(self.path)


@dataclass(frozen=True, slots=True)
class Official:
    """What is known of a source that is a published set: its splits and labels are kept to."""

    name: str  # as in `ucf101:DIR`
    reported: str  # the part that papers report on: "test" or "val"
    named: int  # videos that its annotation names
    missing: int  # of these, not there
    mirrored: bool = True  # whether a mirrored clip keeps its class


@dataclass(slots=True)
class Listing:
    """What one source holds and how it was understood."""

    entries: list[Entry]
    columns: tuple[str, ...] = ()  # label columns; () without labels
    reading: list[str] = field(default_factory=list)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by id, where it orders them
    official: Official | None = None


@dataclass(frozen=True)
class Wanted:
    """What a command asks of its sources."""

    label: tuple[str, ...] = ()  # label columns by name; () lets the source decide
    group: str | None = None  # column that must not be torn apart by a split
    labelled: bool | None = None  # True: labels are needed; None: taken where a source shows them
    fold: int | None = None  # the official split, where a set has several
    several: bool = False  # a clip may have several labels in one column
    frame_rate: float = RATE  # frames a second of folders of frames, where no column says it


def refuse_archive(source: str) -> None:
    """Raises SourceError for an archive, by its name: WebDataset's shards are such files."""
    if source.lower().endswith(ARCHIVES):
        raise SourceError(
            f"{shown(source)}: an archive is not read, nor are WebDataset's shards; unpack it into"
            " a folder (tar -xf FILE -C FOLDER) and give the folder"
        )


def is_video_name(name: str) -> bool:
    ending = name[name.rfind(".") :]
    return ending in VIDEO_EXTENSIONS or ending.lower() in VIDEO_EXTENSIONS


def shown(text: str) -> str:
    """A stranger's name made safe for a console: control characters become escapes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 video`, `1,200 videos`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """`a, b, c and 12 more`."""
    names = [shown(name) for name in names]
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def lines_of(entries: Sequence[Entry], most: int = 5) -> str:
    """`lines 3, 7 and 12 more of a.csv`, or the paths where there is no list."""
    if not entries[0].line:
        return listed((entry.path for entry in entries), most)
    first = entries[0].source
    numbers = [str(entry.line) for entry in entries if entry.source == first]
    word = "line" if len(numbers) == 1 else "lines"
    rest = len(entries) - len(numbers)
    elsewhere = f" and {rest:,} in other lists" if rest else ""
    return f"{word} {listed(numbers, most)} of {shown(first)}{elsewhere}"


def nearest(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'label'?`, or nothing where no choice is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean '{shown(by_lower[found[0]])}'?" if found else ""
