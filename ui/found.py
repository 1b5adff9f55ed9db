"""What a search found, and its HTML: a card for each hit; all text in it is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from assistant.ui.timeline import clock

if TYPE_CHECKING:
    from assistant.retrieval import Hit

MOST_WORDS = 4  # that are shown of a hit
SCORES = {
    "cosine": "cosine: 1 is the same direction, 0 has nothing in common",
    "cosine over usual": "cosine over usual: how much nearer it is than to most queries",
    "BM25": "BM25: how many of your words are there, and how rare they are",
    "fused ranks": "fused ranks: the sum of 1 / (60 + place) over the rankings that found it",
}


@dataclass(frozen=True)
class Wanted:
    """What is searched for, and how."""

    query: str | Path  # a Path: of a file that was dropped
    name: str  # the query, for a person
    index: str
    kinds: tuple[str, ...]
    by: str
    top: int


@dataclass(frozen=True, eq=False)
class Found:
    """One search and its hits."""

    number: int  # of the visitor's searches
    wanted: Wanted
    hits: tuple[Hit, ...]
    links: Mapping[str, Path]  # by the file of a hit: the name under which it is fetched
    # Data URIs by the hit's place; "": it is being made, or cannot be.
    pictures: dict[int, str] = field(default_factory=dict)

    def hit(self, key: str) -> Hit | None:
        """That of a card's ``data-found``; None: it is of another search."""
        place = key.removeprefix(f"{self.number}/")
        known = key != place and place.isascii() and place.isdecimal() and len(place) < 5
        return self.hits[int(place)] if known and int(place) < len(self.hits) else None


def cards_of(found: Found | None) -> str:
    """The hits, best first, and what their scores are."""
    if found is None:
        return ""
    query = escape(found.wanted.name)
    query = f"“{query}”" if isinstance(found.wanted.query, str) else query
    if not found.hits:
        nothing = f'<p class="va-seen">Nothing fits {query}.</p>'
        return f'<section aria-label="What was found">{nothing}</section>'
    count = "1 result" if len(found.hits) == 1 else f"{len(found.hits)} results"
    kind = found.hits[0].score_kind
    cards = "".join(_card(found, place, hit) for place, hit in enumerate(found.hits))
    return (
        f'<section aria-label="What was found"><h2 class="va-results">{count} for {query}</h2>'
        f'<p class="va-legend">Best first; {escape(SCORES[kind])}.</p>'
        f'<ol class="va-hits">{cards}</ol></section>'
    )


def _card(found: Found, place: int, hit: Hit) -> str:
    about = _about(hit)
    if hit.kind == "text":
        return (
            f'<li class="va-passage"><blockquote>{_marked(hit)}</blockquote>'
            f'<div class="va-told">{about}</div></li>'
        )
    picture = f'<span class="va-still" id="va-still-{place}"></span>'
    link = found.links.get(hit.file)
    if link is None:
        about += '<span class="va-words">The file is not there any more, or not to be read.</span>'
        told = f'<span class="va-told">{about}</span>'
        return f'<li><div class="va-hit va-gone">{picture}{told}</div></li>'
    plays = ""
    if hit.start is not None and hit.end is not None:
        plays = (
            f' data-src="gradio_api/file={quote(str(link))}" data-from="{hit.start:.3f}"'
            f' data-to="{hit.end:.3f}"'
        )
    key = f'data-found="{found.number}/{place}"'
    return (
        f'<li><button type="button" class="va-hit" {key}{plays} title="Open in the chat">'
        f'{picture}<span class="va-told">{about}</span></button>'
        f'<button type="button" class="va-open" {key}>Open in the chat</button></li>'
    )


def _about(hit: Hit) -> str:
    """File, moment, score and, of what is no text, the words that it shares with the query."""
    moment = moment_of(hit)
    when = f" <span>{moment}</span>" if moment else ""
    words = "" if hit.kind == "text" else escape(", ".join(hit.words[:MOST_WORDS]))
    return (
        f'<span class="va-where"><b>{escape(Path(hit.file).name)}</b>{when}</span>'
        f'<span class="va-score" title="{escape(SCORES[hit.score_kind])}">'
        f"{escape(hit.told_score)}</span>"
    ) + (f'<span class="va-words">{words}</span>' if words else "")


def _marked(hit: Hit) -> str:
    """A passage; its phrases that hold words of the query are marked."""
    parts = [
        f"<mark>{escape(part)}</mark>" if part.strip() in hit.words else escape(part)
        for part in re.split(r"([,\n])", hit.text)
    ]
    return "".join(parts).replace("\n", "<br>")


def moment_of(hit: Hit) -> str:
    """``0:05.0 to 0:12.0``; "" of what has no time."""
    if hit.start is None or hit.end is None:
        return ""
    return f"{clock(hit.start)} to {clock(hit.end)}"


def stills(pictures: Mapping[int, str]) -> str:
    """The pictures of the cards, by their place, as a style: cards that play are left alone."""
    rules = [
        f"#va-still-{place} {{background-image: url({picture})}}"
        for place, picture in pictures.items()
        if picture
    ]
    return f"<style>{' '.join(rules)}</style>" if rules else ""


def nothing_yet() -> str:
    """What stands where no index is."""
    return (
        '<section class="va-card" aria-label="No index yet"><h2>Nothing is indexed yet</h2>'
        "<p>Point at folders once, on the machine that this page runs on; then words, a picture or "
        "a clip find the moment:</p>"
        "<pre>assistant index add ~/Videos ~/Pictures</pre>"
        '<p class="va-seen">Then open this tab again.</p></section>'
    )
