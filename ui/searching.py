"""The Search tab: what it offers, and a search."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from assistant.ui import cards
from assistant.ui.found import Found, Wanted, cards_of, nothing_yet, stills
from assistant.ui.line import Failed, Job, Waiting
from assistant.ui.room import Room, failed
from assistant.ui.settings import MISSING
from assistant.ui.talk import Stage, thumbnails
from assistant.ui.uploads import check_clip, safe_name
from assistant.ui.view import Parts, Props
from assistant.ui.visitor import Visitor

from assistant.core.progress import report, watched
from assistant.errors import AssistantError, InputError

if TYPE_CHECKING:
    from assistant.retrieval import Hit

TOPS = (6, 12, 24, 48)  # results
BY = ("both", "meaning", "words")
KINDS = {"clip": "clips", "image": "pictures", "text": "texts"}
LOOKING = KINDS.keys() - {"text"}  # what a picture or a clip is like
STILL = 384  # longer side of a card's picture in pixels
DECODERS = 2  # pictures decoded at once
ELSEWHERE = (
    "Search is off: this page can be reached from other machines. Its owner can start it with "
    "--search NAME for each index that visitors may search."
)


def offer(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """The tab is opened: which indexes there are."""
    if room.options.searched == ():
        yield _closed(cards.note(ELSEWHERE))
        return
    if find_spec("lancedb") is None:
        from assistant.retrieval.store import EXTRA

        yield _closed(cards.note(f"Searching needs the 'search' extra. {MISSING.format(EXTRA)}"))
        return
    yield {"search status": cards.thinking("Looking for indexes")}
    try:
        names = _names(room)
    except AssistantError as error:
        yield _closed(cards.note(_plain(room, str(error)), "bad"))
        return
    if not names:
        yield _closed(nothing_yet())
        return
    kept = visitor.wanted.index if visitor.wanted else "default"
    yield {
        "search form": Props(visible=True),
        "index": Props(choices=names, value=kept if kept in names else names[0]),
        "search status": "",
        **shown_found(visitor),
    }


def _closed(told: str) -> Parts:
    return {"search form": Props(visible=False), "search status": told, "hits": "", "stills": ""}


def shown_found(visitor: Visitor) -> Parts:
    """The hits of the last search."""
    found = visitor.found
    return {"hits": cards_of(found), "stills": stills(found.pictures if found else {})}


def _names(room: Room) -> list[str]:
    from assistant.retrieval import Index

    allowed = room.options.searched
    there = Index.names(room.options.index)
    return [name for name in there if allowed is None or name in allowed]


def search(
    room: Room, visitor: Visitor, words: str, index: str, kinds: Sequence[str], by: str, top: int
) -> Iterator[Parts]:
    """Find what fits words."""
    if not (words or "").strip():
        yield {"search status": cards.note("Give words, or drop a picture or a clip.")}
        return
    told = " ".join(words.split())
    yield from _search(room, visitor, Wanted(words, told, index, tuple(kinds), by, top))


def search_like(
    room: Room, visitor: Visitor, file: str, index: str, kinds: Sequence[str], by: str, top: int
) -> Iterator[Parts]:
    """Find what looks like an uploaded picture or clip."""
    yield {"like": None}  # the next one can be dropped
    path, name = Path(file), safe_name(Path(file).name)
    try:
        check_clip(path, name, room.options.limits)
    except AssistantError as error:
        path.unlink(missing_ok=True)
        yield {"search status": cards.note(str(error), "bad")}
        return
    own = Path(shutil.move(path, visitor.folder / f"like-{uuid4().hex}{Path(name).suffix}"))
    yield from _search(room, visitor, Wanted(own, name, index, tuple(kinds), by, top))


def again(
    room: Room, visitor: Visitor, index: str, kinds: Sequence[str], by: str, top: int
) -> Iterator[Parts]:
    """The last search, as it is now set; a list that was only passed by changes nothing."""
    last = visitor.wanted
    if last is not None:
        wanted = replace(last, index=index, kinds=tuple(kinds), by=by, top=top)
        if wanted != last:
            yield from _search(room, visitor, wanted)


def _search(room: Room, visitor: Visitor, wanted: Wanted) -> Iterator[Parts]:
    visitor.wanted = wanted
    if visitor.searching is not None:
        visitor.searching.stop.set()
    yield {"search status": cards.progress("Searching", 0.0)}
    try:
        job = visitor.searching = _begun(room, visitor, wanted)
    except AssistantError as error:
        yield {"search status": cards.note(str(error), "bad")}
        return
    hits: tuple[Hit, ...] | None = None
    for update in job:
        if isinstance(update, Failed):
            told = _plain(room, update.message.replace(str(wanted.query), wanted.name))
            yield {"search status": failed(visitor, Failed(told, update.memory))}
        elif isinstance(update, Waiting):
            yield {"search status": cards.thinking("Your turn now", update.ahead)}
        elif isinstance(update, Stage):
            yield {"search status": cards.progress(update.doing, update.share)}
        else:
            hits = update
    if hits is None or visitor.searching is not job:
        return
    _show(visitor, wanted, hits)
    yield {"search status": "", **shown_found(visitor)}


def _begun(room: Room, visitor: Visitor, wanted: Wanted) -> Job:
    """The search, in the line. Raises InputError: the page does not offer it, or too many wait."""
    allowed, name = room.options.searched, wanted.index
    if not name or (allowed is not None and name not in allowed):
        raise InputError(f"index {name!r:.80} is not offered here; choose one of the list")
    by, kinds = wanted.by, list(wanted.kinds)
    if isinstance(wanted.query, Path):  # as the command line does
        by = "meaning" if by == "both" else by
        kinds = [kind for kind in kinds if kind in LOOKING] or kinds

    def work(job: Job) -> None:
        with watched(lambda doing, share: job.put(Stage(doing, share))):
            report("Searching", 0.0)
            from assistant.retrieval import Index

            index = Index(name, uri=room.options.index, assistant=room.engine)
            job.put(tuple(index.search(wanted.query, top=wanted.top, by=by, kinds=kinds)))

    return room.engine.line.join(work, visitor)


def _show(visitor: Visitor, wanted: Wanted, hits: tuple[Hit, ...]) -> None:
    """Let the hits be the visitor's; those of before are no longer lent."""
    last = visitor.found
    if last is not None:
        for link in last.links.values():
            visitor.lent.take_back(link)
        query = last.wanted.query
        if isinstance(query, Path) and query != wanted.query:
            query.unlink(missing_ok=True)
    links = {}
    for file in {hit.file for hit in hits if hit.kind != "text"}:
        with contextlib.suppress(OSError):  # its card says so
            links[file] = visitor.lent.lend(file)
    visitor.found = Found(last.number + 1 if last else 1, wanted, hits, links)


def add_pictures(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """The moments' pictures, as they come; needs no model, so it does not wait."""
    found = visitor.found
    if found is None:
        return
    lent = [place for place, hit in enumerate(found.hits) if hit.file in found.links]
    wanted = [place for place in lent if place not in found.pictures]
    found.pictures.update(dict.fromkeys(wanted, ""))  # each is made once
    made = 0
    try:
        with ThreadPoolExecutor(DECODERS) as pool:
            for picture in pool.map(lambda place: _picture(found, place), wanted):
                if visitor.found is not found:
                    pool.shutdown(cancel_futures=True)
                    return
                found.pictures[wanted[made]] = picture
                made += 1
                if made % DECODERS == 0 or made == len(wanted):
                    yield {"stills": stills(found.pictures)}
    finally:  # the page was left: they are made when it is back
        for place in wanted[made:]:
            del found.pictures[place]


def _picture(found: Found, place: int) -> str:
    """The middle of a hit's moment as a data URI; "" where it cannot be read any more."""
    from assistant.media.video import read_clip

    hit = found.hits[place]
    span = {"start": hit.start, "end": hit.end}
    try:
        clip = read_clip(found.links[hit.file], frames=1, max_side=STILL, **span)
    except AssistantError:
        return ""
    return thumbnails(clip.frames)[0]


def _plain(room: Room, told: str) -> str:
    """Without where indexes lie on the host."""
    from assistant.retrieval.store import default_uri

    return told.replace(f" in {room.options.index or default_uri()}", "")
