"""Dialogue by listening: Whisper tiny.en through faster-whisper (the ``speech`` extra)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.languages import name_of
from assistant.core.progress import report
from assistant.dialogue import voices
from assistant.dialogue.subtitles import Dialogue, Line
from assistant.errors import InputError

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

WEIGHTS = "whisper-tiny.en"
SOURCE = "speech recognition"
LANGUAGE = "en"  # the only one that it knows
NO_SPEECH = f"{SOURCE} (no speech heard)"
RATE = 16000  # samples per second that Whisper hears


def transcribe(
    video: str | Path, *, start: float | None = None, end: float | None = None
) -> Dialogue:
    """What is said in a clip, in English, or in its range of seconds; times are the clip's.

    Without sound, or where nobody speaks, there are no lines and ``source`` says why.

    Raises:
        InputError: the ``speech`` extra is not installed. WeightsError: its weights cannot be had.
        VideoError: the clip cannot be read.
    """
    check_extra()
    from assistant.media.video import probe, read_audio

    if not probe(video).has_audio:
        return Dialogue(source=f"{SOURCE} (the clip has no sound)")
    sound, notes = read_audio(video, start=start, end=end, rate=RATE, language=LANGUAGE)
    if not len(sound):
        return Dialogue(source=f"{SOURCE} (no sound in the range)", warnings=notes)
    if voices.available() and not voices.has_speech(sound):  # far cheaper than listening for words
        return Dialogue(source=NO_SPEECH, warnings=notes)
    model = speech_model()
    # Without the voice filter, music and noise become words.
    segments, _ = model.transcribe(
        sound, language=LANGUAGE, vad_filter=True, condition_on_previous_text=False
    )
    begin = start or 0.0
    lines = []
    for segment in segments:
        report("Listening", segment.end, len(sound) / RATE)
        if text := segment.text.strip():
            lines.append(Line(text, start=begin + segment.start, end=begin + segment.end))
    return Dialogue(tuple(lines), f"{SOURCE}, {name_of(LANGUAGE)}" if lines else NO_SPEECH, notes)


def check_extra() -> None:
    """
    Raises:
        InputError: the ``speech`` extra is missing.
    """
    try:
        import faster_whisper  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"listening needs the 'speech' extra ({error}): pip install faster-whisper"
        ) from error


@lru_cache(maxsize=2)
def speech_model(precision: str = "int8") -> WhisperModel:
    """Whisper tiny.en on the CPU.

    Raises:
        InputError: the ``speech`` extra is not installed. WeightsError: its weights cannot be had.
    """
    check_extra()
    from faster_whisper import WhisperModel

    from assistant.weights.store import ensure

    return WhisperModel(
        str(ensure(WEIGHTS)), device="cpu", compute_type=precision, local_files_only=True
    )
