"""Labelled clips as a recogniser learns them: what it sees, and the teacher's view; both kept."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from assistant.actions.assignment import Assigned, assign, embed_bank
from assistant.actions.gates import as_shares, keyword_mask
from assistant.actions.looking import look_of
from assistant.actions.zero_shot import Descriptions, descriptions_of
from assistant.data.items import DATA, data_file
from assistant.data.segments import read_segments
from assistant.errors import InputError
from assistant.model.motion import fits, load_motion_reader
from assistant.model.weight_files import save_weights
from assistant.timeline.events import check_labels
from assistant.timeline.examples import find_examples
from assistant.training.actions.config import ActionsConfig
from assistant.training.actions.pixels import PixelTable
from assistant.training.clips import ClipRef, clip_table
from assistant.training.features import FeatureTable

if TYPE_CHECKING:
    from assistant.actions.bank import Bank
    from assistant.actions.video import VideoEncoder
    from assistant.model.sight import Sight
    from assistant.sources import Look

DEV_PART = 5  # one clip in so many of a label, where the data have no dev split
VERSION = 1  # of what is kept of the teacher
LOCK = ".lock"  # of a folder: the first of several processes looks, the others find it done


@dataclass(frozen=True)
class Example:
    """A clip, or a part of one, and what is done in it."""

    clip: ClipRef
    label: str


@dataclass(frozen=True)
class ActionClips:
    """Of each split, and the labels that there are to learn."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    labels: tuple[str, ...]
    digest: str  # sha256 of the file, or of the names in the folders


@dataclass(frozen=True, eq=False)
class Taught:
    """What the teacher, which never moves, makes of N clips."""

    frames: Tensor  # (N, E) the frames' mean, a unit vector
    cells: np.ndarray | None = None  # (N, T', K, Ec) fp16, Z_m; 0 where there is no frame
    mask: Tensor | None = None  # (N, T', K), Eq. 8


@dataclass(frozen=True, eq=False)
class Motion:
    """What the motion adapter makes of N clips."""

    rows: Tensor  # (N, T, D) fp16; 0 where there is no frame
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Data:
    """What a recogniser learns from: rows of train, then of dev."""

    table: FeatureTable | PixelTable
    keys: tuple[str, ...]  # N
    truth: Tensor  # (N,) places of labels
    learned: int  # the first so many are train
    taught: Taught
    assigned: Assigned | None  # of train
    texts: Tensor  # (C M, E)
    described: Descriptions
    digest: str
    video: VideoEncoder | None = None  # that sees pixels
    motion: Motion | None = None

    @property
    def sets_aside(self) -> bool:
        """Whether clips of dev are none of those that are learned."""
        return not set(self.keys[self.learned :]) <= set(self.keys[: self.learned])

    def seen(self, rows: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """What a recogniser of so many frames sees of B clips, and ``(B, T')``: 1 where there is
        a time of its patches."""
        keys = [self.keys[row] for row in rows.tolist()]
        if isinstance(self.table, PixelTable):
            return self.table.batch(keys)
        return self.table.patches(keys, torch.arange(frames).expand(len(keys), -1))


def read_clips(path: Path) -> ActionClips:
    """A JSONL file as `assistant.data.segments` has it, or a folder for each label.

    Raises:
        InputError: it cannot be read, lines are wrong (all are named), or there is nothing to
            learn from or to measure.
    """
    rows: list[tuple[str | None, Example]]
    if path.is_dir() and not (path / DATA).is_file() and any(p.is_dir() for p in path.iterdir()):
        found = find_examples(path)
        rows = [(None, Example(ClipRef(p), label)) for label, own in found.items() for p in own]
        files = [(e.label, e.clip.path) for _, e in rows]
        names = [f"{label}/{p.name} {p.stat().st_size}" for label, p in files]
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    else:
        rows = [
            (clip.split, Example(ClipRef(clip.video, one.start, one.end), one.label))
            for clip in read_segments(path)
            for one in clip.segments
        ]
        digest = hashlib.sha256(data_file(path).read_bytes()).hexdigest()
    if any(split for split, _ in rows):
        train, dev = (tuple(e for split, e in rows if split == own) for own in ("train", "dev"))
        if not dev:
            train, dev = parted(train)
    else:
        train, dev = parted([example for _, example in rows])
    labels = check_labels(sorted({example.label for example in train}), f"{path} (its train clips)")
    dev = tuple(example for example in dev if example.label in labels)
    if not dev:
        raise InputError(
            f"{path}: no clip is left to choose the epoch by; give two clips of a label, or lines "
            "of the split dev"
        )
    return ActionClips(train, dev, labels, digest)


def parted(examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Train and dev: of each label one file in `DEV_PART`, by name, and one at least where there
    are two; a file is on one side, whatever else it shows."""
    files: dict[str, set[Path]] = {}
    for example in examples:
        files.setdefault(example.label, set()).add(example.clip.path)
    chosen: set[Path] = set()
    for label in sorted(files):
        order = sorted(files[label], key=lambda p: (zlib.crc32(p.name.encode()), p))
        wanted = min(len(order) - 1, max(1, len(order) // DEV_PART))
        chosen |= set(order[: max(0, wanted - len(chosen & set(order)))])
    return (
        tuple(example for example in examples if example.clip.path not in chosen),
        tuple(example for example in examples if example.clip.path in chosen),
    )


def encode(
    clips: ActionClips,
    bank: Bank,
    config: ActionsConfig,
    sight: Sight,
    out: Path,
    video: VideoEncoder | None = None,
) -> Data:
    """Looks at what ``out`` does not hold yet; ``bank`` describes the labels, in their order;
    ``video``: the encoder that is to learn, instead of one on ``sight``'s maps.

    Raises:
        InputError: clips cannot be read: all are named; or the space cannot teach what is asked.
    """
    examples = (*clips.train, *clips.dev)
    refs = {example.clip: example.clip.key for example in examples}
    out.mkdir(parents=True, exist_ok=True)
    table: FeatureTable | PixelTable
    with FileLock(out / LOCK):
        if video is None:
            table = clip_table(out, sight.encoder, refs, config.recogniser.frames)
        else:
            table = PixelTable.open(out, video, refs)
        taught = teach([example.clip for example in examples], table, bank, config, sight, out)
        motion = None
        if config.motion and isinstance(table, FeatureTable) and fits(sight.encoder):
            keys = [refs[example.clip] for example in examples]
            if any(len(table.clip(key)) > 1 for key in keys):  # pictures do not move
                motion = read_motion(keys, table, config.recogniser.frames, sight, out)
    truth = torch.tensor([clips.labels.index(example.label) for example in examples])
    if config.gate == "cross" and "image" in config.losses:
        taught = _masked(taught, truth, bank, config, sight)
    learned = len(clips.train)
    texts, real = embed_bank(sight.space, bank)
    assigned = None
    if "text" in config.losses:
        counts = config.positives, config.negatives
        assigned = assign(taught.frames[:learned], texts, truth[:learned], *counts, real=real)
    told = f"{clips.digest} {bank!r}"
    return Data(
        table=table,
        keys=tuple(refs[example.clip] for example in examples),
        truth=truth,
        learned=learned,
        taught=taught,
        assigned=assigned,
        texts=texts.flatten(0, 1),
        described=descriptions_of(sight.space, bank),
        digest=hashlib.sha256(told.encode()).hexdigest(),
        video=video,
        motion=motion,
    )


def read_motion(
    keys: Sequence[str], table: FeatureTable, frames: int, sight: Sight, out: Path
) -> Motion:
    """What the motion adapter makes of each clip."""
    reader = load_motion_reader(sight.encoder)
    told = [VERSION, reader.fingerprint, sight.encoder_fingerprint, frames, keys]
    stem = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]
    kept = out / f"motion-{stem}.safetensors"
    if not kept.is_file():
        rows = torch.zeros(len(keys), frames, reader.width)
        for row, key in zip(rows, tqdm(keys, desc="looking for motion"), strict=True):
            own = reader(table.clip(key))
            row[: len(own)] = own
        save_weights({"motion": rows}, kept)
    return Motion(load_file(kept)["motion"], reader.fingerprint)


def teach(
    clips: Sequence[ClipRef],
    table: FeatureTable | PixelTable,
    bank: Bank,
    config: ActionsConfig,
    sight: Sight,
    out: Path,
) -> Taught:
    """The teacher's view of each clip; that of patches where a loss asks for it."""
    space, image = sight.space, "image" in config.losses
    frames, names = config.recogniser.frames, [clip.key for clip in clips]
    told = [VERSION, space.fingerprint, sight.encoder_fingerprint, frames, names]
    if isinstance(table, PixelTable):
        frames = table.video.raster.times
        told = [*told[:3], frames, names, table.video.digest]
    stem = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]
    kept, cells = out / f"frames-{stem}.safetensors", out / f"cells-{stem}.npy"
    if not kept.is_file() or (image and not cells.is_file()):
        vectors, rows, part = [], None, cells.with_suffix(".part")
        for place, clip in enumerate(tqdm(clips, desc="asking the teacher")):
            look = _look(table, clip, sight)
            vectors.append(torch.nn.functional.normalize(space.embed_frames(look).mean(0), dim=0))
            if image:
                own = space.embed_cells(look).half().numpy()  # (T, K, Ec)
                if rows is None:
                    shape = (len(clips), frames, *own.shape[1:])
                    rows = np.lib.format.open_memmap(part, "w+", np.float16, shape)
                rows[place, : len(own)] = own
        if rows is not None:
            rows.flush()
            part.replace(cells)
        save_weights({"frames": torch.stack(vectors)}, kept)
    seen = load_file(kept)["frames"].float()
    return Taught(seen, np.load(cells, mmap_mode="r") if image else None)


def _look(table: FeatureTable | PixelTable, clip: ClipRef, sight: Sight) -> Look:
    key = clip.key
    if isinstance(table, PixelTable):
        return table.look(key, sight)
    return look_of(table.clip(key), table.classes(key), sight, clip.path, clip.start, clip.end)


def _masked(
    taught: Taught, truth: Tensor, bank: Bank, config: ActionsConfig, sight: Sight
) -> Taught:
    """With the foreground of each clip's own keywords; where an action has none, its name is."""
    space, cells = sight.space, taught.cells
    assert cells is not None
    masks = []
    words = [action.words or (action.label,) for action in bank.actions]
    known = [(space.embed_keywords(own), space.embed_texts(own)) for own in words]
    for row, (label, frame) in enumerate(zip(truth.tolist(), taught.frames, strict=True)):
        keys, whole = known[label]
        own = torch.from_numpy(cells[row].astype(np.float32))  # (T, K, Ec)
        dense = as_shares(torch.einsum("tkc,wc->twk", own, keys))
        relevance = (whole @ frame).expand(len(own), -1)  # of the clip: a frame alone is noisy
        masks.append(keyword_mask(dense, relevance, config.keyword_covers, config.keyword_shown))
    return Taught(taught.frames, cells, torch.stack(masks))
