"""What each part of the fusion head for retrieval is worth: heads that differ in one thing each,
as Tables 2 and 3 and Figures 1 and 2 of UniEvent-LVLM.

    python benchmarks/fusion.py photos [ROW ...] --photos DATA --features RUN/features --out RUNS
    python benchmarks/fusion.py clips [ROW ...] --out RUNS

photos: Flickr8k's photos and captions, as DATA and RUN of ``assistant pretrain space`` hold them,
and with --sets those of other sets. clips: generated ones, as ``assistant scenes --kind clips``
draws; of each two sentences, its first and last picture, and eight frames. Rows are changes to a
recipe (``fusion.yaml``); each is trained once per seed, its epoch chosen on dev, and measured on
the split of --measure. What is in RUNS already is neither encoded nor trained again.

Printed: the mean over seeds, and the 95 % interval of that mean's difference to the bare joint
space, by drawing events anew (bootstrap). Where no epoch of a run is better on dev than the bare
space, it stands for the run; what the last epoch came to is printed, too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ablations import merged, run_name
from torch import Tensor
from tqdm import tqdm

from assistant import load
from assistant.core.config import from_mapping, from_yaml
from assistant.core.resources import adapters_dir
from assistant.data.scenes.clips import clip_example
from assistant.data.scenes.dataset import SIZE, SPLITS
from assistant.data.scenes.kinds import kind_of
from assistant.data.scenes.motion import MovingScene
from assistant.data.scenes.render import render
from assistant.evaluation.bootstrap import difference, share
from assistant.media.sampling import centres
from assistant.model.sight import Sight
from assistant.model.space.mini import MiniSpace
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.fusion import FusionNetwork
from assistant.retrieval.head import FusionHead, text_tokens
from assistant.training.curves import read_log
from assistant.training.loop import LOG
from assistant.training.pretraining.photos import VIEWS, photo_table, view_name
from assistant.training.retrieval.config import RetrievalConfig
from assistant.training.retrieval.events import Event
from assistant.training.retrieval.features import Table
from assistant.training.retrieval.run import HEAD, train
from assistant.training.retrieval.trainer import Data, embed, ranks_of
from assistant.training.space.config import SpaceTrainingConfig
from assistant.training.space.photos import PhotoSet
from assistant.training.space.run import open_sets
from assistant.weights.spaces import HEAD_CONFIG, OWN_CONFIG

CHUNK = 128
RANKS = (1, 5, 10)
SHOWN = {  # of the log
    "photos": ("text to image: R@1", "text to image: R@10", "image to text: R@1"),
    "clips": ("text to video: R@1", "text to video: R@10", "video to text: R@1"),
}
CPU = torch.device("cpu")
WAYS = {"left": "to the left", "right": "to the right", "away": "away", "closer": "closer"}
MOST_TOLD = 3  # things of a kind in a sentence
Part = tuple[str, int]  # modality, and which of an event's own
# What is asked: the parts of a query, and of what is to be found; of each event that has them.
ASKED: dict[str, dict[str, tuple[list[Part], list[Part]]]] = {
    "photos": {
        "text to image": ([("text", -1)], [("image", 0)]),
        "image to text": ([("image", 0)], [("text", -1)]),
        "text to image + text": ([("text", 0)], [("image", 0), ("text", 1)]),
        "text + image to text": ([("text", 0), ("image", 0)], [("text", 1)]),
    },
    "clips": {
        "text to image": ([("text", 0)], [("image", 0)]),
        "text to clip": ([("text", 0)], [("video", 0)]),
        "clip to text": ([("video", 0)], [("text", 0)]),
        "image to clip": ([("image", 0)], [("video", 0)]),
        "text to all three": ([("text", 1)], [("text", 0), ("image", 1), ("video", 0)]),
        "text + image to all three": (
            [("text", 1), ("image", 0)],
            [("text", 0), ("image", 1), ("video", 0)],
        ),
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("what", choices=tuple(ASKED))
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--photos", type=Path, metavar="DATA")
    parser.add_argument("--features", type=Path, metavar="FEATURES")
    parser.add_argument("--sets", nargs="+", default=["flickr8k"], help="those for training")
    parser.add_argument("--no-words", action="store_true", help="of a text its vector alone: quick")
    parser.add_argument("--generate", type=int, default=350, metavar="N", help="clips to train on")
    parser.add_argument("--held-out", type=int, default=150, metavar="N", help="clips of dev, test")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--measure", choices=("dev", "test"), default="dev")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sight = load("mini", now=False).sight
    data = photos(args, sight) if args.what == "photos" else clips(args, sight)
    if args.no_words:
        data = replace(data, tables={**data.tables, "text": without_words(data.tables["text"])})
    rows = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())[args.what]
    common = rows.pop("all")
    space, width = sight.space.fingerprint, sight.space.width
    bare = FusionNetwork(width, RetrievalConfig().fusion)  # adds nothing before it is trained
    without = hits_of(bare, data, args)
    print(f"{args.what}, {args.measure}, {space}, {time.strftime('%Y-%m-%d')}, seeds {args.seeds}")
    print_row("joint space alone", [without], without)
    for name in args.rows or rows:
        found = []
        for seed in args.seeds:
            plain = merged(common, rows[name], {"seed": seed})
            config = from_mapping(RetrievalConfig, plain, "rows")
            out = args.out / run_of(args, name, seed)
            if not (out / "curves.png").exists():
                out.mkdir(exist_ok=True)
                train(config, data, space, out, resume=(out / "checkpoint.pt").exists())
            kept = (out / HEAD / HEAD_CONFIG).exists()
            network = FusionHead.load(out / HEAD, sight.space).network if kept else bare
            found.append(hits_of(network, data, args))
        print_row(name, found, without)
        print_last(args.what, [args.out / run_of(args, name, seed) for seed in args.seeds])


def without_words(texts: Table) -> Table:
    first = texts.ends - texts.ends.diff(prepend=torch.zeros(1, dtype=torch.long))
    return Table(texts.values[first], torch.arange(1, len(first) + 1))


def run_of(args: argparse.Namespace, row: str, seed: int) -> str:
    return f"{args.what}-{run_name(row, seed)}"


def print_last(what: str, runs: Sequence[Path]) -> None:
    """How many runs kept a head, and their last epoch on dev, kept or not."""
    heads = sum((run / HEAD / HEAD_CONFIG).exists() for run in runs)
    print(f"  better on dev than the joint space alone: {heads} of {len(runs)}; last epoch on dev:")
    for name in SHOWN[what]:
        logs = [read_log(run / LOG) for run in runs]
        last = [[line[name] for line in log if name in line][-1] for log in logs]
        print(f"    {name} {np.mean(last):.1f} ({'/'.join(f'{one:.1f}' for one in last)})")


class Raw(argparse.RawDescriptionHelpFormatter):
    """The text above as it stands."""


def hits_of(network: FusionNetwork, data: Data, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """By what is asked: of each query, whether it is found at each of `RANKS` ``(Q, 3)``, and the
    query's event ``(Q, 1)``."""
    found = {}
    for name, (query, wanted) in ASKED[args.what].items():
        asked, owners = vectors_of(network, data, query, args.measure)
        keys, events = vectors_of(network, data, wanted, args.measure)
        ranks = ranks_of(asked @ keys.T, owners, events)
        hits = torch.stack([ranks < k for k in RANKS], 1).numpy()
        found[name] = np.hstack([100.0 * hits, owners[:, None].numpy()])
    return found


def vectors_of(
    network: FusionNetwork, data: Data, parts: Sequence[Part], split: str
) -> tuple[Tensor, Tensor]:
    """Items ``(N, E)`` made of these parts of each event that has them, and their events ``(N,)``;
    -1 stands for each of a modality alone."""
    items, owners = [], []
    for number, event in enumerate(data.splits[split]):
        for made in items_of(event, parts):
            items.append(made)
            owners.append(number)
    return embed(network, data, items, CPU), torch.tensor(owners)


def items_of(event: Event, parts: Sequence[Part]) -> Iterator[dict[str, int]]:
    own = event.parts
    if parts[0][1] == -1:
        name = parts[0][0]
        yield from ({name: part} for part in own.get(name, ()))
    elif all(len(own.get(name, ())) > place for name, place in parts):
        yield {name: own[name][place] for name, place in parts}


def print_row(name: str, found: Sequence[Mapping[str, np.ndarray]], bare: Mapping) -> None:
    print(name)
    for asked in bare:
        mean = np.mean([one[asked][:, :-1] for one in found], axis=0)
        groups = bare[asked][:, -1].tolist()
        told = []
        for column, k in enumerate(RANKS):
            first, second = (
                np.stack([hits[:, column], np.ones(len(hits))], 1) for hits in (mean, bare[asked])
            )
            apart = difference(first, second, share, groups=groups, resamples=2000)
            low, high = apart.interval
            each = "/".join(f"{one[asked][:, column].mean():.1f}" for one in found)
            told.append(f"R@{k} {mean[:, column].mean():5.1f} ({each}) {low:+.1f} to {high:+.1f}")
        print(f"  {asked:28} {'   '.join(told)}", flush=True)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, from ``path`` where it is there."""
    if not path.exists():
        torch.save(make(), part := path.with_suffix(".part"))
        part.replace(path)
    return torch.load(path, mmap=True)


def photos(args: argparse.Namespace, sight: Sight) -> Data:
    """Photos in four views and captions; photos with one label are one event."""
    config = from_yaml(SpaceTrainingConfig, adapters_dir() / "mini" / "space" / OWN_CONFIG)
    sets = open_sets(config, args.photos)
    space = sight.space
    assert isinstance(space, MiniSpace)
    rows: dict[tuple[str, str], int] = {}
    seen = []
    for name in args.sets:
        keys, vectors = kept(
            args.out / f"photos-{name}.pt", partial(seen_photos, sets[name], args, sight)
        )
        rows |= {(name, key): len(rows) + n for n, key in enumerate(keys)}
        seen.append(vectors)
    texts = sorted(
        {text for name in args.sets for own in sets[name].texts.values() for text in own}
    )
    values, ends = kept(args.out / f"texts-{'-'.join(args.sets)}.pt", partial(read, space, texts))
    places = {text: n for n, text in enumerate(texts)}
    splits: dict[str, list[Event]] = {split: [] for split in SPLITS}
    for split, name in ((split, name) for split in SPLITS for name in args.sets):
        if split == "train" or name == "flickr8k":
            splits[split] += events_of(sets[name], split, rows, places)
    pictures = torch.cat(seen)
    each = Table(pictures, torch.arange(1, len(pictures) + 1))
    digest = repr([sets[name].digest for name in args.sets])
    return Data(splits, {"text": Table(values, ends), "image": each}, digest)


def events_of(
    photos: PhotoSet, split: str, rows: Mapping[tuple[str, str], int], places: Mapping[str, int]
) -> list[Event]:
    views = [view_name("", *view) for view in VIEWS] if split == "train" else [""]
    own: dict[str, list[str]] = {}
    for photo in photos.splits[split]:
        own.setdefault(photos.labels.get(photo, photo), []).append(photo)
    return [
        Event(
            f"{photos.name}/{name}",
            {
                "text": tuple(places[text] for text in photos.texts[some[0]]),
                "image": tuple(rows[photos.name, photo + view] for photo in some for view in views),
            },
        )
        for name, some in own.items()
    ]


def seen_photos(
    photos: PhotoSet, args: argparse.Namespace, sight: Sight
) -> tuple[list[str], Tensor]:
    """Names of a set's photos and views, and their vectors."""
    plain = [*photos.splits["dev"], *photos.splits["test"]]
    train = photos.splits["train"]
    table = photo_table(args.features, sight.encoder, photos, plain, viewed=train)
    names = [view_name(name, *view) for name in train for view in VIEWS] + plain
    found = []
    for first in tqdm(range(0, len(names), CHUNK), desc=photos.name):
        some = names[first : first + CHUNK]
        classes = torch.cat([table.classes(name) for name in some])
        found.append(sight.space.embed_patches(table.stills(some)[:, 0], classes).half())
    return names, torch.cat(found)


def read(space: MiniSpace, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    rows = []
    for first in tqdm(range(0, len(texts), CHUNK), desc="texts"):
        rows += [row.half() for row in text_tokens(space, texts[first : first + CHUNK])]
    table = Table.of(rows)
    return table.values, table.ends


def clips(args: argparse.Namespace, sight: Sight) -> Data:
    """Generated clips: two sentences, first and last frame, all eight frames."""
    counts = {"train": args.generate, "dev": args.held_out, "test": args.held_out}
    texts, frames = [], []
    splits: dict[str, list[Event]] = {}
    for split, count in counts.items():
        splits[split] = []
        make = partial(seen_clips, split, count, sight)
        for n, (told, own) in enumerate(kept(args.out / f"clips-{split}-{count}.pt", make)):
            place = len(frames)
            pair = (2 * place, 2 * place + 1)
            splits[split].append(Event(n, {"text": pair, "image": pair, "video": (place,)}))
            texts += told
            frames.append(own)
    ends = [own[[k]] for own in frames for k in (0, -1)]
    tables = {"text": Table.of(texts), "image": Table.of(ends), "video": Table.of(frames)}
    return Data(splits, tables, json.dumps(counts))


def seen_clips(split: str, count: int, sight: Sight) -> list[tuple[list[Tensor], Tensor]]:
    """Tokens of two sentences, and of eight frames, of each clip."""
    embedder, found = Embedder(sight), []
    for index in tqdm(range(count), desc=f"{split} clips"):
        clip = clip_example(index, 0, SPLITS.index(split), split).clip
        times = centres(0.0, clip.seconds, 8)
        pictures = np.stack([render(clip.at(moment), SIZE) for moment in times])
        frames = embedder.see(pictures, times).frames.half()
        told = text_tokens(sight.space, [sentence(clip, True), sentence(clip, False)])
        found.append(([row.half() for row in told], frames))
    return found


def sentence(clip: MovingScene, everything: bool) -> str:
    """What moves and which way; with ``everything``, what stands there, too."""
    moves = sorted(clip.moves, key=lambda move: move.start)
    names = [kind_of(thing, ("color", "shape")).phrase() for thing in clip.scene.objects]
    told = [f"a {names[move.index]} moves {WAYS[move.direction]}" for move in moves[:MOST_TOLD]]
    text = " and ".join(told) or "nothing moves"
    moving = {move.index for move in moves}
    rest = [f"a {name}" for index, name in enumerate(names) if index not in moving]
    if not everything or not rest:
        return text
    return f"{text}, beside {' and '.join(rest[:MOST_TOLD])}"


if __name__ == "__main__":
    main()
