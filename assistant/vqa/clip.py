"""The clip of a session: found, decoded and encoded once per range that is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.checks import check_range
from assistant.core.languages import own_language
from assistant.dialogue.spoken import Range
from assistant.dialogue.subtitles import FORMATS as DIALOGUES
from assistant.errors import InputError, VideoError
from assistant.model.features import ClipFeatures, FeatureKey, content_digest, encode_clip
from assistant.sources import Look, Source, perceiver
from assistant.vqa.answer import Answer
from assistant.vqa.evidence import check_frames

if TYPE_CHECKING:
    import numpy as np

    from assistant.vqa.session import Assistant

MAX_FRAMES = 256
CHECKED_SIDE = 64  # pixels of a picture that is decoded to see whether it can be


class SessionClip:
    """One clip, or none."""

    def __init__(self, path: Path | None, frames: int, decoder: str, assistant: Assistant) -> None:
        """``frames``: how many are looked at, whatever the range.

        Raises:
            InputError: ``frames`` out of its range. VideoError: no such file.
        """
        if not 1 <= frames <= MAX_FRAMES:
            raise InputError(f"frames is {frames}; choose 1 to {MAX_FRAMES}")
        self.path = path
        self.notes: tuple[str, ...] = ()  # for the person who asks
        self._frames, self._decoder = frames, decoder
        self._assistant = assistant
        self._digest = "" if path is None else content_digest(path)
        self._seen: dict[Range, ClipFeatures] = {}
        self._perceived: dict[tuple[Range, str], Source] = {}

    @property
    def duration(self) -> float:
        """Seconds of the whole clip. Raises InputError: there is none."""
        from assistant.media.video import probe

        for clip in self._seen.values():
            return clip.duration
        return probe(self._there()).duration

    def check(self, where: Range) -> None:
        """Decode one picture of the range: for where the model that looks is not loaded yet.

        Raises:
            InputError: an empty range, or the file holds dialogue. VideoError: nothing could be
                decoded.
        """
        check_range(*where)
        if self.path is None or where in self._seen:
            return
        try:
            self._pictures_of(where, 1, CHECKED_SIDE)
        except VideoError as error:
            if self.path.suffix.lower() in DIALOGUES:
                raise InputError(f"{error}; if it is what is said, give it as dialogue") from error
            raise

    def look(self, where: Range) -> ClipFeatures:
        """What the encoder sees in the range.

        Raises:
            InputError: an empty range, or there is no clip. VideoError: nothing could be decoded.
        """
        check_range(*where)
        if where not in self._seen:
            self._seen[where] = self._load(*where)
        return self._seen[where]

    def perceive(self, where: Range, names: Sequence[str]) -> tuple[Source, ...]:
        """What these sources say of the range; each is asked once.

        Raises:
            InputError: an empty range, or there is no clip. VideoError: nothing could be decoded.
        """
        seen = self.look(where)
        model = self._assistant.model
        look = Look(
            patches=seen.patches,
            classes=seen.classes,
            class_names=model.class_names,
            seconds=seen.seconds,
            encoder=seen.encoder,
            pictures=partial(self._pictures_of, where),
            space=lambda: model.space,
        )
        for name in names:
            if (where, name) not in self._perceived:
                self._perceived[where, name] = perceiver(name).look_at(name, look)
        return tuple(self._perceived[where, name] for name in names)

    def _pictures_of(
        self, where: Range, count: int, max_side: int
    ) -> tuple[np.ndarray, tuple[float, ...]]:
        """``(N, H, W, 3)`` uint8 RGB spread evenly over the range, and their times in seconds."""
        from assistant.media.video import read_clip

        start, end = where
        clip = read_clip(
            self._there(),
            frames=count,
            start=start,
            end=end,
            decoder=self._decoder,
            max_side=max_side,
        )
        return clip.frames, clip.seconds

    def pictures(self, answer: Answer, max_side: int) -> np.ndarray:
        """The frames that ``answer`` looked at, ``(T, H, W, 3)`` uint8, decoded once more.

        Raises:
            InputError: it looked at none. VideoError: the clip cannot be read any more.
        """
        check_frames(answer)
        return self._pictures_of(answer.basis.window, self._frames, max_side)[0]

    def _there(self) -> Path:
        if self.path is None:
            raise InputError("there is no clip to look at, only a dialogue")
        return self.path

    def _load(self, start: float | None, end: float | None) -> ClipFeatures:
        """Features of a range, from the store or from the clip itself."""
        model, store = self._assistant.model, self._assistant.store
        path = self._there()
        key = FeatureKey(
            self._digest,
            start,
            end,
            self._frames,
            self._decoder,
            model.encoder_fingerprint,
            own_language(),
        )
        try:
            found = store.get(key)
        except OSError:  # put() meets the same and says so
            found = None
        if found is not None:
            return found
        features = encode_clip(path, key, model)
        try:
            store.put(key, features)
        except OSError as error:
            self.notes = (f"features are not kept on disk: {error.strerror or error}",)
        return features
