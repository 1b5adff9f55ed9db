"""What is said where an answer is not sure: not nothing, but what may be, and what was seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assistant.core.mentions import FEMALE, MALE, PERSON
from assistant.sources import Perceived, Source
from assistant.sources.lexicon import ACTIVITIES, SCENES, load_lexicon
from assistant.sources.objects import WORDS
from assistant.sources.seen import SURE
from assistant.vqa import forms
from assistant.vqa.candidates import with_article
from assistant.vqa.forms import Form

CANNOT_TELL, NOT_SURE = "I cannot tell.", "I am not sure; perhaps"
MOST = 5  # things that are named
GUESSES = 3
NAMED = 0.25  # chance from which a thing that the image encoder's classifier names is a guess
SOMEBODY, PEOPLE = "a person", MALE | FEMALE | (PERSON - {"person"})
ASKED = re.compile(
    r"^(what|where|who|how many) (is|are|was|were) ((?:the |a |an )?\w+) (\w+ing\b.*)$"
)
ARTICLE = re.compile(r"(?:an?|the|some|his|her|their|two|three|people)\b")
GUESSED = {  # groups of phrases by form
    forms.DESCRIBE: (ACTIVITIES, SCENES, "weather", "things"),
    forms.DOING: (ACTIVITIES,),
    forms.WHERE: (SCENES,),
    forms.WEATHER: ("weather",),
}


def cannot_tell(form: Form, sources: Sequence[Source], likeliest: str = "") -> str:
    """``I am not sure; perhaps playing cricket or baseball. I see two people.``; where there is no
    guess, ``I cannot tell what the woman is doing; I see a woman, 2 dogs, grass.``

    Args:
        likeliest: the answer that was weighed most, where it is worth telling.
    """
    guesses: list[str] = []
    for one in (_as_part(likeliest, form), *_guesses(form, sources)):
        if not set(one.split()) <= set(" ".join(guesses).split()):
            guesses.append(one)
    guesses = guesses[:GUESSES]
    named = " ".join(guesses)
    seen = [one for one in dict.fromkeys(_sure(sources)) if one not in named]
    if SOMEBODY in seen and any(one.split()[-1] in PEOPLE for one in seen):
        seen.remove(SOMEBODY)  # "a person, man" is one
    seen = seen[:MOST]
    told = f"I see {', '.join(seen)}." if seen else ""
    if guesses:
        *others, last = guesses
        either = " or ".join(filter(None, (", ".join(others), last)))
        return f"{NOT_SURE} {either}. {told}".strip()
    about = "what is happening" if form.kind == forms.DESCRIBE else _indirect(form.question)
    untold = f"I cannot tell {about}".strip()
    return f"{untold}; {told}" if told else f"{untold}."


def _as_part(text: str, form: Form) -> str:
    """An answer as a part of a sentence: ``a man on a horse``, ``a guitar``."""
    text = text.removesuffix(".")
    text = text[:1].lower() + text[1:]
    names = form.kind in (forms.THING, forms.WHO) and text and not ARTICLE.match(text)
    return with_article(text) if names else text


def is_untold(text: str) -> bool:
    """Whether an answer says that it is none."""
    return text.startswith(("I cannot", NOT_SURE))


def _indirect(question: str) -> str:
    """``what is the woman doing`` -> ``what the woman is doing``; else nothing."""
    match = ASKED.match(question)
    if match is None:
        return ""
    asked, be, who, doing = match.groups()
    return f"{asked} {who} {be} {doing}"


def _guesses(form: Form, sources: Sequence[Source]) -> Iterator[str]:
    """What may be the answer, the likeliest first."""
    groups = GUESSED.get(form.kind, ())
    where = load_lexicon().sentences.where
    if form.kind == forms.DESCRIBE:
        seen = [item for source in sources if source.name == "attributes" for item in source.items]
        yield from (with_article(item.name) for item in seen[:1] if item.probability >= NAMED)
    for group, name, _ in (one for source in sources for one in source.perhaps):
        if group == SCENES and group in groups:
            yield where.get(name) or with_article(name)
        elif group in groups:
            yield with_article(name) if group == "things" else name


def _sure(sources: Sequence[Source]) -> Iterator[str]:
    """What the sources name without doubt: objects, phrases that are things or places."""
    for source in sources:
        for item in source.items:
            if source.name == "objects":
                yield _counted(item)
            elif source.name == "phrases" or item.probability >= SURE:
                yield item.name


def _counted(item: Perceived) -> str:
    """``a dog``, ``two persons``."""
    count = item.count or 1
    if count > 1:
        number = WORDS[count] if count < len(WORDS) else str(count)
        return f"{number} {'people' if item.name == 'person' else item.name + 's'}"
    return f"{'an' if item.name[0] in 'aeiou' else 'a'} {item.told}"
