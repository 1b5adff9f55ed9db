"""The reader's own process: a request in, pictures, facts, text or sound out.

``python -m assistant.media.worker`` reads one JSON request from standard input (with ``--many``,
one a line) and writes one reply: the magic word, the header's length (4 bytes, little endian), the
header (JSON), the payload. Whatever FFmpeg's libraries print goes nowhere. The other ends are
``assistant/media/video.py`` and, for many, ``reader.py``.
numpy is imported only where it is needed: it would double the time that a reader takes to start.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import av

from assistant.core.shortage import memory_left
from assistant.errors import VideoError
from assistant.media.animation import pictures_of
from assistant.media.choice import tracks_of
from assistant.media.pictures import Picture, Pictures
from assistant.media.sampling import centres, chosen_range, fit
from assistant.media.shown import needs_mapping, rgb, turn_as_shown
from assistant.media.tracks import read_sound, read_subtitles, text_tracks

MAGIC = b"VIDEO1\n"
MARGIN = 32 << 20  # bytes: with less left, any failure is for want of memory
DECORD_LOST = {"mpegts", "mpeg"}  # its seeks land on other pictures there
MOTION_PHOTO = "it is a photo with a clip inside (Motion Photo): the clip was read"
ORPHAN_SECONDS = 5  # past its limit, a reader whose parent died ends itself
PR_SET_PDEATHSIG = 1  # of linux/prctl.h

Reply = tuple[dict[str, Any], list[bytes]]


@dataclass
class Sample:
    """Distinct pictures, shrunk to (H, W, 3) bytes each; the parent turns them."""

    video: Pictures
    max_side: int
    lost: int = 0
    seconds: list[float] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)  # width, height: the first picture's, for all of them
    turn: tuple[bool, bool, bool] = (False, False, False)  # transpose, flip rows, flip columns

    def add(self, seconds: float, frame: av.VideoFrame, sar: float) -> None:
        if self.seconds and seconds <= self.seconds[-1]:
            return
        if not self.pictures:
            self.size = fit(frame.width * sar, frame.height, self.max_side)
            self.turn = turn_as_shown(self.video, frame)
        self.seconds.append(seconds)
        self.pictures.append(rgb(frame, self.size))

    def reply(self, **header: Any) -> Reply:
        header |= {"seconds": self.seconds, "lost": self.lost, "turn": self.turn}
        header["shape"] = [len(self.pictures), self.size[1], self.size[0], 3]
        return header, self.pictures


def sample(video: Pictures, moments: list[float], max_side: int) -> Sample:
    """The pictures on show at these moments, which ascend; what was damaged is only counted."""
    found = Sample(video, max_side)
    for moment in moments:
        picture = video.at(moment)
        if picture is None or not picture.clean or video.missing(moment):
            found.lost += 1
        else:
            found.add(picture.seconds, picture.frame, aspect(video.stream))
    return found


def read_pictures(request: dict[str, Any]) -> Reply:
    """PyAV: the pictures at the centres of equal segments of the range."""
    video = pictures_of(request["path"])
    count, max_side = request["frames"], request["max_side"]
    declared, end = video.declared_end(), video.end()
    if not end:
        raise VideoError("has no pictures in it; is the file whole?")
    start, stop = chosen_range(request, video.first, end)
    found = sample(video, centres(start, stop, count), max_side)
    warnings = [*video.notes, *([MOTION_PHOTO] if video.inside else [])]
    if declared and declared - end > max(0.2, 0.02 * declared):  # not just some more sound
        warnings.append(f"its pictures end at {end:.2f} s, although it claims {declared:.2f} s")
    if found.lost:
        warnings.append(f"{found.lost} of {count} frames could not be decoded")
    if not found.pictures:
        picture = first_clean(video, start, stop)
        found.add(picture.seconds, picture.frame, aspect(video.stream))
    warnings += outside(request, found.seconds, start, stop)
    return found.reply(duration=end, start=start, end=stop, warnings=warnings)


def outside(request: dict[str, Any], seconds: list[float], start: float, stop: float) -> list[str]:
    """A warning where pictures begin outside the range that was asked for."""
    asked = request["start"] is not None or request["end"] is not None
    others = [f"{at:.2f}" for at in seconds if not start - 1e-3 <= at < stop] if asked else []
    if not others:
        return []
    frames = f"the frame of {others[0]} s begins"
    if others[1:]:
        frames = f"the frames of {', '.join(others)} s begin"
    return [f"{frames} outside the asked range ({start:.2f} to {stop:.2f} s): none nearer to it"]


def first_clean(video: Pictures, start: float, stop: float) -> Picture:
    """One whole picture in a range is better than none."""
    picture = video.at(start)
    while picture is not None and picture.seconds < stop:
        if picture.clean and picture.end > start:
            return picture
        picture = video.ahead and video.at(video.ahead.seconds)
    raise VideoError("is damaged: none of its pictures could be decoded")


def read_with_decord(request: dict[str, Any]) -> Reply:
    """decord: the same moments, by its own decoding and its own frame times."""
    try:
        import decord
    except ImportError as error:
        raise VideoError(
            "was to be read with decord, which is not installed: "
            "pip install decord, or choose the decoder pyav"
        ) from error
    video = Pictures(request["path"])  # for the clip's clock and the shape of its pixels
    if len(tracks_of(video.container, "video")) > 1:
        raise VideoError(
            "has several video tracks, and decord takes its own of them; choose the decoder pyav"
        )
    if needs_mapping(video):
        raise VideoError("is HDR or transparent, misread by decord; choose the decoder pyav")
    found = Sample(video, request["max_side"])
    try:
        reader = decord.VideoReader(request["path"], ctx=decord.cpu(0), num_threads=1)
        starts = shared_times(video, reader.get_frame_timestamp(range(len(reader))))
        start, stop = chosen_range(request, video.first, end := video.end())
        for moment in centres(start, stop, request["frames"]):
            index = max(0, bisect_right(starts, moment) - 1)
            frame = av.VideoFrame.from_ndarray(reader[index].asnumpy(), format="rgb24")
            found.add(starts[index], frame, aspect(video.stream, frame))
    except (decord.DECORDError, IndexError) as error:
        raise VideoError("cannot be read by decord; choose the decoder pyav") from error
    warnings = outside(request, found.seconds, start, stop)
    return found.reply(duration=end, start=start, end=stop, warnings=warnings)


def shared_times(video: Pictures, seen: Any) -> list[float]:
    """Every picture's time by the container, which decord's own, (N, 2) float32, must agree with.

    They do not with edit lists and in AVI, and a seek in MPEG-TS lands elsewhere: decord would
    give other pictures. It still may after a seek into an open group of pictures.
    """
    stored = sorted(start for start, _ in video.packet_times() if start is not None)
    shift = stored[0] - float(seen[0][0])  # decord's clock starts at its first picture
    apart = [abs(a - shift - float(b)) for a, (b, _) in zip(stored, seen, strict=False)]
    name = video.container.format.name
    if name in DECORD_LOST or len(stored) != len(seen) or max(apart) > video.step / 2:
        raise VideoError(f"({name}) is misread by decord; choose the decoder pyav")
    return stored


def aspect(stream: av.VideoStream, shown: av.VideoFrame | None = None) -> float:
    """Width of a pixel over its height; of an already turned frame where ``shown`` is given."""
    sar = float(stream.sample_aspect_ratio or 1)
    if not 1 / 8 <= sar <= 8:  # nonsense in a damaged header
        return 1.0
    turned = shown is not None and shown.width == stream.height != stream.width
    return 1 / sar if turned else sar


def read_info(request: dict[str, Any]) -> Reply:
    """Facts about the clip, its size as shown."""
    video = pictures_of(request["path"])
    picture = video.at(video.first)
    if picture is None:
        raise VideoError("is damaged: none of its pictures could be decoded")
    size = fit(picture.frame.width * aspect(video.stream), picture.frame.height, 1 << 30)
    turned, _, _ = turn_as_shown(video, picture.frame)
    width, height = reversed(size) if turned else size
    info: dict[str, Any] = {"width": width, "height": height, "fps": round(1 / video.step, 3)}
    info["codec"] = video.stream.codec_context.codec.canonical_name
    info["duration"] = video.end()
    info["has_audio"] = any(s.codec_context for s in video.container.streams.audio)
    info["subtitle_tracks"] = [
        track.metadata.get("title") or track.language or f"track {number}"
        for number, track in enumerate(text_tracks(video.container), 1)
    ]
    return info, []


def answer(request: dict[str, Any]) -> Reply:
    """The reply to one request; a failure is a reply as well: its kind and one line."""
    try:
        return TASKS[request["task"]](request)
    except Exception as error:  # the process ends here: the parent has to hear of it
        if isinstance(error, MemoryError) or memory_left() < MARGIN:
            return {"failure": "memory"}, []
        message = (
            str(error) if isinstance(error, VideoError) else f"made the reader fail: {error!r}"
        )
        return {"failure": "video", "message": message}, []


TASKS = {
    "pyav": read_pictures,
    "decord": read_with_decord,
    "info": read_info,
    "subtitles": read_subtitles,
    "sound": read_sound,
}


def limit(seconds: float, memory_mb: int) -> None:
    """No core dumps, no more memory than allowed, no life after a parent that died."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    signal.alarm(int(seconds) + ORPHAN_SECONDS)
    if sys.platform == "linux":  # at once, with the thread that waits for the reply
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    source = sys.stdin.buffer
    requests = map(json.loads, source) if "--many" in sys.argv else [json.load(source)]
    with os.fdopen(os.dup(1), "wb") as out:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        for request in requests:
            limit(request["seconds"], request["memory_mb"])
            header, payload = answer(request)
            encoded = json.dumps(header | {"payload": sum(map(len, payload))}).encode()
            out.write(MAGIC + struct.pack("<I", len(encoded)) + encoded)
            out.writelines(payload)
            out.flush()
            signal.alarm(0)  # until the next request


if __name__ == "__main__":
    main()
