"""The clip of a session: found, decoded and encoded once per range that is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.checks import check_range
from assistant.core.languages import own_language
from assistant.core.progress import report
from assistant.dialogue.spoken import Range
from assistant.dialogue.subtitles import FORMATS as DIALOGUES
from assistant.dialogue.subtitles import Dialogue, Line
from assistant.errors import InputError, VideoError
from assistant.model.features import ClipFeatures, FeatureKey, content_digest, encode_clip
from assistant.sources import SOURCES, Look, Perceived, Source, perceiver
from assistant.vqa.perception import Perception

if TYPE_CHECKING:
    import numpy as np

    from assistant.model.audio import Ear
    from assistant.model.hearing import Heard
    from assistant.model.sound_naming import SoundNaming
    from assistant.model.sound_pieces import ClipSound
    from assistant.vqa.assistants import Assistant

MAX_FRAMES = 256
SAID = "said"  # what was transcribed, among the sources' files
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
    def sounds(self) -> SoundNaming:
        """What names those that are heard."""
        return self._assistant.sounds

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
            self._seen[where] = self._load(where)
        return self._seen[where]

    def hear(self, where: Range, ear: Ear) -> Heard:
        """What is heard in the range beside its frames.

        Raises:
            InputError: an empty range, or there is no clip. VideoError: it cannot be read.
        """
        from assistant.model.audio import read_sound
        from assistant.model.block_files import get_block, put_block
        from assistant.model.hearing import Heard

        frames, store = len(self.look(where).patches), self._assistant.store
        key = replace(self._key(where), encoder=ear.fingerprint, frames=frames)
        with self._noting():
            if found := get_block(store, key):
                return Heard(**found)
        report("Listening", 0.0)
        heard = ear.hear(read_sound(self._there(), frames, *where))
        with self._noting():
            put_block(store, key, {"tokens": heard.tokens, "mask": heard.mask})
        return heard

    def perception(self, where: Range, names: Sequence[str]) -> Perception:
        """What these sources say, with all that belongs to it; raises as :meth:`perceive`."""
        seen, found = self.look(where), self.perceive(where, names)
        warnings = [*seen.warnings, *self.notes, *(one.warning for one in found if one.warning)]
        return Perception(
            video=str(self.path),
            duration=seen.duration,
            frames=seen.seconds,
            start=seen.start,
            end=seen.end,
            window=where,
            sources=found,
            warnings=tuple(dict.fromkeys(warnings)),
        )

    def perceive(self, where: Range, names: Sequence[str]) -> tuple[Source, ...]:
        """What these sources say of the range; each is asked once.

        Raises:
            InputError: an empty range, or there is no clip. VideoError: nothing could be decoded.
        """
        look = self.as_look(where)
        for name in names:
            if (where, name) not in self._perceived:
                self._perceived[where, name] = self._source(name, look, self._key(where))
        return tuple(self._perceived[where, name] for name in names)

    def likeness(self, where: Range, texts: Sequence[str]) -> list[float]:
        """How like texts are to the range, in the joint space: the mean over its frames."""
        look = self.as_look(where)
        return look.space().compare(look, texts).mean(0).tolist()

    def as_look(self, where: Range) -> Look:
        """The range, as sources perceive it; raises as :meth:`look`."""
        seen, sight = self.look(where), self._assistant.sight
        return Look(
            patches=seen.patches,
            classes=seen.classes,
            class_names=sight.class_names,
            seconds=seen.seconds,
            encoder=seen.encoder,
            pictures=partial(self._pictures_of, where),
            space=lambda: sight.space,
            sound=self.sound(where),
        )

    def _source(self, name: str, look: Look, key: FeatureKey) -> Source:
        """What one source says, from the store or at work; what it warns of is never kept."""
        source, store = perceiver(name), self._assistant.store
        if source.missing():
            return source.look_at(name, look)
        fingerprint = source.fingerprint(look)
        try:
            found = store.get_source(key, name, fingerprint)
        except OSError:  # put_source() meets the same and says so
            found = None
        if found is None:
            report(f"Looking for {SOURCES[name].thing}", 0.0)
            found = source.look_at(name, look)
            if not found.warning:
                with self._noting():
                    store.put_source(key, found, fingerprint)
        return found

    def transcribe(self, where: Range) -> Dialogue:
        """What is said in the range, by listening: once, for it is kept on disk.

        Raises:
            InputError: nothing here can listen, or there is no clip. VideoError: it cannot be
                read. WeightsError: the listener's weights cannot be had.
        """
        from assistant.dialogue import speech

        speech.check_extra()
        store = self._assistant.store
        key = FeatureKey(self._digest, *where, 0, self._decoder, speech.WEIGHTS, own_language())
        try:
            found = store.get_source(key, SAID, speech.SOURCE)
        except OSError:  # put_source() meets the same and says so
            found = None
        if found is not None:
            lines = [Line(one.name, start=one.start, end=one.end) for one in found.items]
            return Dialogue(tuple(lines), found.text, (found.warning,) if found.warning else ())
        heard = speech.transcribe(self._there(), start=where[0], end=where[1])
        items = tuple(Perceived(one.text, 1.0, one.start, one.end) for one in heard.lines)
        kept = Source(SAID, items, heard.source, warning="; ".join(heard.warnings))
        with self._noting():
            store.put_source(key, kept, speech.SOURCE)
        return heard

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

    def sound(self, where: Range) -> ClipSound:
        """That of a range, not listened to yet. Raises InputError: there is no clip."""
        from assistant.model.sound_pieces import ClipSound

        own = self._assistant
        return ClipSound(self._there(), self._digest, self.sounds, own.store, *where)

    def pictures(self, where: Range, max_side: int) -> np.ndarray:
        """The frames looked at in the range, ``(T, H, W, 3)`` uint8, decoded once more.

        Raises:
            VideoError: the clip cannot be read any more.
        """
        return self._pictures_of(where, self._frames, max_side)[0]

    def _there(self) -> Path:
        if self.path is None:
            raise InputError("there is no clip to look at, only a dialogue")
        return self.path

    def _key(self, where: Range) -> FeatureKey:
        fingerprint = self._assistant.sight.encoder_fingerprint
        return FeatureKey(
            self._digest, *where, self._frames, self._decoder, fingerprint, own_language()
        )

    def _load(self, where: Range) -> ClipFeatures:
        """Features of a range, from the store or from the clip itself."""
        path, key, store = self._there(), self._key(where), self._assistant.store
        try:
            found = store.get(key)
        except OSError:  # put() meets the same and says so
            found = None
        if found is not None:
            return found
        features = encode_clip(path, key, self._assistant.sight)
        with self._noting():
            store.put(key, features)
        return features

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """The person is told where the store cannot write."""
        try:
            yield
        except OSError as error:
            self.notes = (f"features are not kept on disk: {error.strerror or error}",)
