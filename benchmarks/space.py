"""How good a joint space is: retrieval of photos and of clips, and naming of clips.

    python benchmarks/space.py --photos DATA --features RUN/features [--clips CLIPS] [SPACE ...]

DATA holds the recipe's sets of photos, a folder each; RUN is a run of ``assistant pretrain space``,
whose features are used again. CLIPS holds ``clips.tsv`` (file, caption, label) and
``choices.jsonl``, with the clips in ``clips/``. SPACE: folders with space.yaml (default: mini's).
Several of them are measured one by one, and their mean is told. Scores are those of
``JointSpace.compare``: whole vectors and words together; "whole" has the vectors alone.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from assistant import load
from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.model.space.mini import MiniSpace
from assistant.sources import Look
from assistant.training.pretraining.photos import photo_table
from assistant.training.space.config import SpaceTrainingConfig
from assistant.training.space.run import open_sets
from assistant.training.space.trainer import recalls
from assistant.weights.spaces import OWN_CONFIG

RANKS = (1, 5)  # of clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("spaces", nargs="*", type=Path, default=[adapters_dir() / "mini" / "space"])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--set", default="flickr8k")
    parser.add_argument("--clips", type=Path)
    args = parser.parse_args()
    assistant = load("mini")
    found: dict[str, list[float]] = defaultdict(list)
    for folder in args.spaces:
        space = MiniSpace.load(folder)
        figures = of_photos(space, folder, args, assistant.model.encoder)
        if args.clips is not None:
            figures |= of_clips(space, assistant, args.clips)
        print(f"{folder}")
        for name, value in figures.items():
            print(f"  {name:46} {value:5.1f}")
            found[name].append(value)
    if len(args.spaces) > 1:
        print(f"mean of {len(args.spaces)} (least to most)")
        for name, values in found.items():
            mean = sum(values) / len(values)
            print(f"  {name:46} {mean:5.1f}  ({min(values):.1f} to {max(values):.1f})")


class Raw(argparse.RawDescriptionHelpFormatter):
    """The text above as it stands."""


def of_photos(
    space: MiniSpace, folder: Path, args: argparse.Namespace, encoder: object
) -> dict[str, float]:
    """Recall among all photos of the split, and among all their captions."""
    config = from_yaml(SpaceTrainingConfig, folder / OWN_CONFIG)
    photos = open_sets(config, args.photos)[args.set]
    plain = [*photos.splits["dev"], *photos.splits["test"]]
    train = photos.splits["train"]
    table = photo_table(args.features, encoder, photos, plain, viewed=train)
    names = photos.splits[args.split]
    texts = [text for name in names for text in photos.texts[name]]
    owners = [index for index, name in enumerate(names) for _ in photos.texts[name]]
    patches = table.stills(names)[:, 0]
    classes = torch.cat([table.classes(name) for name in names])
    both = space.compare(look_at(patches, classes), texts)
    whole = space.embed_patches(patches, classes) @ space.embed_texts(texts).T
    figures = {}
    for kind, scores in (("", both), (" (whole)", whole)):
        for what, ranks in recalls(scores, owners).items():
            for k, value in ranks.items():
                figures[f"{args.set} {args.split} {what} R@{k}{kind}"] = value
    return figures


def look_at(patches: Tensor, classes: Tensor) -> Look:
    """Frames or photos, as a space sees them."""
    return Look(
        patches=patches,
        classes=classes,
        class_names=(),
        seconds=range(len(patches)),
        encoder="",
        pictures=lambda count, side: ((), ()),
        space=lambda: None,
    )


def of_clips(space: MiniSpace, assistant: object, folder: Path) -> dict[str, float]:
    """Four captions, clip by caption, and label among all labels."""
    with (folder / "clips.tsv").open() as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    looks = []
    for row in rows:
        seen = assistant.open(folder / "clips" / row["file"]).look()
        looks.append(look_at(seen.patches, seen.classes))
    captions = [row["caption"] for row in rows]
    labels = sorted({row["label"] for row in rows})
    scores = clip_scores(space, looks, captions)
    named = clip_scores(space, looks, labels)
    right = 0
    questions = [json.loads(line) for line in (folder / "choices.jsonl").read_text().splitlines()]
    place = {row["file"]: index for index, row in enumerate(rows)}
    for question in questions:
        own = space.compare(looks[place[question["id"]]], question["choices"]).mean(0)
        right += question["choices"][int(own.argmax())] == question["answer"]
    figures = {f"{len(questions)} clips, which of four captions": 100 * right / len(questions)}
    own = torch.arange(len(rows))
    ranks = (scores > scores[own, own]).sum(0)
    truth = torch.tensor([labels.index(row["label"]) for row in rows])
    label_ranks = (named > named[own, truth][:, None]).sum(1)
    for k in RANKS:
        figures[f"{len(rows)} clips, text to clip R@{k}"] = share(ranks < k)
    for k in RANKS:
        figures[f"{len(rows)} clips, label among {len(labels)} top-{k}"] = share(label_ranks < k)
    return figures


def clip_scores(space: MiniSpace, looks: Sequence[Look], texts: Sequence[str]) -> Tensor:
    """``(clips, texts)``: the mean over frames."""
    return torch.stack([space.compare(look, texts).mean(0) for look in looks])


def share(hits: Tensor) -> float:
    return 100 * float(hits.float().mean())


if __name__ == "__main__":
    main()
