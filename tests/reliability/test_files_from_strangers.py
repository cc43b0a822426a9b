"""Files from strangers run nothing, take no more than their share, and reach nothing else (tests
12-14, 18 and 22-24 of the reliability table)."""

import argparse
import csv
import html
import json
import os
import pickle
import re
import shutil
import socket
import struct
import tarfile
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from bounded import measured
from hypothesis import given, settings
from hypothesis import strategies as st

from everest.convert.flax import read_flax
from everest.convert.read import WeightsError, read_tensors
from everest.index import read_index
from everest.spreadsheet import cell, text_of
from everest.trajectories.files import TrajectoriesError
from everest.video import VideoError, probe, read
from filming import numbered, write_film
from tiny import TINY, TINY_PRETRAIN, LabelledSet, done, everest

SHARE = 300.0  # MB of memory that a refusal may take, beside twice its file


class Code:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.canary),)


# Code in files


def malicious(form: str, folder: Path, canary: Path, run: Path) -> Path:
    """What is given to --init: it holds code in one form or another."""
    content = {"model": {"weight": torch.zeros(2)}, "code": Code(canary)}
    file = folder / "model.pth"
    if form in ("zip", "legacy"):
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    elif form == "bare":
        file.write_bytes(pickle.dumps(content))
    elif form == "tar":
        with tarfile.open(file, "w") as archive:
            for name in ("sys_info", "pickle", "storages", "tensors"):
                data = pickle.dumps(Code(canary))
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, BytesIO(data))
    elif form == "inside a run":
        shutil.copytree(run, folder / "run")
        for name in ("last", "best"):
            weights = folder / "run" / "weights" / name / "model.safetensors"
            if weights.exists():
                weights.write_bytes(pickle.dumps(content))
        return folder / "run"
    elif form == "DCP":
        (folder / "dcp").mkdir()
        (folder / "dcp" / ".metadata").write_bytes(pickle.dumps(Code(canary)))
        (folder / "dcp" / "__0_0.distcp").write_bytes(pickle.dumps(Code(canary)))
        return folder / "dcp"
    elif form == "numpy objects":
        file = folder / "model.npz"
        np.savez(file, **{"params/a": np.array([Code(canary)], dtype=object)})
    return file


FORMS = ["zip", "legacy", "tar", "bare", "inside a run", "DCP", "numpy objects"]


@pytest.mark.parametrize("form", FORMS)
def test_12_code_in_a_file_is_refused_and_never_run(
    form: str, labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    """12. Malicious pickle: zip, legacy, tar, bare, inside a run folder, as DCP .metadata, numpy
    object array: no canary file; refused; never advises weights_only=False."""
    canary = tmp_path / "canary"
    given = malicious(form, tmp_path, canary, pretrained)
    for words in (
        ["finetune", labelled.table, "--out", tmp_path / "out", "--init", given, *TINY],
        ["convert", given, "-o", tmp_path / "converted"],
        ["embed", given, labelled.files[0], "-o", tmp_path / "e.npz"],
    ):
        told = everest(*words)
        assert told.code == 2, told.err or told.out
        assert not canary.exists()
        assert "weights_only" not in told.err and "Traceback" not in told.err
        assert str(given) in told.err


def test_12_code_in_the_state_of_a_run_is_refused_and_never_run(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """12. ... inside a run folder: in what --resume reads, with a manifest that vouches for it."""
    import hashlib

    canary, out = tmp_path / "canary", tmp_path / "run"
    words = ["pretrain", labelled.videos, "--out", out, "--epochs", 2, *TINY_PRETRAIN]
    assert everest(*words, "--stop-after", 1).code == 0
    (state,) = (out / "state").glob("step-*")
    code = pickle.dumps({"code": Code(canary)})
    manifest = json.loads((state / "manifest.json").read_text())
    for name in manifest:
        (state / name).write_bytes(code)
        manifest[name] = hashlib.sha256(code).hexdigest()
    (state / "manifest.json").write_text(json.dumps(manifest))
    told = everest(*words, "--resume")
    assert told.code == 2 and str(state) in told.err
    assert not canary.exists() and "weights_only" not in told.err


def test_12_the_canary_would_be_seen(tmp_path: Path) -> None:
    """12. ... the code of these tests does run where a pickle is trusted."""
    file = malicious("bare", tmp_path, tmp_path / "canary", tmp_path)
    pickle.loads(file.read_bytes())
    assert (tmp_path / "canary").exists()


# Bombs


def deflated(path: Path, source: Path) -> Path:
    """The same archive, its entries compressed."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for member in whole.infolist():
            out.writestr(member.filename, whole.read(member))
    return path


def pth_bomb(folder: Path) -> Path:
    torch.save({"model": {"w": torch.zeros(100 << 20)}}, folder / "whole.pth")  # 400 MB
    return deflated(folder / "bomb.pth", folder / "whole.pth")


def npz_bomb(folder: Path) -> Path:
    np.savez_compressed(folder / "bomb.npz", **{"params/w": np.zeros(100 << 20, np.float32)})
    return folder / "bomb.npz"


def npy_header_bomb(folder: Path) -> Path:
    """A .npz whose array claims a terabyte and has none of it."""
    head = BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 38,)}
    )
    with zipfile.ZipFile(folder / "claims.npz", "w") as archive:
        archive.writestr("params/w.npy", head.getvalue())
    return folder / "claims.npz"


def safetensors_bomb(folder: Path) -> Path:
    path = folder / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{" + b" " * 1000)
    return path


def expanded_bomb(folder: Path) -> Path:
    """Ten numbers in the file, a terabyte by their shape."""
    torch.save({"model": {"w": torch.zeros(1).expand(1 << 38)}}, folder / "wide.pth")
    return folder / "wide.pth"


def yaml_bomb(folder: Path) -> Path:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for one, other in zip("bcdefghij", "abcdefghi", strict=True):
        lines.append(f"{one}: &{one} [{', '.join([f'*{other}'] * 9)}]")
    path = folder / "bomb.yaml"
    path.write_text("\n".join(lines))
    return path


BOMBS = {
    "deflated pth": (pth_bomb, read_tensors),
    "npz": (npz_bomb, read_flax),
    "npy header": (npy_header_bomb, read_flax),
    "safetensors header": (safetensors_bomb, read_tensors),
    "expanded": (expanded_bomb, read_tensors),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOMBS)
def test_13_a_bomb_is_refused_in_little_memory(kind: str, tmp_path: Path) -> None:
    """13. Deflated .pth 1,000:1, npz bomb, safetensors header 1 TB: refused; memory <= 2 x file +
    300 MB."""
    make, reader = BOMBS[kind]
    path = make(tmp_path)
    size = path.stat().st_size / (1 << 20)

    def attempt() -> str:
        try:
            reader(path)
        except WeightsError as error:
            return str(error)
        return "read"

    found = measured(attempt)
    assert found.result.startswith(str(path)), found
    assert found.grown <= 2 * size + SHARE and size < 2


def test_13_a_bomb_of_yaml_is_no_recipe_and_no_yaml_is_read(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """13. ... YAML alias bomb: refused. No module of the package reads YAML."""
    bomb = yaml_bomb(tmp_path)
    words = ["pretrain", labelled.videos, "--out", tmp_path / "run", "--recipe", bomb]

    def attempt() -> tuple[int, str]:
        told = everest(*words, *TINY_PRETRAIN)
        return told.code, told.err

    found = measured(attempt)
    code, said = found.result
    assert code == 2 and str(bomb) in said and "Traceback" not in said
    assert found.grown <= SHARE
    import everest as package

    sources = Path(package.__file__).parent.rglob("*.py")
    assert not [path for path in sources if re.search(r"import yaml|from yaml", path.read_text())]


def test_13_archives_as_they_are_written_are_read(tmp_path: Path) -> None:
    """13. ... and no honest file is taken for a bomb: compressed ones, and shared tensors."""
    drawn = torch.randn(40, 50)
    torch.save({"model": {"a": drawn, "b": drawn.expand(3, 40, 50)}}, tmp_path / "a.pth")
    again = deflated(tmp_path / "b.pth", tmp_path / "a.pth")
    for path in (tmp_path / "a.pth", again):
        assert read_tensors(path)["b"].shape == (3, 40, 50)
    np.savez_compressed(tmp_path / "c.npz", **{"params/w": np.zeros((500, 500), np.float32)})
    assert read_flax(tmp_path / "c.npz")["w"].shape == (500, 500)


def test_14_one_class_beside_tensors_is_known_and_no_other(tmp_path: Path) -> None:
    """14. Official .pth with argparse.Namespace: allow-list of that one class."""
    content = {"model": {"w": torch.ones(2)}, "args": argparse.Namespace(num_frames=16)}
    torch.save(content, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth")["w"].sum() == 2
    from everest.options import RunOptions

    for other in (Path("x"), RunOptions(out=Path("x"))):
        torch.save({**content, "other": other}, tmp_path / "b.pth")
        with pytest.raises(WeightsError, match="nothing in it was run"):
            read_tensors(tmp_path / "b.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("2.5.1", ["CVE-2025-32434", "CVE-2026-24747"]),
        ("2.6.0+cu124", ["CVE-2026-24747"]),
        ("2.9.1", ["CVE-2026-24747"]),
        ("2.10.0", []),
        ("2.13.0+cpu", []),
    ],
)
def test_14_a_torch_below_the_safe_floor_opens_no_pickle(
    version: str, holes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """14. ... torch < 2.10 refuses foreign .pth with the CVE number."""
    from safetensors.torch import save_file

    torch.save({"w": torch.ones(2)}, tmp_path / "a.pth")
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors")
    monkeypatch.setattr(torch, "__version__", version)
    assert read_tensors(tmp_path / "a.safetensors")
    if not holes:
        assert read_tensors(tmp_path / "a.pth")
        return
    with pytest.raises(WeightsError) as refused:
        read_tensors(tmp_path / "a.pth")
    assert re.findall(r"CVE-\d+-\d+", str(refused.value)) == holes
    assert "torch 2.10" in str(refused.value)


# Headers that claim too much


def gif_bomb(folder: Path) -> Path:
    path = folder / "bomb.gif"
    side = struct.pack("<HH", 16000, 16000)
    path.write_bytes(
        b"GIF89a" + side + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + b"," + bytes(4) + side
        + b"\0\x02\x02\x44\x01\0;"
    )  # fmt: skip
    return path


def many_streams(folder: Path) -> Path:
    path = folder / "streams.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("mpeg4", rate=25) for _ in range(1000)]
        frame = av.VideoFrame.from_ndarray(numbered(0, 32, 32), format="rgb24")
        for track in tracks:
            track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        for track in tracks[:3]:
            container.mux(track.encode(frame))
    return path


def timed(folder: Path, seconds: float, frames: int) -> Path:
    """A film of so many frames whose timestamps claim so many seconds: its header says that a unit
    of time is a second."""
    scale = 12800  # units a second that FFmpeg writes for 25 frames a second
    each = round(25 * seconds / (frames - 1) / scale)
    path = write_film(
        folder / "long.mp4", frames, shown=[each * index for index in range(frames)], codec="mpeg4"
    )
    return scaled(path, lambda units: 1)


def scaled(path: Path, change: Callable[[int], int]) -> Path:
    """Rewrites the scale of time in the headers of a .mp4."""
    content = path.read_bytes()
    for box, skip in ((b"mvhd", 16), (b"mdhd", 16)):
        place = content.index(box) + skip
        (units,) = struct.unpack(">I", content[place : place + 4])
        content = content[:place] + struct.pack(">I", change(units)) + content[place + 4 :]
    path.write_bytes(content)
    return path


def too_fast(folder: Path) -> Path:
    """10^6 frames a second by its header."""
    return scaled(write_film(folder / "fast.mp4", 6, codec="mpeg4"), lambda units: units * 40_000)


HEADERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a GIF of 16000x16000": (gif_bomb, "16000x16000"),
    "1,000 streams": (many_streams, "100 streams or more"),
    "10^9 seconds": (lambda folder: timed(folder, 1e9, 2), r"1\.?\d*e\+09 s"),
    "10^6 frames a second": (too_fast, r"1e\+06 frames a second"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEADERS)
def test_18_a_header_that_claims_too_much_is_refused_in_little_memory(
    kind: str, tmp_path: Path
) -> None:
    """18. Header bombs: GIF 16000x16000, 1,000 streams, duration 10^9 s, 10^6 fps: refused, memory
    <= 300 MB above base, size in the message."""
    make, told = HEADERS[kind]
    path = make(tmp_path)

    def attempt() -> list[str]:
        said = []
        for reading in (probe, lambda path: read(path, [0, 40])):
            try:
                reading(path)
            except VideoError as error:
                said.append(str(error))
        return said

    found = measured(attempt)
    assert found.result and found.result[0].startswith(str(path)), found
    assert re.search(told, found.result[0]), found
    assert found.grown <= 300


# Names


NAMES = [
    "a b.mp4", "a,b.mp4", "a\nb.mp4", "-x.mp4", "%03d.mp4", "http:a.mp4", "file:a.mp4",
    "concat:a.mp4", "ü日本.mp4", "'\"&;.mp4", os.fsdecode(b"not utf8 \xff.mp4"), "*?[a].mp4",
    " blank.mp4", "#note.mp4", "$(touch x).mp4", "n" * 246 + ".mp4",
]  # fmt: skip


def no_socket(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Connections out of this process are counted and refused; pairs within it are not touched."""
    tried: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        tried.append(address)
        raise AssertionError(f"a connection to {address}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, connect)
    return tried


@pytest.mark.slow
@pytest.mark.parametrize("how", ["absolute", "relative"])
def test_22_any_name_is_found_trained_listed_and_comes_back(
    how: str, labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """22. 16 odd names incl. blank, newline, -x, %03d, http:a, invalid UTF-8, 250 bytes; relative
    and absolute; through check, train, report, CSV and back: all found, trained, listed; no
    connection attempt (socket blocked)."""
    assert len(NAMES) == 16 and len(os.fsencode(NAMES[-1])) == 250
    tried = no_socket(monkeypatch)
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, name in enumerate(NAMES):
        shutil.copy(labelled.files[number % 16], videos / name)
    monkeypatch.chdir(tmp_path)
    source = "videos" if how == "relative" else str(videos)
    expected = {os.fsencode(videos / name) for name in NAMES}
    document = json.loads(done("check", source, "--json").out)
    assert (document["found"], document["good"]) == (16, 16)

    # A list, relative to where it lies or absolute, and back; a newline stands in quotes.
    place = tmp_path / "list.csv"
    with place.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for number, name in enumerate(NAMES):
            path = os.path.join("videos" if how == "relative" else str(videos), name)
            splits = "train" if number < 12 else "val"
            writer.writerow([path, ("left", "right")[number % 2], splits])
    index = read_index([str(place)], labelled=True)
    assert {os.fsencode(row.path) for row in index.rows} == expected
    assert [row.bad for row in index.rows] == [None] * 16

    out = tmp_path / "run"
    words = ["finetune", "list.csv" if how == "relative" else place, "--out", out, *TINY]
    run = json.loads(done(*words, "--epochs", 1, "--workers", 1, "--json").out)
    assert run["bad"] == [] and run["steps"] == 3
    data = json.loads((out / "data.json").read_text())
    listed = {os.fsencode(row["path"]) for part in ("train", "held_out") for row in data[part]}
    assert listed == expected
    done("report", out)
    predictions = tmp_path / "predictions.csv"
    done("predict", out, source, "--csv", predictions)
    with predictions.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    named = {os.fsencode(text_of(row["path"])) for row in rows}
    assert named == expected
    assert not tried


@pytest.mark.slow
def test_22_readers_open_no_connection_whatever_a_file_is_called(tmp_path: Path) -> None:
    """22. ... no connection attempt: as the system calls of the decoder show, which the sockets of
    Python do not."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here, which shows what a decoder's own code connects to")
    videos = tmp_path / "videos"
    videos.mkdir()
    film = write_film(tmp_path / "film.mp4", 4)
    for name in NAMES:
        shutil.copy(film, videos / name)
    calls = tmp_path / "calls"
    code = "import os; from everest.video import scan\nfor n in os.listdir('.'): scan(n)"
    import subprocess
    import sys

    subprocess.run(
        ["strace", "-f", "-e", "trace=network", "-o", calls, sys.executable, "-c", code],
        cwd=videos,
        check=True,
    )
    assert "connect(" not in calls.read_text()


# Playlists


def playlists(folder: Path, canary: Path, port: int) -> list[Path]:
    """Playlists that name a file outside of the list and an address, under names of videos."""
    site = f"http://127.0.0.1:{port}/x.ts"
    contents = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{canary}\n#EXTINF:4,\n{site}\n"
        f"#EXT-X-ENDLIST\n",
        "neighbour": f"ffconcat version 1.0\nfile '{canary.name}'\n",
        "concat": f"ffconcat version 1.0\nfile '{canary.name}'\nfile '{site}'\n",
        "dash": f'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        f"<Period><AdaptationSet><Representation><BaseURL>{site}</BaseURL></Representation>"
        f"</AdaptationSet></Period></MPD>",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }
    found = []
    for kind, content in contents.items():
        for ending in (".mp4", ".mkv", ".avi", ".ts"):
            path = folder / f"{kind}{ending}"
            path.write_text(content)
            found.append(path)
    return found


def test_23_a_playlist_is_no_video_and_what_it_names_is_not_opened(tmp_path: Path) -> None:
    """23. HLS, DASH, concat, SDP under video names: refused as "a playlist, not a video"; no file
    outside the list opened, no socket."""
    canary = write_film(tmp_path / "canary.mkv", 5, codec="mpeg4")
    old = os.stat(canary).st_atime_ns - 10**15
    os.utime(canary, ns=(old, old))  # a read of it moves its time of access (relatime does so)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for path in playlists(tmp_path, canary, server.getsockname()[1]):
            for reading in (probe, lambda path: read(path, [0])):
                with pytest.raises(VideoError, match="a playlist, not a video"):
                    reading(path)
        with pytest.raises(BlockingIOError):
            server.accept()  # nobody has connected
    assert os.stat(canary).st_atime_ns == old
    assert probe(canary).frames == 5
    if os.stat(canary).st_atime_ns == old:
        pytest.skip("this disk keeps no times of access: whether a file was opened is not seen")


def test_23_a_pattern_of_pictures_is_the_file_of_that_name(tmp_path: Path) -> None:
    """23. ... image-sequence patterns: `%03d.mp4` is a file or nothing, never 000.mp4, 001.mp4."""
    for number in range(3):
        write_film(tmp_path / f"{number:03}.mp4", 3)
        write_film(tmp_path / f"{number:03}.gif", 3, codec="gif", pix_fmt="rgb8")
    for name in ("%03d.mp4", "%03d.gif", "*.mp4"):
        with pytest.raises(VideoError, match="No such file"):
            probe(tmp_path / name)


# Text


HOSTILE = [
    "<script>alert(1)<", '"><img src=x onerror=alert(1)>', "\x1b[31mred\x1b[0m\x07",
    "=1+1", "+1", "-1", "@SUM(A1)",
]  # fmt: skip


class Elements(HTMLParser):
    """Which elements a page has, and what in them could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attributes:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.handlers.append(f"{tag} {name}={value}")


def trained_with_names(labelled: LabelledSet, folder: Path, names: list[str]) -> Path:
    """A run whose videos, classes and folder have these names."""
    folder.mkdir()
    # A metadata title of the files too: nothing is to take it for text of its own.
    rows = []
    for number, name in enumerate(names * 2):
        path = folder / f"{name.replace('/', '')}{number}.mp4"
        with av.open(str(labelled.files[number])) as source, av.open(str(path), "w") as out:
            out.metadata["title"] = name.replace("\x1b", "").replace("\x07", "")
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
        rows.append([str(path), f"{name} ", "train" if number < len(names) else "val"])
    place = folder / "list.csv"
    with place.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split"], *rows])
    run = folder / f"run {names[0].replace('/', '')}"
    words = ["finetune", place, "--out", run, "--epochs", 1, *TINY, "--batch-size", 4]
    told = done(*words)
    assert "\x1b" not in told.out + told.err and "\x07" not in told.out + told.err
    return run


@pytest.mark.slow
def test_24_hostile_names_make_no_element_no_code_and_no_formula(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """24. <script>, "><img onerror=, </script> in file, class and run names, metadata titles; ANSI
    codes; cells beginning = + - @: no new element when the report is parsed, content policy without
    scripts from data, console and CSV neutralised."""
    names = [*HOSTILE, "</script><b>"]
    plain = trained_with_names(labelled, tmp_path / "plain", [f"n{i}" for i in range(len(names))])
    hostile = trained_with_names(labelled, tmp_path / "hostile", names)
    pages = []
    for run in (plain, hostile):
        told = done("evaluate", run, run.parent / "list.csv", "--json")
        assert "\x1b" not in told.err
        done("report", run)
        pages.append((run / "report.html").read_text())
    harmless, found = (Elements(page) for page in pages)
    # Clips that are told wrong may differ in number; kinds of elements and code may not.
    assert found.tags.keys() == harmless.tags.keys()
    assert found.tags["script"] == harmless.tags["script"] if "script" in found.tags else True
    assert found.tags.get("img") == harmless.tags.get("img")
    assert found.handlers == []
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', pages[1])
    policy = html.unescape(policy)
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    scripts = re.findall(r"script-src ([^;]*)", policy)
    assert all("unsafe-inline" not in source and "data:" not in source for source in scripts)
    predictions = tmp_path / "p.csv"
    told = done("predict", hostile, hostile.parent, "--csv", predictions)
    assert "\x1b" not in told.out + told.err
    embeddings = tmp_path / "e.csv"
    done("embed", hostile, hostile.parent, "-o", embeddings)
    tables = [predictions, embeddings, *hostile.rglob("*.csv")]
    for table in tables:
        text = table.read_text(encoding="utf-8", errors="surrogateescape")
        assert "\x1b" not in text and "\x07" not in text
        for row in csv.reader(text.splitlines()):
            assert not [cell for cell in row if is_formula(cell)], (table, row)


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would compute a cell: a negative number alone is none."""
    if not cell or cell[0] not in "=+-@\t\r":
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_24_a_cell_gives_back_any_text_and_acts_on_nothing(text: str) -> None:
    """24. ... and a name in a .csv is still the name."""
    written = cell(text)
    assert text_of(written) == text
    assert not is_formula(written) or text[:1] == "'"
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", written)


def test_13_a_bomb_of_trajectories_is_refused(tmp_path: Path) -> None:
    """13. ... npz bomb: also where trajectories are read from a folder of somebody else's."""
    from everest.trajectories import files

    place = tmp_path / "t.npz"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(files.ABOUT, b" " * (300 << 20))
    assert place.stat().st_size < 1 << 20

    def attempt() -> str:
        try:
            files.read_trajectories(place, [0])
        except TrajectoriesError as error:
            return str(error)
        return "read"

    found = measured(attempt)
    assert found.result.startswith(str(place)) and found.grown <= SHARE
