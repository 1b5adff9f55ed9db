"""Small clips and photos of every kind, and how they are changed: for ``mutations.py``."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from clips import X264, make_clip, picture

VP = ("-deadline", "realtime", "-cpu-used", "8", "-g", "4")
HDR = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params")
KEYS = (
    *("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "00" * 16),
    *("-encryption_kid", "11" * 16),
)
CODECS = {
    "h264.mp4": (*X264, "-g", "4", "-bf", "2", "-movflags", "+faststart"),
    "fragments.mp4": (*X264, "-g", "4", "-movflags", "frag_keyframe+empty_moov"),
    "encrypted.mp4": (*X264, *KEYS),
    "hdr.mov": (*HDR, "log-level=none:keyint=4:pools=1:transfer=smpte2084"),
    "prores.mov": ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"),
    "qtrle.mov": ("-c:v", "qtrle", "-pix_fmt", "argb"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12", "-g", "4", "-svtav1-params", "lp=1"),
    "h264.mkv": (*X264, "-g", "4"),
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "bgra"),
    "vp9.webm": ("-c:v", "libvpx-vp9", *VP, "-pix_fmt", "yuva420p"),
    "vp8.webm": ("-c:v", "libvpx", *VP, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    "h264.ts": (*X264, "-g", "4"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-g", "4"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-g", "4"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    "theora.ogv": ("-c:v", "libtheora", "-g", "4"),
    "sorenson.flv": ("-c:v", "flv", "-g", "4"),
    "wmv2.wmv": ("-c:v", "wmv2"),
    "h263.3gp": ("-c:v", "h263", "-s", "176x144"),
    "animation.gif": (),
    "stream.h264": (*X264, "-g", "4"),
}
SOUND = ("-f", "lavfi", "-i", "sine=duration=1:sample_rate=16000", "-map", "0:v", "-map", "1:a")
SOUND_IN = {"h264.mp4", "h264.mkv", "h264.ts", "mpeg4.avi", "theora.ogv", "wmv2.wmv", "mpeg2.mpg"}
TRACK = "1\n00:00:00,100 --> 00:00:00,500\n- Hello.\n\n2\n00:00:00,600 --> 00:00:00,900\nBye.\n"
TRACKS = {"text.mp4": "mov_text", "text.mkv": "subrip", "ass.mkv": "ass", "text.webm": "webvtt"}
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"moof", b"traf", b"meta")
ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def make_clips(folder: Path) -> dict[str, bytes]:
    """Clips of 12 pictures of every codec and container, with sound or text in some; photos."""
    found, size = {}, (96, 64)
    for name, codec in CODECS.items():
        inputs = SOUND if name in SOUND_IN else ()
        found[name] = make_clip(
            folder / name, 12, size=size, codec=codec, inputs=inputs
        ).read_bytes()
    (folder / "track.srt").write_text(TRACK)
    for name, codec in TRACKS.items():
        inputs = ("-i", folder / "track.srt", "-map", "0:v", "-map", "1")
        video = ("-c:v", "libvpx", *VP) if name.endswith("webm") else X264
        path = make_clip(
            folder / name, 12, size=size, codec=video, inputs=inputs, output=("-c:s", codec)
        )
        found[name] = path.read_bytes()
    found |= photos()
    found["motion.jpg"] = found["photo.jpg"] + found["h264.mp4"]
    return found


def photos() -> dict[str, bytes]:
    from PIL import Image

    images = [Image.fromarray(picture(number, (48, 32))) for number in range(4)]
    clear = images[0].convert("RGBA")
    clear.putalpha(images[1].convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 5
    moving = {"save_all": True, "append_images": images[1:], "duration": 100}
    kinds = {
        "photo.jpg": (images[0], {"exif": exif}),
        "clear.png": (clear, {"exif": exif}),
        "palette.png": (images[0].quantize(16), {"transparency": 3}),
        "still.webp": (clear, {"exif": exif}),
        "clear.avif": (clear, {"exif": exif}),
        "photo.tiff": (images[0], {"exif": exif}),
        "photo.bmp": (images[0], {}),
        "moving.webp": (images[0], moving),
        "moving.png": (images[0], moving),
        "moving.avif": (images[0], moving),
    }
    found = {}
    for name, (image, options) in kinds.items():
        memory = io.BytesIO()
        image.save(memory, name.rpartition(".")[2].replace("jpg", "jpeg"), **options)
        found[name] = memory.getvalue()
    return found


def mutated_clip(bases: Mapping[str, bytes], rng: random.Random) -> tuple[str, bytes]:
    """A name and the bytes of a clip that was changed one to three times."""
    name = rng.choice(sorted(bases))
    data = bytearray(bases[name])
    for _ in range(rng.choice((1, 1, 2, 3))):
        if data:
            data = rng.choice(CLIP_CHANGES)(data, rng, bases)
    if rng.random() < 0.05:  # another's ending
        name = f"{name.partition('.')[0]}.{rng.choice(sorted(bases)).partition('.')[2]}"
    return name, bytes(data)


Bases = Mapping[str, bytes]


def flipped(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    for _ in range(rng.choice((1, 5, 50))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def cut(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    at = rng.randrange(1, len(data) + 1)
    return data[:at] if rng.random() < 0.8 else data[at:]


def zeroed(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    start, length = rng.randrange(len(data)), rng.choice((4, 64, 1024, 16384))
    filler = rng.choice((b"\0", b"\xff"))
    data[start : start + length] = filler * len(data[start : start + length])
    return data


def spliced(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    other = bases[rng.choice(sorted(bases))]
    start, at = rng.randrange(len(other)), rng.randrange(len(data))
    part = other[start : start + rng.choice((16, 256, 4096))]
    data[at : at + (len(part) if rng.random() < 0.5 else 0)] = part
    return data


def repeated(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    start, times = rng.randrange(len(data)), rng.choice((1, 3, 100))
    part = data[start : start + rng.choice((1, 16, 512))]
    data[start:start] = part * times
    return data


def odd_header(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    for _ in range(rng.choice((1, 4, 16))):
        data[rng.randrange(min(512, len(data)))] = rng.randrange(256)
    return data


def odd_number(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    """A number of 2 or 4 bytes at an extreme."""
    order, at = rng.choice("<>"), rng.randrange(len(data))
    value = struct.pack(f"{order}I", rng.choice(ODD))
    data[at : at + 4] = value[: len(data[at : at + 4])]
    return data


def boxes_of(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Start and end of every box of an MP4 (or chunk of a RIFF file), at any depth."""
    found = []
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end:
            break
        found.append((start, start + size))
        if kind in PARENTS:
            found += boxes_of(data, start + (12 if kind == b"meta" else 8), start + size)
        start += size
    return found


def moved_boxes(data: bytearray, rng: random.Random, bases: Bases) -> bytearray:
    """Two boxes changed places, one is there twice, missing or has a field at an extreme."""
    boxes = boxes_of(data, 0, len(data))
    if len(boxes) < 2:
        return spliced(data, rng, bases)
    (a, b), (c, d) = sorted(rng.sample(boxes, 2))
    way = rng.randrange(4)
    if way == 0 and b <= c:
        return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]
    if way == 1:
        return data[:b] + data[a:b] + data[b:]
    if way == 2:
        return data[:c] + data[d:]
    at = rng.randrange(a, min(b, a + 64) - 3)
    struct.pack_into(">I", data, at, rng.choice(ODD))
    return data


CLIP_CHANGES: tuple[Callable[[bytearray, random.Random, Bases], bytearray], ...] = (
    *(flipped, cut, zeroed, spliced, repeated, odd_header, odd_number, moved_boxes, moved_boxes),
)
