"""Clips come and go: uploads, examples, subtitles, the clip that is chosen."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.ui import cards, picking, samples
from assistant.ui.line import Failed, Waiting
from assistant.ui.room import Room, failed
from assistant.ui.talk import Stage, open_clip
from assistant.ui.uploads import check_clip, check_dialogue, is_dialogue, safe_name
from assistant.ui.view import Parts, shown, shown_clips
from assistant.ui.visitor import OpenClip, Visitor, dialogues_of

from assistant.dialogue.sidecars import tag_of
from assistant.errors import AssistantError, InputError

LONGEST_TAKE = 600.0  # seconds; after that an upload does not wait for the one before it


class Unopened(Exception):
    """A clip or its subtitles could not be opened."""

    def __init__(self, failure: Failed) -> None:
        self.failure = failure


def take(room: Room, visitor: Visitor, files: Sequence[str | Path]) -> Iterator[Parts]:
    """Uploaded clips and subtitles; a wrong one gets one line, the others go on."""
    yield {"drop": None}  # the next one can be dropped
    with in_turn(visitor):
        yield from _take_each(room, visitor, files)


@contextmanager
def in_turn(visitor: Visitor) -> Iterator[None]:
    """What is opened waits for what came before it."""
    taking = visitor.taking.acquire(timeout=LONGEST_TAKE)
    try:
        yield
    finally:
        if taking:
            visitor.taking.release()


def _take_each(room: Room, visitor: Visitor, files: Sequence[str | Path]) -> Iterator[Parts]:
    wrong: list[str] = []
    spare: list[str] = []
    paths = sorted(map(Path, files), key=lambda path: is_dialogue(path.name))
    for path in paths:
        name = safe_name(path.name, tuple(visitor.clips))
        try:
            if is_dialogue(name):
                yield from _take_dialogue(room, visitor, path, name)
            elif len(visitor.clips) >= room.options.limits.clips:
                spare.append(path.name)
            else:
                yield from _take_clip(room, visitor, path, name)
        except AssistantError as error:
            wrong.append(cards.note(str(error), "bad"))
        except FileNotFoundError:  # it waited for others until it was swept
            wrong.append(cards.note(f"{path.name} is not there any more. Drop it again.", "bad"))
        except Unopened as error:
            wrong.append(failed(visitor, error.failure))
        finally:
            path.unlink(missing_ok=True)
    if spare:
        wrong.append(cards.note(no_room(visitor, ", ".join(spare)), "bad"))
    yield {**shown_clips(visitor), "status": "".join(wrong)}


def no_room(visitor: Visitor, names: str) -> str:
    """Why ``names`` are not opened, too."""
    most = "1 clip is" if len(visitor.clips) == 1 else f"{len(visitor.clips)} clips are"
    return f"{most} open, more do not fit. Close one to open {names}."


def take_sample(room: Room, visitor: Visitor, label: str) -> Iterator[Parts]:
    """One of the example clips."""
    name = samples.samples().get(label, label)
    if name in visitor.clips:
        yield choose(room, visitor, name)
        return
    yield {"status": cards.progress(f"Making {name}", 0.0)}
    try:
        path = samples.make_sample(name, visitor.folder)
    except AssistantError as error:
        yield {"status": cards.note(str(error), "bad")}
        return
    yield from take(room, visitor, [path])
    if name in visitor.clips:
        visitor.clips[name].sample = label


def choose(room: Room, visitor: Visitor, name: str) -> Parts:
    """The clip that is asked and played from now on."""
    if name in picking.clip_choices(list(visitor.clips)):
        visitor.chosen = name
    return shown_clips(visitor)


def remove(room: Room, visitor: Visitor) -> Parts:
    """Close the chosen clip, or all."""
    names = list(visitor.clips) if visitor.chosen == picking.ALL else [visitor.chosen]
    for name in names:
        if name in visitor.clips:
            visitor.remove(name)
    return {**shown(visitor), "status": ""}


def _take_clip(room: Room, visitor: Visitor, path: Path, name: str) -> Iterator[Parts]:
    yield {"status": cards.progress(f"Checking {name}", 0.0)}
    offer = check_clip(path, name, room.options.limits)
    yield from open_added(room, visitor, visitor.add(path, name, offer))


def open_added(room: Room, visitor: Visitor, clip: OpenClip) -> Iterator[Parts]:
    """Look at a clip that was just added; one that cannot be opened leaves. Raises Unopened."""
    name = clip.name
    yield {**shown_clips(visitor), "status": cards.progress(f"Opening {name}", 0.0)}
    for update in open_clip(room.engine, visitor, clip):
        if isinstance(update, Failed):
            if visitor.clips.get(name) is not clip:
                return  # closed meanwhile: nobody misses it
            message = update.message.replace(str(clip.path), name)
            visitor.remove(name)
            raise Unopened(Failed(message, update.memory))
        yield _told(update)


def _told(update: Any) -> Parts:
    """How far the work is; nothing where an update does not say."""
    if isinstance(update, Waiting):
        return {"status": cards.thinking("Your turn now", update.ahead)}
    if isinstance(update, Stage):
        return {"status": cards.progress(update.doing, update.share)}
    return {}


def _take_dialogue(room: Room, visitor: Visitor, path: Path, name: str) -> Iterator[Parts]:
    """Subtitles belong to the clip of the same name, else to the chosen one."""
    named = [clip for clip in visitor.clips if tag_of(name, clip) is not None]
    owner = (named or [visitor.chosen])[0]
    if owner not in visitor.clips:
        raise InputError(f"{name} holds subtitles; choose the clip they belong to first.")
    clip = visitor.clips[owner]
    check_dialogue(path, name)
    folder = dialogues_of(clip)
    folder.mkdir(exist_ok=True)
    before = clip.dialogue
    clip.dialogue = folder / name  # its name is shown as the source
    shutil.move(path, clip.dialogue)
    clip.session = None  # it may hold another file of this name
    for update in open_clip(room.engine, visitor, clip):
        if isinstance(update, Failed):
            clip.dialogue.unlink(missing_ok=True)
            clip.dialogue = before if before is not None and before.is_file() else None
            raise Unopened(update)
        yield _told(update)


def listen(room: Room, visitor: Visitor, wanted: str) -> Iterator[Parts]:
    """Take what is said from the sound of the chosen clip: always, without subtitles, or never."""
    visitor.settings = replace(visitor.settings, transcribe=wanted)
    clip = visitor.clips.get(visitor.chosen)
    if clip is None:
        return
    for update in open_clip(room.engine, visitor, clip):
        if isinstance(update, Failed):
            visitor.settings = replace(visitor.settings, transcribe="no")
            yield {"status": failed(visitor, update), "transcribe": "no"}
            return
        yield _told(update)
    yield {**shown_clips(visitor), "status": ""}
