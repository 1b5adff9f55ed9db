"""Pictures look as a viewer shows them: HDR, transparency, mirrored photos, animated images.

What is wrapped in encryption or in a photo is named."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from clips import X264, ffmpeg, make_clip, number_of, picture
from PIL import Image, ImageCms, ImageOps

from assistant.errors import VideoError
from assistant.media.video import probe, read_audio, read_clip

HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:lossless=1")
NITS = 203.0  # of white in HDR


def pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10000) ** (1305 / 8192)
    return ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(nits: np.ndarray) -> np.ndarray:
    """Of grey on a screen of 1000 cd/m2, whose gamma is 1.2."""
    scene = (nits / 1000) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def hdr_clip(path: Path, transfer: str, signal: np.ndarray) -> Path:
    """Grey columns with a signal in [0, 1] each, as 10 bit BT.2020."""
    frame = np.repeat(np.repeat((signal * 65535).astype("<u2"), 8)[None], 32, axis=0)
    pixels = np.repeat(frame[None, :, :, None], 3, axis=3).tobytes() * 3
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb48le")
    size = ("-s", f"{frame.shape[1]}x32", "-r", "10", "-i", "pipe:0")
    colors = ("-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", transfer)
    matrix = ("-vf", "scale=out_color_matrix=bt2020:out_range=tv", "-pix_fmt", "yuv420p10le")
    params = "log-level=none:lossless=1:colorprim=bt2020:colormatrix=bt2020nc:transfer=" + transfer
    codec = (*HEVC[:-1], params)
    ffmpeg(*raw, *size, *matrix, *codec, *colors, path, stdin=pixels)
    return path


@pytest.mark.parametrize(("transfer", "encode"), [("smpte2084", pq), ("arib-std-b67", hlg)])
@pytest.mark.parametrize("container", ["mp4", "mkv", "mov"])
def test_hdr_looks_as_its_sdr_does(tmp_path, transfer, encode, container):
    """Dark and middle tones as on a screen whose white is 203 cd/m2; what is brighter, still told
    apart."""
    sdr = np.array([0.1, 0.3, 0.5, 0.7])
    bright = np.array([203.0, 450.0, 950.0])
    path = tmp_path / f"a.{container}"
    hdr_clip(path, transfer, encode(np.concatenate([NITS * sdr**2.4, bright])))
    shown = read_clip(path, frames=1).frames[0, 16, 4::8]
    assert np.abs(shown[:4] - 255 * sdr[:, None]).max() < 5, shown
    white, brighter, brightest = shown[4:].mean(axis=1)
    assert 190 < white < brighter - 5 < brightest - 6


HIDDEN, SEEN = (250, 10, 240), (30, 160, 60)


def half_seen() -> np.ndarray:
    """(40, 60, 4): green above; below, fully transparent, a garish colour."""
    pixels = np.full((40, 60, 4), (*HIDDEN, 0), np.uint8)
    pixels[:20] = (*SEEN, 255)
    return pixels


def assert_hidden(path: Path, off: int = 12) -> None:
    shown = read_clip(path, frames=2).frames.astype(int)
    assert np.abs(shown[:, 4:14, 5:55] - SEEN).max() <= off
    ground = shown[:, 26:36, 5:55]
    assert ground.min() > 200 and np.ptp(ground) <= off  # light and plain


@pytest.mark.parametrize(
    "name", ["a.png", "palette.png", "a.gif", "a.webp", "a.avif", "a.tiff", "anim.webp", "anim.png"]
)
def test_transparent_images_stand_on_a_light_ground(tmp_path, name):
    image = Image.fromarray(half_seen())
    if name.startswith("palette"):
        image = image.quantize(16, Image.Quantize.FASTOCTREE)
    options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    if name.endswith("avif"):
        options = {"quality": 100, "subsampling": "4:4:4"}
    if name.startswith("anim"):
        other = Image.fromarray(np.roll(half_seen(), 3, axis=1) ^ np.uint8([1, 0, 0, 0]))
        options |= {"save_all": True, "append_images": [other], "duration": 500}
    image.save(tmp_path / name, **options)
    assert_hidden(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("vp9.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-b:v", "1M")),
        ("vp8.webm", ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0")),
        ("prores.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le")),
        ("animation.mov", ("-c:v", "qtrle", "-pix_fmt", "argb")),
        ("png.mov", ("-c:v", "png", "-pix_fmt", "rgba")),
        ("ffv1.mkv", ("-c:v", "ffv1", "-pix_fmt", "bgra")),
    ],
)
def test_transparent_clips_stand_on_a_light_ground(tmp_path, name, codec):
    raw = ("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "60x40", "-r", "10", "-i", "pipe:0")
    ffmpeg(*raw, *codec, tmp_path / name, stdin=half_seen().tobytes() * 10)
    assert_hidden(tmp_path / name, off=25)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff", "a.avif"])
def test_a_photo_with_exif_is_shown_as_a_viewer_shows_it(tmp_path, orientation, name):
    """Turned and mirrored; PyAV cannot name EXIF among a frame's side data and refuses to list any
    of it; listing a profile of colors ends its process."""
    photo = Image.new("RGB", (64, 32), (200, 30, 30))
    photo.paste((20, 20, 220), (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo.save(tmp_path / name, exif=exif, quality=95, icc_profile=profile)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / name)), int)
    shown = read_clip(tmp_path / name).frames[0]
    assert shown.shape == upright.shape
    assert np.abs(shown - upright).mean() < 4
    info = probe(tmp_path / name)
    assert (info.height, info.width) == upright.shape[:2]


@pytest.mark.parametrize("name", ["a.png", "a.webp"])  # pillow cannot write such an AVIF
def test_animated_images_with_a_profile_and_exif_stand_upright(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 7
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images = [Image.fromarray(picture(number)) for number in (3, 5)]
    stored = [image.transpose(Image.Transpose.TRANSVERSE) for image in images]
    moving = {"save_all": True, "append_images": stored[1:], "duration": 500}
    stored[0].save(tmp_path / name, exif=exif, icc_profile=profile, **moving)
    clip = read_clip(tmp_path / name)
    assert [number_of(frame) for frame in clip.frames] == [3, 5]


@pytest.mark.parametrize("degrees", ["90", "180", "270"])
def test_photos_in_a_turned_clip_stand_upright(tmp_path, degrees):
    """Motion JPEG, of which each picture carries EXIF and a profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    turned = np.ascontiguousarray(np.rot90(picture(5), int(degrees) // 90))
    Image.fromarray(turned).save(tmp_path / "a.jpg", exif=exif, icc_profile=profile, quality=95)
    (tmp_path / "list.txt").write_text("file a.jpg\n")
    joined = ("-f", "concat", "-safe", "0", "-i", tmp_path / "list.txt", "-c", "copy")
    ffmpeg(*joined, tmp_path / "stored.mov")
    turn = ("-display_rotation", str(-int(degrees)), "-i", tmp_path / "stored.mov", "-c", "copy")
    ffmpeg(*turn, tmp_path / "a.mov")
    assert number_of(read_clip(tmp_path / "a.mov").frames[0]) == 5


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif", "a.avif"])
def test_animated_images_give_their_pictures_at_their_times(tmp_path, name):
    images = [Image.fromarray(picture(number)) for number in range(4)]
    options = {"save_all": True, "append_images": images[1:], "duration": [500, 1000, 200, 300]}
    images[0].save(tmp_path / name, **options)
    clip = read_clip(tmp_path / name, frames=20)
    assert [number_of(frame) for frame in clip.frames] == [0, 1, 2, 3]
    assert clip.seconds == pytest.approx((0, 0.5, 1.5, 1.7))
    assert clip.duration == pytest.approx(2)
    part = read_clip(tmp_path / name, frames=2, start=1.5, end=2)
    assert [number_of(frame) for frame in part.frames] == [2, 3]
    assert probe(tmp_path / name).duration == pytest.approx(2)


def test_an_animated_webp_that_is_cut_off_gives_its_beginning_or_one_line(tmp_path):
    images = [Image.fromarray(picture(number)) for number in range(10)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=100)
    data = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match="damaged"):
        read_clip(tmp_path / "a.webp")


@pytest.mark.parametrize("name", ["clear.avif", "moving.avif", "moving.webp"])
def test_damage_that_pillow_meets_is_one_line_or_a_shorter_clip(tmp_path, name):
    images = [Image.fromarray(picture(number)).convert("RGBA") for number in range(4)]
    images[0].putalpha(200)
    more = {} if name.startswith("clear") else {"save_all": True, "append_images": images[1:]}
    images[0].save(tmp_path / name, **more)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2 :: 7] = bytes(len(data[len(data) // 2 :: 7]))
    (tmp_path / name).write_bytes(data)
    try:
        clip = read_clip(tmp_path / name)
    except VideoError as error:
        assert "is damaged" in str(error) or "cannot be read" in str(error), error
    else:
        assert len(clip.frames) < 4


KEYS = "00112233445566778899aabbccddeeff"


@pytest.mark.skipif(not find_spec("decord"), reason="decord is not installed")
def test_decord_is_not_trusted_with_hdr_or_transparency(tmp_path):
    hdr = hdr_clip(tmp_path / "hdr.mp4", "smpte2084", np.array([0.2, 0.5, 0.6]))
    raw = ("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "60x40", "-r", "10", "-i", "pipe:0")
    clear = tmp_path / "clear.webm"
    codec = ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")
    ffmpeg(*raw, *codec, clear, stdin=half_seen().tobytes() * 10)
    for path in (hdr, clear):
        with pytest.raises(VideoError, match="choose the decoder pyav"):
            read_clip(path, decoder="decord")


def encrypted_mp4(folder: Path) -> Path:
    scheme = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", KEYS)
    return make_clip(folder / "a.mp4", 20, output=(*scheme, "-encryption_kid", KEYS))


def scrambled_ts(folder: Path) -> Path:
    path = make_clip(folder / "a.ts", 60)
    data = bytearray(path.read_bytes())
    for start in range(0, len(data), 188):
        if data[start + 1] & 0x1F or data[start + 2] > 0x20:  # not the tables of contents
            data[start + 3] |= 0x80
    path.write_bytes(data)
    return path


def protected_m4v(folder: Path) -> Path:
    path = make_clip(folder / "a.m4v", 20)
    path.write_bytes(path.read_bytes().replace(b"avc1\0\0\0\0\0\0", b"drmi\0\0\0\0\0\0"))
    return path


def protected_wmv(folder: Path) -> Path:
    path = make_clip(folder / "a.wmv", 20, codec=("-c:v", "wmv2"))
    data = bytearray(path.read_bytes())
    size, parts = struct.unpack_from("<QI", data, 16)
    mark = bytes.fromhex("fbb31122 23bdd211 b4b700a0 c955fc6e") + struct.pack("<Q", 40) + bytes(16)
    struct.pack_into("<QI", data, 16, size + len(mark), parts + 1)
    path.write_bytes(data[:30] + mark + data[30:])
    return path


def element(tag: str, *parts: bytes) -> bytes:
    """One of EBML, with its length in 4 bytes."""
    body = b"".join(parts)
    return bytes.fromhex(tag) + (0x10000000 | len(body)).to_bytes(4) + body


def encrypted_webm(folder: Path) -> Path:
    """A track whose encodings name a key, of a Matroska file that ends there."""
    key = element("5035", element("47e1", b"\5"), element("47e2", bytes(range(16))))  # AES
    encodings = element("6d80", element("6240", element("5033", b"\1"), key))
    size = element("e0", element("b0", b"\x40"), element("ba", b"\x40"))
    codec = element("86", b"V_VP8")
    numbers = element("d7", b"\1"), element("73c5", b"\1"), element("83", b"\1")
    track = element("ae", *numbers, codec, size, encodings)
    block = element("1f43b675", element("e7", b"\0"), element("a3", b"\x81\0\0\x80" + bytes(99)))
    segment = element("18538067", element("1549a966"), element("1654ae6b", track), block)
    (folder / "a.webm").write_bytes(element("1a45dfa3", element("4282", b"webm")) + segment)
    return folder / "a.webm"


def protected_motion_photo(folder: Path) -> Path:
    photo = make_clip(folder / "a.jpg", 1, codec=())
    photo.write_bytes(photo.read_bytes() + protected_m4v(folder).read_bytes())
    return photo


@pytest.mark.parametrize(
    "make",
    [
        protected_motion_photo,
        encrypted_mp4,
        scrambled_ts,
        protected_m4v,
        protected_wmv,
        encrypted_webm,
    ],
)
def test_an_encrypted_clip_is_called_so(tmp_path, make):
    path = make(tmp_path)
    for read in (read_clip, probe):
        with pytest.raises(VideoError, match="is encrypted"):
            read(path)


@pytest.mark.parametrize("name", ["photo.jpg", "other name: é.MP.jpg"])
def test_the_clip_of_a_motion_photo_is_read_and_that_is_said(tmp_path, name):
    sound = ("-f", "lavfi", "-i", "sine=duration=2")
    clip = make_clip(tmp_path / "clip.mp4", 50, inputs=sound, codec=(*X264, "-bf", "2"))
    photo = make_clip(tmp_path / "still.jpg", [99], codec=())
    path = tmp_path / name
    path.write_bytes(photo.read_bytes() + clip.read_bytes())
    inside, alone = read_clip(path, frames=5), read_clip(clip, frames=5)
    assert (inside.frames == alone.frames).all() and inside.seconds == alone.seconds
    (warning,) = inside.warnings
    assert "Motion Photo" in warning
    assert probe(path).has_audio
    assert len(read_audio(path)) == len(read_audio(clip))
