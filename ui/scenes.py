"""The timeline under the player: made of the clip on show, looked through, saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.ui import cards
from assistant.ui.line import Failed, Job, Waiting
from assistant.ui.room import Room, failed
from assistant.ui.suggesting import LONG
from assistant.ui.talk import Done, Stage
from assistant.ui.view import Parts, played, shown_scenes
from assistant.ui.visitor import OpenClip, Visitor

from assistant.core.progress import watched
from assistant.errors import InputError

if TYPE_CHECKING:
    from assistant.ui.engine import Engine

    from assistant.timeline import Query, Timeline
    from assistant.timeline.making import Maker

SHORT = 120.0  # seconds: a clip of `LONG` up to this length has its timeline without being asked
FINDS = 4  # that are shown, the last ones
KINDS = {"chapters": "chapters.vtt", "csv": "events.csv", "events": "events.json"}


@dataclass
class Scenes:
    """What was found to happen when in one clip."""

    timeline: Timeline
    maker: Maker | None  # that can be asked for more; None: it left memory with its model
    model: object  # that it looked with, see `Assistant.answerer`
    found: dict[str, Query] = field(default_factory=dict)  # what was looked for
    asked: tuple[str, Query] | None = None  # the last question, and how much each moment is of it

    def find(self, text: str, clip: OpenClip, engine: Engine, visitor: Visitor) -> Query:
        """When what ``text`` says is to be seen; for the line's own thread."""
        from assistant.timeline.making import maker_of

        if self.maker is None:
            session = visitor.session(clip, engine)
            self.maker, self.model = maker_of(session), session.assistant.answerer
        ranges = [(one.start, one.end) for one in self.timeline.segments]
        groups = [self.maker.track.within(*span) for span in ranges]
        return self.maker.find(text, groups, ranges)

    def keep(self, query: Query) -> None:
        """Show its moments, and those of the last ones before it."""
        self.found.pop(query.text, None)
        self.found[query.text] = query
        while len(self.found) > FINDS:
            del self.found[next(iter(self.found))]


def begin(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """A short clip's timeline, once it is open; one that is shorter still is hardly ever parted."""
    clip = played(visitor)
    # Else what is on the page stays as it is: a button may have been clicked meanwhile.
    if clip is None or clip.known is None or clip.sceneless or clip.is_timed:
        return
    if LONG <= clip.known.seconds <= SHORT:
        yield from make(room, visitor, asked=False)


def make(room: Room, visitor: Visitor, *, asked: bool = True) -> Iterator[Parts]:
    """The timeline of the clip on show; what was seen of it before it was stopped is kept.

    Args:
        asked: somebody did ask for it, and wants to know loudly why there is none.
    """
    clip = played(visitor)
    if clip is None or clip.offer.is_picture or clip.scenes or clip.is_timed:
        yield shown_scenes(visitor)
        return
    clip.sceneless = ""
    job = clip.timing = _start(room.engine, visitor, clip)
    yield shown_scenes(visitor)
    for update in job:
        if isinstance(update, Failed):
            told = visitor.without_paths(update.message)
            clip.sceneless = failed(visitor, update) if asked else cards.quiet(told)
        elif played(visitor) is not clip or not clip.is_timed:
            continue  # it is looked at all the same
        elif isinstance(update, Waiting):
            waits = cards.thinking("Your turn now", update.ahead)
            yield {**shown_scenes(visitor), "scenes status": waits}
        elif isinstance(update, Stage):
            done = cards.progress(update.doing, update.share)
            yield {**shown_scenes(visitor), "scenes status": done}
    yield shown_scenes(visitor)


def _start(engine: Engine, visitor: Visitor, clip: OpenClip) -> Job:
    def work(job: Job) -> None:
        from assistant.timeline import making, track

        def tell(doing: str, share: float) -> None:
            job.put(Stage(doing, share))
            # Not amid the loading of what others would load, too.
            if doing in (track.LOOKING, making.CUTTING, making.DESCRIBING):
                job.breathe()

        with watched(tell, parts=10_000):
            session = visitor.session(clip, engine)
            model = session.assistant.answerer
            maker = making.maker_of(session)
            timeline = replace(maker.timeline((), listen=engine.options.listen), path=clip.name)
        if visitor.clips.get(clip.name) is clip:
            kept = clip.model is model  # else it left memory meanwhile
            clip.scenes = Scenes(timeline, maker if kept else None, model)
        job.put(Done())

    return engine.line.join(work, visitor, long=True)


def stop(room: Room, visitor: Visitor) -> Parts:
    """Look no further for scenes of the clip on show."""
    clip = played(visitor)
    if clip is not None and clip.timing is not None:
        clip.timing.stop.set()
    return shown_scenes(visitor)


def find(room: Room, visitor: Visitor, text: str) -> Iterator[Parts]:
    """The moments of anything said in words."""
    from assistant.core.checks import check_text

    clip = played(visitor)
    if clip is None or clip.scenes is None:
        yield shown_scenes(visitor)
        return
    if not (text := " ".join(check_text("what to find", text).split())):
        raise InputError("Say in words what is looked for, like: a dog runs.")
    job, told = _search(room.engine, visitor, clip, clip.scenes, text, asked=False), ""
    yield {"scenes status": cards.thinking("Looking for it")}
    for update in job:
        if isinstance(update, Failed):
            told = failed(visitor, update)
        elif isinstance(update, Waiting):
            yield {"scenes status": cards.thinking("Your turn now", update.ahead)}
    yield {**shown_scenes(visitor), "hint": told, **({} if told else {"when": ""})}


def follow(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """The saliency of the question whose answer is shown."""
    clip = played(visitor)
    if clip is None or clip.scenes is None:
        return
    text, scenes = visitor.question_to(clip), clip.scenes
    if text and (scenes.asked is None or scenes.asked[0] != text):
        for update in _search(room.engine, visitor, clip, scenes, text, asked=True):
            if isinstance(update, Failed):
                yield {"hint": failed(visitor, update)}
    yield shown_scenes(visitor)


def _search(
    engine: Engine, visitor: Visitor, clip: OpenClip, scenes: Scenes, text: str, *, asked: bool
) -> Job:
    """Look for a text, or for the question that was ``asked``."""

    def work(job: Job) -> None:
        query = scenes.find(text, clip, engine, visitor)
        if asked:
            scenes.asked = text, query
            if sought := visitor.sought_by(clip):  # by the timeline itself: "when does it snow?"
                scenes.keep(scenes.find(sought, clip, engine, visitor))
        else:
            scenes.keep(query)
        job.put(Done())

    return engine.line.join(work, visitor, urgent=not asked)


def save(room: Room, visitor: Visitor, kind: str) -> Parts:
    """The timeline on show as a file for the browser to write.

    Args:
        kind: of ``KINDS``.
    """
    from assistant.timeline.formats import as_csv, as_vtt

    clip = played(visitor)
    if clip is None or clip.scenes is None:
        told = cards.note("There is no timeline to save yet: find the scenes first.", "bad")
        return {"file": "", "file name": "", "hint": told}
    bare = clip.scenes.timeline
    whole = replace(bare, queries=tuple(clip.scenes.found.values()))
    writers: dict[str, Callable[[], str]] = {
        # Chapters are scenes, whatever was looked for or heard.
        "chapters": lambda: as_vtt(replace(bare, heard=())),
        "csv": lambda: as_csv([whole]),
        "events": lambda: json.dumps(whole.as_dict(), ensure_ascii=False, indent=1) + "\n",
    }
    name = f"{Path(clip.name).stem}.{KINDS[kind]}"
    return {"file": writers[kind](), "file name": name, "hint": ""}
