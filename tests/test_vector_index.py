"""Many windows: an index of vectors finds what reading each of them finds, and stays whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from retrieval_sight import COLORS, tiny_sight
from test_index import color_clip, run

from assistant.retrieval import Index, ranking, vector_index
from assistant.retrieval.rows import KINDS, Row
from assistant.retrieval.store import Store

WIDTH, MANY = 256, 300
COUNT = 64  # windows of each search, as `Index.search` asks for at least


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MANY": MANY, "FRESH": 20, "MOST_PARTS": 3, "MOST_PIECES": 12}.items():
        monkeypatch.setattr(vector_index, name, value)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.create(str(tmp_path / "index"), "many", "space", WIDTH)
    made.complete()
    return made


def vectors_of(count: int, seed: int, width: int = WIDTH) -> np.ndarray:
    """Around some centres, as real ones lie."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((8, width))
    vectors = centres[rng.integers(0, 8, count)] + rng.standard_normal((count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def add(store: Store, count: int, kind: str = "image", seed: int = 0) -> None:
    store.append(
        [
            Row(f"/{kind}-{seed}-{n}", kind, 0, True, None, None, "", vector, 1, 1)
            for n, vector in enumerate(vectors_of(count, seed, store.width))
        ]
    )


def recall(store: Store) -> float:
    """Of the ten that an exact search finds first; similarities are always exact."""
    rows = [row for part in store.scan("file vector") for row in zip(*part.values(), strict=True)]
    vectors = np.array([vector for _, vector in rows])
    right = []
    for query in vectors_of(20, 99, store.width):
        cosines = dict(zip((file for file, _ in rows), vectors @ query, strict=True))
        found = store.nearest(query, COUNT, KINDS)
        assert [one.score for one in found] == pytest.approx(
            [cosines[one.file] for one in found], abs=1e-5
        )
        best = sorted(cosines, key=lambda file: -cosines[file])[:10]
        right.append(len({one.file for one in found[:10]} & {*best}) / 10)
    return float(np.mean(right))


def test_an_index_is_made_once_there_are_many(store):
    add(store, MANY - 1)
    store.tidy()
    assert store.form() == ("exact", 0) and recall(store) == 1
    add(store, 1, seed=1)
    store.tidy()
    assert store.form() == ("IvfRq", MANY)
    assert recall(store) >= 0.95


def test_recall_does_not_drop_with_what_is_added_later(store):
    add(store, MANY)
    store.tidy()
    add(store, 19, seed=1)  # too few to enter it
    store.tidy()
    assert store.form() == ("IvfRq", MANY) and recall(store) >= 0.95
    query = np.full(WIDTH, WIDTH**-0.5, np.float32)
    store.append([Row("/new", "text", 0, True, None, None, "", query, 1, 1)])
    assert store.nearest(query, 1, KINDS)[0].file == "/new"  # before it enters it
    store.tidy()
    assert store.form() == ("IvfRq", MANY + 20) and recall(store) >= 0.95
    assert store.nearest(query, 1, KINDS)[0].file == "/new"
    store.remove(["/new"])
    assert store.nearest(query, 1, KINDS)[0].file != "/new"
    add(store, 2 * MANY, seed=3)
    store.tidy()  # partitions of so few would be too large: made anew
    assert vector_index.index_of(store._table).name == f"vector_{3 * MANY + 19}"
    assert recall(store) >= 0.95


def test_a_rare_kind_is_found_as_often_as_asked(store, monkeypatch):
    from lancedb.index import IvfRq

    monkeypatch.setattr(vector_index, "PROBED", 1)  # which holds too few
    add(store, 2 * MANY)
    add(store, 30, "text", seed=1)
    parted = IvfRq(distance_type="dot", num_partitions=8)
    store._table.create_index("vector", config=parted, name=f"vector_{2 * MANY + 30}")
    for query in vectors_of(10, 99):
        found = store.nearest(query, 30, ["text"])
        assert len({one.file for one in found}) == 30 and {one.kind for one in found} == {"text"}


@pytest.mark.filterwarnings("ignore:optimize")  # nobody else reads it
def test_many_small_additions_leave_few_pieces(store, tmp_path, monkeypatch):
    monkeypatch.setattr("assistant.retrieval.store.KEPT", vector_index.timedelta(0))
    monkeypatch.setattr(vector_index, "FRESH", 2)
    add(store, MANY)
    store.tidy()
    sizes, parts = [], []
    for number in range(16):
        add(store, 2, seed=10 + number)
        store.tidy()
        sizes.append(store.size())
        parts.append(vector_index.index_of(store._table).num_segments)
    assert max(parts) == 4 and parts[-1] <= 4  # more than 3: made anew by the next
    assert vector_index._pieces(store._table) <= 5
    assert max(sizes) < 2 * min(sizes) and recall(store) >= 0.95


def test_a_stop_while_it_is_made_anew_is_made_up_for(store, monkeypatch):
    add(store, MANY)
    store.tidy()
    add(store, MANY, seed=1)

    def stopped(table, rows):
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(vector_index, "_make", stopped)
        with pytest.raises(KeyboardInterrupt):
            store.tidy()
    assert store.form() == ("exact", 0) and recall(store) == 1
    store.tidy()
    assert store.form() == ("IvfRq", 2 * MANY)


def test_vectors_of_any_width(tmp_path):
    odd = Store.create(str(tmp_path), "odd", "space", 12)
    odd.complete()
    add(odd, MANY)
    odd.tidy()
    assert odd.form() == ("IvfFlat", MANY) and recall(odd) >= 0.95


def test_an_index_of_another_maker_is_replaced(store):
    from lancedb.index import IvfFlat

    add(store, MANY)
    store._table.create_index("vector", config=IvfFlat(distance_type="l2"))
    store.tidy()
    assert store.form() == ("IvfRq", MANY) and recall(store) >= 0.95


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vector_index, "MANY", 40)
    sight = tiny_sight()
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)
    files, place = tmp_path / "files", tmp_path / "index"
    files.mkdir()
    color_clip(files / "long.mp4", "red", seconds=90)  # 35 windows, all alike
    color_clip(files / "blue.mp4", "blue", seconds=3)
    for number in range(6):
        color = ((200, 60, 60), COLORS["green"])[number % 2]  # less red than the clip
        Image.new("RGB", (48, 48), color).save(files / f"{number}.png")
    assert run(capsys, "add", files, "--index", place)[0] == 0
    out = run(capsys, "info", "--index", place)[1]
    assert "searched by an index of vectors, IvfRq, of 42 windows" in out
    for name, value in {"LEAST": 8, "CANDIDATES": 1}.items():  # fewer than the clip has windows
        monkeypatch.setattr(ranking, name, value)
    hits = Index(uri=str(place), assistant=sight).search("red", by="meaning", top=5)
    assert [Path(hit.file).name for hit in hits].count("long.mp4") == 1
    assert {hit.file for hit in hits} >= {str(files / f"{number}.png") for number in (0, 2, 4)}
    assert hits[0].file == str(files / "long.mp4") and hits[0].end == 90
