"""Pictures for pretraining: photos on disk and their views."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from assistant.errors import InputError
from assistant.model.encoders.base import Encoder
from assistant.sources.seen import as_text, likeliest
from assistant.training.features import FeatureTable
from assistant.training.pretraining.captions import read_captions, read_split

CROPS = (0.7, 0.95)  # side of a crop as a share of the photo's
VIEWS = ((False, False), (False, True), (True, False), (True, True))  # cropped, mirrored


class Archive:
    """A folder's zip of photos."""

    def __init__(self, folder: Path, wanted: str) -> None:
        """Raises InputError: there is none; ``wanted`` says what the folder should be."""
        archives = sorted(folder.glob("*.zip"))
        if not archives:
            raise InputError(f"{folder}: holds no zip of photos; give {wanted}")
        self.archive = archives[0]

    def pictures(self, names: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """``(name, (H, W, 3) uint8)`` of each photo."""
        with zipfile.ZipFile(self.archive) as archive:
            members = {Path(member).name: member for member in archive.namelist()}
            for name in names:
                if name not in members:
                    raise InputError(f"{self.archive}: lacks {name}; the archive is incomplete")
                data = io.BytesIO(archive.read(members[name]))
                yield name, np.asarray(Image.open(data).convert("RGB"))


class Photos(Archive):
    """Flickr8k's folder: ``images_224.zip`` (or any zip of JPEG), ``captions.tsv``, split lists."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, "Flickr8k's folder (images zip, captions.tsv, train.txt, dev.txt, test.txt)"
        )
        self.captions = read_captions(folder / "captions.tsv")
        self.splits = {
            split: tuple(n for n in read_split(folder / f"{split}.txt") if n in self.captions)
            for split in ("train", "dev", "test")
        }

    @property
    def digest(self) -> str:
        """Tells these photos and captions from others, wherever they lie."""
        found = self.archive.stat()
        told = repr((found.st_size, found.st_mtime_ns, self.captions, self.splits))
        return hashlib.sha256(told.encode()).hexdigest()

    def captions_of(self, split: str) -> dict[str, tuple[str, ...]]:
        return {name: self.captions[name] for name in self.splits[split]}


def photo_table(
    root: Path,
    encoder: Encoder,
    photos: Archive,
    names: Sequence[str],
    *,
    viewed: Sequence[str] = (),
    seed: int = 0,
) -> FeatureTable:
    """The encoded photos ``names``, and four views of those ``viewed``, by :func:`view_name`."""

    def pictures() -> Iterator[tuple[str, np.ndarray]]:
        yield from photo_views(photos.pictures(viewed), seed)
        yield from photos.pictures(names)

    def read(keys: list[str]) -> Iterator[np.ndarray]:
        wanted = set(keys)
        for name, picture in pictures():
            if name in wanted:
                wanted.remove(name)
                yield picture[None]

    told = [view_name(name, *view) for name in viewed for view in VIEWS]
    found = photos.archive.stat()
    source = ("photos", str(photos.archive), found.st_size, found.st_mtime_ns, seed)
    return FeatureTable.open(root, encoder, 1, [*told, *names], read, source=source, what="photos")


def view_name(photo: str, cropped: bool, turned: bool) -> str:
    """Name of a photo's cropped or mirrored view in the feature table."""
    return photo + ("|crop" if cropped else "") + ("|mirror" if turned else "")


def photo_views(
    pictures: Iterable[tuple[str, np.ndarray]], seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each photo, a random crop of it, and the mirror images of both: four views."""
    for index, (name, picture) in enumerate(pictures):
        crop = _random_crop(picture, np.random.default_rng((seed, index)))
        for cropped, turned in VIEWS:
            view = crop if cropped else picture
            shown = np.ascontiguousarray(view[:, ::-1]) if turned else view
            yield view_name(name, cropped, turned), shown


def _random_crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of the picture, scaled back to its size."""
    height, width = picture.shape[:2]
    share = rng.uniform(*CROPS)
    tall, wide = round(height * share), round(width * share)
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    part = Image.fromarray(picture[top : top + tall, left : left + wide])
    return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))


def seen_in(table: FeatureTable, picture: str) -> str:
    """What the encoder's classifier finds in a picture, as the models read it."""
    return as_text(likeliest(table.classes(picture), table.encoder.names))
