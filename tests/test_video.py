"""The pictures of a clip are the ones that ffmpeg shows at the same times."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from clips import X264, ffmpeg, make_clip, number_of, picture, reference_frames

from assistant.errors import InputError, VideoError
from assistant.media.video import Clip, read_clip

FPS, COUNT = 10, 80  # clips of 8 s: long enough for seeks
GROUPS = ("-g", "25", "-bf", "2")
FAST_VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "25")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params")
FORMATS = {
    "b_frames.mp4": (*X264, *GROUPS),
    "open_groups.mp4": (*X264, "-g", "25", "-bf", "3", "-x264-params", "open-gop=1"),
    "one_group.mp4": (*X264, "-g", "999", "-sc_threshold", "0"),
    "fragments.mp4": (*X264, *GROUPS, "-movflags", "frag_keyframe+empty_moov"),
    "ten_bit.mov": (*X265, "log-level=none:keyint=25:bframes=3:open-gop=1"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12", "-g", "25"),
    "h264.mkv": (*X264, *GROUPS),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25"),
    "no_duration.webm": (*FAST_VP8, "-live", "1"),
    "h264.ts": (*X264, *GROUPS),
    "mpeg2.mpg": ("-c:v", "mpeg2video", *GROUPS),
    "mpeg4.avi": ("-c:v", "mpeg4", *GROUPS),
    "theora.ogv": ("-c:v", "libtheora", "-g", "25"),
    "h264.flv": (*X264, *GROUPS),
    "animation.gif": (),
    "stream.h264": (*X264, *GROUPS),
}
VARIABLE = "select='lt(mod(n,25),3)+between(n,45,70)'"  # bursts, gaps, then every picture
needs_decord = pytest.mark.skipif(not find_spec("decord"), reason="decord is not installed")


def assert_as_ffmpeg_shows(path: Path, frames: int = 8, **options) -> Clip:
    clip = read_clip(path, frames=frames, **options)
    height, width = clip.frames.shape[1:3]
    seconds, pictures = reference_frames(path, (width, height))
    length = (clip.end - clip.start) / frames
    moments = [round(clip.start + (i + 0.5) * length, 6) for i in range(frames)]
    wanted = sorted({max(0, bisect_right(seconds, moment) - 1) for moment in moments})
    assert clip.seconds == pytest.approx([seconds[i] for i in wanted], abs=0.0015)
    far = np.abs(clip.frames.astype(int) - pictures[wanted]).mean(axis=(1, 2, 3))
    assert far.max() < 2, far
    assert clip.corrupt_frames == 0
    return clip


@pytest.mark.parametrize("name", FORMATS)
def test_whole_clip_and_range(tmp_path, name):
    path = make_clip(tmp_path / name, COUNT, fps=FPS, codec=FORMATS[name])
    clip = assert_as_ffmpeg_shows(path)
    assert len(clip.frames) == 8
    assert clip.warnings == ()
    assert clip.duration == pytest.approx(COUNT / FPS, abs=1.5 / FPS)
    part = assert_as_ffmpeg_shows(path, frames=3, start=5.32, end=6.1)
    assert (part.start, part.end) == (5.32, 6.1)


def test_numbers_in_the_pictures(tmp_path):
    """What the helper draws is what arrives, so that the tests above can fail."""
    path = make_clip(tmp_path / "clip.mp4", COUNT, fps=FPS)
    clip = read_clip(path, frames=4)
    assert [number_of(frame) for frame in clip.frames] == [10, 30, 50, 70]
    assert clip.seconds == (1.0, 3.0, 5.0, 7.0)
    assert clip.frames.flags.writeable and clip.frames.flags.c_contiguous
    assert clip.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (clip.path, clip.decoder) == (path, "pyav")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm"])
def test_variable_frame_rate(tmp_path, name):
    codec = FAST_VP8 if name.endswith("webm") else (*X264, "-bf", "2")
    codec = (*codec, "-vf", VARIABLE, "-fps_mode", "vfr")
    path = make_clip(tmp_path / name, COUNT, fps=FPS, codec=codec)
    clip = assert_as_ffmpeg_shows(path, frames=16)
    assert len(clip.frames) < 16  # a picture that stays is given once
    assert len(set(clip.seconds)) == len(clip.frames)


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.ts"])
def test_stream_copied_trim(tmp_path, name):
    """An edit list (MP4) hides the pictures between the key picture and the cut."""
    whole = make_clip(tmp_path / "whole.mp4", COUNT, fps=FPS, codec=(*X264, *GROUPS))
    ffmpeg("-ss", "3.3", "-i", whole, "-c", "copy", tmp_path / name)
    clip = assert_as_ffmpeg_shows(tmp_path / name)
    first = number_of(clip.frames[0])
    assert first == (35 if name == "cut.mp4" else first)


TURNS = {  # how the stored picture differs from the shown one, and what puts it right
    "upright": (lambda p: p, ()),
    "90": (lambda p: np.rot90(p, 1), ("-display_rotation", "-90")),
    "180": (lambda p: np.rot90(p, 2), ("-display_rotation", "180")),
    "270": (lambda p: np.rot90(p, 3), ("-display_rotation", "90")),
    "mirrored": (lambda p: p[:, ::-1], ("-display_hflip",)),
    "upside down": (lambda p: p[::-1], ("-display_vflip",)),
}


@pytest.mark.parametrize("name", TURNS)
def test_turned_clips_are_shown_upright(tmp_path, name):
    store, options = TURNS[name]
    pictures = [np.ascontiguousarray(store(picture(number))) for number in range(10)]
    height, width = pictures[0].shape[:2]
    size = f"{width}x{height}"
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", "10", "-i", "pipe:0")
    stored = b"".join(p.tobytes() for p in pictures)
    ffmpeg(*raw, *X264, tmp_path / "stored.mp4", stdin=stored)
    ffmpeg(*options, "-i", tmp_path / "stored.mp4", "-c", "copy", tmp_path / "clip.mp4")
    clip = assert_as_ffmpeg_shows(tmp_path / "clip.mp4", frames=5)
    assert clip.frames.shape[1:3] == (64, 96)
    assert [number_of(frame) for frame in clip.frames] == [1, 3, 5, 7, 9]


def test_wide_pixels_are_stretched(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", 10, codec=(*X264, "-vf", "setsar=2/1"))
    clip = read_clip(path, frames=2, max_side=150)
    assert clip.frames.shape == (2, 50, 150, 3)  # 192 x 64 as shown
    assert [number_of(frame) for frame in clip.frames] == [2, 7]


@pytest.mark.parametrize(
    ("size", "shape"),
    [((101, 57), (57, 101)), ((640, 360), (252, 448)), ((90, 200), (200, 90)), ((2, 2), (2, 2))],
)
def test_size(tmp_path, size, shape):
    """Shrunk to the longer side, never enlarged, odd sizes too."""
    codec = ("-c:v", "ffv1")
    clip = assert_as_ffmpeg_shows(make_clip(tmp_path / "a.mkv", 5, size=size, codec=codec))
    assert clip.frames.shape[1:3] == shape


@pytest.mark.parametrize(
    "name", ["clip.mp4", "picture.png", "picture.jpg", "picture.webp", "a.gif"]
)
def test_one_picture(tmp_path, name):
    path = make_clip(tmp_path / name, [5], codec=X264 if name == "clip.mp4" else ())
    clip = read_clip(path)
    assert [number_of(frame) for frame in clip.frames] == [5]
    assert clip.seconds == (0.0,)


def test_fewer_pictures_than_asked(tmp_path):
    clip = read_clip(make_clip(tmp_path / "clip.mp4", 3), frames=64)
    assert [number_of(frame) for frame in clip.frames] == [0, 1, 2]


@pytest.mark.parametrize("name", ["two_hours.mp4", "two_hours.mkv", "two_hours.ts"])
def test_two_hours(tmp_path, name):
    """Pictures are found by seeking, at the right times to the end."""
    minute = make_clip(tmp_path / "minute.mp4", 120, fps=2, codec=(*X264, "-g", "20"))
    ffmpeg("-stream_loop", "119", "-i", minute, "-c", "copy", tmp_path / name)
    clip = read_clip(tmp_path / name, frames=7)
    assert clip.duration == pytest.approx(7200)
    assert clip.seconds[-1] == pytest.approx(7200 * 13 / 14, abs=0.5)
    assert [number_of(f) for f in clip.frames] == [round(s % 60 * 2) for s in clip.seconds]
    part = read_clip(tmp_path / name, frames=4, start=7198, end=7200)
    assert [number_of(frame) for frame in part.frames] == [116, 117, 118, 119]


@pytest.mark.parametrize(
    ("name", "options", "first"),
    [
        ("below_zero.ts", (), 10),  # first timestamp -1.1 s
        ("cut_by_edit_list.mov", (), 31),  # 2.5 s before zero are hidden
        ("late.mp4", ("-use_editlist", "0"), 10),  # first timestamp 0.2 s
    ],
)
def test_first_timestamp_is_not_zero(tmp_path, name, options, first):
    whole = make_clip(tmp_path / "whole.mkv", COUNT, fps=FPS, codec=(*X264, "-bf", "2"))
    shift = ("-copyts", "-avoid_negative_ts", "disabled", "-c", "copy", *options)
    ffmpeg("-itsoffset", "-2.5", "-i", whole, *shift, tmp_path / name)
    clip = assert_as_ffmpeg_shows(tmp_path / name, frames=4)
    assert number_of(clip.frames[0]) == first


def test_pictures_that_start_after_the_sound(tmp_path):
    whole = make_clip(tmp_path / "whole.mp4", COUNT, fps=FPS)
    sound = ("-f", "lavfi", "-i", "sine=duration=11")
    late = ("-itsoffset", "3", "-i", whole, *sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy")
    ffmpeg(*late, tmp_path / "clip.mp4")
    clip = read_clip(tmp_path / "clip.mp4", frames=4)
    assert (clip.start, clip.end) == (3.0, 11.0)
    assert clip.seconds == (4.0, 6.0, 8.0, 10.0)
    assert [number_of(frame) for frame in clip.frames] == [10, 30, 50, 70]


def test_sound_that_outlasts_the_pictures(tmp_path):
    sound = ("-f", "lavfi", "-i", "sine=duration=20")
    path = make_clip(tmp_path / "clip.mkv", COUNT, fps=FPS, inputs=sound)
    clip = read_clip(path, frames=4)
    assert [number_of(frame) for frame in clip.frames] == [10, 30, 50, 70]
    assert clip.corrupt_frames == 0
    (warning,) = clip.warnings
    assert "8.00 s" in warning and "20.0" in warning


def test_length_that_is_claimed_too_long(tmp_path):
    """An AVI written to a pipe claims a thousand seconds."""
    whole = make_clip(tmp_path / "whole.mkv", COUNT, fps=FPS)
    path = tmp_path / "clip.avi"
    path.write_bytes(ffmpeg("-i", whole, "-c:v", "mpeg4", "-g", "25", "-f", "avi", "pipe:1"))
    clip = assert_as_ffmpeg_shows(path)
    assert len(clip.frames) == 8
    assert clip.duration == pytest.approx(8, abs=0.15)
    (warning,) = clip.warnings
    assert "although it claims" in warning


def test_download_that_broke_off(tmp_path):
    """With its index at the front, the first part of an MP4 can be read, and is used evenly."""
    codec = (*X264, "-g", "10", "-movflags", "+faststart")
    path = make_clip(tmp_path / "clip.mp4", COUNT, fps=FPS, codec=codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    clip = read_clip(path)
    assert [number_of(f) for f in clip.frames] == [round(s * FPS) for s in clip.seconds]
    assert 3 < clip.duration < 7 and clip.seconds[-1] > 0.8 * clip.duration
    assert "although it claims 8.00 s" in clip.warnings[0]
    with pytest.raises(VideoError, match=f"{clip.duration:.2f} s long"):
        read_clip(path, start=7.5)


def test_colours_are_converted_by_the_clips_own_matrix(tmp_path):
    bt709 = ("-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709")
    codec = (*X264, *bt709, "-color_primaries", "bt709", "-color_trc", "bt709")
    clip = assert_as_ffmpeg_shows(make_clip(tmp_path / "a.mp4", 5, size=(640, 360), codec=codec))
    drawn = picture(2, (640, 360))[-60:, 100:500].mean(axis=(0, 1))
    seen = clip.frames[2][-42:, 70:350].mean(axis=(0, 1))
    assert np.abs(drawn - seen).max() < 3


@pytest.mark.parametrize(
    "options",
    [{"start": 8.5}, {"start": 2, "end": 20}, {"start": -1}, {"start": 5, "end": 5}],
)
def test_range_outside_the_clip(tmp_path, options):
    path = make_clip(tmp_path / "clip.mp4", COUNT, fps=FPS)
    with pytest.raises(VideoError, match=r"8\.00 s long"):
        read_clip(path, **options)


def test_an_end_that_was_rounded_up_is_the_clips_end(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", COUNT, fps=FPS)
    assert read_clip(path, end=8.4).end == 8.0


@pytest.mark.parametrize("options", [{"frames": 0}, {"max_side": 0}, {"decoder": "ffmpeg"}])
def test_unusable_options(tmp_path, options):
    with pytest.raises(InputError):
        read_clip(make_clip(tmp_path / "clip.mp4", 1), **options)


@needs_decord
@pytest.mark.parametrize("name", ["b_frames.mp4", "h264.mkv", "vp9.webm"])
def test_decord_gives_the_same_pictures(tmp_path, name):
    path = make_clip(tmp_path / name, COUNT, fps=FPS, codec=FORMATS[name])
    clip = assert_as_ffmpeg_shows(path, decoder="decord")
    assert clip.decoder == "decord"
    assert clip.seconds == read_clip(path).seconds


@needs_decord
def test_decord_goes_by_time_too(tmp_path):
    codec = (*X264, "-bf", "2", "-vf", VARIABLE, "-fps_mode", "vfr")
    path = make_clip(tmp_path / "clip.mp4", COUNT, fps=FPS, codec=codec)
    assert_as_ffmpeg_shows(path, frames=16, decoder="decord")


@needs_decord
@pytest.mark.parametrize("name", ["cut.mp4", "h264.ts", "mpeg4.avi", "av1.mp4"])
def test_where_decord_is_wrong_it_is_refused(tmp_path, name):
    path = make_clip(tmp_path / ("whole_" + name), COUNT, fps=FPS, codec=FORMATS.get(name, X264))
    if name == "cut.mp4":
        ffmpeg("-ss", "3.3", "-i", path, "-c", "copy", tmp_path / name)
        path = tmp_path / name
    with pytest.raises(VideoError, match="choose the decoder pyav"):
        read_clip(path, decoder="decord")


def test_without_decord(tmp_path, monkeypatch):
    (tmp_path / "decord.py").write_text("raise ImportError('No module named decord')")
    monkeypatch.syspath_prepend(tmp_path)
    path = make_clip(tmp_path / "clip.mp4", 5)
    assert len(read_clip(path, frames=2).frames) == 2
    with pytest.raises(VideoError, match=r"not installed.*pip install decord"):
        read_clip(path, decoder="decord")


@pytest.mark.parametrize("decoder", ["pyav", pytest.param("decord", marks=needs_decord)])
def test_a_frame_from_outside_the_asked_range_is_said(tmp_path, decoder):
    path = make_clip(tmp_path / "slides.mp4", 8, fps=0.5, codec=(*X264, "-g", "1"))
    clip = read_clip(path, start=5, end=5.5, decoder=decoder)
    assert clip.seconds == (4.0,)
    (warning,) = clip.warnings
    assert "frame of 4.00 s begins outside the asked range (5.00 to 5.50 s)" in warning
    assert read_clip(path, start=4, end=8, decoder=decoder).warnings == ()
    assert read_clip(path, decoder=decoder).warnings == ()


def test_a_frame_that_begins_after_the_asked_range_is_said(tmp_path):
    whole = make_clip(tmp_path / "whole.mp4", COUNT, fps=FPS)
    sound = ("-f", "lavfi", "-i", "sine=duration=11")
    late = ("-itsoffset", "3", "-i", whole, *sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy")
    ffmpeg(*late, tmp_path / "clip.mp4")
    (warning,) = read_clip(tmp_path / "clip.mp4", start=1, end=2).warnings
    assert "frame of 3.00 s begins outside" in warning
