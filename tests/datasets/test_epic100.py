"""EPIC-Kitchens-100: cut by seconds, verbs, nouns and their pairs, no pickles."""

import pickle
from pathlib import Path

import pytest
from imitations import put, put_videos, read, told
from PIL import Image

from everest.index import SourceError

HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,"
    "start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
)
TAKE = (
    "P01_11_0,P01,P01_11,00:00:00.560,00:00:00.00,00:00:01.89,1,113,take plate,take,0,plate,2,"
    "['plate'],[2]\n"
)
PUT = (
    "P01_11_1,P01,P01_11,00:01:02.560,00:01:02.50,00:01:03.00,3746,3776,put down plate and knife,"
    "put-down,1,plate,2,\"['plate', 'knife']\",\"[2, 4]\"\n"
)
OPEN = (
    "P37_101_0,P37,P37_101,00:00:00.560,00:00:00.10,00:00:00.50,5,25,open tap,open,3,tap,0,"
    "['tap'],[0]\n"
)
VERBS = (
    "id,key,instances,category\n"
    "0,take,\"['collect-from', 'take']\",retrieve\n1,put,\"['put-down', 'put']\",leave\n"
    "2,wash,['wash'],clean\n3,open,['open'],access\n"
)
NOUNS = (
    "id,key,instances,category\n0,tap,['tap'],appliances\n1,spoon,['spoon'],cutlery\n"
    "2,plate,['plate'],crockery\n3,cupboard,['cupboard'],furniture\n4,knife,['knife'],cutlery\n"
)


def imitate(root: Path) -> Path:
    place = root / "epic-kitchens-100-annotations"
    put(place, "EPIC_100_train.csv", HEADER + TAKE + PUT)
    put(place, "EPIC_100_validation.csv", HEADER + OPEN)
    put(place, "EPIC_100_verb_classes.csv", VERBS)
    put(place, "EPIC_100_noun_classes.csv", NOUNS)
    put_videos(root / "EPIC-KITCHENS", "P01/videos/P01_11.MP4", "P37/videos/P37_101.MP4")
    return root


def test_actions_are_cut_by_seconds(tmp_path: Path) -> None:
    index = read("epic100", imitate(tmp_path))
    spans = [(Path(r.path).name, r.start, r.end, r.split) for r in index.rows]
    assert spans == [
        ("P01_11.MP4", 0.0, 1.89, "train"),
        ("P01_11.MP4", 62.5, 63.0, "train"),
        ("P37_101.MP4", 0.1, 0.5, "val"),
    ]


def test_verb_and_noun_are_numbered_by_the_tables_of_classes(tmp_path: Path) -> None:
    index = read("epic100", imitate(tmp_path))
    assert index.classes["verb"] == ("take", "put", "wash", "open")
    assert index.classes["noun"][:3] == ("tap", "spoon", "plate")
    assert [r.labels for r in index.rows][:2] == [{"verb": 0, "noun": 2}, {"verb": 1, "noun": 2}]


def test_an_action_is_the_pair_where_it_is_asked_for(tmp_path: Path) -> None:
    index = read("epic100", imitate(tmp_path), label=["action"])
    assert index.classes == {"action": ("take plate", "put plate", "open tap")}
    assert [r.labels["action"] for r in index.rows] == [0, 1, 2]
    with pytest.raises(SourceError, match="no such label, only verb, noun, action; did you mean"):
        read("epic100", imitate(tmp_path), label=["verbs"])


def test_classes_that_train_lacks_are_told_and_not_refused(tmp_path: Path) -> None:
    index = read("epic100", imitate(tmp_path))
    assert "'verb': 1 class of val or test without a train clip here" in told(index)


def test_the_test_part_has_no_labels(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    header = ",".join(HEADER.split(",")[:8])
    text = f"{header}\nP37_101_1,P37,P37_101,00:00:00.56,00:00:00.20,00:00:00.60,9,30\n"
    put(root, "epic-kitchens-100-annotations/EPIC_100_test_timestamps.csv", text)
    assert len(read("epic100", root).rows) == 3
    assert read("epic100", root, labelled=None).rows[3].labels == {"verb": -1, "noun": -1}


def test_a_pickle_beside_the_tables_is_not_opened(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    place = root / "epic-kitchens-100-annotations"
    trap = tmp_path / "opened"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(trap),)

    (place / "EPIC_100_train.pkl").write_bytes(pickle.dumps(Trap()))
    assert len(read("epic100", root).rows) == 3
    (place / "EPIC_100_train.csv").unlink()
    assert len(read("epic100", root).rows) == 1
    assert not trap.exists()


def test_two_narrations_of_one_span_are_both_kept(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    wash = TAKE.replace("P01_11_0,", "P01_11_9,").replace("take,0,plate", "wash,2,plate")
    put(root, "epic-kitchens-100-annotations/EPIC_100_train.csv", HEADER + TAKE + wash + TAKE)
    assert [r.labels["verb"] for r in read("epic100", root).rows] == [0, 2, 0, 3]


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    text = (HEADER + TAKE).replace("stop_timestamp", "stop")
    put(root, "epic-kitchens-100-annotations/EPIC_100_train.csv", text)
    with pytest.raises(SourceError, match=r"EPIC_100_train\.csv: no column stop_timestamp"):
        read("epic100", root)


@pytest.mark.parametrize(("group", "first"), [(None, "P01_11"), ("participant_id", "P01")])
def test_a_group_is_a_video_or_a_participant(tmp_path: Path, group: str | None, first: str) -> None:
    assert read("epic100", imitate(tmp_path), group=group).rows[0].group == first


def test_folders_of_frames_have_the_rate_of_their_video(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    (root / "EPIC-KITCHENS/P01/videos/P01_11.MP4").unlink()
    frames = root / "EPIC-KITCHENS/P01/rgb_frames/P01_11"
    frames.mkdir(parents=True)
    for number in range(1, 4):
        Image.new("RGB", (8, 8)).save(frames / f"frame_{number:010d}.jpg")
    with pytest.raises(SourceError, match=r"EPIC_100_video_info\.csv, for the rates of folders"):
        read("epic100", root)
    info = "video_id,duration,fps,resolution\nP01_11,84.6,59.9400599400599,1920x1080\n"
    put(root, "epic-kitchens-100-annotations/EPIC_100_video_info.csv", info)
    row = read("epic100", root).rows[0]
    assert (row.path, row.fps) == (str(frames), 59.9400599400599)
