"""Whether a question asks what is being done, and nothing beside: a recogniser can answer that.

Rules on words, no parser; what they do not know is an ordinary question. English only.
"""

from __future__ import annotations

import re

from assistant.core.mentions import KNOWN, mentions
from assistant.vqa.forms import ENDING
from assistant.vqa.when import POLITE, WITHIN

BE, DO = r"(?:is|are|was|were)", r"(?:does|do|did)"
NOUN = r"(?:action|activity|gesture|movement|motion|move|exercise|sport|stunt|trick)"
KIND = rf"(?:what|which)(?: (?:kind|sort|type) of)? {NOUN}"
TELL = re.compile(r"^(?:tell|show) (?:me|us),? ")
NOW = re.compile(r"(?: (?:right now|now|here|there|exactly|at the moment|currently|please))+$")
ASKS = (
    re.compile(rf"^what(?: {BE}|'s|'re) (?P<who>.+?) (?:currently )?(?:doing|up to)$"),
    re.compile(rf"^what {DO} (?P<who>.+?) do$"),
    re.compile(rf"^what (?P<who>.+?) {BE} doing$"),  # "tell me what he is doing"
    re.compile(
        rf"^what(?: {BE}|'s)? (?:happening|happens|happened|going on|goes on|went on|"
        r"(?:being )?done|taking place|takes place)$"
    ),
    re.compile(
        rf"^{KIND}(?: {BE}|'s) (?:this|that|it|(?:being )?(?:done|performed|shown|made|seen)|"
        r"happening|going on|taking place)$"
    ),
    re.compile(
        rf"^{KIND} (?:{BE}|{DO}) (?P<who>.+?) "
        r"(?:do|doing|perform|performing|make|making|show|showing|practi[cs]e|practi[cs]ing)$"
    ),
    re.compile(rf"^what(?: {BE}|'s) (?:the|this|that|his|her|their) {NOUN}$"),
    re.compile(rf"^(?:name|identify|recogni[sz]e|classify) (?:the|this|that|his|her) {NOUN}$"),
)
ANYBODY = frozenset(["he", "she", "it", "they", "this", "that", "these", "those", "one"]) | {
    f"{one}{body}" for one in ("every", "some", "any") for body in ("body", "one")
}


def asks_for_action(question: str) -> bool:
    """Whether a question, less the time that it names, is "what is the man doing?", "what is
    happening?", "which exercise is this?". Of two people, of what is done with a thing or at a
    place it is not asked whether a recogniser knows: these are ordinary."""
    text = " ".join(question.lower().replace("\u2019", "'").split()).strip(" ?!.")
    text = TELL.sub("", POLITE.sub("", text))
    for less in (NOW, WITHIN, ENDING, NOW):
        text = less.sub("", text).strip(" ,")
    found = next(filter(None, (one.match(text) for one in ASKS)), None)
    return found is not None and _is_one(found.groupdict().get("who") or "it")


def _is_one(who: str) -> bool:
    """Whether words are a pronoun, or one thing or kind of somebody: "the tall man"."""
    if who in ANYBODY or who in KNOWN["people"]:
        return True
    named = mentions(who)
    return len(named) == 1 and (named[0].start, named[0].end) == (0, len(who))
