"""What is found for a question that compares clips: the answer, and what each clip has to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.vqa.hearing import spoken
from assistant.vqa.several.asking import DIFFERS, MEASURED, SAME, WHICH, Compares
from assistant.vqa.several.comparing import chance_of, judge
from assistant.vqa.several.differing import differences
from assistant.vqa.several.judging import judge_clip
from assistant.vqa.several.measuring import measure, told
from assistant.vqa.several.parts import Part
from assistant.vqa.several.shown import UNCALIBRATED
from assistant.vqa.several.telling import shares_of, tell_differences, tell_values, tell_verdict

if TYPE_CHECKING:
    from assistant.dialogue.spoken import Range
    from assistant.vqa.drafts import Query
    from assistant.vqa.session import Session
    from assistant.vqa.several.naming import ClipName

    Looked = Mapping[ClipName, tuple[Session, Range]]  # clips, and where each is looked at

LONGER = 1.2  # times another's length, from which on it is told as a difference


@dataclass(frozen=True)
class Found:
    """An answer before it is told."""

    query: Query
    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()


def compare(asks: Compares, clips: Looked) -> Found | None:
    """What ``asks`` comes to; None: only each clip alone can tell.

    Raises:
        InputError: what is asked for cannot be counted, or listened to. VideoError: a clip cannot
            be read.
    """
    if asks.kind in MEASURED:
        return _measured(asks, clips)
    return _differing(asks, clips) if asks.kind in (DIFFERS, SAME) else _judged(asks, clips)


def part_of(name: ClipName, session: Session, where: Range, **more: Any) -> Part:
    """Of one clip; ``more``: of `Part`."""
    found = {"frames": session.look(*where).seconds} | more
    return Part(name, session.path or Path(), where, **found)


def _judged(asks: Compares, clips: Looked) -> Found | None:
    sought = asks.sought
    assert sought is not None
    judged = {name: judge_clip(session, where, sought) for name, (session, where) in clips.items()}
    calibrated = all(one.calibrated for one in judged.values())
    if not calibrated and asks.kind != WHICH:
        return None
    odds = [one.odds for one in judged.values()]
    verdict = judge(asks.kind, odds, many=asks.many, calibrated=calibrated)
    text, doubt = tell_verdict(asks, verdict, list(clips))
    parts = _parts(
        clips,
        lambda name: {
            "frames": judged[name].frames,
            "scores": judged[name].scores,
            "chance": chance_of(judged[name].odds) if calibrated else None,
            "by": judged[name].by,
        },
    )
    query = spoken(lambda: iter((text,)), lambda _: doubt or None, shares_of(verdict, list(clips)))
    return Found(query, parts, () if calibrated else (UNCALIBRATED,))


def _measured(asks: Compares, clips: Looked) -> Found:
    values = {name: measure(session, where, asks) for name, (session, where) in clips.items()}
    text = tell_values(asks, [*values.values()], list(clips))
    parts = _parts(clips, lambda name: {"value": told(asks.kind, values[name])})
    return Found(spoken(lambda: iter((text,)), lambda _: None), parts)


def _differing(asks: Compares, clips: Looked) -> Found:
    found = differences([*clips.values()])
    lengths = [session.duration for session, _ in clips.values()]
    differ = lengths if max(lengths) > LONGER * min(lengths) else []
    text, doubt = tell_differences(asks, found, list(clips), differ)
    own: Sequence[tuple[str, ...]] = found.own
    seen = dict(zip(clips, own if asks.kind == DIFFERS else [found.shared] * len(own), strict=True))
    parts = _parts(clips, lambda name: {"seen": seen[name]})
    query = spoken(lambda: iter((text,)), lambda _: doubt or None)
    return Found(query, parts, found.warnings)


def _parts(clips: Looked, more: Callable[[ClipName], dict[str, Any]]) -> tuple[Part, ...]:
    return tuple(
        part_of(name, session, where, **more(name)) for name, (session, where) in clips.items()
    )
