"""What each part of the event timeline is worth: Tables 8 to 13 of Cross-modal Knowledge Mining.

    python benchmarks/event_ablations.py --fights FIGHT300 --dev FILMS --joined FILMS ... --out RUNS

FILMS are joined clips with known segments (`assistant data join`), one folder for each seed; each
segment is asked about among all labels. On --dev the weight of late fusions is chosen, and it is
what other choices may be made by; --joined are only reported on, the mean of all folders and each.
Of FIGHT300 (`fights.py`) all clips are asked about: what is frozen once, what is trained in five
folds, for each of --seeds.

Printed, as Markdown: top-1 in per cent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from fights import FOLDS, Folds, cross, fused, look
from torch import Tensor

from assistant import load
from assistant.data.segments import LabelledClip, labels_of, read_segments
from assistant.evaluation.branches import (
    ATTRIBUTES,
    STEEPNESS,
    VIDEO,
    Branches,
    choose_fusion,
)
from assistant.evaluation.event_clips import look_at
from assistant.model.sentences import sentence_encoder
from assistant.model.sight import Sight
from assistant.model.space.base import JointSpace, mean_of
from assistant.model.space.seeing import Seen
from assistant.model.space.usual import read_usual
from assistant.timeline.events import EventHead, zero_shot
from assistant.timeline.knowledge import ASPECTS, sentences_of
from assistant.timeline.making import Looks
from assistant.timeline.ranges import Ranges
from assistant.timeline.saliency import event_vector, late_fusion, saliency, video_vector
from assistant.timeline.types import Knowledge
from assistant.training.events.config import EventsConfig
from assistant.training.events.features import Rows

COUNTS = (3, 5, 7)  # attributes
Scores = dict[str, np.ndarray]  # (N, L) probabilities of each frozen system
Cell = str | float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fights", metavar="FIGHT300", type=Path, required=True)
    parser.add_argument("--dev", metavar="FILMS", type=Path, required=True)
    parser.add_argument("--joined", metavar="FILMS", type=Path, nargs="+", required=True)
    parser.add_argument("--out", metavar="RUNS", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    assistant = load("mini", now=False)
    rows, names, space = look(args.fights, args.out, "auto")
    dev, fights, *joined = (
        Part.of(assistant, read_segments(path))
        for path in (args.dev, args.out / "clips", *args.joined)
    )
    frozen(dev, fights, joined, assistant.sight)
    tuned(rows, names, space, fights, args.out, args.seeds, assistant.sight)


@dataclass(frozen=True, eq=False)
class Part:
    """Segments that are asked about."""

    labels: list[str]
    seen: list[Seen]  # of each segment
    truth: np.ndarray  # (N,) numbers of labels

    @classmethod
    def of(cls, assistant: Looks, clips: Sequence[LabelledClip]) -> Part:
        labels, seen, truth = labels_of(clips), [], []
        for clip in clips:
            looked = look_at(assistant, clip)
            for segment, span in zip(clip.segments, looked.spans, strict=True):
                seen.append(looked.seen(span))
                truth.append(labels.index(segment.label))
        return cls(labels, seen, np.array(truth))

    def top1(self, scores: np.ndarray) -> float:
        return 100 * float((scores.argmax(1) == self.truth).mean())


def frozen(dev: Part, fights: Part, joined: Sequence[Part], sight: Sight) -> None:
    """Tables 8 to 11, and 13."""
    parts = [dev, fights, *joined]
    scores = [scores_of(part, sight) for part in parts]

    def row(name: str, video: str, attributes: str | None = None) -> str:
        """Of one system, or of a fusion that is chosen on dev."""
        if attributes is None:
            values = [part.top1(own[video]) for part, own in zip(parts, scores, strict=True)]
            return line(name, f"{values[0]:.1f}", spread(values[2:]), f"{values[1]:.1f}")
        branches = Branches(sight, dev.labels)
        truth = [{dev.labels[n]} for n in dev.truth]
        both = {VIDEO: scores[0][video], ATTRIBUTES: scores[0][attributes]}
        chosen = choose_fusion(both, truth, branches)
        values = []
        for part, own in zip(parts, scores, strict=True):
            logits = torch.from_numpy(np.log(own[attributes] + 1e-12)) / STEEPNESS
            steep = (chosen.steepness * logits).softmax(1).numpy()
            values.append(part.top1(late_fusion(own[video], steep, chosen.weight)))
        told = f"{name} (video {chosen.weight:g})"
        return line(told, f"{values[0]:.1f}", spread(values[2:]), f"{values[1]:.1f}")

    head = line("", "dev films", "joined clips", "fights"), "|---|---|---|---|"
    show("Table 8: saliency", *head)
    print(row("mean pooling, z_v", "mean"))
    print(row("saliency of what is told, z_e", "words"))
    print(row("saliency of each label's own words", "by label"))
    show("Table 9: word and sentence embeddings", *head)
    for source in ("words", "sentence"):
        for target in ("words", "sentence"):
            name = source if target == "sentence" else f"{source}, label by words"
            print(row(f"saliency by {source}, labels by {target}", name))
    show("Table 10: prompts", *head)
    print(row("video branch, labels as they are", "bare labels"))
    print(row("video branch, labels in three prompts", "words"))
    print(row("attribute branch, words alone", "attribute words"))
    print(row("attribute branch, words in prompts", "attributes"))
    print(row("attribute branch, words and labels in prompts", "attributes, label prompts"))
    show("Table 11: number of attributes", *head)
    for count in COUNTS:
        print(row(f"{count}, attribute branch", f"{count} attributes"))
        print(row(f"{count}, with the video branch", "words", f"{count} attributes"))
    show("Table 13: fusion", *head)
    print(row("mean pooling", "mean"))
    print(row("mean pooling and attributes", "mean", "attributes"))
    print(row("video branch", "words"))
    print(row("video branch and attributes", "words", "attributes"))


def scores_of(part: Part, sight: Sight) -> Scores:
    """Of all frozen systems."""
    space, ranges, encode = sight.space, Ranges(sight), sentence_encoder()
    tau = 1 / space.scale
    told = [ranges.told(seen) for seen in part.seen]
    texts = torch.stack([ranges.text(one) for one in told])
    by_words = torch.stack(
        [ranges.event(seen, one.words) for seen, one in zip(part.seen, told, strict=True)]
    )
    by_sentence = torch.stack(
        [
            event_vector(seen.frames, saliency(seen.frames, text[None], tau=tau))
            for seen, text in zip(part.seen, texts, strict=True)
        ]
    )
    means = torch.stack([video_vector(seen.frames) for seen in part.seen])
    branches = Branches(sight, part.labels)
    prompted = zero_shot(space, part.labels)
    with torch.inference_mode():
        words, there = space.embed_words(part.labels)
        bare = space.embed_texts(part.labels).float().clone()
    tokens = torch.stack([mean_of(w[t].float()) for w, t in zip(words, there, strict=True)])
    by_tokens, by_bare = head_of(space, part.labels, tokens), head_of(space, part.labels, bare)

    def attributes(descriptions: Sequence[str], labels: Sequence[str]) -> np.ndarray:
        cosines = torch.from_numpy(np.asarray(encode(descriptions)) @ np.asarray(encode(labels)).T)
        return (STEEPNESS * cosines).softmax(1).numpy()

    sentences = [" ".join(sentences_of(one)) or "nothing" for one in told]
    fewer = {
        f"{count} attributes": attributes(
            [" ".join(sentences_of(first(one, count))) or "nothing" for one in told], part.labels
        )
        for count in COUNTS
    }
    return {
        "mean": prompted.probabilities(means).numpy(),
        "words": prompted.probabilities(by_words).numpy(),
        "by label": np.stack([branches.salient_by_label(seen) for seen in part.seen]),
        "sentence": prompted.probabilities(by_sentence).numpy(),
        "words, label by words": by_tokens.probabilities(by_words).numpy(),
        "sentence, label by words": by_tokens.probabilities(by_sentence).numpy(),
        "bare labels": by_bare.probabilities(by_words).numpy(),
        "attribute words": attributes(
            [", ".join(one.words) or "nothing" for one in told], part.labels
        ),
        "attributes": attributes(sentences, part.labels),
        "attributes, label prompts": attributes(
            sentences, [f"This is a video about {label}." for label in part.labels]
        ),
        **fewer,
    }


def head_of(space: JointSpace, labels: Sequence[str], vectors: Tensor) -> EventHead:
    """Zero-shot by other vectors of the labels."""
    usual = read_usual(space.folder, space.fingerprint, space.width)
    bias = torch.from_numpy(usual.of(vectors.numpy(), text=True))
    return EventHead(tuple(labels), space.scale * vectors, -space.scale * bias)


def first(told: Knowledge, count: int) -> Knowledge:
    """So many words, of each aspect in turn, its likeliest first."""
    turns = zip_longest(*([(name, word) for word in getattr(told, name)] for name in ASPECTS))
    pairs = [pair for turn in turns for pair in turn if pair is not None][:count]
    kept = {name: tuple(word for own, word in pairs if own == name) for name in ASPECTS}
    return Knowledge(**kept)


def tuned(
    rows: Rows,
    names: list[str],
    space: JointSpace,
    fights: Part,
    out: Path,
    seeds: int,
    sight: Sight,
) -> None:
    """What of training helps, and Table 12."""
    plain = EventsConfig()
    nothing = replace(rows, event=rows.video)
    kinds = {
        "as it is": (rows, plain),
        "mean pooling, z_v": (nothing, plain),
        "without L_align": (rows, replace(plain, losses=("scene", "event"))),
        "without L_scene": (rows, replace(plain, losses=("align", "event"))),
        "L_event alone": (rows, replace(plain, losses=("event",))),
        "vectors stay as they are (rank 0)": (rows, replace(plain, rank=0)),
        "without texts: W begins as zeros": (rows, replace(plain, texts=False)),
        "attributes, z_t": (replace(rows, event=rows.text), plain),
    }
    likely: dict[str, list[Folds]] = {}  # by kind, of each seed
    show("Training: fights, five folds", line("", "top-1"), "|---|---|")
    for kind, (own, config) in kinds.items():
        values, kept = [], []
        for seed in range(seeds):
            found = cross(own, names, space, out / folder(kind), seed, config)
            kept.append(found)
            values.append(fights.top1(found.asked))
        likely[kind] = kept
        print(line(kind, spread(values)), flush=True)
    show("Table 12: tuning, fights", line("", "attributes", "video", "both"), "|---|---|---|---|")
    frozen_scores = scores_of(fights, sight)
    alone = [frozen_scores[name] for name in ("attributes", "words")]
    cells = [f"{fights.top1(scores):.1f}" for scores in alone]
    still = [Folds(scores, [scores] * FOLDS) for scores in alone]
    both = [fused(still[1], still[0], rows, seed) for seed in range(seeds)]
    print(line("frozen", *cells, spread([fights.top1(scores) for scores in both])))
    video, text = likely["as it is"], likely["attributes, z_t"]
    cells = [spread([fights.top1(own.asked) for own in some]) for some in (text, video)]
    pairs = zip(video, text, strict=True)
    both = [fused(*pair, rows, seed) for seed, pair in enumerate(pairs)]
    print(line("trained", *cells, spread([fights.top1(scores) for scores in both])))


def folder(kind: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in kind)


def line(*cells: Cell) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def show(title: str, *lines: str) -> None:
    print("\n".join(["", f"{title}:", "", *lines]), flush=True)


def spread(values: Sequence[float]) -> str:
    """The mean, and each."""
    each = ", ".join(f"{value:.1f}" for value in values)
    return f"{np.mean(values):.1f} ({each})" if len(values) > 1 else each


if __name__ == "__main__":
    main()
