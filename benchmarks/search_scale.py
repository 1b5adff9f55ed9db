"""What a search costs among a million windows, and how much each form of vector index finds.

    python benchmarks/search_scale.py --features RUN/features --clips CLIPS --captions FILE.tsv
        --work DIR [--rows 1000000]

The vectors are real ones of mini's joint space: photos and views of photos that a run of
``assistant pretrain space`` has encoded, and windows of CLIPS, indexed here as a user's are. What
is missing of ROWS are jittered copies, called so in the table: a real vector plus a difference of
two others, as far from it as two windows of one clip that touch. They lie in the project's own
store, in DIR. Queries: some of the captions (name#k<TAB>text), and photos kept out of the index.
Each form is built, and searched, by a process of its own, one query at a time; "first" is the
first query of such a process. What lies in DIR is used again: give another for other ROWS or SEED.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from assistant.retrieval.rows import KINDS, Row
from assistant.retrieval.store import Store

JITTER = 0.31  # of a difference of two vectors: mean cosine of copies .92, as touching windows have
CHUNK, CHUNK_OF_PHOTOS = 20_000, 64  # rows at once
BEST = 10  # of which recall is told
WINDOWS = 80  # that `assistant search` asks for, for ten hits
SAME = 1e-5  # of cosines
EF_BUILT = 100  # LanceDB takes 300, and three times as long
NAME, COLUMNS = "scale", ["file", "kind", "window", "start", "end", "text", "_distance"]
# Search settings of each form: nprobes, refine factor, ef; refining compares whole vectors again.
Setting = tuple[int, int, int] | None  # None: as `Store.nearest` asks, WINDOWS of some kinds
CURVES: dict[str, list[Setting]] = {
    "exact": [(0, 0, 0)],
    "IVF_RQ": [None, *((n, 10, 0) for n in (5, 10, 20, 40)), *((20, r, 0) for r in (2, 5, 20))],
    "IVF_HNSW_SQ": [(1, 1, 20), (1, 1, 50), (1, 1, 100), (1, 3, 100), (1, 1, 200)],
    "IVF_PQ": [(20, 10, 0), (20, 40, 0), (40, 20, 0)],
    "IVF_SQ": [(n, 1, 0) for n in (5, 20, 40)],
}


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries of one kind, and how near the tenth of all rows is."""

    kind: str
    vectors: np.ndarray  # (Q, E)
    least: np.ndarray  # (Q,) cosines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=150, help="of each kind")
    parser.add_argument("--exact", type=int, default=10, help="queries of each kind, exact")
    parser.add_argument("--forms", nargs="+", choices=list(CURVES), default=list(CURVES))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    vectors = real_vectors(args)
    kept_out = np.random.default_rng(args.seed).permutation(vectors["photos"])[: args.queries]
    real = [rows_but(vectors["photos"], kept_out), vectors["views"], vectors["clips"]]
    counts = [min(args.rows, sum(map(len, real))), *map(len, real)]
    print(
        f"{date.today()}, seed {args.seed}: {args.rows} rows of {real[0].shape[1]} numbers: "
        f"{counts[1]} photos, {counts[2]} views of photos, {counts[3]} windows of clips, "
        f"{args.rows - counts[0]} jittered copies; {args.queries} captions and {args.queries} "
        f"photos asked, {args.exact} of each where the search is exact\n",
        flush=True,
    )
    whole = np.concatenate(real)[: args.rows]
    sets = [
        Asked(kind, asked, tenth(asked, filled(whole, args)))
        for kind, asked in (("caption", vectors["captions"][: args.queries]), ("photo", kept_out))
    ]
    print(row("form", "built, s", "MB", "memory, MB", "nprobes, refine, ef", *HEAD))
    print("|---" * (5 + len(HEAD)) + "|")
    kept = args.work / "written.json"  # what writing took
    if not kept.is_file():
        kept.write_text(json.dumps(apart(write, str(args.work / "store"), whole, args)))
    made, memory = json.loads(kept.read_text())
    store = Store.open(str(args.work / "store"), NAME)
    store.complete()
    if (there := store._table.count_rows()) != args.rows:
        raise SystemExit(f"{args.work} holds {there} rows; give another --work for {args.rows}")
    for form in args.forms:
        size = folder_size(args.work / "store" / f"{NAME}.lance" / "data")
        built = made, memory
        if form != "exact":
            built = apart(build, str(args.work / "store"), form)
            size = folder_size(newest(args.work / "store" / f"{NAME}.lance" / "_indices"))
        told = [form, f"{built[0]:.0f}", f"{size / 1e6:.0f}", f"{built[1]}"]
        for setting in CURVES[form]:
            count = args.exact if form == "exact" else args.queries
            figures, memory = apart(measure, str(args.work / "store"), setting, sets, count)
            print(row(*told, told_setting(setting), *figures, f"{memory}"), flush=True)
            told = ["", "", "", ""]


HEAD = (
    *("p50, ms", "p99, ms", "CPU, ms", "recall@10: captions", "photos"),
    *("first, ms", "memory, MB"),
)


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def told_setting(setting: Setting) -> str:
    return "as `search` asks" if setting is None else ", ".join(map(str, setting))


def real_vectors(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """``(N, E)`` each: photos, views, clips, captions; embedded once, and kept in the folder."""
    kept = args.work / "vectors.npz"
    if not kept.is_file():
        args.work.mkdir(parents=True, exist_ok=True)
        np.savez(kept, allow_pickle=False, **embedded(args))
    with np.load(kept) as found:
        return dict(found)


def embedded(args: argparse.Namespace) -> dict[str, np.ndarray]:
    import torch

    from assistant import load
    from assistant.model.space.mini import MiniSpace
    from assistant.retrieval import Index
    from assistant.training.features import FeatureTable

    assistant = load("mini", now=False)
    space = assistant.sight.space
    assert isinstance(space, MiniSpace)
    found: dict[str, list[np.ndarray]] = {"photos": [], "views": []}
    for folder in sorted(path.parent for path in args.features.glob("*/index.jsonl")):
        table = FeatureTable(folder, assistant.sight.encoder)
        for kind, own in (("photos", False), ("views", True)):
            keys = [key for key in table.places if ("|" in key) == own]
            for first in range(0, len(keys), CHUNK_OF_PHOTOS):
                some = keys[first : first + CHUNK_OF_PHOTOS]
                classes = torch.cat([table.classes(key) for key in some])
                found[kind].append(space.embed_patches(table.stills(some)[:, 0], classes).numpy())
    index = Index("clips", uri=str(args.work / "clips"), assistant=assistant)
    index.add(args.clips)
    parts = index._store.scan("vector", "kind = 'clip'")
    clips = [np.array(part["vector"], np.float32) for part in parts]
    with args.captions.open() as lines:
        texts = [line[1] for line in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    texts = random.Random(args.seed).sample(texts, min(5000, len(texts)))
    with torch.inference_mode():
        captions = space.embed_texts(texts).numpy()
    return {
        "photos": np.concatenate(found["photos"]),
        "views": np.concatenate(found["views"]),
        "clips": np.concatenate(clips),
        "captions": captions,
    }


def rows_but(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Those that are none of the others, nor the same photo twice."""
    return vectors[(vectors @ others.T).max(1) < 1 - SAME]


def filled(real: np.ndarray, args: argparse.Namespace) -> Iterator[np.ndarray]:
    """All rows, some at a time: the real ones, then copies."""
    rng = np.random.default_rng(args.seed)
    for first in range(0, len(real), CHUNK):
        yield real[first : first + CHUNK]
    for first in range(len(real), args.rows, CHUNK):
        own, one, other = rng.integers(0, len(real), (3, min(CHUNK, args.rows - first)))
        copies = real[own] + JITTER * (real[one] - real[other])
        yield copies / np.linalg.norm(copies, axis=1, keepdims=True)


def tenth(asked: np.ndarray, parts: Iterator[np.ndarray]) -> np.ndarray:
    """``(Q,)``: the cosine of each query and the tenth of all rows."""
    best = np.full((len(asked), BEST), -1.0, np.float32)
    for part in parts:
        both = np.concatenate([best, asked @ part.T], axis=1)
        best = np.partition(both, -BEST, axis=1)[:, -BEST:]
    return best.min(1)


def apart(work: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """What ``work`` returns in a process of its own, and the most memory that took, MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(with_memory, (work, *arguments))


def with_memory(work: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    found = work(*arguments)
    status = Path("/proc/self/status").read_text()
    return found, int(status.partition("VmHWM:")[2].split()[0]) >> 10


def write(uri: str, real: np.ndarray, args: argparse.Namespace) -> float:
    """All rows into a new store; returns seconds."""
    began = time.perf_counter()
    store = Store.create(uri, NAME, "mini", real.shape[1])
    if len(store.known()):
        raise SystemExit(f"{uri} is half written; remove it, or give another --work")
    store.complete()
    number = 0
    for part in filled(real, args):
        store.append([window(number + n, vector) for n, vector in enumerate(part)])
        number += len(part)
    store._table.optimize(cleanup_older_than=timedelta(0))
    return time.perf_counter() - began


def window(number: int, vector: np.ndarray) -> Row:
    """A window of a clip of a minute."""
    clip, own = divmod(number, 24)
    start = 2.5 * own
    text = f"clip {clip}, number {own}"
    last = own == 23
    return Row(f"/clips/{clip}.mp4", "clip", own, last, start, start + 5, text, vector, 1, 1)


def build(uri: str, form: str) -> float:
    """Seconds."""
    from lancedb.index import HnswSq, IvfPq, IvfRq, IvfSq

    configs = {
        "IVF_RQ": IvfRq(distance_type="dot"),
        "IVF_SQ": IvfSq(distance_type="dot"),
        "IVF_PQ": IvfPq(distance_type="dot"),
        "IVF_HNSW_SQ": HnswSq(distance_type="dot", ef_construction=EF_BUILT),
    }
    table = Store.open(uri, NAME)._table
    for index in table.list_indices():
        if "vector" in index.columns:
            table.drop_index(index.name)
    table.optimize(cleanup_older_than=timedelta(0))
    began = time.perf_counter()
    table.create_index("vector", config=configs[form])
    return time.perf_counter() - began


def measure(uri: str, setting: Setting, sets: list[Asked], count: int) -> tuple[str, ...]:
    """Cells of one row; the first search of a new process is told apart."""
    store = Store.open(uri, NAME)
    times: list[float] = []
    recalls = []
    for asked in sets:
        found = []
        for vector, least in list(zip(asked.vectors, asked.least, strict=True))[:count]:
            began = time.perf_counter()
            if setting is None:
                cosines = [hit.score for hit in store.nearest(vector, WINDOWS, KINDS[:2])[:BEST]]
            else:
                cosines = search(store._table, vector, *setting)
            times.append(1e3 * (time.perf_counter() - began))
            if len(times) == 1:
                worked = time.process_time()
            found.append(sum(cosine >= least - SAME for cosine in cosines) / BEST)
        recalls.append(f"{np.mean(found):.3f}")
    first, *others = times
    worked = 1e3 * (time.process_time() - worked) / len(others)
    p50, p99 = np.percentile(others, (50, 99))
    return f"{p50:.1f}", f"{p99:.1f}", f"{worked:.1f}", *recalls, f"{first:.0f}"


def search(table: Any, vector: np.ndarray, nprobes: int, refine: int, ef: int) -> list[float]:
    query = table.search(vector, query_type="vector").distance_type("dot")
    query = query.nprobes(nprobes).refine_factor(refine) if nprobes else query.bypass_vector_index()
    query = query.ef(ef) if ef else query
    return [1 - hit["_distance"] for hit in query.select(COLUMNS).limit(BEST).to_list()]


def folder_size(folder: Path) -> int:
    """Bytes."""
    return sum(path.stat().st_size for path in folder.glob("**/*") if path.is_file())


def newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


if __name__ == "__main__":
    main()
