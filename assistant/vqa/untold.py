"""What is said where an answer is not sure: not nothing, but what was seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assistant.sources import Perceived, Source
from assistant.sources.objects import WORDS
from assistant.sources.seen import SURE
from assistant.vqa import forms
from assistant.vqa.forms import Form

CANNOT_TELL = "I cannot tell."
MOST = 5  # things that are named
ASKED = re.compile(
    r"^(what|where|who|how many) (is|are|was|were) ((?:the |a |an )?\w+) (\w+ing\b.*)$"
)


def cannot_tell(form: Form, sources: Sequence[Source]) -> str:
    """``I cannot tell what the woman is doing; I see a woman, 2 dogs, grass.``"""
    seen = list(dict.fromkeys(_sure(sources)))[:MOST]
    about = "what is happening" if form.kind == forms.DESCRIBE else _indirect(form.question)
    told = f"I cannot tell {about}".strip()
    return f"{told}; I see {', '.join(seen)}." if seen else f"{told}."


def _indirect(question: str) -> str:
    """``what is the woman doing`` -> ``what the woman is doing``; else nothing."""
    match = ASKED.match(question)
    if match is None:
        return ""
    asked, be, who, doing = match.groups()
    return f"{asked} {who} {be} {doing}"


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
