"""Phrases of a lexicon that fit the clip, by the joint space: activities, scenes, weather, things.

A frame's logit for a phrase is averaged with those of its neighbours. A phrase is said where the
highest of these reaches its group's threshold, and holds while they stay above half of it. A
language model reads more, each with a mark of how unsure it is: a right phrase below the threshold
helps one that also has other words to go by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.sources import Look, Perceived, Source
from assistant.sources.bank import Bank, alike, bank_of
from assistant.sources.by_space import NO_SPACE, SpacePerceiver
from assistant.sources.lexicon import ACTIVITIES, SCENES, WHO
from assistant.sources.seen import likeliest

SMOOTHED = 3 / 8  # of the frames, which a probability is of: so that more frames say no more
MOST = 4  # phrases of a group
PERHAPS = 6  # phrases that may be there
SAME = 0.7  # cosine of two phrases that say the same
STILL = 0.5  # share of the threshold above which a phrase still holds
# What a language model reads of a group: its name there, and how many phrases at most.
HINTS = {
    ACTIVITIES: ("doing", 4),
    SCENES: ("where", 3),
    WHO: ("who", 3),
    "things": ("things", 5),
    "weather": ("weather", 1),
    "sky": ("weather", 1),
}
LIKELY, POSSIBLE = 0.3, 0.1  # chances from which a phrase below the threshold is "?" or "??"
# Of each group: how much likelier than in most photos, in log-odds, a phrase must be so that it may
# be there. Of dev photos with a first activity between 4 and 5 half show one of the first three; of
# those with a first thing between 5 and 5.5 a fifth show one of the first two. Whom a clip shows is
# seldom what it is about.
LIFTED = {ACTIVITIES: 4.0, SCENES: 5.0, "weather": 5.0, "things": 5.0}
PERSONS = frozenset({"man", "woman", "boy", "girl", "child", "baby"})


class Phrases(SpacePerceiver):
    """The lexicon in the model's joint space."""

    def look_at(self, name: str, look: Look) -> Source:
        """See `Perceiver`; the text holds more than the items."""
        try:
            with torch.inference_mode():
                space = look.space()
                bank, frames = bank_of(space), space.embed_frames(look)  # once: it costs most
                items = _items(bank, frames, look)
                return Source(name, items, hints(bank, frames), perhaps=lifted(bank, frames))
        except NO_SPACE as error:
            return Source(name, warning=str(error))

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """The phrases that hold, likeliest first. Raises InputError, WeightsError: no space."""
        space = look.space()
        return _items(bank_of(space), space.embed_frames(look), look)

    def as_text(self, items: Sequence[Perceived]) -> str:
        """``beach, walking a dog``."""
        return ", ".join(item.name for item in items)


PERCEIVER = Phrases()


def _items(bank: Bank, frames: Tensor, look: Look) -> tuple[Perceived, ...]:
    """What things the classifier names is not said again."""
    known = [thing.name for thing in likeliest(look.classes, look.class_names)]
    return fitting(bank, frames, look.seconds, known)


def fitting(
    bank: Bank, frames: Tensor, seconds: Sequence[float], named: Sequence[str] = ()
) -> tuple[Perceived, ...]:
    """The phrases that hold somewhere, likeliest first.

    Args:
        frames: ``(T, E)``. seconds: T, their times. named: by another source, not to be said again.
    """
    chances = smoothed(bank.probabilities(frames))  # (T, P)
    best = chances.amax(0)
    found: list[Perceived] = []
    for group in dict.fromkeys(kind for kind, _ in bank.phrases):
        if group == WHO:
            continue
        least = bank.threshold(group)
        sure = [place for place in bank.within(group) if best[place] >= least]
        sure.sort(key=lambda place: -float(best[place]))
        sure = [place for place in sure if not _told(bank.phrases[place][1], named)]
        kept = alike([bank.phrases[place][1] for place in sure], bank.weights[sure], SAME)
        for place in (sure[number] for number in kept[:MOST]):
            where = while_above(chances[:, place], STILL * least)
            whole = where == (0, len(frames) - 1)
            found.append(
                Perceived(
                    bank.phrases[place][1],
                    float(best[place]),
                    start=None if whole else seconds[where[0]],
                    end=None if whole else seconds[where[1]],
                )
            )
    return tuple(sorted(found, key=lambda item: -item.probability))


def hints(bank: Bank, frames: Tensor) -> str:
    """``doing riding a bike, walking?; where street??``: the likeliest phrases of the whole range.

    Args:
        frames: ``(T, E)``.
    """
    chances = bank.probabilities(frames).mean(0).tolist()  # P
    told: dict[str, list[str]] = {}
    for group, (name, most) in HINTS.items():
        ranked = sorted(bank.within(group), key=lambda place: -chances[place])[:most]
        for place in ranked:
            if chances[place] >= POSSIBLE:
                mark = "" if chances[place] >= bank.threshold(group) else "?"
                mark = "??" if chances[place] < LIKELY else mark
                told.setdefault(name, []).append(bank.phrases[place][1] + mark)
    return "; ".join(f"{name} {', '.join(some)}" for name, some in told.items())


def lifted(bank: Bank, frames: Tensor) -> tuple[tuple[str, str, float], ...]:
    """The phrases that the whole range makes likeliest against most photos, see `Source.perhaps`:
    what stands out of it, where the likeliest is what most pictures show ("sitting").

    Args:
        frames: ``(T, E)``.
    """
    if bank.usual is None:
        return ()
    lifts = (bank.logits(frames).mean(0) - bank.usual).tolist()  # P
    able = [
        place
        for place, (group, name) in enumerate(bank.phrases)
        if name not in PERSONS and lifts[place] >= LIFTED.get(group, math.inf)
    ]
    able.sort(key=lambda place: -lifts[place])
    kept = alike([bank.phrases[place][1] for place in able], bank.weights[able], SAME)
    told = (able[number] for number in kept[:PERHAPS])
    return tuple((*bank.phrases[place], lifts[place]) for place in told)


def parse_hints(text: str) -> dict[str, list[str]]:
    """What :func:`hints` told, by group, likeliest first, without the marks."""
    names = {name for name, _ in HINTS.values()}
    found: dict[str, list[str]] = {}
    for part in text.split("; "):
        name, _, rest = part.partition(" ")
        if name in names:
            found[name] = [phrase.rstrip("?") for phrase in rest.split(", ")]
    return found


def likely_names(text: str) -> list[str]:
    """Of what :func:`hints` told, the phrases whose chance is ``LIKELY`` or more."""
    named = [name for part in text.split("; ") for name in part.partition(" ")[2].split(", ")]
    return [name.rstrip("?") for name in named if name and not name.endswith("??")]


def smoothed(chances: Tensor) -> Tensor:
    """``(T, P)``: each frame's mean with its neighbours; fewer at the ends."""
    side = max(1, round(SMOOTHED * len(chances)) // 2)
    pooled = F.avg_pool1d(
        chances.T[None], 2 * side + 1, stride=1, padding=side, count_include_pad=False
    )
    return pooled[0].T


def while_above(chances: Tensor, least: float) -> tuple[int, int]:
    """First and last frame around the highest of ``(T,)`` that stay at ``least``."""
    below = (chances < least).nonzero()[:, 0]
    top = int(chances.argmax())
    before, after = below[below < top], below[below > top]
    first = int(before[-1]) + 1 if len(before) else 0
    last = int(after[0]) - 1 if len(after) else len(chances) - 1
    return first, last


def _told(phrase: str, named: Sequence[str]) -> bool:
    words = set(phrase.lower().split())
    return any(words <= set(name.lower().split()) for name in named)
