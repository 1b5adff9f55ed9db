"""Clips as an action recogniser sees them: a few frames of a range, looked at once and kept."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.languages import own_language
from assistant.model.block_files import get_block, put_block
from assistant.model.features import ClipFeatures, FeatureKey, content_digest, encode_clip
from assistant.sources import Look

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from assistant.actions.video import VideoEncoder
    from assistant.model.features import FeatureStore
    from assistant.model.sight import Sight

FRAMES = 8  # of a clip, where no recogniser says how many
NOT_KEPT = "features are not kept on disk"


@dataclass(frozen=True, eq=False)
class ClipPixels:
    """A range of a clip as a video encoder takes it."""

    pictures: Tensor  # (T, S, S, 3) uint8 RGB
    seconds: tuple[float, ...]  # (T,)
    start: float
    end: float
    warnings: tuple[str, ...] = ()


def features_of(
    path: Path,
    sight: Sight,
    store: FeatureStore,
    frames: int,
    start: float | None = None,
    end: float | None = None,
) -> ClipFeatures:
    """``frames`` of a range, from the store or from the clip itself; None: of the whole clip.

    Raises:
        VideoError: no such file, or nothing could be decoded.
    """
    eyes, digest = sight.encoder_fingerprint, content_digest(path)
    key = FeatureKey(digest, start, end, frames, "auto", eyes, own_language())
    with suppress(OSError):  # keeping it meets the same and says so
        if (found := store.get(key)) is not None:
            return found
    found = encode_clip(path, key, sight)
    try:
        store.put(key, found)
    except OSError as error:
        note = f"{NOT_KEPT}: {error.strerror or error}"
        return replace(found, warnings=(*found.warnings, note))
    return found


def pixels_of(
    path: Path,
    video: VideoEncoder,
    store: FeatureStore,
    start: float | None = None,
    end: float | None = None,
) -> ClipPixels:
    """The frames that ``video`` takes of a range, from the store or from the clip itself.

    Raises:
        VideoError: no such file, or nothing could be decoded.
    """
    import torch

    from assistant.actions.video import stretched
    from assistant.media.video import read_clip

    eyes, frames = f"pixels-{video.digest}", video.raster.frames
    key = FeatureKey(content_digest(path), start, end, frames, "auto", eyes, own_language())
    with suppress(OSError):  # keeping it meets the same and says so
        if (kept := get_block(store, key)) is not None:
            seconds, begin, until, notes = json.loads(bytes(kept["told"].tolist()))
            return ClipPixels(kept["pictures"], tuple(seconds), begin, until, tuple(notes))
    clip = read_clip(path, frames=frames, start=start, end=end, max_side=video.side)
    shown = tuple(clip.seconds[place] for place in stretched(len(clip.frames), frames))
    pictures = torch.from_numpy(video.pictures(clip.frames))
    found = ClipPixels(pictures, shown, clip.start, clip.end, clip.warnings)
    told = json.dumps([shown, clip.start, clip.end, clip.warnings]).encode()
    try:
        block = {"pictures": pictures, "told": torch.tensor(list(told), dtype=torch.uint8)}
        put_block(store, key, block)
    except OSError as error:
        note = f"{NOT_KEPT}: {error.strerror or error}"
        return replace(found, warnings=(*found.warnings, note))
    return found


def look_of(
    patches: Tensor,
    classes: Tensor,
    sight: Sight,
    path: Path,
    start: float | None = None,
    end: float | None = None,
) -> Look:
    """What a joint space looks at: ``(T, K, Dv)``, ``(T, C)`` or ``(1, C)`` of a range."""

    def pictures(count: int, side: int) -> tuple[np.ndarray, tuple[float, ...]]:
        from assistant.media.video import read_clip

        clip = read_clip(path, frames=count, start=start, end=end, max_side=side)
        return clip.frames, clip.seconds

    return Look(
        patches=patches,
        classes=classes.expand(len(patches), -1),
        class_names=sight.class_names,
        seconds=tuple(map(float, range(len(patches)))),
        encoder=sight.encoder_fingerprint,
        pictures=pictures,
        space=lambda: sight.space,
    )
