"""How what was found of several clips is said; the sentences are data (``several.yaml``)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assistant.vqa.several.asking import ALL, ANY, COUNT, SAME, Compares, words
from assistant.vqa.several.comparing import SURE, Verdict
from assistant.vqa.several.differing import Differences
from assistant.vqa.several.measuring import LEAST, LOWEST, told
from assistant.vqa.several.naming import ClipName
from assistant.vqa.untold import NOT_SURE


def tell_verdict(asks: Compares, verdict: Verdict, names: Sequence[ClipName]) -> tuple[str, str]:
    """The answer, and why it is unsure; "": it is not."""
    said = _said(asks, verdict, names)
    if verdict.sure:
        return f"{said[:1].upper()}{said[1:]}.", ""
    doubt = (
        f'"{said}" would be right in {verdict.chance:.0%} of such cases, and it answers from '
        f"{SURE:.0%} on"
    )
    return f"{NOT_SURE} {said}.", doubt


def _said(asks: Compares, verdict: Verdict, names: Sequence[ClipName]) -> str:
    """In small letters, without a full stop."""
    telling, places = words().telling, verdict.places
    clips = listed([str(names[place]) for place in places])
    two = len(names) == 2
    if asks.kind in (ALL, ANY):
        asked_all = asks.kind == ALL
        if asked_all and len(places) == len(names):
            return telling["all yes"].format(every=every_of(len(names)))
        if not places:
            return telling["no, in neither" if two else "no, in none"]
        return telling["all no" if asked_all else "any yes"].format(clips=clips)
    if verdict.is_none:
        return telling["neither" if two else "none"].format(clip=clips)
    if not places:
        return telling["zero of two" if two else "zero"]
    if asks.kind == COUNT:
        return telling["count"].format(number=words().numbers[len(places) - 1], clips=clips)
    if verdict.is_all:
        return every_of(len(names))
    form = "within" if not asks.told else "shows" if len(places) == 1 else "several"
    return telling[form].format(clips=clips, told=asks.told)


def shares_of(verdict: Verdict, names: Sequence[ClipName]) -> dict[str, float] | None:
    """How likely each clip alone shows it, none does, or all do; None: not just one was asked
    for."""
    none = words().telling["zero of two" if len(names) == 2 else "zero"]
    told = [*map(str, names), none, every_of(len(names))]
    return dict(zip(told, verdict.shares, strict=True)) if verdict.shares else None


def every_of(count: int) -> str:
    """``both``, ``all three of them``."""
    telling = words().telling
    if count == 2:
        return telling["both"]
    return telling["every"].format(number=words().numbers[count - 1])


def tell_values(asks: Compares, values: Sequence[float], names: Sequence[ClipName]) -> str:
    """Which clip has the highest or lowest value, and all values."""
    telling, sign = words().telling, -1 if asks.kind in LOWEST else 1
    best = max(range(len(values)), key=lambda place: sign * values[place])
    others = [place for place in range(len(values)) if place != best]
    same = any(values[best] == values[place] for place in others)  # none may be seen at all
    gap = math.inf if same else min(abs(values[best] - values[place]) for place in others)
    near = same or gap < LEAST.get(asks.kind, 1)
    shown = {place: told(asks.kind, value) for place, value in enumerate(values)}
    rest = [
        telling["value"].format(place=names[place].ordinal, value=shown[place])
        for place in (range(len(values)) if near else others)
    ]
    form = telling["alike" if near else "measured"]
    said = form.format(clip=names[best], value=shown[best], values="; ".join(rest))
    return f"{said[:1].upper()}{said[1:]}."


def tell_differences(
    asks: Compares, found: Differences, names: Sequence[ClipName], seconds: Sequence[float]
) -> tuple[str, str]:
    """What differs, or is shared, and why it is unsure.

    ``seconds``: how long the clips are; (): that is no difference.
    """
    telling = words().telling
    every = telling["shared"].format(every=every_of(len(names)), things=listed(found.shared, ", "))
    if asks.kind == SAME:
        none = telling["nothing shared"]
        return (every, "") if found.shared else (none, none.rstrip("."))
    said = [
        telling["only"].format(clip=name, things=listed(things, ", "))
        for name, things in zip(names, found.own, strict=True)
        if things
    ]
    none = "" if said else telling["no difference"]
    if seconds:
        values = listed([f"{one:.1f} s" for one in seconds], ", ")
        said.append(telling["lasting"].format(values=values))
    said += [every] if found.shared else []
    return " ".join([*([none] if none else []), *said]), none.rstrip(".")


def listed(texts: Sequence[str], last: str = " and ") -> str:
    """``a, b and c``."""
    *others, end = texts or [""]
    return last.join(filter(None, (", ".join(others), end)))
