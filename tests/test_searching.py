"""Search: what is found is what looking at everything finds."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from everest.embeddings import Embeddings
from everest.searching import duplicates, lance
from everest.searching.clusters import cluster
from everest.searching.duplicates import Pair, groups_of, near_pairs
from everest.searching.exact import Exact, Found, Store, best
from everest.searching.sheet import Band, cell_of, draw_bands, fitting, text_width
from tiny import LabelledSet, damage, done, everest


def random(count: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def embeddings(vectors: np.ndarray, windows: int = 1) -> Embeddings:
    """So many windows a file."""
    count = len(vectors)
    paths = [f"/{number // windows:05d}.mp4" for number in range(count)]
    starts = (np.arange(count) % windows).astype(float)
    return Embeddings(vectors, paths, starts, starts + 1, [])


def store_of(kind: str, found: Embeddings, folder: Path) -> Store:
    if kind == "exact":
        return Exact(found)
    lance.write_lance(found, folder)
    return lance.Lance(folder)


def brute_force(vectors: np.ndarray, query: np.ndarray, top: int) -> tuple[list[int], list[float]]:
    """By the definition, in double precision."""
    rows = vectors.astype(np.float64)
    alike = rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    order = np.argsort(-alike, kind="stable")[:top]
    return order.tolist(), alike[order].tolist()


@pytest.mark.parametrize("kind", ["exact", "lance"])
def test_the_nearest_of_5000_are_those_of_brute_force(kind: str, tmp_path: Path) -> None:
    vectors, queries = random(5000, 48), random(6, 48, seed=1)
    store = store_of(kind, embeddings(vectors), tmp_path / "db")
    assert len(store) == 5000 and "exactly" in store.how
    found = store.nearest(queries, 10)
    for number, query in enumerate(queries):
        rows, alike = brute_force(vectors, query, 10)
        assert found.rows[number].tolist() == rows
        np.testing.assert_allclose(found.similarity[number], alike, atol=1e-5)


@pytest.mark.parametrize("kind", ["exact", "lance"])
def test_no_more_is_found_than_there_is(kind: str, tmp_path: Path) -> None:
    store = store_of(kind, embeddings(random(3, 4)), tmp_path / "db")
    found = store.nearest(random(1, 4), 10)
    assert found.rows.shape == (1, 3) and sorted(found.rows[0].tolist()) == [0, 1, 2]


def test_a_large_set_is_searched_through_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance, "INDEX_FROM", 1000)
    monkeypatch.setattr(lance, "PART", 50)
    monkeypatch.setattr(lance, "PARTS_AT_LEAST", 8)
    vectors = random(1500, 16) + 3 * np.repeat(random(30, 16, seed=2), 50, axis=0)
    store = store_of("lance", embeddings(vectors), tmp_path / "db")
    assert store.how == "in 8 of the 30 parts of the index (LanceDB)"
    queries = vectors[::50] + 0.1
    found = store.nearest(queries, 10)
    hits = 0
    for number, query in enumerate(queries):
        hits += len({*brute_force(vectors, query, 10)[0]} & {*found.rows[number].tolist()})
    assert hits >= 0.95 * 10 * len(queries)


def test_several_queries_are_one_and_some_rows_are_left_out() -> None:
    similarity = np.array([[0.9, 0.5, -np.inf], [0.8, 0.7, 0.6]], np.float32)
    found = Found(similarity, np.array([[4, 2, 0], [2, 4, 7]]))
    assert best(found, 5).rows.tolist() == [[4, 2, 7]]
    assert best(found, 5).similarity[0].tolist() == pytest.approx([0.9, 0.8, 0.6])
    assert best(found, 1, [4]).rows.tolist() == [[2]]


# Duplicates


def with_copies() -> np.ndarray:
    """40 files of 2 windows: file 7 is file 3 but for a little, so are 20, 21 and 22."""
    vectors = random(80, 16)
    for copy, of in ((7, 3), (21, 20), (22, 21)):
        vectors[2 * copy : 2 * copy + 2] = vectors[2 * of : 2 * of + 2] + 0.005 * copy
    vectors[1] = vectors[0]  # two windows of one file
    return vectors


@pytest.mark.parametrize("most", [10_000, 10])
def test_near_duplicates_are_all_pairs_of_files_above_the_threshold(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "ALL_PAIRS", most)
    monkeypatch.setattr(duplicates, "TOGETHER", 7)
    vectors = with_copies()
    store = Exact(embeddings(vectors, windows=2))
    wanted = {}
    for one in range(80):
        for two in range(one + 1, 80):
            _, (alike,) = brute_force(vectors[two : two + 1], vectors[one], 1)
            key = one // 2, two // 2
            if alike >= 0.97 and key[0] != key[1]:
                wanted[key] = max(wanted.get(key, -1.0), alike)
    pairs = near_pairs(store, 0.97)
    found = {(pair.first // 2, pair.second // 2): pair.similarity for pair in pairs}
    assert found == pytest.approx(wanted) and (3, 7) in found
    assert [pair.similarity for pair in pairs] == sorted(found.values(), reverse=True)


def test_groups_are_joined_by_files_between() -> None:
    pairs = [Pair(0.99, 2, 1), Pair(0.98, 2, 3), Pair(0.99, 5, 4)]
    assert groups_of(pairs, list("abcdef")) == [["b", "c", "d"], ["e", "f"]]


# Clusters


def test_clusters_are_found_the_largest_first_and_always_the_same() -> None:
    middles = 6 * np.eye(3, 8, dtype=np.float32)
    of = np.repeat([0, 1, 2], [5, 20, 10])
    vectors = middles[of] + random(35, 8) * 0.3
    found = cluster(vectors, 3)
    assert found.counts.tolist() == [20, 10, 5]
    assert found.of.tolist() == [{0: 2, 1: 0, 2: 1}[kind] for kind in of]
    assert [len(rows) for rows in found.typical] == [20, 10, 5]
    again = cluster(vectors, 3)
    assert np.array_equal(again.of, found.of)
    for count in (1, 36):
        with pytest.raises(ValueError, match=f"--clusters {count}"):
            cluster(vectors, count)


# Pictures


def test_a_file_that_is_gone_leaves_an_empty_place(labelled: LabelledSet) -> None:
    found = embeddings(random(2, 4))._replace(paths=[str(labelled.files[0]), "/gone.mp4"])
    cells = [cell_of(found, row, "0.9") for row in (0, 1)]
    assert cells[0].picture is not None and cells[1].picture is None
    one, two = draw_bands([Band("x", cells)]), draw_bands([Band("x", cells), Band("y", cells * 3)])
    assert two.shape[0] > one.shape[0] and two.shape[1] == one.shape[1]


def test_a_long_name_is_shortened_in_its_middle() -> None:
    told = fitting("a" * 50 + "\n\x00" + "b" * 50, 120)
    assert text_width(told) <= 120 and told[0] == "a" and told[-1] == "b" and "…" in told


# The command


@pytest.fixture(scope="module")
def folder(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos, one of them twice."""
    folder = tmp_path_factory.mktemp("search") / "videos"
    folder.mkdir()
    for file in labelled.files[:6]:
        shutil.copy(file, folder / file.name)
    shutil.copy(labelled.files[0], folder / "zcopy.mp4")
    return folder


@pytest.fixture(scope="module", params=["e.npz", "lance:e"])
def embedded(request: pytest.FixtureRequest, folder: Path, pretrained: Path) -> str:
    place = request.param.replace("e.npz", str(folder.parent / "e.npz"))
    place = place.replace("lance:e", f"lance:{folder.parent / 'e'}")
    done("embed", pretrained, folder, "-o", place)
    return place


def test_a_query_finds_its_copy_first_and_not_itself(
    embedded: str, folder: Path, tmp_path: Path
) -> None:
    query = sorted(folder.iterdir())[0]
    words = ["search", embedded, query, "--top", 3, "-o", tmp_path / "hits.png"]
    told = done(*words, "--csv", tmp_path / "hits.csv", "--json")
    found = json.loads(told.out)
    assert found["query"] == str(query) and len(found["hits"]) == 3
    first = found["hits"][0]
    assert list(first) == ["path", "start", "end", "similarity"]
    assert first["path"] == str(folder / "zcopy.mp4")
    assert first["similarity"] == pytest.approx(1, abs=1e-5)
    assert str(query) not in {hit["path"] for hit in found["hits"]}
    assert "is left out" in told.err
    with Image.open(tmp_path / "hits.png") as picture:
        assert picture.width > 1000
    with (tmp_path / "hits.csv").open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == [h["path"] for h in found["hits"]]


def test_a_file_that_is_there_twice_is_a_pair(embedded: str, folder: Path, tmp_path: Path) -> None:
    first = str(sorted(folder.iterdir())[0])
    words = ["search", embedded, "--duplicates", "--threshold", 0.9999, "--json"]
    told = done(*words, "-o", tmp_path / "d.png", "--csv", tmp_path / "d.csv")
    found = json.loads(told.out)
    copy = str(folder / "zcopy.mp4")
    pairs = {(pair["first"]["path"], pair["second"]["path"]): pair for pair in found["pairs"]}
    assert pairs[first, copy]["similarity"] == pytest.approx(1, abs=1e-5)
    assert any({first, copy} <= {*group} for group in found["groups"])
    assert (tmp_path / "d.png").is_file()
    assert len((tmp_path / "d.csv").read_text().splitlines()) == 1 + len(pairs)


def test_clusters_are_told_and_drawn(embedded: str, tmp_path: Path) -> None:
    words = ["search", embedded, "--clusters", 2, "-o", tmp_path / "c.png"]
    told = done(*words, "--csv", tmp_path / "c.csv", "--json")
    found = json.loads(told.out)
    assert [entry["cluster"] for entry in found["clusters"]] == [1, 2]
    assert sum(entry["count"] for entry in found["clusters"]) == len(found["rows"]) == 7
    assert (tmp_path / "c.png").is_file()
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 8


def test_what_cannot_be_searched_is_refused(
    embedded: str, folder: Path, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    query, broken = sorted(folder.iterdir())[1], tmp_path / "broken.mp4"
    broken.write_bytes(query.read_bytes())
    damage(broken)
    table, tokens = tmp_path / "e.csv", tmp_path / "t.npz"
    done("embed", pretrained, query, "-o", table)
    done("embed", pretrained, query, "-o", tokens, "--pool", "tokens")
    for words, said in (
        ([embedded], "one of"),
        ([embedded, query, "--duplicates"], "one of"),
        ([embedded, query, "--top", 0], "--top 0"),
        ([embedded, query, "-o", tmp_path / "x.gif"], ".png"),
        ([embedded, "--duplicates", "--threshold", 2], "--threshold 2"),
        ([embedded, "--clusters", 50], "--clusters 50"),
        ([embedded, query, "--run", finetuned], "other weights"),
        ([embedded, broken], "damaged"),
        ([embedded, folder], "a query is one"),
        ([table, query], "--run RUN"),
        ([tokens, query], "--pool tokens"),
        ([tmp_path / "none.npz", query], "no such file"),
        ([f"lance:{tmp_path}", query], "holds no embeddings"),
    ):
        told = everest("search", *words)
        assert told.code == 2 and said in told.err, (said, told.err)
    told = done("search", table, folder / "zcopy.mp4", "--run", pretrained, "--json")
    assert len(json.loads(told.out)["hits"]) == 1
