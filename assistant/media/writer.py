"""Writes frames, and sound, as a small H.264 clip."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

OPTIONS = {  # one thread and no macroblock tree: the same bytes each time
    "crf": "18",
    "preset": "veryfast",
    "threads": "1",
    "x264-params": "mbtree=0",
}


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: int,
    sound: np.ndarray | None = None,
    sound_rate: int = 48000,
) -> None:
    """Write ``(H, W, 3)`` uint8 RGB frames of even height and width, ``rate`` a second.

    ``sound``: (n,) float32 mono in [-1, 1], ``sound_rate`` samples a second.
    """
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=OPTIONS)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        heard = None
        if sound is not None:
            heard = container.add_stream("aac", rate=sound_rate, layout="mono")
        for number, frame in enumerate(frames):
            if number == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
        if heard is not None and sound is not None:
            samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            samples.sample_rate, samples.time_base = sound_rate, Fraction(1, sound_rate)
            samples.pts = 0  # or what the encoder puts before it is heard, and all else late
            container.mux(heard.encode(samples))
            container.mux(heard.encode())
