"""200 damaged files: each is a clip or one clear line, and few garbled pictures are passed on."""

from __future__ import annotations

import random

import pytest
from clips import X264, make_clip, number_of

from assistant.errors import VideoError, VideoLimitError
from assistant.video import Limits, read_clip

LIMITS = Limits(seconds=60)
SECONDS, FPS = 3, 10
PER_MUTATION = 4  # of each format: 10 formats, 5 mutations, 200 files
SHORT_GROUPS = ("-g", "10")
FORMATS = {
    "h264.mp4": (*X264, *SHORT_GROUPS, "-bf", "2", "-movflags", "+faststart"),
    "vp9.mkv": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", *SHORT_GROUPS),
    "vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", *SHORT_GROUPS),
    "mpeg4.avi": ("-c:v", "mpeg4", *SHORT_GROUPS),
    "h264.ts": (*X264, *SHORT_GROUPS),
    "gif.gif": (),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12", *SHORT_GROUPS),
    "hevc10.mov": (
        *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"),
        *("-x265-params", "log-level=none:keyint=10"),
    ),
    "sorenson.flv": ("-c:v", "flv", *SHORT_GROUPS),
    "theora.ogv": ("-c:v", "libtheora", *SHORT_GROUPS),
}


def truncate(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(1, len(data))]


def flip_bits(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 5, 50])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def zero_a_run(data: bytearray, rng: random.Random) -> bytearray:
    start, length = rng.randrange(len(data)), rng.choice([16, 512, 4096])
    data[start : start + length] = bytes(len(data[start : start + length]))
    return data


def shuffle_blocks(data: bytearray, rng: random.Random) -> bytearray:
    size = rng.choice([64, 512, 4096])
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    head, rest = blocks[:1], blocks[1:]
    rng.shuffle(rest)
    return bytearray(b"".join(head + rest))


def damage_header(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 4, 16])):
        data[rng.randrange(min(512, len(data)))] = rng.randrange(256)
    return data


MUTATIONS = (truncate, flip_bits, zero_a_run, shuffle_blocks, damage_header)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_clips_or_one_clear_line(name, tmp_path):
    whole = make_clip(tmp_path / name, SECONDS * FPS, fps=FPS, codec=FORMATS[name]).read_bytes()
    shown = garbled = 0
    for mutate in MUTATIONS:
        for index in range(PER_MUTATION):
            seed = f"{name} {mutate.__name__} {index}"
            path = tmp_path / f"damaged-{name}"
            path.write_bytes(mutate(bytearray(whole), random.Random(seed)))
            try:
                clip = read_clip(path, frames=4, limits=LIMITS)
            except VideoLimitError as error:  # a damaged size asks for any memory
                assert "of memory" in str(error), f"{seed}: {error}"
                continue
            except VideoError as error:
                assert "\n" not in str(error), seed
                assert "Traceback" not in str(error), seed
                assert "signal" not in str(error), seed
                continue
            assert 1 <= len(clip.frames) == len(clip.seconds) <= 4, seed
            assert list(clip.seconds) == sorted(clip.seconds), seed
            if clip.corrupt_frames:
                assert clip.warnings, seed
            shown += len(clip.frames)
            garbled += sum(number_of(frame) is None for frame in clip.frames)
    assert shown, "every mutation was fatal: nothing was tested"
    # A decoder does not notice every changed bit; what it does notice must not be shown.
    assert garbled <= 0.3 * shown, f"{garbled} of {shown} pictures are garbled"
