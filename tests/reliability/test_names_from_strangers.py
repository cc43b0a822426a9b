"""Hostile names and playlists reach nothing else (tests 22 and 23 of the reliability table)."""

import csv
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from everest.index import read_index
from everest.spreadsheet import text_of
from everest.video import VideoError, probe, read
from filming import write_film
from tiny import TINY, LabelledSet, done

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
