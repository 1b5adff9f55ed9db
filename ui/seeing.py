"""The panel of what is perceived: filled once a clip is open, and further when asked."""

from collections.abc import Iterator

from assistant.ui import cards
from assistant.ui.line import Failed, Waiting
from assistant.ui.room import Room, failed
from assistant.ui.seen import unseen
from assistant.ui.talk import Done, Stage
from assistant.ui.talk import see as start_seeing
from assistant.ui.view import Parts, played, shown_seen
from assistant.ui.visitor import Visitor

from assistant.errors import AssistantError


def see(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """What the sources that any question wants say of the clip on show."""
    yield from _see(room, visitor, every=False)


def see_all(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """The same by every source, those that cost seconds included."""
    yield from _see(room, visitor, every=True)


def _see(room: Room, visitor: Visitor, *, every: bool) -> Iterator[Parts]:
    clip = played(visitor)
    if clip is None or not unseen(clip, visitor.settings.sources, every=every):
        yield shown_seen(visitor)
        return
    try:
        job = start_seeing(room.engine, visitor, clip, every=every)
    except AssistantError as error:  # too many wait
        yield {"hint": cards.note(str(error), "bad")}
        return
    for update in job:
        if played(visitor) is not clip:
            continue  # it is looked at all the same
        if isinstance(update, Done):
            yield shown_seen(visitor)
        elif isinstance(update, Failed):
            yield {**shown_seen(visitor), "hint": failed(visitor, update)}
        elif every and isinstance(update, Waiting):
            yield {"seeing": cards.thinking("Your turn now", update.ahead)}
        elif every and isinstance(update, Stage):
            yield {"seeing": cards.progress(update.doing, update.share)}
