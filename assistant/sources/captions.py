"""Sentences that may fit the clip, composed of the lexicon: who, doing what, where.

The likeliest of each part go together in a beam; the best of these are compared with the frames as
whole sentences, exactly. No caption of a data set is kept or said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.sources import Look, Perceived
from assistant.sources.bank import UNCALIBRATED, Bank, bank_of
from assistant.sources.by_space import SpacePerceiver
from assistant.sources.lexicon import ACTIVITIES, SCENES, WHO, Lexicon, load_lexicon

if TYPE_CHECKING:
    from assistant.model.space.base import JointSpace

BEAM = {WHO: 8, ACTIVITIES: 10, SCENES: 8}  # likeliest parts that are tried
FORMS = {(WHO, ACTIVITIES, SCENES): 40, (WHO, ACTIVITIES): 12, (WHO, SCENES): 12}  # sentences each
MOST = 3  # sentences
ROOT = 5  # letters by which words are of one root: "a skater skating" tells nothing


@dataclass(frozen=True)
class Composed:
    """A sentence."""

    text: str
    parts: tuple[int, ...]  # numbers of its phrases
    log_chance: float  # of its parts, were they independent


class Captions(SpacePerceiver):
    """Composed sentences."""

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """See :func:`sentences`. Raises InputError, WeightsError: no space."""
        space = look.space()
        return sentences(space, space.embed_frames(look), partial(space.compare, look))

    def as_text(self, items: Sequence[Perceived]) -> str:
        """``a dog running on a beach; a dog on a beach``."""
        return "; ".join(item.name for item in items)


PERCEIVER = Captions()


def sentences(
    space: JointSpace, frames: Tensor, compare: Callable[[Sequence[str]], Tensor]
) -> tuple[Perceived, ...]:
    """The best that differ, best first.

    Args:
        frames: ``(T, E)``. compare: N texts with them, ``(T, N)``.
    """
    bank = bank_of(space)
    if bank.config is not None and bank.config.sentence_floor > 1:
        return ()  # none was sure enough on dev
    composed = compose(bank, frames, load_lexicon())
    similarity = compare([one.text for one in composed]).mean(0)
    if bank.config is None:
        chances, floor, order = (space.scale * similarity).softmax(0), UNCALIBRATED, similarity
    else:
        chances = chance(composed, similarity, bank.config.sentence)
        floor = bank.config.sentence_floor
        order = rank(composed, similarity, bank.config.sentence_weight)
    best = order.argsort(descending=True).tolist()
    kept = differing([composed[place] for place in best if chances[place] >= floor])
    places = [composed.index(one) for one in kept]
    return tuple(Perceived(composed[p].text, float(chances[p])) for p in places)


def compose(bank: Bank, frames: Tensor, lexicon: Lexicon) -> list[Composed]:
    """Sentences of the likeliest parts, by form, likeliest first.

    Args:
        frames: ``(T, E)``.
    """
    logits = bank.logits(frames).mean(0)
    logs = {}  # of a part's chance; by the numbers of phrases
    for group, count in BEAM.items():
        own = [place for place in bank.within(group) if _usable(bank, place, lexicon)]
        some = logits[own]
        log = some.log_softmax(0) if bank.config is None else F.logsigmoid(some)
        best = log.topk(min(count, len(own)))
        logs[group] = {own[i]: float(x) for x, i in zip(*map(Tensor.tolist, best), strict=True)}
    found: list[Composed] = []
    for form, count in FORMS.items():
        ways = sorted(_sentences(form, logs, bank, lexicon), key=lambda one: -one.log_chance)
        found += ways[:count]
    return found


def _usable(bank: Bank, place: int, lexicon: Lexicon) -> bool:
    group, name = bank.phrases[place]
    return group != SCENES or name in lexicon.sentences.where


def _sentences(
    form: Sequence[str],
    logs: Mapping[str, Mapping[int, float]],
    bank: Bank,
    lexicon: Lexicon,
) -> Iterator[Composed]:
    for parts in product(*(logs[group] for group in form)):
        names = dict(zip(form, (bank.phrases[place][1] for place in parts), strict=True))
        if fits(names, lexicon):
            said = [lexicon.sentences.where[n] if g == SCENES else n for g, n in names.items()]
            log = sum(logs[group][place] for group, place in zip(form, parts, strict=True))
            yield Composed(" ".join(said), parts, log)


def fits(names: Mapping[str, str], lexicon: Lexicon) -> bool:
    """Whether the parts go together, and none says what another says."""
    told, who, activity = lexicon.sentences, names[WHO], names.get(ACTIVITIES)
    if activity is not None:
        if who in told.animals and activity not in told.animal_activities:
            return False
        if who in told.vehicles and activity not in told.vehicle_activities:
            return False
        if who not in (*told.animals, *told.vehicles) and activity in told.never_people:
            return False
    roots = [{word[:ROOT] for word in name.split() if len(word) > 2} for name in names.values()]
    return sum(map(len, roots)) == len(set().union(*roots))


def rank(composed: Sequence[Composed], similarity: Tensor, weight: float) -> Tensor:
    """``(N,)``: how well sentences tell what is seen; by their parts alone "a person" would win."""
    parts = torch.tensor([one.log_chance for one in composed])
    return parts + weight * similarity


def chance(
    composed: Sequence[Composed], similarity: Tensor, coefficients: Sequence[float]
) -> Tensor:
    """``(N,)``: that all parts of a sentence are true, from its similarity and its parts'."""
    return (
        features(composed, similarity) @ torch.tensor(coefficients[:-1]) + coefficients[-1]
    ).sigmoid()


def features(composed: Sequence[Composed], similarity: Tensor) -> Tensor:
    """``(N, 2)``."""
    return torch.stack([similarity, torch.tensor([one.log_chance for one in composed])], 1)


def differing(composed: Sequence[Composed]) -> list[Composed]:
    """The first few, without those that tell nothing of an earlier one but another who, or only
    more or less of what it tells."""
    kept: list[Composed] = []
    for one in composed:
        own = set(one.parts[1:])
        others = [set(other.parts[1:]) for other in kept]
        if not any(own <= other or own >= other for other in others):
            kept.append(one)
        if len(kept) == MOST:
            break
    return kept
