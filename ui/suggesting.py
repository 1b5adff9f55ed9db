"""What is known of an open clip, and what to ask it: nothing is suggested that it cannot answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.ui import picking, samples

from assistant.errors import AssistantError
from assistant.sources.seen import SURE, likeliest
from assistant.tasks.store import adapter_folders, find_adapter, find_task

if TYPE_CHECKING:
    from assistant.ui.visitor import OpenClip

    from assistant.sources import Perceived
    from assistant.vqa.session import Session

MOST = 4
LONG = 10.0  # seconds, from which on a part of a clip is worth a question
TIMED = 30.0  # from which on one may want to know what happens when in it
CLOCK = re.compile(r"\d:\d\d")  # a time that the clip at hand may not have
SCENE = re.compile(r"\b(?:cube|sphere|cylinder|cone|pyramid|ball)s?\b")  # what is generated
BASE_TASKS = ("auto", "chat", "describe")
BESIDE = ("What differs?", "Which of them is outdoors?")  # of several clips


@dataclass(frozen=True)
class Known:
    """What was found when a clip was opened."""

    seconds: float
    things: tuple[Perceived, ...] = ()  # that the encoder's classifier names, the likeliest first
    unread: int = 0  # lines of dialogue, the oldest, that do not fit beside a question


def known_of(clip: OpenClip, session: Session) -> Known:
    """What a session that has looked knows; nothing is computed twice."""
    seen, assistant = session.look(), session.assistant
    lines = [line.as_text() for line in reversed(session.dialogue.lines)]
    return Known(
        seconds=seen.duration,
        things=likeliest(seen.classes, assistant.sight.class_names),
        # A language model of the person's own has more room; an answer says what did not fit.
        unread=assistant.model.fit_qformer_text(["", *lines])[1]
        if lines and assistant.llm is None
        else 0,
    )


def questions(task: str, model: str, clips: Sequence[OpenClip] = ()) -> list[str]:
    """A few to try, to all ``clips``; to none: the task's own examples."""
    about = [clip for clip in clips if clip.known is not None]
    if picking.recogniser_of(task) is not None:
        long = about and all(clip.known and clip.known.seconds >= LONG for clip in about)
        return [picking.DONE, *(["What is being done in the last 5 seconds?"] if long else [])]
    made = samples.questions(about[0].sample) if len(about) == 1 else []
    if task in BASE_TASKS[:2]:
        found = made or [*_of_clips(about), *_of_adapters(model, about)]
        found = [*BESIDE, *found] if len(about) > 1 else found
        found = found or _examples("chat", model)[:2]
        return list(dict.fromkeys(found))[:MOST]
    if not _fits(task, model, about):
        return []
    if made and task == "motion":
        return made[:MOST]
    return [text for text in _examples(task, model) if not (about and SCENE.search(text))][:MOST]


def _of_clips(clips: Sequence[OpenClip]) -> list[str]:
    """Of what is in them, by what is known."""
    if not clips:
        return []
    still = any(clip.offer.is_picture for clip in clips)
    things = clips[0].known.things if len(clips) == 1 and clips[0].known else ()
    timed = not still and all(clip.known and clip.known.seconds >= TIMED for clip in clips)
    first = "Summarize the video." if timed else "What is happening?"
    found = ["What is in the picture?" if still else first]
    found += [_when(thing.name) if timed else _whether(thing.name) for thing in things[:1]]
    if all(clip.said for clip in clips):
        found.append("What is said?")
    elif not still and all(clip.known and clip.known.seconds >= LONG for clip in clips):
        found.append("What is in the last 5 seconds?")
    found += [f"What color is the {thing.name}?" for thing in things if thing.probability >= SURE]
    found += [_whether(thing.name) for thing in things[1:]]
    return [*found[: MOST - 1], *(["Describe the picture."] if still else []), *found[MOST - 1 :]]


def _of_adapters(model: str, clips: Sequence[OpenClip]) -> list[str]:
    """The first example of each task with an adapter that fits; scenes are for their own clips."""
    ready = [name for name in adapter_folders(model) if name not in BASE_TASKS]
    fitting = [name for name in ready if _fits(name, model, clips)]
    firsts = [text for name in fitting for text in _examples(name, model)[:1]]
    return [text for text in firsts if clips and not SCENE.search(text)]


def _fits(task: str, model: str, clips: Sequence[OpenClip]) -> bool:
    """Whether every clip has what a task goes by: motion, or a line of dialogue."""
    try:
        prompt = find_task(task, model)
        stored = find_adapter(task, model) if task in adapter_folders(model) else None
    except AssistantError:  # `picking.about` tells what is wrong with it
        return False
    if prompt.is_about_a_line or (stored is not None and not stored.recipe.frames):
        return all(clip.said for clip in clips)
    return task in BASE_TASKS or not any(clip.offer.is_picture for clip in clips)


def _examples(task: str, model: str) -> list[str]:
    try:
        return [text for text in find_task(task, model).examples if not CLOCK.search(text)]
    except AssistantError:
        return []


def _when(thing: str) -> str:
    """``When does the bike appear?``"""
    several = thing.endswith("s") and not thing.endswith("ss")
    return f"When {'do' if several else 'does'} the {thing} appear?"


def _whether(thing: str) -> str:
    """``Is there a bike?``"""
    if thing.endswith("s") and not thing.endswith("ss"):
        return f"Are there {thing}?"
    return f"Is there {'an' if thing[0] in 'aeiou' else 'a'} {thing}?"
