"""Labelled segments as vectors of the joint space: looked at once, and kept with the run."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from assistant.data.items import data_file
from assistant.data.segments import LabelledClip, labels_of, read_segments
from assistant.errors import InputError
from assistant.evaluation.event_clips import look_at
from assistant.model.weight_files import save_weights
from assistant.timeline.events import check_labels, texts_of, zero_shot
from assistant.timeline.ranges import Ranges
from assistant.timeline.saliency import video_vector

if TYPE_CHECKING:
    from assistant.timeline.events import EventHead
    from assistant.timeline.making import Looks

DEV_PART = 5  # one clip in so many, where the data have no dev split
VERSION = 1  # of what is kept


@dataclass(frozen=True)
class LabelledClips:
    """Of each split, and all labels that there are to learn."""

    train: tuple[LabelledClip, ...]
    dev: tuple[LabelledClip, ...]
    labels: tuple[str, ...]
    digest: str  # sha256 of the file


@dataclass(frozen=True, eq=False)
class Rows:
    """Segments, N of them."""

    video: Tensor  # (N, E) z_v, the frames' mean
    event: Tensor  # (N, E) z_e, weighed by the words that are told of the segment
    text: Tensor  # (N, E) z_t, of these as sentences; zeros where nothing is told
    truth: Tensor  # (N, K) 1 where a label is true

    def some(self, places: Tensor) -> Rows:
        return Rows(self.video[places], self.event[places], self.text[places], self.truth[places])


@dataclass(frozen=True, eq=False)
class Data:
    """What a head learns from."""

    train: Rows
    dev: Rows
    start: EventHead  # by the labels' texts
    texts: Tensor  # (K, E) these
    digest: str


def read_clips(path: Path) -> LabelledClips:
    """
    Raises:
        InputError: the file cannot be read, lines are wrong (all are named), or there is nothing to
            learn from or to measure.
    """
    clips = read_segments(path)
    named = any(clip.split for clip in clips)
    train, dev = (
        tuple(clip for clip in clips if clip.split == split or not (named or split == "dev"))
        for split in ("train", "dev")
    )
    if not dev and len(train) > 1:
        train, dev = parted(train)
    if not (train and dev):
        raise InputError(
            f"{path}: holds {len(train)} clips of the split train and {len(dev)} of dev; give two "
            "of train at least, or one of each"
        )
    labels = check_labels(labels_of(train), f"{path} (its train clips)")
    new = sorted(set(labels_of(dev)) - set(labels))
    if new and not set(labels_of(dev)) & set(labels):
        raise InputError(
            f"{path}: no label of its dev clips is one of its train clips, as {new[0]!r}; give "
            "clips of the same labels"
        )
    return LabelledClips(
        train, dev, labels, hashlib.sha256(data_file(path).read_bytes()).hexdigest()
    )


def parted(
    clips: Sequence[LabelledClip],
) -> tuple[tuple[LabelledClip, ...], tuple[LabelledClip, ...]]:
    """Train and dev: one clip in `DEV_PART`, by name; at least one."""
    order = sorted(clips, key=lambda clip: (zlib.crc32(clip.video.name.encode()), clip.id))
    count = max(1, len(clips) // DEV_PART)
    chosen = {clip.id for clip in order[:count]}
    return (
        tuple(clip for clip in clips if clip.id not in chosen),
        tuple(clip for clip in clips if clip.id in chosen),
    )


def encode(clips: LabelledClips, assistant: Looks, out: Path) -> Data:
    """Looks at what ``out`` does not hold yet. Raises VideoError, InputError: a clip cannot be
    read, or a segment lies after its end."""
    space, ranges, labels = assistant.sight.space, Ranges(assistant.sight), clips.labels
    apart = {segment.source for clip in clips.dev for segment in clip.segments} - {""}
    train = rows_of(clips.train, labels, assistant, ranges, out, left_out=apart)
    dev = rows_of(clips.dev, labels, assistant, ranges, out)
    dev = dev.some(dev.truth.any(1).nonzero()[:, 0])  # labels that train lacks are none
    start, texts = zero_shot(space, labels), texts_of(space, labels)
    return Data(train, dev, start, texts, clips.digest)


def rows_of(
    clips: Sequence[LabelledClip],
    labels: Sequence[str],
    assistant: Looks,
    ranges: Ranges,
    out: Path,
    left_out: Set[str] = frozenset(),
) -> Rows:
    """All segments, but those cut from a source that is ``left_out``; kept in ``out``."""
    eyes = f"{assistant.sight.space.fingerprint} {assistant.sight.encoder_fingerprint}"
    told = f"{VERSION} {eyes} {clips} {labels} {sorted(left_out)}"
    path = out / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}.safetensors"
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        watched = tqdm(clips, desc="looking at clips")
        found = list(_segments(watched, assistant, ranges, left_out))
        if not found:
            raise InputError(
                "every train segment is cut from a clip that dev has, too; name other splits"
            )
        *vectors, truths = zip(*found, strict=True)
        state = dict(zip(("video", "event", "text"), map(torch.stack, vectors), strict=True))
        truth = [[float(label in own) for label in labels] for own in truths]
        save_weights(state | {"truth": torch.tensor(truth)}, path)
    return Rows(**{name: value.float() for name, value in load_file(path).items()})


def _segments(
    clips: Iterable[LabelledClip], assistant: Looks, ranges: Ranges, left_out: Set[str]
) -> Iterator[tuple[Tensor, Tensor, Tensor, frozenset[str]]]:
    """Vectors and labels of each segment that is not cut from what is ``left_out``."""
    for clip in clips:
        looked = look_at(assistant, clip)
        for segment, span, truth in zip(clip.segments, looked.spans, looked.truth, strict=True):
            if segment.source in left_out:
                continue
            seen = looked.seen(span)
            told = ranges.told(seen)
            yield (
                video_vector(seen.frames),
                ranges.event(seen, told.words),
                ranges.text(told),
                truth,
            )
