"""What a text mentions, "the man", "a red guitar", and which pronouns can stand for it.

Rules on words, no parser: a mention begins with an article or a number and ends before a word that
is no noun. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

WORDS = {
    "male": "man boy guy gentleman father dad son husband brother king groom dude",
    "female": "woman girl lady mother mom daughter wife sister queen bride",
    "person": "person child kid baby toddler teenager adult player driver rider cyclist skater "
    "skier surfer dancer singer drummer guitarist musician teacher student worker officer soldier "
    "chef cook waiter speaker reporter host swimmer diver runner climber boxer actor artist friend",
    "animal": "dog puppy cat kitten horse bird cow monkey rabbit bear animal pet",
    "people": "people men women children persons",
    "one": "a an one another",
    "several": "two three four five six many several these those both",
    "lead": "the this that some any his her their its my",
    "no noun": "is are was were be been being am do does did has have had can could will would "
    "should may might must in on at of to for from with without by near beside behind "
    "under over above below into onto through across between before after during around "
    "against along toward towards like as and or but nor than that which who whom whose "
    "what where when why how if while there here it he she they him her them his their "
    "its i you we me us not no yes left right up down out off away back now again still "
    "also too instead later inside outside else next first last seen shown wear wears "
    "hold holds look looks stand stands sit sits run runs walk walks play plays ride "
    "rides jump jumps eat eats talk talks say says move moves go goes happen happens",
    # After a verb, and before or after no other.
    "placed": "in on at of to for from with without by near beside behind under over above below "
    "into onto through across between before after during around against along toward towards like "
    "as and or here there up down out off away back now again first last next",
    # Of the clip itself and its parts: nobody means them by "it".
    "clip": "video clip film movie picture scene image background foreground middle time color "
    "colour kind beginning end moment second seconds minute side weather photo camera group "
    "pair lot bunch front back",
}
KNOWN = {kind: frozenset(words.split()) for kind, words in WORDS.items()}
MALE, FEMALE, PERSON, ANIMAL = (KNOWN[kind] for kind in ("male", "female", "person", "animal"))
MANY, SINGLE, NO_NOUN, NOTHING = (KNOWN[kind] for kind in ("people", "one", "no noun", "clip"))
LEADS = SINGLE | KNOWN["several"] | KNOWN["lead"]
LIVING = MALE | FEMALE | PERSON | ANIMAL | MANY
DO = ("do", "does", "did")
PLACED = KNOWN["placed"]
MOST_WORDS = 4
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


@dataclass(frozen=True)
class Mention:
    """A thing or somebody that a text names."""

    words: str  # less the article
    lead: str  # the article or number before it, lower case
    start: int  # in the text, the lead included (but for "how many")
    end: int

    @property
    def head(self) -> str:
        return self.words.split()[-1].lower()

    @property
    def is_several(self) -> bool:
        if self.head in MANY:
            return True
        plural = self.head.endswith("s") and not self.head.endswith(("ss", "us", "is"))
        return plural and self.lead not in SINGLE

    @property
    def is_somebody(self) -> bool:
        one = self.head.removesuffix("s")
        return self.head in MANY or one in MALE | FEMALE | PERSON

    def fits(self, pronoun: str) -> bool:
        """Whether a pronoun, "he", "she", "it" or "they", can stand for it."""
        if self.is_several or pronoun == "they":
            return self.is_several and pronoun == "they"
        if pronoun == "it":
            return not self.is_somebody
        other = FEMALE if pronoun == "he" else MALE
        return (self.is_somebody or self.head in ANIMAL) and self.head not in other

    @property
    def as_known(self) -> str:
        """With the article of what was mentioned before."""
        return f"the {self.words}"


def mentions(text: str) -> list[Mention]:
    """Those of a text, in their order; an owner ("the man's hat") comes before what is owned."""
    return list(_mentions(text))


def bare(text: str) -> list[Mention]:
    """Of an answer that is a list of names, "guitar, two amplifiers"; [] of a sentence."""
    found: list[Mention] = []
    for part in re.split(r",| and ", text.strip(" .!")):
        words = part.split()
        led = mentions(part)
        if led and led[0].start == len(part) - len(part.lstrip()) and led[-1].end == len(part):
            found.append(led[-1])
        elif words and len(words) <= MOST_WORDS and not any(map(_is_no_noun, words)):
            found.append(Mention(" ".join(words), "", 0, len(part)))
        else:
            return []
    return found


def _mentions(text: str) -> Iterator[Mention]:
    tokens = list(WORD.finditer(text))
    at = 0
    while at < len(tokens):
        lead = tokens[at][0].lower()
        at += 1
        if lead not in LEADS:
            continue
        first = at
        taken: list[re.Match[str]] = []
        while at < len(tokens) and len(taken) < MOST_WORDS:
            token = tokens[at]
            between = text[tokens[at - 1].end() : token.start()]
            if between.strip() or _is_no_noun(token[0]) or _is_verb(token[0], lead, taken):
                break
            taken.append(token)
            at += 1
            if token[0].lower() in LIVING:
                break  # "the man (drops)"
            owner = re.fullmatch(r"(.+)['\u2019]s", token[0])
            if owner and (len(taken) > 1 or at < len(tokens)):
                start, end = tokens[first - 1].start(), token.end() - 2
                words = text[tokens[first].start() : end]
                yield Mention(words, lead, start, end)
        if first > 1 and tokens[first - 2][0].lower() in DO and _ends_in_verb(taken, tokens[at:]):
            taken.pop()
        if taken and taken[-1][0].lower() not in NOTHING:
            counted = lead == "many"
            start = tokens[first if counted else first - 1].start()
            words = text[taken[0].start() : taken[-1].end()]
            yield Mention(words, lead, start, taken[-1].end())


def _is_no_noun(word: str) -> bool:
    return word.lower() in NO_NOUN or word.lower() in LEADS or word.lower().endswith("ing")


def _ends_in_verb(taken: list[re.Match[str]], after: list[re.Match[str]]) -> bool:
    """ "(does the elephant) swim (in the lake)", but not "(does the big) dog (have a ball)"."""
    follows = after[0][0].lower() if after else ""
    verb = follows in NO_NOUN and follows not in PLACED
    return len(taken) > 1 and not verb and taken[-1][0].lower() not in LIVING


def _is_verb(word: str, lead: str, before: list[re.Match[str]]) -> bool:
    """ "(a dog) runs": what follows one noun and ends so is none."""
    plural = word.endswith("s") and not word.endswith(("ss", "us", "is", "'s", "\u2019s"))
    return bool(before) and plural and lead in SINGLE
