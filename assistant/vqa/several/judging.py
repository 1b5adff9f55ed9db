"""What looks at one clip for what is looked for in each: sounds, the joint space, or the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assistant.errors import InputError
from assistant.sources import perceiver
from assistant.sources.heard import sound_words
from assistant.vqa.by_sound import HEARS, asked_of_sound

if TYPE_CHECKING:
    from assistant.dialogue.spoken import Range
    from assistant.vqa.session import Session
    from assistant.vqa.several.asking import Sought

BEST = 2  # frames: what is shown for a part of the clip is shown
UNHEARD = 0.1  # chance of a sound that is not named
LEAST = 1e-3  # chance of what a model says that it is not
SPACE, SOUND, MODEL = "joint space", "heard", "model"


@dataclass(frozen=True)
class Judged:
    """How one clip was judged."""

    odds: float  # log-odds that it shows what is looked for
    frames: tuple[float, ...]  # (T,) the times looked at, seconds
    scores: tuple[float, ...]  # (T,) log-odds of each; (): they were not told apart
    by: str
    calibrated: bool = True  # else only differences between clips mean something


def judge_clip(session: Session, where: Range, sought: Sought, *, listen: bool = True) -> Judged:
    """How likely a clip shows ``sought`` in the range.

    Args:
        listen: where it is a sound, unless the session leaves that source out.
    Raises:
        InputError, WeightsError, VideoError: it cannot be looked at, or listened to.
    """
    sign = -1.0 if sought.denied else 1.0
    hears = listen and "heard" not in session.without
    found = (_heard(session, where, sought) if hears else None) or _seen(session, where, sought)
    scores = tuple(sign * score for score in found.scores)
    return Judged(sign * found.odds, found.frames, scores, found.by, found.calibrated)


def _heard(session: Session, where: Range, sought: Sought) -> Judged | None:
    """By what is heard; None: it is about no sound, or nothing here can listen."""
    asks = asked_of_sound(sought.question, sound_words(session.clip.sounds))
    if asks is None or not asks.name:
        return None
    if missing := perceiver("heard").missing():
        if HEARS.search(sought.question.lower()):
            raise InputError(missing)
        return None  # what is to be seen of it may tell
    (source,) = session.clip.perceive(where, ["heard"])
    if source.warning:
        raise InputError(source.warning)
    own = [item.probability for item in source.items if item.name == asks.name]
    return Judged(_log_odds(max(own, default=UNHEARD)), (), (), SOUND)


def _seen(session: Session, where: Range, sought: Sought) -> Judged:
    """By the joint space; without one, by what the model says of the clip alone."""
    from assistant.vqa.several.shown import calibration, see

    try:
        space = session.assistant.sight.space
    except InputError:
        return _said(session, where, sought)
    seen, config = session.look(*where), calibration(space)
    scores = see(space, session.clip.as_look(where), sought.text).odds(config, space.scale)
    best = float(np.sort(scores)[-BEST:].mean())
    return Judged(best, seen.seconds, tuple(scores.tolist()), SPACE, config is not None)


def _said(session: Session, where: Range, sought: Sought) -> Judged:
    kept = session.conversation
    answer = session.ask(sought.question, choices=["yes", "no"], start=where[0], end=where[1])
    chance = (answer.probabilities or {"yes": 0.5})["yes"]
    session.conversation = kept  # nobody asked it
    return Judged(_log_odds(chance), answer.frames, (), MODEL)


def _log_odds(chance: float) -> float:
    chance = min(max(chance, LEAST), 1 - LEAST)
    return math.log(chance / (1 - chance))
