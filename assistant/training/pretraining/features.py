"""Pictures for pretraining: photos on disk, their views, and tables of encoded pictures."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from assistant.errors import InputError
from assistant.model.encoders.base import CHUNK, Encoder
from assistant.sources.seen import as_text, likeliest
from assistant.training.pretraining.captions import read_captions, read_split

__all__ = ["FeatureTable", "Photos", "photo_views", "view_name"]

CROPS = (0.7, 0.95)  # side of a crop as a share of the photo's


class Photos:
    """Flickr8k's folder: ``images_224.zip`` (or any zip of JPEG), ``captions.tsv``, split lists."""

    def __init__(self, folder: Path) -> None:
        archives = sorted(folder.glob("*.zip"))
        if not archives:
            raise InputError(
                f"{folder}: holds no zip of photos; give Flickr8k's folder (images zip, "
                "captions.tsv, train.txt, dev.txt, test.txt)"
            )
        self.archive = archives[0]
        self.captions = read_captions(folder / "captions.tsv")
        self.splits = {
            split: tuple(n for n in read_split(folder / f"{split}.txt") if n in self.captions)
            for split in ("train", "dev", "test")
        }

    def pictures(self, names: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """``(name, (H, W, 3) uint8)`` of each photo."""
        with zipfile.ZipFile(self.archive) as archive:
            members = {Path(member).name: member for member in archive.namelist()}
            for name in names:
                if name not in members:
                    raise InputError(f"{self.archive}: lacks {name}; the archive is incomplete")
                data = io.BytesIO(archive.read(members[name]))
                yield name, np.asarray(Image.open(data).convert("RGB"))

    def captions_of(self, split: str) -> dict[str, tuple[str, ...]]:
        return {name: self.captions[name] for name in self.splits[split]}


class FeatureTable:
    """Patches ``(N, K, Dv)`` and classes ``(N, C)`` of many pictures, fp16, memory-mapped."""

    def __init__(self, path: Path) -> None:
        self.names: list[str] = json.loads(path.with_suffix(".json").read_text())
        self.rows = {name: row for row, name in enumerate(self.names)}
        self.array = np.load(path, mmap_mode="r")
        self.classes = np.load(path.with_suffix(".classes.npy"), mmap_mode="r")

    def attributes(self, name: str, encoder: Encoder) -> str:
        """What the encoder's classifier finds in a picture, as the models read it."""
        classes = torch.from_numpy(self.classes[self.rows[name]][None].astype(np.float32))
        return as_text(likeliest(classes, encoder.names))

    def patches(self, names: Sequence[str]) -> torch.Tensor:
        """``(B, 1, K, Dv)``: still pictures are clips of one frame."""
        return torch.from_numpy(np.stack([self.array[self.rows[name]] for name in names]))[:, None]

    @classmethod
    def open(
        cls,
        path: Path,
        encoder: Encoder,
        pictures: Iterable[tuple[str, np.ndarray]],
        count: int,
        what: str,
    ) -> FeatureTable:
        """The table at ``path``, encoded first where it is not there yet."""
        if not path.with_suffix(".json").exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (count, encoder.patch_count, encoder.width)
            array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
            classes = np.zeros((count, encoder.class_count), np.float16)
            names: list[str] = []
            with tqdm(total=count, desc=f"encoding {what}", unit="picture") as bar:
                for batch in _batched(pictures, CHUNK):
                    seen = encoder(np.stack([picture for _, picture in batch]))
                    rows = slice(len(names), len(names) + len(batch))
                    array[rows], classes[rows] = seen.patches.numpy(), seen.classes.numpy()
                    names += [name for name, _ in batch]
                    bar.update(len(batch))
            array.flush()
            np.save(path.with_suffix(".classes.npy"), classes)
            path.with_suffix(".json").write_text(
                json.dumps(names)
            )  # written last: the table is whole
        return cls(path)


def view_name(photo: str, cropped: bool, turned: bool) -> str:
    """Name of a photo's cropped or mirrored view in the feature table."""
    return photo + ("|crop" if cropped else "") + ("|mirror" if turned else "")


def photo_views(
    pictures: Iterable[tuple[str, np.ndarray]], seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each photo, a random crop of it, and the mirror images of both: four views."""
    for index, (name, picture) in enumerate(pictures):
        crop = _random_crop(picture, np.random.default_rng((seed, index)))
        for cropped, view in ((False, picture), (True, crop)):
            yield view_name(name, cropped, False), view
            yield view_name(name, cropped, True), np.ascontiguousarray(view[:, ::-1])


def _random_crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of the picture, scaled back to its size."""
    height, width = picture.shape[:2]
    share = rng.uniform(*CROPS)
    tall, wide = round(height * share), round(width * share)
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    part = Image.fromarray(picture[top : top + tall, left : left + wide])
    return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))


def _batched(
    items: Iterable[tuple[str, np.ndarray]], size: int
) -> Iterator[list[tuple[str, np.ndarray]]]:
    batch: list[tuple[str, np.ndarray]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
