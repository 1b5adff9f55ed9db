"""Dialogue by listening, with a scripted listener; with the real one where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clips import ffmpeg, make_clip

from assistant.dialogue import speech
from assistant.dialogue.subtitles import Line
from assistant.errors import InputError, VideoError
from assistant.weights import store as weights_store

TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=4")


@pytest.fixture(autouse=True)
def no_model_kept() -> Iterator[None]:
    speech.speech_model.cache_clear()
    yield
    speech.speech_model.cache_clear()


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("silent") / "silent.mp4", 25)


@pytest.fixture(scope="module")
def sounding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounding") / "sounding.mp4"
    return make_clip(path, 100, inputs=TONE, output=("-c:a", "aac"))


class Listener:
    """Hears a word in every second, and says how long the sound was."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def transcribe(self, sound: np.ndarray, **_: Any) -> tuple[list[SimpleNamespace], None]:
        assert sound.dtype == np.float32
        assert np.abs(sound).max() > 0.05
        seconds = round(len(sound) / 16000)
        words = [SimpleNamespace(text=f" of {seconds}", start=n, end=n + 1) for n in range(seconds)]
        return [*words, SimpleNamespace(text="  ", start=0, end=0)], None


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    double = ModuleType("faster_whisper")
    double.WhisperModel = Listener  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", double)
    monkeypatch.setattr(weights_store, "ensure", lambda name: tmp_path)
    monkeypatch.setattr(speech.voices, "available", lambda: False)  # it hears a tone in the clip


@pytest.mark.usefixtures("listener")
def test_lines_have_the_clips_times(sounding: Path) -> None:
    dialogue = speech.transcribe(sounding)
    assert dialogue.source == "speech recognition, English"
    assert dialogue.lines == tuple(Line("of 4", None, n, n + 1) for n in range(4))
    part = speech.transcribe(sounding, start=1.0, end=3.0)
    assert part.lines == (Line("of 2", None, 1.0, 2.0), Line("of 2", None, 2.0, 3.0))


@pytest.mark.usefixtures("listener")
def test_of_several_sound_tracks_the_one_that_it_understands_is_heard(
    sounding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    two = ("-map", "0", "-map", "0:a", "-c", "copy", "-metadata:s:a:0", "language=ger")
    ffmpeg("-i", sounding, *two, "-metadata:s:a:1", "language=eng", tmp_path / "two.mkv")
    assert speech.transcribe(tmp_path / "two.mkv").warnings == (
        "sound track 2 of 2 (English, default)",
    )
    one = ("-c", "copy", "-metadata:s:a:0", "language=ger")
    ffmpeg("-i", sounding, *one, tmp_path / "one.mkv")
    told = ("its sound is in German; English was wanted",)
    assert speech.transcribe(tmp_path / "one.mkv").warnings == told


@pytest.mark.usefixtures("listener")
def test_a_clip_without_sound_says_so(silent: Path) -> None:
    dialogue = speech.transcribe(silent)
    assert not dialogue
    assert dialogue.source == "speech recognition (the clip has no sound)"


@pytest.mark.usefixtures("listener")
def test_no_clip_is_a_video_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4"):
        speech.transcribe(tmp_path / "none.mp4")


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, silent: Path
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(InputError, match="pip install faster-whisper") as caught:
        speech.transcribe(silent)
    assert "\n" not in str(caught.value)


def test_the_real_listener_hears_no_words_in_a_tone(sounding: Path) -> None:
    pytest.importorskip("faster_whisper", reason="the 'speech' extra is not installed")
    if not weights_store.installed(speech.WEIGHTS):
        pytest.skip("whisper-tiny.en is not fetched")
    dialogue = speech.transcribe(sounding)
    assert not dialogue
    assert dialogue.source == "speech recognition (no speech heard)"
