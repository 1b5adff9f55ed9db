"""A decoded frame as a viewer shows it: upright, on a light ground, in ordinary colors.

Runs in the reader's process; numpy is imported only for the frames that need it.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.video.reformatter import ColorTrc, Interpolation

from assistant.media.pictures import PILLOW_FAILS, Pictures
from assistant.media.sampling import turn_of

if TYPE_CHECKING:
    import numpy as np

Turn = tuple[bool, bool, bool]  # transpose, then flip the rows, then the columns
UPRIGHT: Turn = (False, False, False)
EXIF_ORIENTATION = 0x0112
EXIF_TURNS: dict[Any, Turn] = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
PHOTO_CODECS = ("apng", "jpegxl", "libjxl", "libjxl_anim", "mjpeg", "png", "tiff", "webp")
ROTATIONS = {-90: EXIF_TURNS[6], 90: EXIF_TURNS[8], 180: EXIF_TURNS[3], -180: EXIF_TURNS[3]}
HEIF = ("heic", "heix", "mif1", "avif", "avis")  # brands of photos in the MP4 format
HEIF_HEAD = 1 << 20  # bytes, with the description of the picture
HEIF_ROTATION, HEIF_MIRROR = (
    re.compile(rb"\0\0\0\x09" + box + rb"(.)", re.DOTALL) for box in (b"irot", b"imir")
)
HEIF_TURNS = (UPRIGHT, (True, True, False), (False, True, True), (True, False, True))
GROUND = 224  # grey behind what is transparent: light, and white things show on it
HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ and HLG
WHITE = 203.0  # cd/m2 of white in HDR (ITU-R BT.2408): the brightest an ordinary screen shows
PEAK = 1000.0  # cd/m2 that HDR is taken to be graded for
BT2020_LUMA = (0.2627, 0.6780, 0.0593)
BT2020_TO_BT709 = (  # linear light, ITU-R BT.2087
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)
PQ_M1, PQ_M2, PQ_C1, PQ_C2, PQ_C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
HLG_A, HLG_B, HLG_C, HLG_GAMMA = 0.17883277, 0.28466892, 0.55991073, 1.2
SCREEN_GAMMA = 2.4  # ITU-R BT.1886


def turn_as_shown(video: Pictures, frame: av.VideoFrame) -> Turn:
    """How pictures are turned for showing: by their display matrix, a photo by its own marks.

    Those of photo codecs are not listed with a frame's side data: PyAV 18.1 has no name for EXIF,
    and listing an ICC profile ends its process. The rotation can be told apart from them.
    """
    if video.brand in HEIF:
        return heif_turn(video.path)
    if video.still:
        return exif_turn(video.path)
    if video.stream.codec_context.name in PHOTO_CODECS:
        return ROTATIONS.get(frame.rotation, UPRIGHT)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return turn_of(None if matrix is None else bytes(matrix))


def exif_turn(path: str) -> Turn:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the process has its memory limit
    try:
        with Image.open(path) as photo:
            return EXIF_TURNS.get(photo.getexif().get(EXIF_ORIENTATION, 1), UPRIGHT)
    except PILLOW_FAILS:
        return UPRIGHT


def heif_turn(path: str) -> Turn:
    """HEIC and AVIF: its rotation, against the clock, then its mirroring (ISO 23008-12)."""
    with Path(path).open("rb") as file:
        head = file.read(HEIF_HEAD)
    rotated, mirrored = HEIF_ROTATION.search(head), HEIF_MIRROR.search(head)
    transpose, rows, columns = HEIF_TURNS[rotated[1][0] & 3] if rotated else UPRIGHT
    axis = mirrored[1][0] & 1 if mirrored else None
    return transpose, rows != (axis == 0), columns != (axis == 1)


def needs_mapping(video: Pictures) -> bool:
    """Whether pixels as they are stored are not what a viewer shows: HDR, transparency."""
    stored = video.stream.codec_context
    clear = video.context is not stored or (stored.format and may_be_clear(stored.format))
    return bool(clear) or stored.color_trc in HDR


def may_be_clear(form: av.VideoFormat) -> bool:
    return form.has_palette or any(part.is_alpha for part in form.components)


def rgb(frame: av.VideoFrame, size: tuple[int, int]) -> bytes:
    """A frame as (H, W, 3) bytes of the wanted size, averaged over areas where it shrinks."""
    transparent = may_be_clear(frame.format)
    if frame.color_trc in HDR:
        return tone_mapped(scaled(frame, size, "rgba64le"), frame.color_trc, transparent)
    if transparent:
        pixels = frame.to_ndarray(format="rgba")
        frame = av.VideoFrame.from_ndarray(on_ground(pixels), format="rgb24")
    plane = scaled(frame, size, "rgb24").planes[0]
    data, row = memoryview(plane).cast("B"), size[0] * 3
    return b"".join(data[y * plane.line_size :][:row] for y in range(size[1]))


def scaled(frame: av.VideoFrame, size: tuple[int, int], form: str) -> av.VideoFrame:
    way = Interpolation.AREA if size[0] <= frame.width else Interpolation.BICUBIC
    way |= Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    return frame.reformat(*size, format=form, interpolation=way, threads=1)


def on_ground(pixels: "np.ndarray") -> "np.ndarray":
    """(H, W, 4) uint8 RGBA as (H, W, 3) RGB; before it shrinks, so that nothing hidden bleeds."""
    import numpy as np

    alpha = pixels[..., 3:].astype(np.uint16)
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(pixels[..., :3])
    return ((pixels[..., :3] * alpha + GROUND * (255 - alpha) + 127) // 255).astype(np.uint8)


def tone_mapped(frame: av.VideoFrame, transfer: int, transparent: bool) -> bytes:
    """HDR (PQ, HLG) as (H, W, 3) bytes of SDR, by the curve of ITU-R BT.2390 (EETF)."""
    import numpy as np

    pixels = frame.to_ndarray().astype(np.float32) / 65535
    signal, alpha = pixels[..., :3], pixels[..., 3:]
    light = pq_light(signal) if transfer == ColorTrc.SMPTE2084 else hlg_light(signal)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-4)  # its ratio keeps the hue
    light *= pq_light(rolled_off(pq_signal(brightest))) / brightest / WHITE
    linear = (light @ np.array(BT2020_TO_BT709, np.float32).T).clip(0, 1)
    sdr = linear ** (1 / SCREEN_GAMMA)
    if transparent:
        sdr = sdr * alpha + GROUND / 255 * (1 - alpha)
    return (sdr * 255).round().astype(np.uint8).tobytes()


def pq_light(signal: Any) -> Any:
    """cd/m2 of a PQ signal in [0, 1] (SMPTE ST 2084)."""
    root = signal ** (1 / PQ_M2)
    return 10000 * ((root - PQ_C1).clip(0) / (PQ_C2 - PQ_C3 * root)) ** (1 / PQ_M1)


def pq_signal(light: Any) -> Any:
    power = (light / 10000) ** PQ_M1
    return ((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power)) ** PQ_M2


def hlg_light(signal: Any) -> Any:
    """cd/m2 of an HLG signal in [0, 1] on a screen of ``PEAK`` (ITU-R BT.2100)."""
    import numpy as np

    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - HLG_C) / HLG_A) + HLG_B) / 12)
    luma = (scene @ np.array(BT2020_LUMA, np.float32))[..., None]
    return PEAK * np.maximum(luma, 1e-6) ** (HLG_GAMMA - 1) * scene


def rolled_off(signal: Any) -> Any:
    """A PQ signal up to ``PEAK`` as one up to ``WHITE``: as it is up to a knee, then a spline."""
    import numpy as np

    peak, most = (pq_signal(np.float32(light)) for light in (PEAK, WHITE))
    part, most = np.minimum(signal / peak, 1), most / peak
    knee = 1.5 * most - 0.5
    t = (part - knee).clip(0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee
    spline += (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return np.where(part < knee, part, spline) * peak
