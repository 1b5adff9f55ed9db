"""Several clips in one question: asked together, and shown strip by strip."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from assistant.ui.engine import Engine
from assistant.ui.line import Job
from assistant.ui.talk import (
    THUMBNAIL,
    Done,
    Piece,
    Stage,
    check_asked,
    thumbnails,
)
from assistant.ui.timeline import clock
from assistant.ui.visitor import Asked, OpenClip, Told, Visitor

from assistant.core.progress import watched
from assistant.vqa.several.comparing import chance_of
from assistant.vqa.several.naming import called_by, check_count

if TYPE_CHECKING:
    from assistant.vqa.answer import Answer
    from assistant.vqa.several.session import SeveralSession

TEXTS = ("clip", "value", "by")
NUMBER = (int, float)


def compare(engine: Engine, visitor: Visitor, clips: Sequence[OpenClip], question: str) -> Job:
    """Answer a question about several clips; a job that is stopped leaves no turn.

    Raises:
        InputError: unusable question, too many clips, or too many are waiting.
    """
    check_asked(question)
    check_count(len(clips))

    def work(job: Job) -> None:
        from assistant.vqa.several.session import SeveralSession  # which imports torch

        with watched(lambda doing, share: job.put(Stage(doing, share))):
            names = called_by([clip.name for clip in clips])
            own = [visitor.session(clip, engine) for clip in clips]
            session = SeveralSession(own[0].assistant, dict(zip(names, own, strict=True)))
            answer = session.ask(question)
            for piece in answer:
                job.put(Piece(piece))
            if job.stop.is_set():
                return
            strips = tuple(_strip(session, answer, place) for place in range(len(clips)))
        turn = Asked(
            ", ".join(clip.name for clip in clips),
            question,
            answer.text.strip(),
            told=Told(answer.as_dict(), sent=_sent(answer), strips=strips),
            among=tuple(clip.name for clip in clips),
        )
        if visitor.remember(turn, job, *clips):
            job.put(Done(turn))

    if visitor.explaining is not None:
        visitor.explaining.stop.set()
    return engine.line.join(work, visitor)


def _strip(session: SeveralSession, answer: Answer, place: int) -> tuple[str, ...]:
    """The frames of one clip that the answer rests on."""
    parts = [part for part in answer.basis.clips if part.clip.place == place and part.times]
    return thumbnails(session.pictures(parts[0], THUMBNAIL)) if parts else ()


def strips(clips: Sequence[dict[str, Any]], pictures: Sequence[Sequence[str]]) -> str:
    """HTML of what each clip has to say.

    Args:
        clips: of `Answer.as_dict`. pictures: of each, in the order of the clips that were asked
            about; none, or too few: they are not known any more.
    """
    return "".join(
        _shown(clip, pictures[clip["place"] - 1] if 0 < clip["place"] <= len(pictures) else ())
        for clip in clips
    )


def _shown(clip: dict[str, Any], pictures: Sequence[str]) -> str:
    """The name, what was found, and the frames with what each one says for it."""
    scores, frames = clip.get("scores", ()), clip.get("frames", ())
    told = [clip.get("value", ""), ", ".join(clip.get("seen", ()))]
    if "chance" in clip:
        told.append(f"{clip['chance']:.0%} likely")
    drawn = []
    for number, (moment, picture) in enumerate(zip(frames, pictures, strict=False)):
        chance = chance_of(scores[number]) if number < len(scores) else None
        bar = "" if chance is None else f'<i style="--share:{chance:.3f}"></i>'
        title = clock(moment) + ("" if chance is None else f", {chance:.0%} likely")
        drawn.append(
            f'<span class="va-shot" title="{title}"><img src="{picture}" alt="{title}">'
            f"{bar}<small>{clock(moment)}</small></span>"
        )
    name = f"<b>{clip['place']}. {escape(clip['clip'])}</b>"
    said = escape("; ".join(filter(None, told)))
    return (
        f'<div class="va-compared"><p>{name} <span>{said}</span></p>'
        f'<div class="va-shots" tabindex="0">{"".join(drawn)}</div></div>'
    )


def _sent(answer: Answer) -> dict[str, str]:
    """What a language model of the person's own was sent; nothing, where none was asked."""
    if not answer.query.messages:
        return {}
    whole = "\n\n".join(f"[{message.role}]\n{message.text}" for message in answer.query.messages)
    return {f"language model ({answer.basis.model})": whole}


def are_clips(found: Any) -> bool:
    """Whether the page can show them; a file may come from anywhere."""
    return isinstance(found, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("place"), int)
        and all(isinstance(one.get(key, ""), str) for key in TEXTS)
        and isinstance(one.get("clip"), str)
        and all(isinstance(one.get(key, []), list) for key in ("frames", "scores", "seen"))
        and all(isinstance(n, NUMBER) for key in ("frames", "scores") for n in one.get(key, []))
        and all(isinstance(thing, str) for thing in one.get("seen", []))
        and isinstance(one.get("chance", 0), NUMBER)
        for one in found
    )
