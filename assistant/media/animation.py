"""Pictures that pillow decodes: an animated WebP or AVIF, and AVIF with its transparency.

FFmpeg reads neither; all else of a clip is as for other ``Pictures``.
"""

from collections.abc import Iterator

import av

from assistant.media.pictures import PILLOW_FAILS, Group, Picture, Pictures

FORMATS = {"webp_pipe", "avif", "avis"}  # a container's format, or its brand
SHOWN = 0.1  # s that a picture stays which says no or too short a time, as browsers have it
SHORTEST = 0.01  # s


def pictures_of(path: str) -> Pictures:
    """A clip's pictures through the decoder that knows them.

    Raises VideoError where there are none.
    """
    video = Pictures(path)
    if FORMATS & {video.container.format.name, video.brand}:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None  # the process has its memory limit
        try:
            with Image.open(path) as image:
                clear = image.format == "AVIF" and image.mode == "RGBA"
                if clear or getattr(image, "is_animated", False):
                    return Animation(path)
        except PILLOW_FAILS:
            return video  # FFmpeg may know more of it
    return video


class Animation(Pictures):
    """``Pictures`` in order from the first on: what cannot be read ends the clip."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.seekable, self.reach, self.still = False, float("inf"), True
        self.times = [(picture.seconds, picture.end) for picture in self.decode(0.0)]
        if self.times:
            self.step = self.times[-1][1] / len(self.times)

    def declared_end(self) -> float | None:
        return None

    def packet_times(self) -> Iterator[tuple[float | None, float]]:
        yield from ((start, end - start) for start, end in self.times)

    def decode(self, following: float | None) -> Iterator[Picture]:
        import numpy as np
        from PIL import Image

        start = following or 0.0
        with Image.open(self.path) as image:
            for number in range(getattr(image, "n_frames", 1)):
                try:
                    image.seek(number)
                    pixels = np.asarray(image.convert("RGBA"))
                except PILLOW_FAILS:
                    return
                frame = av.VideoFrame.from_ndarray(pixels, format="rgba")
                length = image.info.get("duration", 0) / 1000
                end = round(start + (length if length > SHORTEST else SHOWN), 6)
                yield Picture(start, end, frame, Group(), number)
                start = end
