"""Questions and answers on the page: ask, stop, retry, edit, correct, look at the evidence."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from assistant.ui import cards, picking
from assistant.ui.chat import how_sure, label_of, message_places, messages
from assistant.ui.comparing import compare as start_comparing
from assistant.ui.line import Failed, Job, Waiting
from assistant.ui.room import Room, failed
from assistant.ui.settings import FREE, choices_of
from assistant.ui.talk import Done, Piece, Stage, add_pictures
from assistant.ui.talk import ask as start_asking
from assistant.ui.talk import explain as start_explaining
from assistant.ui.view import (
    READY,
    Parts,
    Props,
    ready,
    shown_answers,
    shown_clips,
    shown_evidence,
    shown_undo,
)
from assistant.ui.visitor import MOST_TURNS, Asked, Visitor

from assistant.core.checks import check_text
from assistant.errors import AssistantError
from assistant.vqa.conversation import Turn

BUSY = "One question at a time: this one is still being answered."
STOPPED = "Stopped. This question is not remembered."


def ask(
    room: Room, visitor: Visitor, question: str, form: str = FREE, choices: str = ""
) -> Iterator[Parts]:
    """Ask what is in the box; nothing in it asks the task's own question, where it has one."""
    model = picking.model_of(room.options, visitor.settings)
    question = " ".join(check_text("the question", question).split())
    question = question or picking.own_question(visitor.settings.task, model)
    yield from _ask_clips(room, visitor, question, choices_of(form, choices or ""))


def ask_again(
    room: Room, visitor: Visitor, place: int, question: str | None = None
) -> Iterator[Parts]:
    """Ask the question of turn ``place`` again, in other words if given; later turns go."""
    if not 0 <= place < len(visitor.turns) or visitor.is_busy:
        yield shown_answers(visitor)
        return
    while visitor.turns[place].also:
        place -= 1
    visitor.before = kept = visitor.turns
    turn = kept[place]
    visitor.turns = before = kept[:place]
    try:
        yield from _ask_clips(room, visitor, question or turn.question, turn.choices)
    finally:  # also where the page is left meanwhile
        visitor.before = []
        if unanswered := visitor.turns is before:  # neither answered nor cleared
            visitor.turns, visitor.shown = kept, kept[-1]
    if unanswered:
        yield {**shown_answers(visitor), "question": READY}


def explain(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """The evidence of the shown answer: frames at once, then what each weighs."""
    turn = visitor.shown
    if turn is None or turn.live is None:
        return
    try:
        add_pictures(visitor, turn)
    except AssistantError as error:
        yield {"hint": cards.note(str(error), "bad")}
    if visitor.shown is turn:
        yield shown_evidence(visitor)
    sure = how_sure(turn)
    for update in start_explaining(room.engine, visitor, turn):
        if visitor.shown is not turn or visitor.is_busy:
            return  # another answer is on the page, or being made
        if isinstance(update, Done):
            same = how_sure(turn) == sure  # a message that is being edited is left alone
            yield shown_evidence(visitor) if same else shown_answers(visitor)
        elif isinstance(update, Failed):
            yield {"hint": failed(visitor, update)}


def stop(room: Room, visitor: Visitor) -> Parts:
    """Stop the answer that is being made, or explained."""
    visitor.stop()
    return {}


def clear(room: Room, visitor: Visitor) -> Parts:
    """Forget the conversation; clips stay open."""
    visitor.cleared = visitor.before or visitor.turns or visitor.cleared
    visitor.forget()
    return {**shown_answers(visitor), **shown_undo(visitor), "hint": ""}


def restore(room: Room, visitor: Visitor) -> Parts:
    """Bring back the conversation that was cleared, before what was asked since."""
    if visitor.is_busy:
        return {"hint": cards.note(BUSY)}
    visitor.turns = [*visitor.cleared, *visitor.turns][-MOST_TURNS:]
    visitor.cleared = []
    visitor.shown = visitor.turns[-1] if visitor.turns else None
    return {**shown_answers(visitor), **shown_undo(visitor), "hint": ""}


def edit(room: Room, visitor: Visitor, message: int, text: str) -> Iterator[Parts]:
    """A message was changed in place: a question is asked again, an answer is corrected."""
    role, place = _place(visitor, message)
    text = text.strip()
    if role == "user":
        yield from ask_again(room, visitor, place, text)
        return
    if place < 0:
        yield shown_answers(visitor)
        return
    turn = visitor.turns[place]
    text = text.removeprefix(label_of(visitor.turns, turn)).removesuffix(how_sure(turn)).strip()
    turn.correction = None if text in ("", turn.answer) else text
    visitor.shown = turn
    done = "Corrected. Follow-up questions build on it, and it can be exported."
    yield {**shown_answers(visitor), "hint": cards.note(done if turn.correction else "", "good")}


def select(room: Room, visitor: Visitor, message: int) -> Parts:
    """Show the evidence of the answer that was clicked."""
    _, place = _place(visitor, message)
    if place >= 0:
        visitor.shown = visitor.turns[place]
        if visitor.shown.clip in visitor.clips and visitor.chosen != picking.ALL:
            visitor.chosen = visitor.shown.clip
    return {**shown_evidence(visitor), **shown_clips(visitor)}


def _ask_clips(
    room: Room, visitor: Visitor, question: str, choices: Sequence[str] | None
) -> Iterator[Parts]:
    """Ask the clips that a question is to, one after the other, until one has no answer."""
    if visitor.is_busy:
        yield {"hint": cards.note(BUSY)}
        return
    if not visitor.clips:
        open_one = "Open a clip first: drop one, or take an example."
        yield {"hint": cards.note(open_one, "bad"), "question": ready(question)}
        return
    among = [] if choices else picking.compared_clips(question, list(visitor.clips))
    if among and visitor.settings.task == "auto" and visitor.settings.adapter == "auto":
        visitor.unanswered = question
        yield from _compare(room, visitor, among, question)
        if visitor.left is None:
            visitor.unanswered = ""
        return
    names = picking.asked_clips(question, list(visitor.clips), visitor.chosen)
    elsewhere = visitor.chosen not in names and visitor.chosen != picking.ALL
    visitor.unanswered = question
    instead = visitor.chosen if elsewhere else ""
    yield from _ask_each(room, visitor, names, question, choices, instead)
    if visitor.left is None:  # else it is for who comes back
        visitor.unanswered = ""


def _compare(room: Room, visitor: Visitor, names: list[str], question: str) -> Iterator[Parts]:
    """One answer about several clips."""
    try:
        clips = [visitor.clips[name] for name in names]
        visitor.job = start_comparing(room.engine, visitor, clips, question)
    except AssistantError as error:
        yield _failed(visitor, question, Failed(str(error)))
        return
    try:
        yield from _follow(visitor, visitor.job, question, also=False, instead="")
    finally:
        visitor.job = None


def _ask_each(
    room: Room,
    visitor: Visitor,
    names: list[str],
    question: str,
    choices: Sequence[str] | None,
    instead: str,
) -> Iterator[Parts]:
    turns = [Turn(turn.question, turn.said) for turn in visitor.turns if not turn.also]
    put = picking.put_to_clip(question, list(visitor.clips), turns)
    for number, name in enumerate(names):
        clip = visitor.clips[name]
        try:
            visitor.job = start_asking(room.engine, visitor, clip, question, choices, put)
        except AssistantError as error:
            yield _failed(visitor, question, Failed(str(error)))
            return
        try:
            answered = yield from _follow(
                visitor, visitor.job, question, also=number > 0, instead=instead
            )
        finally:
            visitor.job = None
        if not answered:
            return


def _follow(
    visitor: Visitor, job: Job, question: str, *, also: bool, instead: str
) -> Generator[Parts, None, bool]:
    """The page while one answer is made; whether it came to its end."""
    before, said = visitor.turns, ""

    def pending(text: str) -> Parts:
        return {"chat": messages(before, question, text, also=also)}

    busy = {"question": Props(value="", submit_btn=False, stop_btn=True), "hint": ""}
    yield {**pending(cards.thinking("Thinking")), **busy}
    for update in job:
        if isinstance(update, Piece):
            said += update.text
            if job.updates.empty():  # a slow line to the page gets several pieces at once
                yield pending(said)
        elif isinstance(update, Stage) and not said:
            yield pending(cards.thinking(update.doing))
        elif isinstance(update, Waiting) and not said:
            yield pending(cards.thinking("Thinking", update.ahead))
        elif isinstance(update, Failed):
            yield _failed(visitor, question, update)
            return False
        elif isinstance(update, Done) and update.turn is not None:
            update.turn.also = also
            _note_clip(update.turn, instead)
    if visitor.turns is before:
        yield {**shown_answers(visitor), "hint": cards.note(STOPPED), "question": ready(question)}
        return False
    yield {**shown_answers(visitor), "hint": "", "question": READY}
    return True


def _note_clip(turn: Asked, instead: str) -> None:
    """Say with an answer that another clip was asked than the one chosen, ``instead``."""
    if not instead or turn.live is None or turn.told is None:
        return
    turn.instead = instead
    note = f"The question names {turn.clip}, so that was asked, and not {instead}, which is chosen."
    basis = turn.live.basis
    turn.live.basis = replace(basis, warnings=(note, *basis.warnings))
    turn.told = replace(turn.told, found=turn.live.as_dict())


def _failed(visitor: Visitor, question: str, failure: Failed) -> Parts:
    """Back to before the question, which stays in the box to be mended."""
    told = failed(visitor, failure)
    return {**shown_answers(visitor), "hint": told, "question": ready(question)}


def retry(room: Room, visitor: Visitor, message: int) -> Iterator[Parts]:
    """Ask a question again, under the present settings."""
    yield from ask_again(room, visitor, _place(visitor, message)[1])


def _place(visitor: Visitor, message: int) -> tuple[str, int]:
    """Role and turn of a message; turn -1 where another tab has changed the conversation."""
    places = message_places(visitor.turns)
    return places[message] if 0 <= message < len(places) else ("assistant", -1)
