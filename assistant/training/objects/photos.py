"""Photos with labelled boxes: zips of sets, one file of boxes, the split of each photo."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

from assistant.errors import InputError
from assistant.model.encoders.base import Encoder
from assistant.training.features import FeatureTable

MIRROR = "|mirror"  # ends the key of a photo's mirror image
SPLITS = ("train", "dev", "test")
HELD_OUT = {8: "dev", 9: "test"}  # by crc32(name) % 10, of a set without lists of its own
NUMBERS = 5  # of a box, after its class: score and corners


class BoxedPhotos:
    """``ROOT/SET/*.zip`` (photos), ``ROOT/SET/dev.txt`` and ``test.txt`` where a set has splits of
    its own, and a file of lines ``{"set", "name", "boxes": [[class, score, x0, y0, x1, y1], ...]}``
    with corners from 0 to 1. A photo's key is ``SET/NAME``.
    """

    def __init__(self, root: Path, boxes: Path, classes: Sequence[str]) -> None:
        """
        Raises:
            InputError: a file is missing or wrong, or a class is none of ``classes``.
        """
        self.root = root
        self.boxes = dict(_read_boxes(boxes, {name: i for i, name in enumerate(classes)}))
        sets = dict.fromkeys(key.partition("/")[0] for key in self.boxes)
        self.archives = {name: _archive(root / name) for name in sets}
        lists = {name: _own_splits(root / name) for name in sets}
        self.split = {key: _split(key, lists) for key in self.boxes}

    def keys(self, split: str) -> list[str]:
        """Of the photos of a split, in the file's order."""
        return [key for key, own in self.split.items() if own == split]

    def labels(self, key: str) -> np.ndarray:
        """``(M, 6)``: class, score, left, top, right, bottom; of a mirror image, mirrored."""
        found = self.boxes[key.removesuffix(MIRROR)]
        if key.endswith(MIRROR):
            found = found[:, [0, 1, 4, 3, 2, 5]] * (1, 1, -1, 1, -1, 1) + (0, 0, 1, 0, 1, 0)
        return found

    @property
    def digest(self) -> str:
        """Tells these photos and boxes from others, wherever they lie."""
        total = hashlib.sha256(repr([self._stamp(name) for name in self.archives]).encode())
        for key, found in self.boxes.items():
            total.update(key.encode() + found.tobytes())
        return total.hexdigest()

    def table(self, root: Path, encoder: Encoder, splits: Sequence[str] = SPLITS) -> FeatureTable:
        """The encoded photos of these splits, those of "train" with their mirror images."""
        told = [key for split in splits for key in self.keys(split)]
        mirrored = [key + MIRROR for key in told if self.split[key] == "train"]
        source = [part for name in self.archives for part in self._stamp(name)]
        keys = sorted([*told, *mirrored])  # a photo beside its mirror image
        return FeatureTable.open(root, encoder, 1, keys, self._read, source=source, what="photos")

    def _stamp(self, name: str) -> tuple[str, int, int]:
        found = self.archives[name].stat()
        return name, found.st_size, found.st_mtime_ns

    def _read(self, keys: list[str]) -> Iterator[np.ndarray]:
        """``(1, H, W, 3)`` of each key."""
        files = {name: zipfile.ZipFile(path) for name, path in self.archives.items()}
        members = {
            name: {Path(member).name: member for member in file.namelist()}
            for name, file in files.items()
        }
        for key in keys:
            folder, _, name = key.removesuffix(MIRROR).partition("/")
            if name not in members[folder]:
                raise InputError(f"{self.archives[folder]}: lacks {name}; get the whole archive")
            with Image.open(io.BytesIO(files[folder].read(members[folder][name]))) as image:
                picture = np.asarray(image.convert("RGB"))
            if key.endswith(MIRROR):
                picture = np.ascontiguousarray(picture[:, ::-1])
            yield picture[None]


def _archive(folder: Path) -> Path:
    found = sorted(folder.glob("*.zip"))
    if not found:
        raise InputError(f"{folder}: holds no zip of photos, and the boxes name some of this set")
    return found[0]


def _own_splits(folder: Path) -> dict[str, str] | None:
    """Split of the photos held out by a set's own lists; None: it has none."""
    lists = {split: folder / f"{split}.txt" for split in ("dev", "test")}
    if not all(path.is_file() for path in lists.values()):
        return None
    return {
        line.strip(): split for split, path in lists.items() for line in path.read_text().split()
    }


def _split(key: str, lists: dict[str, dict[str, str] | None]) -> str:
    folder, _, name = key.partition("/")
    own = lists[folder]
    return (
        HELD_OUT.get(crc32(name.encode()) % 10, "train") if own is None else own.get(name, "train")
    )


def _read_boxes(path: Path, ids: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Key and boxes of each photo."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a file of boxes") from error
    if not lines:
        raise InputError(f"{path}: is empty; give a file of boxes")
    for number, line in enumerate(lines, 1):
        try:
            told = json.loads(line)
            rows = [(ids[kind], *map(float, numbers)) for kind, *numbers in told["boxes"]]
            found = np.array(rows, dtype=np.float32).reshape(-1, 1 + NUMBERS)
            key = f"{told['set']}/{told['name']}"
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: line {number}: {type(error).__name__} {error}; wanted "
                '{"set", "name", "boxes": [[class, score, x0, y0, x1, y1], ...]} of known classes'
            ) from error
        if not np.isfinite(found).all():
            raise InputError(f"{path}: line {number}: holds a number that is not finite; mend it")
        found[:, 2:] = found[:, 2:].clip(0, 1)
        yield key, found
