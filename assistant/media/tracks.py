"""A clip's text and sound tracks through PyAV: runs in the reader's own process only."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av

from assistant.core.languages import name_of, own_language
from assistant.dialogue.cues import without_codes
from assistant.errors import VideoError
from assistant.media.choice import choose, language, tracks_of
from assistant.media.pictures import (
    open_container,
    origin_of,
    packets_of,
    pass_on_memory,
    read_only,
)
from assistant.media.sampling import chosen_range

LEAD = 1.0  # s that sound is decoded before the asked start, so that the decoder has settled
GAP = 0.1  # s without sound from which on silence is filled in
WIDTH = 2  # bytes of a sample


def text_tracks(container: av.container.InputContainer) -> list[av.stream.Stream]:
    """Subtitle streams of text (not of pictures)."""
    streams = tracks_of(container, "subtitle")
    return [s for s in streams if s.codec_context is not None and s.codec_context.codec.text_sub]


def frames_of(stream: av.stream.Stream) -> Iterator[Any]:
    """What can be decoded of a text or sound stream, with the packet it came in."""
    for packet in packets_of(stream):
        try:
            yield from ((packet, decoded) for decoded in packet.decode())
        except av.FFmpegError as error:
            pass_on_memory(error)


def read_subtitles(request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """A text track's events: [start, end, speaker, text], in seconds of the clip's clock."""
    container = open_container(request["path"])
    usable, tracks = text_tracks(container), tracks_of(container, "subtitle")
    if not usable:
        pictures = f"none of its subtitle tracks ({len(tracks)}) is text: they are not read"
        return {"events": [], "notes": [pictures] if tracks else []}, []
    track, notes = choose(usable, tracks, own_language())
    read_only(container, track)
    origin, unit = origin_of(container, track), float(track.time_base)
    events = []
    for packet, event in frames_of(track):
        if packet.pts is not None:
            start = packet.pts * unit - origin
            end = start + (packet.duration or 0) * unit
            speaker, text = said_in(event.ass.decode(errors="replace"))
            events += [[start, end, speaker, text]] if text else []
    return {"events": events, "notes": notes}, []


def said_in(event: str) -> tuple[str | None, str]:
    """Of an ASS event: ReadOrder, Layer, Style, Name, three margins, Effect, Text."""
    fields = event.split(",", 8)
    name, text = (fields[3], fields[8]) if len(fields) == 9 else ("", event)
    return name.strip() or None, without_codes(text).strip()


def read_sound(request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """A sound stream's range as signed 16 bit mono; gaps in it are silence."""
    container = open_container(request["path"])
    tracks = tracks_of(container, "audio")
    usable = [s for s in tracks if s.codec_context is not None]
    if not usable:
        raise VideoError("has no sound in it; a clip with a sound track was wanted")
    wanted = request["language"]
    stream, notes = choose(usable, tracks, wanted or own_language())
    spoken = language(stream)
    if wanted and spoken and spoken != wanted:
        notes.append(f"its sound is in {name_of(spoken)}; {name_of(wanted)} was wanted")
    origin, rate = origin_of(container, stream), request["rate"]
    length = (container.duration or 0) / av.time_base
    start, stop = chosen_range(request, 0.0, length or float("inf"))
    read_only(container, stream)
    if start > LEAD:
        with suppress(av.FFmpegError):  # what cannot be sought is read from its start
            container.seek(int((start - LEAD + origin) / stream.time_base), stream=stream)
    base, sound = start, bytearray()  # of ``sound[0]``, in seconds
    for moment, chunk in resampled(stream, rate):
        if moment is not None:
            moment -= origin
            if moment >= stop:
                break
            if not sound:
                base = moment
            silent = moment - base - len(sound) / WIDTH / rate
            if silent > GAP and stop < float("inf"):
                sound += bytes(WIDTH * round(silent * rate))
        sound += chunk
    lead = WIDTH * round((start - base) * rate)
    sound = sound[lead:] if lead >= 0 else bytearray(-lead) + sound
    if stop < float("inf"):
        del sound[WIDTH * round((stop - start) * rate) :]
    if not sound:
        raise VideoError("has no sound there that could be decoded")
    return {"notes": notes}, [bytes(sound)]


def resampled(stream: av.audio.AudioStream, rate: int) -> Iterator[tuple[float | None, bytes]]:
    """The stream's frames as 16 bit mono at ``rate``, each with its time in the container."""
    kind: tuple[str, str, int] | None = None
    resampler: Any = None
    for _, frame in frames_of(stream):
        if kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        yield frame.time, joined(resampler.resample(frame))
    if resampler is not None:
        yield None, joined(resampler.resample(None))


def joined(frames: list[av.AudioFrame]) -> bytes:
    return b"".join(bytes(frame.planes[0])[: WIDTH * frame.samples] for frame in frames)
