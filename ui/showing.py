"""What was found opens in the chat, at its moment."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.ui import cards
from assistant.ui.opening import Unopened, in_turn, no_room, open_added
from assistant.ui.room import Room, failed
from assistant.ui.uploads import Limits, check_clip, check_dialogue, safe_name
from assistant.ui.view import Parts, Props, played, shown_clips
from assistant.ui.visitor import OpenClip, Visitor, dialogues_of

from assistant.dialogue.sidecars import sidecars
from assistant.errors import AssistantError, InputError

if TYPE_CHECKING:
    from assistant.retrieval import Hit

CHAT = "chat"  # its tab
UNLIMITED = Limits(bytes=2**63, seconds=math.inf, pixels=2**63)  # a file of the owner's


def open_hit(room: Room, visitor: Visitor, key: str) -> Iterator[Parts]:
    """A card was clicked; ``key``: its ``data-found``, and what makes each click another."""
    hit = visitor.found.hit(key.partition(" ")[0]) if visitor.found else None
    if hit is None:
        yield {"search status": cards.note("This result is of another search; search again.")}
        return
    yield from _open(room, visitor, hit)


def begin(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """What the server was started to show, once for each visitor."""
    if room.options.begin is not None and not visitor.has_begun:
        visitor.has_begun = True
        yield from _open(room, visitor, room.options.begin)


def whole(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """All of the shown clip is asked about, no longer the moment that was found."""
    clip = played(visitor)
    if clip is not None:
        clip.moment = None
        yield from _opened(room, visitor, clip)


def _open(room: Room, visitor: Visitor, hit: Hit) -> Iterator[Parts]:
    """A hit in the chat, the player at its moment."""
    yield {"tabs": Props(selected=CHAT)}
    with in_turn(visitor):
        try:
            clip = _clip_of(room, visitor, hit)
        except AssistantError as error:
            yield {"status": cards.note(str(error), "bad")}
            return
        visitor.chosen = clip.name
        clip.moment = None
        if hit.start is not None and hit.end is not None:
            clip.moment = hit.start, hit.end
        yield from _opened(room, visitor, clip)


def _opened(room: Room, visitor: Visitor, clip: OpenClip) -> Iterator[Parts]:
    status = ""
    try:
        yield from open_added(room, visitor, clip)
    except Unopened as error:
        status = failed(visitor, error.failure)
    yield {**shown_clips(visitor), "status": status}


def _clip_of(room: Room, visitor: Visitor, hit: Hit) -> OpenClip:
    """The open clip of a hit, or a new one. Raises InputError: it cannot be opened."""
    if hit.kind == "text":
        raise InputError(f"{Path(hit.file).name} is a text; the chat opens clips and pictures")
    known = [clip for clip in visitor.clips.values() if clip.origin == hit.file]
    if known:
        return known[0]
    name = safe_name(Path(hit.file).name, tuple(visitor.clips))
    if len(visitor.clips) >= room.options.limits.clips:
        raise InputError(no_room(visitor, name))
    try:
        link = visitor.lent.lend(hit.file)
    except OSError as error:
        raise InputError(f"{name} is not there any more, or not to be read") from error
    try:
        offered = check_clip(link, name, UNLIMITED)
    except AssistantError:
        visitor.lent.take_back(link)
        raise
    clip = visitor.clips[name] = OpenClip(name, link, offered, origin=hit.file)
    _take_subtitles(clip)
    return clip


def _take_subtitles(clip: OpenClip) -> None:
    """A copy of the subtitles that lie beside the found file, if any can be read."""
    for path in sidecars(Path(clip.origin)):
        with contextlib.suppress(InputError):
            check_dialogue(path, path.name)
            folder = dialogues_of(clip)
            folder.mkdir(exist_ok=True)
            clip.dialogue = Path(shutil.copy(path, folder / path.name))
            return
