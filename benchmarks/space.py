"""How good a joint space is: retrieval of photos and of clips, and naming of clips.

    python benchmarks/space.py --photos DATA --features RUN/features [--clips CLIPS] [SPACE]

DATA holds the recipe's sets of photos, a folder each; RUN is a run of ``assistant pretrain space``,
whose features are used again. CLIPS holds ``clips.tsv`` (file, caption, label) and
``choices.jsonl``, with the clips in ``clips/``. SPACE: folder with space.yaml (default: mini's).
It is measured whole, and each of its members, trained from seeds of their own, alone. Scores are
those of ``JointSpace.compare``: vectors and single words together; "vectors" has the vectors alone.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from assistant import load
from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.model.encoders.base import Encoder
from assistant.model.space.mini import MiniSpace
from assistant.model.space.network import SpaceNetwork
from assistant.sources import Look
from assistant.training.pretraining.photos import photo_table
from assistant.training.space.config import SpaceTrainingConfig
from assistant.training.space.run import open_sets
from assistant.training.space.trainer import recalls
from assistant.vqa.assistants import Assistant
from assistant.weights.spaces import OWN_CONFIG

RANKS = (1, 5)  # of clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("space", nargs="?", type=Path, default=adapters_dir() / "mini" / "space")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--set", default="flickr8k")
    parser.add_argument("--clips", type=Path)
    args = parser.parse_args()
    assistant = load("mini")
    space = MiniSpace.load(args.space)
    encode = lru_cache(maxsize=None)(space.sentences.tokens)  # all members read the same states
    space.sentences.tokens = lambda texts: encode(tuple(texts))
    photos = photo_features(args, assistant.model.encoder)
    clips = None if args.clips is None else Clips(assistant, args.clips)
    print(f"{space.fingerprint}, {args.split}")
    columns = [measured(one, photos, clips, args) for one in (space, *alone(space))]
    print(f"{'':44} whole  members alone, and their mean")
    for name, whole in columns[0].items():
        each = [column[name] for column in columns[1:]]
        mean = sum(each) / len(each)
        print(f"{name:44} {whole:5.1f} ", *(f"{value:5.1f}" for value in each), f" {mean:5.1f}")


class Raw(argparse.RawDescriptionHelpFormatter):
    """The text above as it stands."""


@dataclass(frozen=True)
class Photos:
    """The photos of a split, encoded, and what is said of them."""

    look: Look
    texts: list[str]
    owners: list[int]


def alone(space: MiniSpace) -> Iterator[MiniSpace]:
    """Each member of a space as a space of its own."""
    whole = space.network
    config = replace(whole.config, members=1)
    for number, member in enumerate(whole.members):
        sizes = member.patch.in_features, member.weigh.in_features, len(whole.class_names)
        network = SpaceNetwork(config, *sizes)
        network.members[0].load_state_dict(member.state_dict())
        network.class_names.copy_(whole.class_names)
        yield MiniSpace(network, lambda: space.sentences, f"member {number}")


def photo_features(args: argparse.Namespace, encoder: Encoder) -> Photos:
    """Of the set and split that are asked for."""
    config = from_yaml(SpaceTrainingConfig, args.space / OWN_CONFIG)
    photos = open_sets(config, args.photos)[args.set]
    plain = [*photos.splits["dev"], *photos.splits["test"]]
    table = photo_table(args.features, encoder, photos, plain, viewed=photos.splits["train"])
    names = photos.splits[args.split]
    return Photos(
        look_at(table.stills(names)[:, 0], torch.cat([table.classes(name) for name in names])),
        [text for name in names for text in photos.texts[name]],
        [index for index, name in enumerate(names) for _ in photos.texts[name]],
    )


def measured(
    space: MiniSpace, photos: Photos, clips: Clips | None, args: argparse.Namespace
) -> dict[str, float]:
    """Recall among all photos of the split, and among all their captions; what `Clips` measures."""
    both = space.compare(photos.look, photos.texts)
    whole = space.embed_frames(photos.look) @ space.embed_texts(photos.texts).T
    figures = {}
    for kind, scores in (("", both), (" (vectors)", whole)):
        for what, ranks in recalls(scores, photos.owners).items():
            for k, value in ranks.items():
                figures[f"{args.set}, {what} R@{k}{kind}"] = value
    return figures if clips is None else figures | clips.measure(space)


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


class Clips:
    """Real clips, each with a caption and a label, and questions with four captions."""

    def __init__(self, assistant: Assistant, folder: Path) -> None:
        with (folder / "clips.tsv").open() as lines:
            self.rows = list(csv.DictReader(lines, delimiter="\t"))
        text = (folder / "choices.jsonl").read_text()
        self.questions = [json.loads(line) for line in text.splitlines()]
        self.looks = []
        for row in self.rows:
            seen = assistant.open(folder / "clips" / row["file"]).look()
            self.looks.append(look_at(seen.patches, seen.classes))

    def measure(self, space: MiniSpace) -> dict[str, float]:
        """Which of four captions, clip by caption, and label among all labels."""
        rows, questions, count = self.rows, self.questions, len(self.rows)
        labels = sorted({row["label"] for row in rows})
        scores = clip_scores(space, self.looks, [row["caption"] for row in rows])
        named = clip_scores(space, self.looks, labels)
        place = {row["file"]: index for index, row in enumerate(rows)}
        right = 0
        for question in questions:
            own = space.compare(self.looks[place[question["id"]]], question["choices"]).mean(0)
            right += question["choices"][int(own.argmax())] == question["answer"]
        figures = {f"{len(questions)} clips, which of four captions": 100 * right / len(questions)}
        own = torch.arange(count)
        ranks = (scores > scores[own, own]).sum(0)
        truth = torch.tensor([labels.index(row["label"]) for row in rows])
        label_ranks = (named > named[own, truth][:, None]).sum(1)
        for k in RANKS:
            figures[f"{count} clips, text to clip R@{k}"] = share(ranks < k)
        for k in RANKS:
            figures[f"{count} clips, label among {len(labels)} top-{k}"] = share(label_ranks < k)
        return figures


def clip_scores(space: MiniSpace, looks: Sequence[Look], texts: Sequence[str]) -> Tensor:
    """``(clips, texts)``: the mean over frames."""
    return torch.stack([space.compare(look, texts).mean(0) for look in looks])


def share(hits: Tensor) -> float:
    return 100 * float(hits.float().mean())


if __name__ == "__main__":
    main()
