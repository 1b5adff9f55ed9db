"""Texts, pictures and clips as tokens of the joint space: encoded once, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from assistant.errors import InputError, VideoError
from assistant.model.weight_files import save_weights
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.fusion import FusionConfig, Tokens, key_frames
from assistant.retrieval.head import text_tokens
from assistant.training.retrieval.events import Source

if TYPE_CHECKING:
    from assistant.model.space.base import JointSpace

CHUNK = 256  # parts in a file
READERS, AHEAD = 2, 8  # pictures or clips read at once, and before they are looked at
LOOKED_AT = 4  # times as many frames as are kept, where the salient ones are


@dataclass(frozen=True, eq=False)
class Table:
    """Tokens of many parts of one modality, end to end."""

    values: Tensor  # (sum of n, E) fp16
    ends: Tensor  # (parts,)

    @classmethod
    def of(cls, rows: Sequence[Tensor]) -> Table:
        """From ``(n, E)`` of each part."""
        lengths = torch.tensor([len(row) for row in rows])
        return cls(torch.cat([row.half() for row in rows]), lengths.cumsum(0))

    def row(self, place: int) -> Tensor:
        """``(n, E)`` fp32."""
        first = int(self.ends[place - 1]) if place else 0
        return self.values[first : int(self.ends[place])].float()

    def batch(self, places: Sequence[int]) -> Tokens:
        return Tokens.of([self.row(place) for place in places])


class Encoding:
    """Encodes what ``folder`` does not hold yet."""

    def __init__(
        self, folder: Path, embedder: Embedder, space: JointSpace, fusion: FusionConfig
    ) -> None:
        self.folder, self.embedder, self.space, self.fusion = folder, embedder, space, fusion
        self.encoders = {"text": self._texts, "image": self._pictures, "video": self._clips}

    def table(self, modality: str, sources: Sequence[Source]) -> Table:
        """Raises VideoError: a picture or a clip cannot be read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows: list[Tensor] = []
        for first in tqdm(
            range(0, len(sources), CHUNK), desc=f"encoding {modality}s", unit=f"{CHUNK}"
        ):
            some = sources[first : first + CHUNK]
            kept = self.folder / f"{modality}-{self._digest(modality, some)}.safetensors"
            if not kept.is_file():
                found = Table.of(self.encoders[modality](some))
                lengths = found.ends.diff(prepend=torch.zeros(1, dtype=torch.long))  # exact in fp16
                save_weights({"values": found.values, "lengths": lengths}, kept)
            state = load_file(kept)
            rows += state["values"].split(state["lengths"].int().tolist())
        return Table.of(rows)

    def _digest(self, modality: str, sources: Sequence[Source]) -> str:
        told = [self.space.fingerprint]
        if modality == "video":
            told += [str(self.fusion.frames), self.fusion.key_frames]
        for source in sources:
            stamp = () if source.path is None else (source.path.absolute(), *_stamp(source.path))
            told.append(repr((source.text, *map(str, stamp), source.start, source.end)))
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:24]

    def _texts(self, sources: Sequence[Source]) -> list[Tensor]:
        return text_tokens(self.space, [source.text for source in sources])

    def _pictures(self, sources: Sequence[Source]) -> list[Tensor]:
        return self._seen(sources, 1)

    def _clips(self, sources: Sequence[Source]) -> list[Tensor]:
        fusion = self.fusion
        count = fusion.frames * (LOOKED_AT if fusion.key_frames == "salient" else 1)
        seen = self._seen(sources, count)
        return [own[key_frames(own, fusion.frames, fusion.key_frames)] for own in seen]

    def _seen(self, sources: Sequence[Source], frames: int) -> list[Tensor]:
        from assistant.media.video import read_clip

        def read(source: Source) -> tuple[np.ndarray, Sequence[float]]:
            assert source.path is not None
            try:
                clip = read_clip(
                    source.path,
                    frames=frames,
                    start=source.start,
                    end=source.end,
                    max_side=self.embedder.side,
                )
            except VideoError as error:
                told = str(error).removeprefix(f"{source.path}: ")
                raise InputError(
                    f"{source.path}: {told}; mend it, or leave out the lines that name it"
                ) from error
            return clip.frames, clip.seconds

        with ThreadPoolExecutor(READERS) as pool:
            return [
                self.embedder.see(*clip).frames
                for first in range(0, len(sources), AHEAD)
                for clip in pool.map(read, sources[first : first + AHEAD])
            ]


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
