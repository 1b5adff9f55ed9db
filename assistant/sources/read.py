"""Text in the picture, read by PP-OCR through rapidocr (the ``ocr`` extra).

Its models lie in its wheel: nothing is fetched. A clip is read only for a question that asks for
what is written: it takes seconds.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np

from assistant.errors import InputError
from assistant.sources import Look, Perceived, Perceiver

FRAMES = 8  # of sixteen, two read 47 % of the words of moving clips, four 55 %, eight 81 %
MOST = 5  # lines that are proposed as answers
CARRIER = (  # what text stands on
    r"(?:signs?|signposts?|labels?|posters?|banners?|billboards?|placards?|plates?|boards?|screens?"
    r"|pages?|papers?|notes?|cards?|books?|covers?|menus?|stickers?|logos?|headlines?|captions?|titles?"
    r"|shirts?|t-shirts?|jerseys?|caps?|boxes|box|bottles?|doors?|walls?|buses|bus|trucks?|texts?)"
)
# What the answer is the text itself to; not what somebody says, nor whether somebody reads.
ASKED = re.compile(
    rf"\bwhat (?:does|do|did) (?:[\w'-]+ ){{0,4}}{CARRIER} (?:[\w'-]+ ){{0,4}}(?:say|read)\b"
    r"|\bwhat does it (?:say|read) (?:on|in|at)\b"
    r"|^(?:please |(?:can|could) you )?read (?:me |out |aloud )*(?:the|this|that|what)\b"
    r"|\bwhat(?: is|'s| was| are) (?:\w+ )?(?:written|printed|painted|spelled)\b"
    r"|\b(?:what|which) (?:texts?|words?|writing|letters) (?:is|are|stands?|appears?)"
    r" (?:\w+ )?(?:on|in)\b"
    r"|\bwhat(?: is|'s| are) the (?:texts?|words?|writing|letters) (?:on|in)\b"
    rf"|\bwhat(?: is|'s) (?:on|in) the {CARRIER}\b"
)
WANTED = re.compile(
    r"\b(?:writ(?:ten|ing)|sp[eo]l(?:l|ls|led|t|ling)|signs?|labels?|posters?|banners?|billboards?"
    r"|captions?|headlines?|logos?|brands?|titles?|plates?)\b"
)
# On 780 photos and 89 clips most of what was read below .9 was noise or misspelled, and what was
# false above it was one or two letters in the shape of a person, an animal or fruit. On drawn signs
# .9 costs one to three words in a hundred and leaves a third of the wrong ones that .5 gives.
MIN_SCORE = 0.9
LETTER_HEIGHT = 0.25  # of the picture; two letters that are taller are a shape
# The longer side that the detector sees: of words 14 to 90 px high in 1280 x 720 it finds 99 %,
# as many as in the whole picture in two thirds of the time. Smaller pictures are read as they are:
# 97 % at 960 px, 87 % at 640, 70 % at 448, where words must be a twentieth of the picture high.
DETECTOR_SIDE = 960
EVERYWHERE = (0.0, 0.0, 1.0, 1.0)
SIMILAR = 0.75  # difflib's ratio of two spellings of one text
INSTALL = "pip install 'video-assistant[ocr]'"
_LOCK = Lock()  # the engine is not safe to share


class Reader(Perceiver):
    """A reader of text."""

    def missing(self) -> str:
        """See `Perceiver`."""
        return "" if available() else f"text in the picture was not read: {INSTALL}"

    def wanted(self, question: str) -> bool:
        """Whether it asks for what may be written somewhere."""
        return self.answers(question) or WANTED.search(question.lower()) is not None

    def fingerprint(self, look: Look) -> str:
        """Its file, and the package that holds the models."""
        return f"{super().fingerprint(look)}-{version('rapidocr')}"

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """Each text once, with its times and its place."""
        return read_frames(*look.pictures(FRAMES, DETECTOR_SIDE))

    def as_text(self, items: Sequence[Perceived]) -> str:
        """``"Exit only", "Bakery"``."""
        return ", ".join(f'"{item.name}"' for item in items)

    def answers(self, question: str) -> bool:
        """Whether it asks for the text itself."""
        return ASKED.search(question.lower()) is not None

    def propose(self, items: Sequence[Perceived], question: str) -> tuple[str, ...]:
        """The lines, and all of them."""
        lines = [item.name for item in items][:MOST]
        return tuple(filter(None, dict.fromkeys([*lines, ", ".join(lines)])))


PERCEIVER = Reader()


def available() -> bool:
    """Whether the ``ocr`` extra is installed."""
    return all(find_spec(name) for name in ("rapidocr", "onnxruntime"))


def read_frames(frames: np.ndarray, seconds: Sequence[float]) -> tuple[Perceived, ...]:
    """What stands in the pictures, each text once, in reading order: by time, down, to the right.

    ``frames``: (T, H, W, 3) uint8 RGB; ``seconds``: (T,) ascending.
    Raises InputError where the ``ocr`` extra is not installed.
    """
    lines: list[Perceived] = []
    for frame, second in zip(frames, seconds, strict=True):
        for line in _read(frame, second):
            twin = next((i for i, known in enumerate(lines) if _same(known, line)), None)
            if twin is None:
                lines.append(line)
            else:
                first, best = lines[twin], _better(lines[twin], line)
                track = first.track + line.track
                lines[twin] = replace(best, start=first.start, end=second, track=track)
    return tuple(lines)


def _read(frame: np.ndarray, second: float) -> Iterator[Perceived]:
    """The lines of one (H, W, 3) picture as the engine orders them: down, then to the right."""
    with _LOCK:
        found = _engine()(np.ascontiguousarray(frame[..., ::-1]))  # BGR
    if not found.txts:
        return
    height, width = frame.shape[:2]
    for text, score, corners in zip(found.txts, found.scores, found.boxes, strict=True):
        left, top = (corners.min(0) / (width, height)).tolist()
        right, bottom = (corners.max(0) / (width, height)).tolist()
        letters = len(_letters(text))
        if letters > 2 or (letters == 2 and bottom - top < LETTER_HEIGHT):
            box = (left, top, right, bottom)
            name = " ".join(text.split())
            yield Perceived(name, float(score), second, second, box, track=((second, box),))


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _better(one: Perceived, other: Perceived) -> Perceived:
    """The spelling with the better score; of a text and a cut-off part of it, the whole."""
    short, long = sorted(
        (one, other), key=lambda line: (len(_letters(line.name)), line.probability)
    )
    whole = _letters(short.name) in _letters(long.name)
    return long if whole or long.probability > short.probability else short


def _same(one: Perceived, other: Perceived) -> bool:
    """Equal letters anywhere, or nearly equal ones in one place; "Room 1" is not "Room 2"."""
    a, b = _letters(one.name), _letters(other.name)
    if a == b:
        return True
    if list(filter(str.isdigit, a)) != list(filter(str.isdigit, b)):
        return False
    left, right = one.box or EVERYWHERE, other.box or EVERYWHERE
    overlap = all(
        max(left[axis], right[axis]) < min(left[axis + 2], right[axis + 2]) for axis in (0, 1)
    )
    return overlap and SequenceMatcher(None, a, b, autojunk=False).ratio() >= SIMILAR


@lru_cache(maxsize=1)
def _engine() -> Any:
    if not available():
        raise InputError(f"reading text in pictures needs the 'ocr' extra: {INSTALL}")
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": MIN_SCORE,
            "Global.use_cls": False,  # text upside down
            # Resizing and padding of odd pictures: fails on some, and needs GBs for wide ones.
            "Global.use_preprocess_img": False,
            "Global.use_vertical_padding": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTOR_SIDE,
            # As fast as two where torch computes beside it.
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
