"""What else is in a clip: facts, subtitle tracks, sound."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from clips import X264, ffmpeg, make_clip, number_of
from fakes import ScriptedModel

from assistant.core.languages import language_of, own_language
from assistant.errors import InputError, VideoError
from assistant.media.video import probe, read_audio, read_clip, read_subtitle_track
from assistant.model.features import FeatureStore
from assistant.vqa.assistants import Assistant

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
    (first, second), notes = read_subtitle_track(with_track(tmp_path, name, codec))
    assert notes == ()
    assert first[:2] == pytest.approx((0.5, 1.25), abs=0.002)
    assert first[2:] == (None, "- Hello, Penny.\n- Hi!")
    assert second[:2] == pytest.approx((2, 3), abs=0.002)
    assert second[3] == "Grüße, 1,2,3"


def test_subtitle_track_with_speakers(tmp_path):
    (line,), _ = read_subtitle_track(with_track(tmp_path, "a.mkv", "ass", ASS))
    assert line == (0.5, 1.25, "SHELDON", "That is my spot,\nobviously.")


def test_subtitle_times_are_on_the_pictures_clock(tmp_path):
    whole = with_track(tmp_path, "a.mkv", "subrip")
    ffmpeg("-i", whole, "-c", "copy", "-output_ts_offset", "100", tmp_path / "late.mkv")
    ((start, end, *_), _), _ = read_subtitle_track(tmp_path / "late.mkv")
    assert (start, end) == pytest.approx((0.5, 1.25), abs=0.002)


def test_no_subtitle_track(tmp_path):
    assert read_subtitle_track(make_clip(tmp_path / "clip.mp4", 2)) == ([], ())


def test_tracks_of_pictures_are_said_not_to_be_read(tmp_path):
    def segment(kind: int, data: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", 9000, 0, kind, len(data)) + data

    shown = struct.pack(">HHBHBBBB", 96, 64, 0x10, 0, 0x80, 0, 0, 0)  # no object: an empty screen
    (tmp_path / "a.sup").write_bytes(segment(0x16, shown) + segment(0x80, b""))
    clip = make_clip(tmp_path / "clip.mp4", 25)
    both = ("-i", clip, "-i", tmp_path / "a.sup", "-map", "0", "-map", "1", "-c", "copy")
    ffmpeg(*both, tmp_path / "a.mkv")
    lines, notes = read_subtitle_track(tmp_path / "a.mkv")
    assert lines == []
    assert notes == ("none of its subtitle tracks (1) is text: they are not read",)


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


def heard(path: Path, **options: object) -> np.ndarray:
    sound, notes = read_audio(path, **options)
    assert notes == ()
    return sound


def pitch_of(sound: np.ndarray, rate: int = 16000) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * rate / len(sound))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_sound(tmp_path, name):
    path = tone_clip(tmp_path, name)
    sound = heard(path)
    assert sound.dtype == np.float32 and sound.ndim == 1
    assert len(sound) / 16000 == pytest.approx(4, abs=0.1)
    assert 0.05 < np.abs(sound).max() <= 1
    assert pitch_of(sound[8000:24000]) == pytest.approx(440, abs=5)
    part = heard(path, start=1.5, end=2.5)
    assert len(part) / 16000 == pytest.approx(1, abs=0.001)
    assert pitch_of(part[:7000]) == pytest.approx(440, abs=5)
    assert pitch_of(part[-7000:]) == pytest.approx(1000, abs=5)


def test_sound_is_the_same_whether_sought_or_not(tmp_path):
    path = tone_clip(tmp_path, "a.mov", "-c:a", "pcm_s16le")
    whole, part = heard(path), heard(path, start=2.25, end=3)
    assert np.abs(whole[36000:48000] - part)[100:-100].max() < 0.05


def test_silence_where_the_sound_has_a_gap(tmp_path):
    sound = ("-f", "lavfi", "-i", "sine=duration=4", "-af", "aselect=not(between(t\\,1\\,2))")
    path = make_clip(tmp_path / "a.mkv", 100, inputs=sound, output=("-c:a", "pcm_s16le"))
    sound = heard(path)
    assert len(sound) / 16000 == pytest.approx(4, abs=0.05)
    assert np.abs(sound[17600:30400]).max() == 0
    assert np.abs(sound[33000:]).max() > 0.05


def test_sound_that_starts_late_is_in_its_place(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 100)
    late = ("-itsoffset", "1.5", "-f", "lavfi", "-i", "sine=duration=2")
    ffmpeg("-i", clip, *late, "-c:v", "copy", "-c:a", "pcm_s16le", tmp_path / "a.mkv")
    sound = heard(tmp_path / "a.mkv")
    assert np.flatnonzero(sound)[0] / 16000 == pytest.approx(1.5, abs=0.01)


def test_sound_refusals(tmp_path):
    silent = make_clip(tmp_path / "silent.mp4", 5)
    with pytest.raises(VideoError, match="has no sound in it"):
        read_audio(silent)
    path = tone_clip(tmp_path, "a.mp4")
    with pytest.raises(VideoError, match=r"4\.\d\d s long"):
        read_audio(path, start=30)
    with pytest.raises(InputError):
        read_audio(path, rate=0)


SPOKEN = "1\n00:00:00,200 --> 00:00:00,800\n{}\n"


def clip_with(folder: Path, kind: str, tracks: list[str], name: str = "tracks.mkv") -> Path:
    """A clip with a track for each of "LANGUAGE FLAGS TITLE"; its pitch or line tells its place."""
    inputs, maps, tags = [], ["-map", "0:v"], []
    for number, track in enumerate(tracks):
        spoken, flags, *title = track.split(" ", 2)
        if kind == "a":
            inputs += ["-f", "lavfi", "-i", f"sine={300 + 200 * number}:duration=1"]
        else:
            (folder / f"{number}.srt").write_text(SPOKEN.format(f"line {number + 1}"))
            inputs += ["-i", folder / f"{number}.srt"]
        maps += ["-map", str(number + 1)]
        tags += [f"-disposition:{kind}:{number}", flags]
        tags += [f"-metadata:s:{kind}:{number}", f"language={spoken}"]
        tags += [f"-metadata:s:{kind}:{number}", f"title={title[0]}"] if title else []
    codec = ("-c:a", "pcm_s16le", "-c:s", "subrip")
    return make_clip(folder / name, 25, inputs=[*inputs, *maps], output=(*codec, *tags))


CHOICES = [  # the person's locale, the tracks, the number of the right one and what is said of it
    ("C", ["jpn comment", "eng default", "fre 0"], 2, "English, default"),
    ("C.UTF-8", ["ger 0", "fre 0"], 1, "German"),
    ("fr_FR.UTF-8", ["ger default", "eng 0", "fre 0"], 3, "French"),
    ("de_AT", ["eng default", "deu comment", "ger 0"], 3, "German"),
    ("en_GB", ["eng forced+default", "eng 0"], 2, "English"),
    ("en_GB", ["eng default Signs & Songs", "eng 0 Full"], 2, "English"),
    ("en_GB", ["eng default SDH", "eng 0", "ger 0"], 2, "English"),
    ("en", ["ger default", "eng hearing_impaired"], 2, "English, for the hard of hearing"),
    ("en", ["und default English", "und 0 Deutsch"], 1, "English, default"),
    ("en", ["ger 0", "eng forced"], 1, "German"),
    ("POSIX", ["und 0", "und 0"], 1, ""),
]


@pytest.mark.parametrize(("locale", "tracks", "right", "said"), CHOICES)
def test_which_of_several_tracks_is_read(tmp_path, monkeypatch, locale, tracks, right, said):
    monkeypatch.setenv("LC_ALL", locale)
    told = f"track {right} of {len(tracks)}" + (f" ({said})" if said else "")
    lines, notes = read_subtitle_track(clip_with(tmp_path, "s", tracks))
    assert [line[3] for line in lines] == [f"line {right}"]
    assert notes == (f"subtitle {told}",)
    sound, notes = read_audio(clip_with(tmp_path, "a", tracks))
    assert pitch_of(sound) == pytest.approx(100 + 200 * right, abs=5)
    assert notes == (f"sound {told}",)


def test_the_locale_names_the_persons_language(monkeypatch):
    for named, language in (
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "pt_BR"}, "pt"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "pt_BR", "LC_ALL": "sr@latin"}, "sr"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": ""}, "de"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8"}, None),
        ({}, None),
    ):
        assert own_language(named) == language
    same = (
        ("nb", "nor", "no_NO"),
        ("zh-Hans", "chi", "cmn"),
        ("cze", "ces", "Czech"),
        ("xx-yy", "XX"),
    )
    for tags in same:
        assert len({language_of(tag) for tag in tags}) == 1


def test_a_listener_who_knows_one_language_gets_it_or_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE")
    both = clip_with(tmp_path, "a", ["ger default", "eng 0"])
    assert read_audio(both)[1] == ("sound track 1 of 2 (German, default)",)
    assert read_audio(both, language="en")[1] == ("sound track 2 of 2 (English)",)
    alone = clip_with(tmp_path, "a", ["ger default"])
    assert read_audio(alone, language="en")[1] == ("its sound is in German; English was wanted",)


def test_the_default_video_track_is_read_and_no_cover(tmp_path):
    low, high = (
        make_clip(tmp_path / "low.mp4", 10),
        make_clip(tmp_path / "high.mp4", range(100, 110)),
    )
    both = ("-i", low, "-i", high, "-map", "0", "-map", "1", "-c", "copy")
    ffmpeg(*both, "-disposition:v:0", "0", "-disposition:v:1", "default", tmp_path / "two.mkv")
    clip = read_clip(tmp_path / "two.mkv", frames=2)
    assert number_of(clip.frames[0]) >= 100
    assert clip.warnings == ("video track 2 of 2 (default)",)
    with pytest.raises(VideoError, match="decord takes its own"):
        read_clip(tmp_path / "two.mkv", decoder="decord")
    ffmpeg("-i", low, "-frames:v", "1", tmp_path / "cover.png")
    cover = ("-i", tmp_path / "cover.png", "-i", high, "-map", "0", "-map", "1", "-c", "copy")
    for flag, name, notes in (
        ("attached_pic", "cover.mp4", ()),
        ("default", "cover.mkv", ("video track 2 of 2",)),
    ):
        ffmpeg(*cover, "-disposition:v:0", flag, "-disposition:v:1", "0", tmp_path / name)
        clip = read_clip(tmp_path / name, frames=2)
        assert number_of(clip.frames[0]) >= 100
        assert clip.warnings == notes


def test_an_answer_says_which_tracks_were_read(tmp_path, monkeypatch):
    said = clip_with(tmp_path, "s", ["ger default", "eng 0"])
    other = make_clip(tmp_path / "other.mp4", range(100, 125))
    both = ("-i", said, "-i", other, "-map", "0:v", "-map", "1:v", "-map", "0:s", "-c", "copy")
    tags = ("-metadata:s:v:0", "language=ger", "-metadata:s:v:1", "language=eng")
    tags += ("-disposition:v:0", "default", "-disposition:v:1", "0")
    ffmpeg(*both, *tags, tmp_path / "all.mkv")
    asking = Assistant(ScriptedModel(), FeatureStore(tmp_path / "features"))
    for locale, tracks in (("de_DE", "1 of 2 (German, default)"), ("en_US", "2 of 2 (English)")):
        monkeypatch.setenv("LC_ALL", locale)
        answer = asking.open(tmp_path / "all.mkv").ask("What is it?")
        told = answer.as_dict()["warnings"]
        assert told[:2] == [f"video track {tracks}", f"subtitle track {tracks}"]
