"""What else is in a clip: facts, subtitle tracks, sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import X264, ffmpeg, make_clip

from assistant.errors import InputError, VideoError
from assistant.media.video import probe, read_audio, read_subtitle_track

SUBRIP = """1
00:00:00,500 --> 00:00:01,250
- Hello, <i>Penny</i>.
- Hi!

2
00:00:02,000 --> 00:00:03,000
Grüße, 1,2,3

"""
ASS = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.50,0:00:01.25,Default,SHELDON,0,0,0,,{\\an8}That is my spot,\\Nobviously.
"""


def with_track(folder: Path, name: str, codec: str, track: str = SUBRIP, *options: str) -> Path:
    source = folder / ("track.ass" if track is ASS else "track.srt")
    source.write_text(track, encoding="utf-8")
    video = X264 if not name.endswith("webm") else ("-c:v", "libvpx", "-deadline", "realtime")
    inputs = ("-i", source, "-map", "0:v", "-map", "1")
    return make_clip(
        folder / name, 100, inputs=inputs, codec=video, output=("-c:s", codec, *options)
    )


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mov_text"), ("a.mkv", "subrip"), ("a.webm", "webvtt")]
)
def test_subtitle_track(tmp_path, name, codec):
    first, second = read_subtitle_track(with_track(tmp_path, name, codec))
    assert first[:2] == pytest.approx((0.5, 1.25), abs=0.002)
    assert first[2] == "- Hello, Penny.\n- Hi!"
    assert second[:2] == pytest.approx((2, 3), abs=0.002)
    assert second[2] == "Grüße, 1,2,3"


def test_subtitle_track_with_speakers(tmp_path):
    (line,) = read_subtitle_track(with_track(tmp_path, "a.mkv", "ass", ASS))
    assert line == (0.5, 1.25, "SHELDON: That is my spot,\nobviously.")


def test_subtitle_times_are_on_the_pictures_clock(tmp_path):
    whole = with_track(tmp_path, "a.mkv", "subrip")
    ffmpeg("-i", whole, "-c", "copy", "-output_ts_offset", "100", tmp_path / "late.mkv")
    (start, end, _), _ = read_subtitle_track(tmp_path / "late.mkv")
    assert (start, end) == pytest.approx((0.5, 1.25), abs=0.002)


def test_no_subtitle_track(tmp_path):
    assert read_subtitle_track(make_clip(tmp_path / "clip.mp4", 2)) == []


def test_probe(tmp_path):
    sound = ("-f", "lavfi", "-i", "sine=duration=4")
    tracks = with_track(
        tmp_path, "a.mkv", "subrip", SUBRIP, "-metadata:s:s:0", "language=ger", "-vf", "setsar=2/1"
    )
    ffmpeg("-i", tracks, *sound, "-map", "0", "-map", "1", "-c:v", "copy", tmp_path / "b.mkv")
    info = probe(tmp_path / "b.mkv")
    assert info.duration == pytest.approx(4)
    assert (info.width, info.height) == (192, 64)
    assert (info.fps, info.codec) == (25, "h264")
    assert info.has_audio
    assert info.subtitle_tracks == ("ger",)
    bare = probe(make_clip(tmp_path / "c.mp4", 10, codec=(*X264, "-vf", "transpose")))
    assert (bare.width, bare.height, bare.has_audio, bare.subtitle_tracks) == (64, 96, False, ())


def test_probe_gives_the_size_as_shown(tmp_path):
    make_clip(tmp_path / "stored.mp4", 5)
    turn = ("-display_rotation", "90", "-i", tmp_path / "stored.mp4", "-c", "copy")
    ffmpeg(*turn, tmp_path / "clip.mp4")
    info = probe(tmp_path / "clip.mp4")
    assert (info.width, info.height) == (64, 96)


def tone_clip(folder: Path, name: str, *codec: str) -> Path:
    """4 s: 440 Hz, then from second 2 on 1000 Hz, at another rate and in stereo."""
    low = ("-f", "lavfi", "-i", "sine=440:duration=2:sample_rate=44100")
    high = ("-f", "lavfi", "-i", "sine=1000:duration=2:sample_rate=44100")
    join = ("-filter_complex", "[1][2]concat=v=0:a=1,pan=stereo|c0=c0|c1=c0[s]")
    maps = ("-map", "0:v", "-map", "[s]")
    return make_clip(folder / name, 100, inputs=(*low, *high, *join, *maps), output=codec)


def pitch_of(sound: np.ndarray, rate: int = 16000) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * rate / len(sound))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_sound(tmp_path, name):
    path = tone_clip(tmp_path, name)
    sound = read_audio(path)
    assert sound.dtype == np.float32 and sound.ndim == 1
    assert len(sound) / 16000 == pytest.approx(4, abs=0.1)
    assert 0.05 < np.abs(sound).max() <= 1
    assert pitch_of(sound[8000:24000]) == pytest.approx(440, abs=5)
    part = read_audio(path, start=1.5, end=2.5)
    assert len(part) / 16000 == pytest.approx(1, abs=0.001)
    assert pitch_of(part[:7000]) == pytest.approx(440, abs=5)
    assert pitch_of(part[-7000:]) == pytest.approx(1000, abs=5)


def test_sound_is_the_same_whether_sought_or_not(tmp_path):
    path = tone_clip(tmp_path, "a.mov", "-c:a", "pcm_s16le")
    whole, part = read_audio(path), read_audio(path, start=2.25, end=3)
    assert np.abs(whole[36000:48000] - part)[100:-100].max() < 0.05


def test_silence_where_the_sound_has_a_gap(tmp_path):
    sound = ("-f", "lavfi", "-i", "sine=duration=4", "-af", "aselect=not(between(t\\,1\\,2))")
    path = make_clip(tmp_path / "a.mkv", 100, inputs=sound, output=("-c:a", "pcm_s16le"))
    heard = read_audio(path)
    assert len(heard) / 16000 == pytest.approx(4, abs=0.05)
    assert np.abs(heard[17600:30400]).max() == 0
    assert np.abs(heard[33000:]).max() > 0.05


def test_sound_that_starts_late_is_in_its_place(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 100)
    late = ("-itsoffset", "1.5", "-f", "lavfi", "-i", "sine=duration=2")
    ffmpeg("-i", clip, *late, "-c:v", "copy", "-c:a", "pcm_s16le", tmp_path / "a.mkv")
    heard = read_audio(tmp_path / "a.mkv")
    assert np.flatnonzero(heard)[0] / 16000 == pytest.approx(1.5, abs=0.01)


def test_sound_refusals(tmp_path):
    silent = make_clip(tmp_path / "silent.mp4", 5)
    with pytest.raises(VideoError, match="has no sound in it"):
        read_audio(silent)
    path = tone_clip(tmp_path, "a.mp4")
    with pytest.raises(VideoError, match=r"4\.\d\d s long"):
        read_audio(path, start=30)
    with pytest.raises(InputError):
        read_audio(path, rate=0)
