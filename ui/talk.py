"""What is done in the line: a clip is looked at, a question answered, an answer explained."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.ui.engine import Engine
from assistant.ui.line import Job
from assistant.ui.picking import recogniser_of
from assistant.ui.seen import unseen
from assistant.ui.settings import DECODING, LONGEST_QUESTION
from assistant.ui.suggesting import known_of
from assistant.ui.visitor import Asked, OpenClip, Told, Visitor, subtitles_of

from assistant.core.checks import check_choices, check_text
from assistant.core.progress import report, watched
from assistant.errors import InputError
from assistant.vqa.conversation import ACTIONS, HEARD, TALK, TIMELINE
from assistant.vqa.perception import Perception

if TYPE_CHECKING:
    import numpy as np

    from assistant.dialogue.subtitles import Dialogue
    from assistant.vqa.answer import Answer
    from assistant.vqa.session import Session

THUMBNAIL, QUALITY = 192, 80  # longer side in pixels, of JPEG
SMALL = 96  # longer side of a clip's own thumbnail
UNENDING = 3.0  # seconds that a line of subtitles without an end is shown


@dataclass(frozen=True)
class Stage:
    """An update: what is being done now, and how far it is (0 to 1)."""

    doing: str
    share: float


@dataclass(frozen=True)
class Piece:
    """An update: more of the answer."""

    text: str


@dataclass(frozen=True)
class Done:
    """The last update; ``turn`` where it is an answer's."""

    turn: Asked | None = None


def open_clip(engine: Engine, visitor: Visitor, clip: OpenClip) -> Job:
    """Decode and encode a clip, and find what is said in it."""

    from assistant.media.video import read_clip

    def work(job: Job) -> None:
        with watched(lambda doing, share: job.put(Stage(doing, share))):
            session = visitor.session(clip, engine)
            session.look()
            if job.stop.is_set():
                return
            report("Looking for subtitles", 0.0)
            clip.said = session.dialogue
            clip.known = known_of(clip, session)
        if not clip.thumbnail:
            found = read_clip(clip.path, frames=1, max_side=SMALL)
            clip.thumbnail = thumbnails(found.frames)[0]
        write_subtitles(session.dialogue, subtitles_of(clip))
        job.put(Done())

    return engine.line.join(work, visitor)


def ask(
    engine: Engine,
    visitor: Visitor,
    clip: OpenClip,
    question: str,
    choices: Sequence[str] | None = None,
    put: str = "",
) -> Job:
    """Answer a question; a job that is stopped leaves no turn.

    ``put``: what is asked, where ``question`` says more than that.

    Raises:
        InputError: unusable question or choices, or too many are waiting.
    """
    choices = check_choices(choices)
    check_asked(question, choices)

    def work(job: Job) -> None:
        wanted = visitor.settings
        with watched(lambda doing, share: job.put(Stage(doing, share))):
            session = visitor.session(clip, engine)
            recogniser = recogniser_of(wanted.task)
            answer = session.ask(
                put or question,
                task=wanted.task if recogniser is None else "auto",
                recogniser=recogniser,
                adapter=wanted.adapter,
                choices=choices,
                max_new_tokens=wanted.longest or None,
                beams=DECODING[wanted.decoding] or None,
            )
        for piece in answer:
            if job.stop.is_set():
                answer.close()
                return
            job.put(Piece(piece))
        turn = Asked(
            clip.name,
            question,
            answer.text.strip(),
            choices=choices,
            told=told_of(session, answer),
            live=answer,
        )
        if visitor.remember(turn, job, clip):
            job.put(Done(turn))

    if visitor.explaining is not None:
        visitor.explaining.stop.set()
    return engine.line.join(work, visitor)


def check_asked(question: str, choices: Sequence[str] | None = None) -> None:
    """Raises InputError: no text, or too long."""
    check_text("the question", question)
    for name, text in (("the question has", question), ("choices have", "".join(choices or ()))):
        if len(text) > LONGEST_QUESTION:
            raise InputError(f"{name} {len(text)} characters; up to {LONGEST_QUESTION} are read")


def see(engine: Engine, visitor: Visitor, clip: OpenClip, *, every: bool) -> Job:
    """What is perceived of all of a clip, kept as its ``seen``; see `unseen`.

    Raises:
        InputError: ``every`` source is to be asked, and too many are waiting.
    """

    def work(job: Job) -> Iterator[None]:
        with watched(lambda doing, share: job.put(Stage(doing, share))):
            session = visitor.session(clip, engine)
            asked = [source.name for source in clip.seen.sources] if clip.seen else []
            asked += unseen(clip, visitor.settings.sources, every=every)
            for name in asked:
                session.perceive(sources=[name])
                yield  # to whoever asks
            seen = session.perceive(sources=asked)
        if visitor.clips.get(clip.name) is clip and clip.session is session:
            _thumbnails_of(clip, seen)
            clip.seen = seen
        job.put(Done())

    if visitor.seeing is not None:
        visitor.seeing.stop.set()
    visitor.seeing = engine.line.join(work, visitor, urgent=every)
    return visitor.seeing


def _thumbnails_of(clip: OpenClip, looked: Answer | Perception) -> tuple[str, ...]:
    """Of the frames looked at, decoded once for each range. Raises VideoError."""
    assert clip.session is not None
    window = looked.window if isinstance(looked, Perception) else looked.basis.window
    key = (window, looked.frames)
    if key not in clip.pictures:
        clip.pictures[key] = thumbnails(clip.session.pictures(looked, THUMBNAIL))
    return clip.pictures[key]


def add_pictures(visitor: Visitor, turn: Asked) -> None:
    """Show the frames that an answer looked at; needs no model, so it does not wait.

    Raises:
        VideoError: the clip cannot be read any more.
    """
    clip, answer = visitor.clips.get(turn.clip), turn.live
    if clip is None or clip.session is None or answer is None or turn.told is None:
        return
    if not turn.told.sees or answer.basis.task == ACTIONS:  # whose pictures `explain` draws
        return
    turn.told = replace(turn.told, pictures=_thumbnails_of(clip, answer))


def explain(engine: Engine, visitor: Visitor, turn: Asked) -> Job:
    """What each frame weighs for an answer, and how far the Q-Former looked; one at a time."""

    def work(job: Job) -> Iterator[float]:
        answer, clip = turn.live, visitor.clips.get(turn.clip)
        if answer is None or turn.told is None:
            return
        if clip is not None and clip.session is not None:
            turn.told = replace(turn.told, items=clip.session.perceived(answer))
            if answer.basis.task == ACTIONS:
                drawn = thumbnails(clip.session.pictures(answer, THUMBNAIL))
                turn.told = replace(turn.told, pictures=drawn)
        yield from answer.weigh()
        weights, routing = answer.evidence(), answer.routing()
        known = weights if weights and all(map(math.isfinite, weights)) else None
        turn.told = replace(turn.told, weights=known, routing=routing, found=answer.as_dict())
        turn.live = None  # with it go the clip's features
        job.put(Done(turn))

    if visitor.explaining is not None:
        visitor.explaining.stop.set()
    visitor.explaining = engine.line.join(work, visitor, urgent=False)
    return visitor.explaining


def thumbnails(pictures: np.ndarray) -> tuple[str, ...]:
    """``(T, H, W, 3)`` uint8 as T JPEG data URIs."""
    from PIL import Image

    found = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)
        found.append(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}")
    return tuple(found)


def write_subtitles(dialogue: Dialogue, path: Path) -> None:
    """The timed lines as WebVTT for the player; without any, no file."""
    timed = [line for line in dialogue.lines if line.start is not None]
    if not timed:
        path.unlink(missing_ok=True)
        return
    cues = [
        f"{_stamp(line.start or 0.0)} --> "
        f"{_stamp((line.start or 0.0) + UNENDING if line.end is None else line.end)}\n"
        f"{line.as_text().replace('-->', '→')}\n"
        for line in timed
    ]
    path.write_text("\n".join(["WEBVTT\n", *cues]), encoding="utf-8")


def told_of(session: Session, answer: Answer) -> Told:
    """What is known about an answer once it is made, with the texts that were sent for it."""
    if answer.basis.task in (TALK, HEARD, TIMELINE, ACTIONS):
        return Told(answer.as_dict())
    request, messages = answer.request, answer.query.messages
    turns = [f"{question}\n{said}" for question, said in request.history]
    sent = {
        "Q-Former": request.qformer_text or "(no text)",
        "LLM": "\n\n".join(["(visual tokens)", *turns, request.prompt]),
    }
    if messages:  # it has no visual tokens: these words are all that it got
        whole = "\n\n".join(f"[{message.role}]\n{message.text}" for message in messages)
        sent = {f"language model ({answer.basis.model})": whole}
    start, end = answer.basis.start, answer.basis.end
    lines = session.dialogue.between(start or 0.0, math.inf if end is None else end).lines
    return Told(answer.as_dict(), lines, sent)


def _stamp(seconds: float) -> str:
    """``00:01:02.345``, as WebVTT has it."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}.{milliseconds:03d}"
