"""Objects: which, how many at once, where, from when to when, which way, and of which color.

A head of ours on the frozen encoder's features (`assistant.model.objects`), so that nothing is
decoded or encoded for it. It names what is right on dev in a share of cases that its recipe says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.resources import adapters_dir
from assistant.errors import ConfigError, WeightsError
from assistant.sources import Look, Perceived, Perceiver, Source, tracking
from assistant.sources.tracking import Track, link

if TYPE_CHECKING:
    from assistant.model.objects.config import ObjectsConfig
    from assistant.model.objects.head import ObjectHead

HEAD = adapters_dir() / "mini" / "objects"
FOREIGN = "objects are not looked for: the head that finds them reads another image encoder"
SHARE = 0.25  # of the frames, where a thing must be likely
MOST = 8  # kinds of things that are named
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
BEFORE = 2  # words before a thing: "small brown dogs", but not "legs does the dog"
ARTICLE = r"(?:(?:a|an|any|some|the|this|that|these|those|his|her|their|its) )?"
COUNTED = re.compile(r"\bhow many (?P<thing>[a-z -]+)")
COLORED = re.compile(
    rf"\bwh(?:at|ich) colou?r (?:is|are|was|were|does|do) {ARTICLE}(?P<thing>[a-z' -]+)"
    rf"|\bwhat(?: is|'s) the colou?r of {ARTICLE}(?P<other>[a-z' -]+)"
)
EXISTS = re.compile(
    rf"\b(?:is|are|was|were) there {ARTICLE}(?P<thing>[a-z -]+)"
    rf"|\b(?:do|can|could) you see {ARTICLE}(?P<other>[a-z -]+)"
)


@dataclass(frozen=True)
class Asked:
    """What a question asks of a kind of thing."""

    what: str  # "count", "color" or "existence"
    name: str  # of the class


class Finder(Perceiver):
    """The object head at work."""

    def look_at(self, name: str, look: Look) -> Source:
        """See `Perceiver`; nothing where the frames are of another encoder."""
        from assistant.model.objects.loading import is_for

        try:
            head = _head()
        except (ConfigError, WeightsError) as error:
            return Source(name, warning=str(error))
        if not is_for(head.config, look.encoder):
            return Source(name, warning=FOREIGN)
        return super().look_at(name, look)

    def fingerprint(self, look: Look) -> str:
        """Its file, what links boxes, and the head: code and weights."""
        code = Path(__file__).parents[1] / "model" / "objects"
        files = sorted([*code.glob("*.py"), *HEAD.glob("objects.*"), Path(tracking.__file__)])
        told = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
        return f"{super().fingerprint(look)}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """Each track of a thing, those of the likeliest kind first."""
        return find_objects(_head(), look)

    def as_text(self, items: Sequence[Perceived]) -> str:
        """``2 persons, dog moving left, red car``."""
        config = _head().config
        kinds: dict[str, list[Perceived]] = {}
        for item in items:
            kinds.setdefault(item.name, []).append(item)
        return ", ".join(_phrase(name, own, config) for name, own in kinds.items())

    def wanted(self, question: str) -> bool:
        """Always: it costs little."""
        return True

    def answers(self, question: str) -> bool:
        """Whether it asks how many there are of something known, whether there is one, or which
        color it has."""
        return _asked(question) is not None

    def propose(self, items: Sequence[Perceived], question: str) -> tuple[str, ...]:
        """What the things of the kind that is asked for say."""
        asked = _asked(question)
        own = [item for item in items if asked is not None and item.name == asked.name]
        if asked is None:
            return ()
        if asked.what == "existence":
            return ("yes",) if own else ("no", "yes")
        if not own:
            return ()
        if asked.what == "color":
            return tuple(dict.fromkeys(item.color for item in own if item.color))
        count = max(item.count or 1 for item in own)
        return (WORDS[count] if count < len(WORDS) else str(count),)

    def settled(self, items: Sequence[Perceived], question: str) -> str:
        """``3 persons at once, 5 in all``; ``car: red``; what was not found settles nothing."""
        asked = _asked(question)
        if asked is None:
            return ""
        own = [item for item in items if item.name == asked.name]
        if not own:
            return ""
        if asked.what == "color":
            colors = dict.fromkeys(item.color for item in own if item.color)
            return f"{asked.name}: {', '.join(colors)}" if colors else ""
        count, total = own[0].count or 1, own[0].total
        name = asked.name if count == 1 else _head().config.classes[asked.name][0]
        in_all = f", {total} in all" if total else ""
        return f"{count} {name} at once{in_all}"


PERCEIVER = Finder()


@lru_cache(maxsize=1)
def _head() -> ObjectHead:
    from assistant.model.objects.head import ObjectHead

    return ObjectHead.load(HEAD)


@lru_cache(maxsize=1)
def _words() -> tuple[dict[str, str], re.Pattern[str]]:
    """Class by word, and what finds the longest of them at the beginning of what is asked about."""
    config = _head().config
    told = {
        word: name
        for names in (config.parts, config.classes)
        for name, words in names.items()
        for word in (*words, name)
    }
    longest = sorted(map(re.escape, told), key=len, reverse=True)
    return told, re.compile(rf"(?:[a-z-]+ ){{0,{BEFORE}}}?({'|'.join(longest)})\b")


def class_of(thing: str) -> str | None:
    """The class that a thing is called by: "people" are of the class "person"; None: of none."""
    bare = re.sub(f"^{ARTICLE}", "", thing.lower())
    worn = {word for words in _head().config.parts.values() for word in words}
    return None if bare in worn else _words()[0].get(bare)


def _asked(question: str) -> Asked | None:
    told, pattern = _words()
    config = _head().config
    parts = {word for words in config.parts.values() for word in words}
    text = question.lower()
    for what, asks in (("count", COUNTED), ("color", COLORED), ("existence", EXISTS)):
        if match := asks.search(text):
            groups = match.groupdict()
            asked = groups["thing"] or groups.get("other") or ""
            thing = pattern.match(asked)
            if thing is None:
                continue
            name, worn = told[thing[1]], not parts.isdisjoint(re.findall(r"[a-z-]+", asked))
            colored = worn or name not in config.parts  # a person is not, but what is worn
            if colored if what == "color" else thing[1] not in parts:
                return Asked(what, name)
    return None


def find_objects(head: ObjectHead, look: Look) -> tuple[Perceived, ...]:
    """The tracks of what is likely in a share of the frames, the likeliest kind first."""
    seen = head.find(look.patches)
    enough = max(1, round(SHARE * len(seen.more)))
    sure = seen.more.topk(enough, dim=0).values[-1]  # (C, levels) in so many frames at least
    counts = seen.counts.topk(enough, dim=0).values[-1].clamp(min=1)  # (C,) at once
    named = [k for k in range(len(head.names)) if sure[k, 0] >= head.present[k]]
    tracks = link(seen.things)
    found: list[Perceived] = []
    for kind in sorted(named, key=lambda k: -float(sure[k, 0]))[:MOST]:
        own = [track for track in tracks if track.seen[0].name == head.names[kind]]
        own.sort(key=lambda track: (-len(track.seen), -track.best.score))
        count = int(counts[kind])
        lasting = sum(len(track.seen) >= enough for track in own)
        total = lasting if lasting > count else None
        chances = sure[kind].tolist()
        for number, track in enumerate(own[:count]):  # what is left are pieces, or not sure
            probability = chances[min(number, len(chances) - 1)]
            found.append(_item(head, track, look.seconds, probability, count, total))
    return tuple(found)


def _item(
    head: ObjectHead,
    track: Track,
    seconds: Sequence[float],
    probability: float,
    count: int,
    total: int | None,
) -> Perceived:
    colors = track.colors
    likeliest = max(colors)
    names = list(head.config.colors)
    return Perceived(
        track.best.name,
        probability,
        seconds[track.seen[0].frame],
        seconds[track.seen[-1].frame],
        track.best.box,
        count,
        total,
        names[colors.index(likeliest)] if likeliest >= head.naming.color else "",
        track.direction,
        tuple((seconds[spot.frame], spot.box) for spot in track.seen),
    )


def _phrase(name: str, items: Sequence[Perceived], config: ObjectsConfig) -> str:
    """``2 persons``, ``red car moving left``, ``person in red``."""
    count = items[0].count or 1
    if count > 1:
        return f"{count} {config.classes[name][0]}"
    color, worn = items[0].color, ""
    if name in config.parts and color:  # a person wears it
        color, worn = "", f"in {color}"
    way = f"moving {items[0].direction}" if items[0].direction else ""
    return " ".join(filter(None, (color, name, worn, way)))
