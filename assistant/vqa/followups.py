"""A follow-up question as one that stands alone: "What color is it?" after a guitar was named is
"What color is the guitar?"; "And then?" is the last question about the time after its own.

Rules on words, no parser; the last thing that fits is meant. What cannot be resolved is asked as it
is, and the model then reads the conversation with it; a question that stands alone goes without, or
its answer would be the last one's again. English only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assistant.core.mentions import NO_NOUN, WORD, Mention, bare, mentions
from assistant.errors import InputError
from assistant.vqa.conversation import Turn
from assistant.vqa.time_ranges import ANY_LENGTH, time_range, without_time
from assistant.vqa.time_words import format_time
from assistant.vqa.untold import is_untold

LOOKED_BACK = 4  # turns in which a thing is looked for
LEAST = 0.1  # seconds of a part that is worth looking at

ADDED = re.compile(r"(?:(?:and|but|so|ok|okay|now)\b[ ,]*)+(?=\w)", re.I)
ABOUT = re.compile(r"(?:(?:what|how) about|what of)\b ?", re.I)
LATER = r"(?:and )?(?:right |just |shortly )?(?:then|next|later|afterwards?|after (?:that|this|it))"
EARLIER = r"(?:right |just |shortly )?(?:before|earlier|previously|before (?:that|this|it))"
THEN = re.compile(
    rf"(?P<ask>|.*? )(?:(?P<later>{LATER}(?: what)?)|(?P<earlier>{EARLIER}))"
    r"(?: (?:in|of) (?:the|this) (?:clip|video|film|movie|footage))?",
    re.I,
)
ANYTHING = re.compile(r"|(?:and )?what|what (?:is|'s|was|comes|came|about|happens|happened)", re.I)
# "it" that stands for nothing, or for the clip
EXPLETIVE = re.compile(
    r"\bit (?:raining|snowing|day|night|dark|light|sunny|cloudy|foggy|windy|winter|summer|spring|"
    r"autumn|morning|evening|noon|indoors?|outdoors?|inside|outside|true|possible|sarcas\w+|"
    r"humorous|funny|ironic|a joke|about|end|begin|start|take place|seem|look like (?:rain|he|she)|"
    r"say (?:on|in|at))\b|\b(?:time|season|day) (?:of (?:day|the year) )?is it\b|"
    r"\bhappen\w* in it\b|\bdoes it (?:rain|snow|say (?:on|in|at))\b|\blook like it\b|"
    r"^(?:what|who|which)(?:'s| is| was| kind of \w+ is| sort of \w+ is) (?:it|this|that)\W*$",
    re.I,
)
PRONOUNS = {
    **dict.fromkeys(("he", "him", "his"), "he"),
    **dict.fromkeys(("she", "her", "hers"), "she"),
    **dict.fromkeys(("it", "its", "that", "this"), "it"),
    **dict.fromkeys(("they", "them", "their", "theirs", "these", "those"), "they"),
}
OWNING = ("his", "hers", "its", "their", "theirs")
POINTING = ("that", "this", "these", "those")  # "what color is that?", but "that car"
# The answer to these is the thing itself: "What is he holding?"
NAMES_A_THING = re.compile(
    r"(?:what|which|who)(?:'s)?\b(?! (?:colou?r|time|size|shape|number|way|direction|season|"
    r"happen\w*|is happening|is going on)\b)(?!.*\b(?:doing|do)\b)",
    re.I,
)
INCOMPLETE = re.compile(
    r"\S+|(?:what|who|where|anything|anybody|anyone|something) else|how (?:so|many|much|come)|"
    r"(?:which|what) (?:one|kind|ones)",
    re.I,
)
WHERE = re.compile(r"(?:where|what colou?r)", re.I)
COLOR = re.compile(  # "what color is the (red) car?"
    r"\b(?:black|blue|brown|gr[ae]y|green|orange|pink|purple|red|white|yellow) (?=\w)"
)
PLACE = re.compile(
    r"\b(?:in|on|under|behind|beside|near|above|below|at|next to|in front of|to the \w+ of|inside|"
    r"outside) (?:the|his|her|their|a|an) (?:[\w'-]+ ?){1,3}$",
    re.I,
)
AGREE = {"is": "are", "was": "were", "does": "do", "has": "have", "'s": " are"}


@dataclass(frozen=True)
class FollowUp:
    """A question as it is to be asked."""

    question: str
    stands_alone: bool = True  # else the model reads the conversation with it
    lost: str = ""  # why the part that it asks about is none: a key of `then` in talk.yaml


def resolve(question: str, turns: Sequence[Turn], duration: Callable[[], float]) -> FollowUp:
    """``question`` by what was talked about; ``turns``: those about the clip, oldest first."""
    plain = question.strip().rstrip("?.! ")
    if found := _following(plain, turns, duration):
        return found
    if not turns:
        return FollowUp(question)
    rest = _less_and(plain)
    about = ABOUT.match(rest)
    rest = rest[about.end() :] if about else rest
    if rest != plain and _is_fragment(rest):
        added = _added(rest, turns[-1])
        return FollowUp(added or question, stands_alone=added is not None)
    if about:
        return FollowUp(question, stands_alone=False)
    if WHERE.fullmatch(rest):
        thing = _last(turns, ("it", "he", "she", "they"))
        verb = "are" if thing and thing.is_several else "is"
        rest, known = (f"{rest} {verb} {thing.as_known}", True) if thing else (rest, False)
        return FollowUp(_asked(rest) if known else question, stands_alone=known)
    if INCOMPLETE.fullmatch(rest):
        return FollowUp(question, stands_alone=False)
    resolved, left = _without_pronouns(rest, turns)
    changed = resolved != plain
    return FollowUp(_asked(resolved) if changed else question, stands_alone=not left)


def leans_on_another(question: str) -> bool:
    """Whether it says only with what was asked before it what it asks: "And then?", "what about
    her?"; a pronoun alone does not make it so."""
    plain = question.strip().rstrip("?.! ")
    rest = _less_and(plain)
    then = THEN.fullmatch(rest)
    return bool(
        (then and ANYTHING.fullmatch(then["ask"].strip(" ,")))
        or ABOUT.match(rest)
        or WHERE.fullmatch(rest)
        or INCOMPLETE.fullmatch(rest)
        or (rest != plain and _is_fragment(rest))
    )


def _following(plain: str, turns: Sequence[Turn], duration: Callable[[], float]) -> FollowUp | None:
    """ "And then?", "What does he do next?": about the part after the last one; None: no such."""
    match = THEN.fullmatch(_less_and(plain))
    if match is None:
        return None
    ask = match["ask"].strip(" ,")
    whole = ANYTHING.fullmatch(ask) is not None
    part = turns[-1].part if turns else None
    if part is None or None in part:
        happens = re.fullmatch(r"what (?:happens|happened|comes)", ask, re.I)
        return FollowUp("", lost="whole") if whole and not happens else None
    start, end = part[0] or 0.0, part[1] or 0.0
    length, last = max(end - start, LEAST), duration()
    window = (end, min(end + length, last)) if match["later"] else (max(start - length, 0), start)
    if window[1] - window[0] < LEAST:
        return FollowUp("", lost="over")
    before = turns[-1].asked_as or turns[-1].question
    asked = without_time(before).rstrip("?.! ") if whole else ask
    if whole and turns[-1].names_times:  # "when does the dog appear?", "and then?"
        asked = f"What is the {'first' if match['later'] else 'last'} thing that happens"
        window = (end, last) if match["later"] else (0.0, start)
    if re.fullmatch(r"what (?:comes|came)", asked, re.I):
        asked = "What happens"
    asked, left = _without_pronouns(asked, turns)
    when = f"between {format_time(window[0])} and {format_time(window[1])}"
    return FollowUp(_asked(f"{asked} {when}"), stands_alone=not left)


def _less_and(text: str) -> str:
    match = ADDED.match(text)
    return text[match.end() :] if match else text


def _is_fragment(text: str) -> bool:
    """Whether it is no question of its own: "the woman", "in the background", "at 0:10"."""
    first = text.split()[0].lower() if text else ""
    asks = "is are was were do does did can could has have who what where when how which why"
    return bool(first) and first not in asks.split() and len(text.split()) <= 8


def _added(rest: str, last: Turn) -> str | None:
    """The last question about something else: "(and) the woman"; None: it cannot be told how."""
    before = (last.asked_as or last.question).strip().rstrip("?.! ")
    try:
        if time_range(rest, ANY_LENGTH) is not None:
            led = rest if rest.split()[0].lower() in NO_NOUN else f"in {rest}"
            return _asked(f"{without_time(before).rstrip('?.! ')} {led}")
    except InputError:
        return None
    if PLACE.fullmatch(rest):
        kept = PLACE.sub("", before).rstrip()
        asks = kept != before or re.search(r"^who\b|\bthere\b", before, re.I)
        return _asked(f"{kept if asks else 'What is'} {rest}")
    new = _alone(rest)
    if new is None:
        return None
    there = mentions(before)
    alike = [one for one in there if one.is_somebody == new.is_somebody]
    old = next(iter(alike if len(there) > 1 else there), None)
    if old is None:
        if not new.is_somebody:
            return None
        return _asked(f"What {'are' if new.is_several else 'is'} {rest} doing")
    said = rest
    if old.lead == "many":
        said = new.words
    elif old.lead in ("a", "an", "any") and new.lead == "the":
        said = f"{'an' if new.words[0].lower() in 'aeiou' else 'a'} {new.words}"
    return _asked(_agreeing(before[: old.start], old, new) + said + before[old.end :])


def _alone(text: str) -> Mention | None:
    """The one thing that all of a text names."""
    for one in mentions(text):
        after = text[one.end :].split()
        if one.start == 0 and (not after or after[0].lower() in NO_NOUN):
            return one
    named = bare(text)
    if len(named) != 1 or not (named[0].is_several or named[0].is_somebody):
        return None  # "(and) red"
    return named[0]


def _agreeing(before: str, old: Mention, new: Mention) -> str:
    """ "What is (the women)" is "What are"."""
    if old.is_several == new.is_several:
        return before
    pairs = AGREE if new.is_several else {many: one for one, many in AGREE.items() if one != "'s"}
    match = re.search(r"(\w+|'s) $", before)
    if match and match[1].lower() in pairs:
        return f"{before[: match.start()]}{pairs[match[1].lower()]} "
    return before


def _without_pronouns(text: str, turns: Sequence[Turn]) -> tuple[str, bool]:
    """``text`` with names for its pronouns, and whether one is left that stands for something."""
    kept, at, left = "", 0, False
    own = mentions(text)
    blind = [match.span() for match in EXPLETIVE.finditer(text)]
    for token in WORD.finditer(text):
        word = token[0].lower().removesuffix("'s")
        if word not in PRONOUNS or any(a <= token.start() < b for a, b in blind):
            continue
        if word in POINTING and text[token.end() :].strip():
            continue
        kind = PRONOUNS[word]
        if any(one.end <= token.start() and one.fits(kind) for one in own):
            continue  # "Does the man drop his hat?"
        thing = _last(turns, (kind,))
        if thing is None:
            left = True
            continue
        owns = word in OWNING or (word == "her" and _owns(text[token.end() :]))
        known = COLOR.sub("", thing.as_known) if "color" in text.lower() else thing.as_known
        kept += text[at : token.start()] + known + ("'s" if owns else "")
        at = token.start() + len(word)
    return kept + text[at:], left


def _owns(after: str) -> bool:
    """ "her (hat)", but "her (at the table)"."""
    following = WORD.match(after.strip())
    return following is not None and following[0].lower() not in NO_NOUN


def _last(turns: Sequence[Turn], kinds: tuple[str, ...]) -> Mention | None:
    """What was talked about last and one of these pronouns can stand for."""
    for turn in reversed(turns[-LOOKED_BACK:]):
        for one in _talked_about(turn):
            if any(one.fits(kind) for kind in kinds):
                return one
    return None


def _talked_about(turn: Turn) -> Iterator[Mention]:
    """What a turn names, the likeliest to be meant first."""
    question = turn.asked_as or turn.question
    asked = mentions(question)[::-1]
    told: list[Mention] = []
    if not is_untold(turn.answer):
        names = NAMES_A_THING.match(question) is not None
        told = (bare(turn.answer) if names else []) or mentions(turn.answer)
        if names:
            yield from told
            told = []
    yield from asked
    yield from told


def _asked(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}?"
