"""Sets of photos with what is said of them: captions, or sentences about a label."""

import hashlib
import zlib
from pathlib import Path

from assistant.errors import InputError
from assistant.training.pretraining.captions import read_captions, read_lines, read_split
from assistant.training.pretraining.photos import Archive
from assistant.training.space.config import PhotoSetConfig

SPLITS = ("train", "dev", "test")
DEV_PART = 10  # without lists, one photo in so many is for dev; none is for test


class PhotoSet(Archive):
    """One folder: a zip of pictures, and texts of each photo by its split."""

    def __init__(self, folder: Path, config: PhotoSetConfig) -> None:
        """Raises InputError: the folder holds no such photos or texts."""
        super().__init__(folder, "the folder that holds the recipe's sets of photos, a folder each")
        self.name = folder.name
        self.labels: dict[str, str] = {}
        texts: dict[str, tuple[str, ...]] = {}
        for file in config.captions:
            for photo, told in read_captions(folder / file).items():
                texts[photo] = texts.get(photo, ()) + tuple(map(plain, told))
        if config.labels:
            self.labels = read_labels(folder / config.labels)
            texts = {
                photo: tuple(template.format(label) for template in config.templates)
                for photo, label in self.labels.items()
            }
        self.texts = {photo: tuple(dict.fromkeys(told)) for photo, told in texts.items()}
        self.splits = self._splits(folder)

    def _splits(self, folder: Path) -> dict[str, tuple[str, ...]]:
        if all((folder / f"{split}.txt").exists() for split in SPLITS):
            lists = {split: read_split(folder / f"{split}.txt") for split in SPLITS}
            return {s: tuple(n for n in names if n in self.texts) for s, names in lists.items()}
        held = {photo for photo in self.texts if zlib.crc32(photo.encode()) % DEV_PART == 0}
        train = tuple(photo for photo in self.texts if photo not in held)
        return {"train": train, "dev": tuple(sorted(held)), "test": ()}

    @property
    def digest(self) -> str:
        """Tells these photos and texts from others, wherever they lie."""
        told = repr((self.archive.stat().st_size, self.texts, self.splits))
        return hashlib.sha256(told.encode()).hexdigest()


def plain(caption: str) -> str:
    """As all texts of the space are written: small letters, no full stop."""
    return caption.lower().rstrip(" .")


def read_labels(path: Path) -> dict[str, str]:
    """Photo name -> label, from lines ``name<TAB>label``. Raises InputError."""
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        photo, tab, label = line.partition("\t")
        if not tab or not label.strip():
            raise InputError(
                f"{path}:{number} reads {line[:60]!r}, wanted 'photo.jpg<TAB>label': correct or "
                "remove the line"
            )
        found[photo.strip()] = label.split(",")[0].replace("_", " ").strip().lower()
    if not found:
        raise InputError(f"{path}: holds no labels, wanted lines 'photo.jpg<TAB>label'")
    return found
