"""What form a question has, by its first words: which answers there can be, and the statement that
a question and an answer make together."""

from __future__ import annotations

import re
from dataclasses import dataclass

YES_NO, DESCRIBE, COUNT, COLOR = "yes/no", "describe", "count", "color"
WHO, DOING, WHERE, WEATHER, THING, OTHER = "who", "doing", "where", "weather", "thing", "other"

BE = r"(?:is|are|was|were|'s|does|do|did|has|have|can|could)"
SUBJECT = r"(?:the|this|that|these|those|his|her|their|its|a|an|he|she|it|they|you|people|everyone)"
PICTURE = (
    r"(?:(?:in|on|of) (?:the|this) (?:\w+ )?(?:video|clip|picture|image|photo|scene|film|movie))"
)
FORMS = (
    (
        DESCRIBE,
        re.compile(
            r"^(?:describe|summari[sz]e|tell me (?:about|what)|caption|give|explain what)\b"
            r"|\bwhat(?:'s| is| was)? (?:happen\w*|going on|go(?:es)? on|shown|taking place)\b"
            rf"|\bwhat (?:do|can|could) (?:you|i|we) see(?: here)?(?: {PICTURE})?\W*$"
            r"|\bwhat (?:does|is) (?:this|the|that) (?:video|clip|picture|image|photo|scene) "
            r"(?:show|about)"
            r"|\bwhat can be seen\b|\bwhat (?:is|was) (?:it|this|that) about\b"
        ),
    ),
    (COUNT, re.compile(r"\bhow many\b|\bwhat (?:is the )?number of\b")),
    (COLOR, re.compile(r"\b(?:what|which) colou?rs?\b|\bwhat(?: is|'s) the colou?r\b")),
    (WEATHER, re.compile(r"\bweather\b")),
    (WHO, re.compile(r"^(?:and )?who(?:m|se)?\b")),
    (
        WHERE,
        re.compile(
            r"^(?:and )?where\b|\b(?:what|which) (?:kind of |type of |sort of )?(?:place|room|"
            r"location|setting|scene|surroundings)\b"
        ),
    ),
    (
        DOING,
        re.compile(
            r"\bdo(?:ing)?\b.*$(?<!do you see)|\b(?:what|which) (?:\w+ )?(?:sport|activity|action|"
            r"game)\b"
        ),
    ),
    (YES_NO, re.compile(rf"^(?:and |so |but )?{BE.replace(chr(39) + 's|', '')}\b")),
    (THING, re.compile(r"\b(?:what|which)\b|^(?:list|name)\b")),
)


@dataclass(frozen=True)
class Form:
    """A question's form."""

    kind: str
    question: str  # in small letters, without its mark


def form_of(question: str) -> Form:
    """The form of a question."""
    text = " ".join(question.lower().split()).strip(" ?!.")
    starts_as_yes_no = FORMS[-2][1].search(text) is not None
    for kind, pattern in FORMS:
        if starts_as_yes_no and kind in (DOING, WHERE, WHO, WEATHER, DESCRIBE):
            continue  # "is he doing a trick?"
        if pattern.search(text):
            return Form(kind, text)
    return Form(OTHER, text)


WH = re.compile(
    r"^(?:and |so |but )?(?P<wh>what|who|where|which|how many|how)"
    r"(?P<noun> (?:kind|type|sort) of [a-z]+| colou?r| animal| sport| thing| object| place"
    r"|(?<=which) [a-z]+)?"
    r"(?: (?P<be>is|are|was|were|does|do|did|'s))?(?P<rest>.*)$"
)
YES = re.compile(
    r"^(?:and |so |but )?(?:is|are|was|were|does|do|did|has|have|can|could) (?P<rest>.*)$"
)
THERE = re.compile(r"^(?:there|you see|we see) ")
ENDING = re.compile(rf" {PICTURE}$")
PRONOUN = re.compile(r"(?:it|this|that|he|she|they|there|here|being \w+)$")
INTRO = re.compile(rf"^{SUBJECT}\b")


def statement(form: Form, answer: str) -> str:
    """What a question and its answer say together, as captions are written: "what is the man
    holding", "a guitar" is "the man holding a guitar"."""
    said = answer.lower().strip(" .")
    if form.kind == DESCRIBE:
        return said
    text = ENDING.sub("", form.question)
    if form.kind == YES_NO:
        match = YES.match(text)
        return THERE.sub("", match["rest"]) if match else text
    match = WH.match(text)
    if match is None:
        return said
    rest = match["rest"].strip()
    if form.kind == COUNT:
        return (
            f"{said} {re.sub(r' (?:are|is)?(?: there)?$| (?:do|can) you see$', '', rest)}".strip()
        )
    if form.kind == COLOR:
        return f"{said} {re.sub(f'^{SUBJECT} ', '', rest)}".strip()
    rest = re.sub(r"\bdoing$|\bdoing\b(?= )", "", rest).strip()
    if not rest or PRONOUN.match(rest):
        return said
    if INTRO.match(rest):  # "the man holding": its object is asked for
        return f"{rest} {said}"
    return f"{said} {rest}"
