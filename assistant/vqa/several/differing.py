"""What differs between clips, and what they share: of all that is perceived in one, what is sure to
be, or not to be, in the others too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.errors import InputError
from assistant.sources import Source, perceiver
from assistant.sources.heard import LEVELS, NO_SOUND
from assistant.sources.lexicon import ACTIVITIES, SCENES
from assistant.sources.seen import SURE
from assistant.vqa.several.asking import Sought
from assistant.vqa.several.comparing import chance_of
from assistant.vqa.several.judging import judge_clip

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.dialogue.spoken import Range
    from assistant.sources.bank import Bank
    from assistant.vqa.session import Session

SOURCES_TOLD = ("objects", "attributes", "heard")
GROUPS = (ACTIVITIES, SCENES, "things", "weather")  # of phrases that are told
TRIED = 8  # phrases of a clip that the others are asked for: those that most set it apart
# Chances from which on a phrase is in a clip, and up to which it is not. Chosen on dev photos; of
# what is told of test photos 1 % stands in the other's captions (benchmarks/several.py --more).
THERE, AWAY = 0.8, 0.2
MOST = 5  # things that are told of a clip
NO_SPACE = "without a joint space (--space) it is not known whether what is not named is there"


@dataclass(frozen=True)
class Differences:
    """What was found."""

    own: tuple[tuple[str, ...], ...]  # of each clip: what it alone shows
    shared: tuple[str, ...]  # what all show
    warnings: tuple[str, ...] = ()


def differences(pairs: Sequence[tuple[Session, Range]]) -> Differences:
    """What only one of the clips shows, and what all do.

    Args:
        pairs: clips, and where each is looked at.
    Raises:
        VideoError: a clip cannot be looked at.
    """
    from assistant.sources.bank import bank_of

    first, _ = pairs[0]
    names = [name for name in SOURCES_TOLD if name not in first.without]
    names = [name for name in names if not perceiver(name).missing()]
    told = [session.clip.perceive(where, names) for session, where in pairs]
    named = [tuple(dict.fromkeys(_named(sources))) for sources in told]
    warnings = [source.warning for sources in told for source in sources if source.warning]
    try:
        space = first.assistant.sight.space
    except InputError:
        all_of = [one for one in named[0] if all(one in some for some in named)]
        own = [[one for one in some if one not in all_of] for some in named]
        told_own = tuple(tuple(some[:MOST]) for some in own)
        return Differences(told_own, tuple(all_of[:MOST]), (*dict.fromkeys(warnings), NO_SPACE))
    bank = bank_of(space)
    likely = [_likely(bank, space.embed_frames(s.clip.as_look(where))) for s, where in pairs]
    tried = {one for some in named for one in some}
    for place in range(len(pairs)):
        tried |= set(_apart(likely, place)) | set(_in_all(likely))
    chances = {
        thing: [
            1.0 if thing in some else _chance(session, where, thing)
            for (session, where), some in zip(pairs, named, strict=True)
        ]
        for thing in tried
    }
    only = []
    for place, some in enumerate(named):
        found = [one for one in (*_apart(likely, place), *some) if chances[one][place] >= THERE]
        others = [one for one in found if _highest_beside(chances[one], place) <= AWAY]
        only.append(_less_alike(others, bank))
    shared = [one for one in (*_in_all(likely), *named[0]) if min(chances[one]) >= THERE]
    return Differences(tuple(only), _less_alike(shared, bank), tuple(dict.fromkeys(warnings)))


def _named(sources: Sequence[Source]) -> Iterator[str]:
    """What the sources name without doubt."""
    for source in sources:
        for item in source.items:
            sure = source.name != "attributes" or item.probability >= SURE
            if sure and item.name not in (*LEVELS, NO_SOUND):
                yield item.name


def _likely(bank: Bank, frames: Tensor) -> dict[str, float]:
    """Phrases by their mean probability over frames ``(T, E)``; {} where it is not calibrated."""
    from assistant.sources.phrases import PERSONS

    if bank.config is None:
        return {}
    means = bank.probabilities(frames).mean(0).tolist()
    return {
        name: chance
        for (group, name), chance in zip(bank.phrases, means, strict=True)
        if group in GROUPS and name not in PERSONS
    }


def _apart(likely: Sequence[dict[str, float]], place: int) -> list[str]:
    """The likely phrases of a clip that most set it apart from the others."""
    from assistant.sources.phrases import LIKELY

    own, others = likely[place], [some for k, some in enumerate(likely) if k != place]
    able = [name for name, chance in own.items() if chance >= LIKELY]
    return sorted(able, key=lambda name: max(some[name] for some in others) - own[name])[:TRIED]


def _in_all(likely: Sequence[dict[str, float]]) -> list[str]:
    """The phrases that are likely in every clip, the likeliest first."""
    from assistant.sources.phrases import LIKELY

    lowest = {name: min(some[name] for some in likely) for name in likely[0]}
    able = [name for name, chance in lowest.items() if chance >= LIKELY]
    return sorted(able, key=lambda name: -lowest[name])[:TRIED]


def _chance(session: Session, where: Range, thing: str) -> float:
    sought = Sought(thing, f"Is there {thing}?")
    return chance_of(judge_clip(session, where, sought, listen=False).odds)


def _highest_beside(chances: Sequence[float], place: int) -> float:
    return max(chance for k, chance in enumerate(chances) if k != place)


def _less_alike(things: Iterable[str], bank: Bank) -> tuple[str, ...]:
    """The first of those that say the same: "street" says nothing beside "city street"."""
    from torch.nn.functional import cosine_similarity

    from assistant.sources.phrases import SAME
    from assistant.sources.wording import phrase_of

    kept: list[str] = []
    for thing in dict.fromkeys(things):
        words, own = set(thing.split()), phrase_of(thing)
        for other in kept:
            place = phrase_of(other)
            both = own is not None and place is not None
            if words <= set(other.split()) or words >= set(other.split()):
                break
            if both and cosine_similarity(bank.weights[own], bank.weights[place], dim=0) >= SAME:
                break
        else:
            kept.append(thing)
    return tuple(kept[:MOST])
