"""A clip's pictures through PyAV, by time: runs in the reader's own process only.

Frame counts and declared lengths are not trusted: a picture is what the decoder gives for its
presentation time, and it is clean when nothing that it may build on was damaged.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.stream import Discard

from assistant.core.languages import own_language
from assistant.core.shortage import memory_left
from assistant.errors import VideoError
from assistant.media.choice import choose, tracks_of
from assistant.media.wrapped import ENCRYPTED, INSIDE, check_fairplay, check_protection, clip_inside

NOT_CLIPS = {"hls", "dash", "concat", "imf", "tty"}  # open other files, or draw text
# Decoders in which every packet gives a picture; elsewhere it may say "as before".
STILL = ("_pipe", "image2", "apng")  # ends of the names of formats of photos
DENSE = {"h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "gif"}
NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS: raw streams
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders pass over it
PILLOW_FAILS = (  # what pillow raises for damage
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, RuntimeError),
    struct.error,
)
BACK_OFF = (0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)  # s before the wanted time
BYTES_PER_PIXEL = 8  # at most, of a decoded picture
PATIENCE = 16.0  # s to go back for a clean start: an open group of pictures, not damage


def open_container(path: str) -> av.container.InputContainer:
    """A file, or the clip that a Motion Photo holds. Raises VideoError: it is no clip."""
    if inside := clip_inside(path):
        path = f"subfile,,start,{inside}{INSIDE}{path}"
    options = {"protocol_whitelist": "file,subfile"}
    try:
        container = av.open(path, options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        pass_on_memory(error)
        reason = error.strerror.lower()
        raise VideoError(f"cannot be read as a video ({reason}); is the file whole?") from error
    if NOT_CLIPS & set(container.format.name.split(",")):
        raise VideoError(f"is a {container.format.name} file, a video clip was wanted")
    return container


def pass_on_memory(error: av.FFmpegError, wanted: int = 0) -> None:
    """A lack of memory is ours to report; everything else FFmpeg raises is the file's damage.

    Some decoders call it damage as well: ``wanted`` is what they may have asked for, in bytes.
    """
    if isinstance(error, MemoryError) or memory_left() < wanted:
        raise MemoryError from error


def video_stream(container: av.container.InputContainer) -> tuple[av.VideoStream, list[str]]:
    """The stream of moving pictures that is read, with notes; the demuxer skips all others."""
    moving = tracks_of(container, "video")
    if not moving:
        what = "only a cover picture" if container.streams.video else "no video"
        raise VideoError(f"has {what} in it; a clip with moving pictures was wanted")
    usable = [s for s in moving if s.codec_context is not None]
    if not usable:
        check_fairplay(container)
        raise VideoError("has a video that no decoder here knows; convert it to H.264 in MP4")
    taken, notes = choose(usable, moving, own_language())
    read_only(container, taken)
    return taken, notes


def read_only(container: av.container.InputContainer, stream: av.stream.Stream) -> None:
    check_protection(container, stream)
    for other in container.streams:
        other.discard = Discard.default if other is stream else Discard.all


def packets_of(stream: av.stream.Stream) -> Iterator[av.Packet]:
    try:
        for packet in stream.container.demux(stream):
            if packet.has_sidedata("encryption_info"):
                raise VideoError(ENCRYPTED)
            yield packet
    except av.FFmpegError as error:  # as for ffmpeg: what cannot be read ends the clip
        pass_on_memory(error)


def origin_of(container: av.container.InputContainer, stream: av.stream.Stream) -> float:
    """Where the clip's own clock starts, in seconds of the container's timestamps."""
    if container.start_time is not None:
        return container.start_time / av.time_base
    return float((stream.start_time or 0) * stream.time_base)


@dataclass
class Group:
    """A key picture and those that build on it."""

    broken_at: float = float("inf")  # number of its first damaged packet

    def damage(self, number: int) -> None:
        self.broken_at = min(self.broken_at, number)


@dataclass(frozen=True)
class Picture:
    """A decoded frame with its presentation time and end, in seconds of the clip's clock."""

    seconds: float
    end: float
    frame: av.VideoFrame
    group: Group
    number: int  # of its packet

    @property
    def clean(self) -> bool:
        """Whether neither it nor a picture that it may build on was damaged."""
        return self.number < self.group.broken_at


class Pictures:
    """A clip's pictures in order of presentation, from any time on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.restart()
        self.origin = origin_of(self.container, self.stream)
        start = self.stream.start_time
        self.first = 0.0 if start is None else max(0.0, self.clock(start))
        self.seekable = not self.container.format.flags & NO_TIMESTAMPS
        declared = self.declared_end()
        # times past it are damage: no container is wrong by more than that about its length
        self.horizon = 2 * declared + 10 if declared else float("inf")
        self.dense = self.stream.codec_context.name in DENSE
        self.has_keys = False  # whether the container tells which pictures are key pictures
        # s that are decoded forward rather than by a seek: grows to the longest group met
        self.reach = 1.0 if self.seekable else float("inf")
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.step = 1 / float(rate) if rate else 0.04  # s from picture to picture
        self.still = self.container.format.name.endswith(STILL)
        self.brand = self.container.metadata.get("major_brand", "").strip()
        self.inside = self.container.name != path  # a photo

    def restart(self) -> None:
        self.container = open_container(self.path)
        self.stream, self.notes = video_stream(self.container)
        context = self.stream.codec_context
        if self.stream.metadata.get("alpha_mode") == "1" and context.name in WITH_ALPHA:
            context = av.CodecContext.create(WITH_ALPHA[context.name], "r")
        context.thread_type, context.thread_count = "SLICE", 1  # other modes hold more memory
        context.copy_opaque = True
        self.context = context
        self.shown: Picture | None = None
        self.ahead: Picture | None = None
        self.due: list[float | None] = []  # times for which a decoded packet owes a picture

    def clock(self, timestamp: int) -> float:
        """A timestamp of the stream in seconds of the clip's clock."""
        return round(float(timestamp * self.stream.time_base) - self.origin, 6)

    def moment(self, part: av.Packet | av.VideoFrame) -> float | None:
        """When the picture of a packet or frame starts, in seconds, if that can be told."""
        timestamp = part.pts if part.pts is not None else part.dts
        if timestamp is None or abs(self.clock(timestamp)) > self.horizon:
            return None
        return self.clock(timestamp)

    def declared_end(self) -> float | None:
        """Where the container says that the pictures end, in seconds, if it does say it."""
        end = (self.container.duration or 0) / av.time_base
        if self.stream.duration:
            end = self.clock((self.stream.start_time or 0) + self.stream.duration)
        return end if end > 0 else None

    def end(self) -> float:
        """Where the pictures really end, in seconds, by the last packets; decodes nothing."""
        self.shown = self.ahead = None
        declared = self.declared_end() or 0.0
        for back in BACK_OFF[1:]:  # not 0: the last one shown is not the last one stored
            if not self.seek(declared - back):
                break
            end = self.last_packet_end()
            if end > 0:
                return round(end, 6)
        self.restart()
        end = self.last_packet_end()
        self.restart()
        return round(end, 6)

    def last_packet_end(self) -> float:
        end = 0.0
        for start, length in self.packet_times():
            end = max(end, (end if start is None else start) + length)
        return end

    def packet_times(self) -> Iterator[tuple[float | None, float]]:
        """Start and length of every picture from here on, by its packet, in seconds."""
        for packet in packets_of(self.stream):
            self.has_keys |= packet.is_keyframe
            if packet.size and not packet.is_discard:
                length = float((packet.duration or 0) * self.stream.time_base) or self.step
                yield self.moment(packet), length

    def decode(self, following: float | None) -> Iterator[Picture]:
        """From here to the end; a picture without a time starts at ``following``, if known."""
        context, shape = self.context, self.stream.codec_context
        # what comes before the first key picture builds on pictures that are not there
        group = Group(broken_at=0 if self.has_keys else float("inf"))
        for number, packet in enumerate(packets_of(self.stream)):
            if packet.is_keyframe:
                group = Group()
            if packet.is_corrupt:
                group.damage(number)
            packet.opaque = (group, number)  # comes back with the frame, which may be reordered
            try:
                frames = context.decode(packet)
            except av.FFmpegError as error:
                pass_on_memory(error, wanted=shape.width * shape.height * BYTES_PER_PIXEL)
                group.damage(number)
                self.due.append(self.moment(packet))
                continue
            if self.dense and packet.size and not packet.is_discard:
                self.due.append(self.moment(packet))
            for frame in frames:
                its_group, its_number = frame.opaque or (group, number)
                if frame.is_corrupt:
                    its_group.damage(its_number)
                start = self.moment(frame)
                start = following if start is None else start
                if start is None:
                    continue  # no telling where this is
                length = float((frame.duration or 0) * self.stream.time_base) or self.step
                following = round(start + length, 6)
                yield Picture(start, following, frame, its_group, its_number)

    def at(self, seconds: float) -> Picture | None:
        """The picture on show at a time: the last that starts at or before it, else the first."""
        gap = -1.0 if self.shown is None else seconds - self.shown.seconds
        if gap < 0 or (gap > self.reach and self.ahead is not None):
            self.land(seconds)
        while self.ahead is not None and self.ahead.seconds <= seconds:
            self.shown, self.ahead = self.ahead, next(self.following, None)
        return self.shown or self.ahead

    def land(self, seconds: float) -> None:
        """Starts decoding at a picture from which ``seconds`` is reached going forward."""
        for back in BACK_OFF:
            if not self.seek(seconds - back):
                break
            self.begin(start=None)
            if self.ahead is None or self.ahead.seconds > seconds:
                continue
            if self.ahead.clean or back >= PATIENCE:
                self.reach = max(self.reach, seconds - self.ahead.seconds)
                return
        self.restart()
        self.begin(start=self.first)

    def seek(self, seconds: float) -> bool:
        """Moves the container to a key picture; False where only the start is sure to work."""
        if not self.seekable or seconds < self.first + 1.0:
            return False
        try:
            timestamp = int((seconds + self.origin) / self.stream.time_base)
            self.container.seek(timestamp, stream=self.stream)
        except (av.FFmpegError, OverflowError):
            return False
        return True

    def begin(self, start: float | None) -> None:
        self.due = []
        self.following = self.decode(start)
        self.shown, self.ahead = None, next(self.following, None)

    def missing(self, seconds: float) -> bool:
        """Whether the picture that belongs to the last ``at`` did not come out of the decoder."""
        late = self.shown.seconds + 1.5 * self.step if self.shown else -float("inf")
        if any(late < moment <= seconds for moment in self.due if moment is not None):
            return True
        if self.shown is None:
            return False
        return self.shown.group.broken_at < float("inf") and seconds >= self.shown.end
