"""Which of a clip's tracks of one kind is read: runs in the reader's own process only."""

import re
from collections.abc import Sequence
from typing import TypeVar

import av
from av.stream import Disposition

from assistant.core.languages import TAGS, language_of, name_of

COVER = Disposition.attached_pic | Disposition.timed_thumbnails
PICTURES = {"mjpeg", "png", "bmp", "gif", "tiff", "webp"}  # beside other video: a cover unflagged
# what a track's flag, or its title, says that it is: a part of what is said, or said otherwise
PARTS = (
    (Disposition.forced, "forced", r"forced|signs|songs"),
    (Disposition.comment, "commentary", r"comment\w*"),
    (Disposition.karaoke | Disposition.lyrics, "lyrics", r"karaoke|lyrics"),
    (Disposition.clean_effects | Disposition.non_diegetic, "effects", r"effects|music only"),
)
IMPAIRED = (
    (Disposition.hearing_impaired, "for the hard of hearing", r"sdh|hearing|hoh|cc"),
    (
        Disposition.visual_impaired | Disposition.descriptions,
        "for the visually impaired",
        r"descri\w+|visual\w*|dvs",
    ),
)
S = TypeVar("S", bound=av.stream.Stream)


def tracks_of(container: av.container.InputContainer, kind: str) -> list[av.stream.Stream]:
    """The streams of a kind, "video", "audio" or "subtitle", that are no cover pictures."""
    return [s for s in container.streams if s.type == kind and not s.disposition & COVER]


def choose(usable: Sequence[S], tracks: Sequence[S], wanted: str | None) -> tuple[S, list[str]]:
    """The one of ``usable`` to read, and a note on which of ``tracks`` it is where there are more.

    The language ``wanted`` comes before others, the default before the first; what says only a part
    (forced, a commentary) comes last, and what is for the impaired after its like.
    """
    moving = any(s.codec_context.name not in PICTURES for s in usable)

    def rank(track: S) -> tuple[bool, ...]:
        return (
            track.type == "video" and moving and track.codec_context.name in PICTURES,
            bool(_kinds(track, PARTS)),
            language(track) != wanted if wanted else False,
            bool(_kinds(track, IMPAIRED)),
            not track.disposition & Disposition.default,
        )

    taken = min(usable, key=rank)
    spoken = language(taken)
    said = [name_of(spoken)] if spoken else []
    said += ["default"] if taken.disposition & Disposition.default else []
    odd = _kinds(taken, (*PARTS, *IMPAIRED))
    if len(tracks) < 2 and not odd:
        return taken, []
    kind = {"audio": "sound"}.get(taken.type, taken.type)
    told = f" ({', '.join(said + odd)})" if said or odd else ""
    return taken, [f"{kind} track {tracks.index(taken) + 1} of {len(tracks)}{told}"]


def language(track: av.stream.Stream) -> str | None:
    """That a track is tagged with, else the one that its title names."""
    named = (word for word in re.findall(r"[a-z]{4,}", _title(track)) if word in TAGS)
    return language_of(track.metadata.get("language")) or language_of(next(named, None))


def _kinds(track: av.stream.Stream, kinds: Sequence[tuple[Disposition, str, str]]) -> list[str]:
    title = _title(track)
    return [
        name
        for flag, name, words in kinds
        if track.disposition & flag or re.search(rf"\b(?:{words})\b", title)
    ]


def _title(track: av.stream.Stream) -> str:
    return " ".join(track.metadata.get(key, "") for key in ("title", "handler_name")).lower()
