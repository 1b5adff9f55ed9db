"""What the Teach tab shows of the task that a visitor teaches, part by part."""

from __future__ import annotations

from assistant.ui import cards, lessons, picking
from assistant.ui.room import Room
from assistant.ui.view import Parts, Props
from assistant.ui.visitor import Visitor

from assistant.training.teaching.progress import Progress, read_progress
from assistant.training.teaching.runs import DONE, FAILED, RUNNING, STOPPED, can_resume, failure
from assistant.training.teaching.sets import (
    LABELS,
    TeachingSet,
    find_set,
    list_sets,
    newest_set,
    teaching_dir,
)

NEW_TASK = ("A new task", "")
BUTTONS = (
    *("check", "train", "stop training", "go on", "try it", "export", "remove set"),
    "remove for good",
)


def shown(room: Room, visitor: Visitor) -> Parts:
    """The task that the visitor teaches, with its clips and its training."""
    name, names = name_of(room, visitor), list_sets()
    parts: Parts = {
        "set": Props(choices=[NEW_TASK, *((one, one) for one in names)], value=name),
        "new set": Props(visible=not name),
        "lesson form": Props(visible=bool(name)),
        "teach checks": "",
    }
    if not name:
        return {**parts, "counted": "", "lessons": "", **without_training(room)}
    taught = find_set(name)
    labels = taught.kind == LABELS
    return {
        **parts,
        "lesson question": Props(visible=not labels),
        "lesson answer": Props(label="Label" if labels else "Answer"),
        "take corrections": Props(visible=not labels),
        **shown_training(room, taught),
    }


def without_training(room: Room) -> Parts:
    running = room.trainer.running()
    told = f"{running} is being trained; choose it to look on." if running else ""
    return {
        **dict.fromkeys(BUTTONS, Props(visible=False)),
        "curve": lessons.welcome(),
        "teach status": cards.note(told),
        "teach clock": Props(active=running is not None),
    }


def shown_training(room: Room, taught: TeachingSet) -> Parts:
    """How far the training of a set is, and what can be done."""
    state, progress = room.trainer.state(taught), read_progress(taught)
    going, done, empty = state == RUNNING, state == DONE, not taught.examples()
    resumes = not going and not done and can_resume(taught)
    if going:
        status = lessons.training(progress)
    elif done:
        status = cards.note(_told_done(room, taught, progress), "good")
    elif state == FAILED:
        status = cards.note(failure(taught).replace(f"{teaching_dir()}/", ""), "bad")
    elif state == STOPPED:
        status = cards.note(f"Stopped: {progress.doing}. Go on continues it, also tomorrow.")
    else:
        status = cards.note("Drop the clips of a label at a time." if empty else "")
    return {
        "lesson form": Props(visible=not going),
        "counted": "" if empty else cards.quiet(lessons.counted(taught)),
        "lessons": lessons.lessons(taught, locked=going),
        "check": Props(visible=not going and not empty),
        "train": Props(
            visible=not going and not empty,
            value="Train again" if done or resumes else "Train",
            variant="secondary" if done or resumes else "primary",
        ),
        "stop training": Props(visible=going),
        "go on": Props(visible=resumes),
        "try it": Props(visible=done),
        "export": Props(visible=done),
        "remove set": Props(visible=not going),
        "remove for good": Props(visible=False),
        "teach status": status,
        "curve": lessons.curve(progress.curve),
        "teach clock": Props(active=going),
    }


def _told_done(room: Room, taught: TeachingSet, progress: Progress) -> str:
    tasks = {task: label for label, task in picking.tasks(room.options.model)}
    label = tasks.get(task_of(taught), taught.name)
    good = ""
    if not taught.sets_aside():
        good = " Of so few clips none was set aside, so try it on others."
    elif progress.right is not None:
        good = f" Of {_aside(taught)} it has {progress.right:.0%} right; these chose the epoch."
    return f"Taught: it stands among the tasks of the chat as {label}.{good}"


def _aside(taught: TeachingSet) -> str:
    """What was set aside to tell how good it is."""
    if taught.kind == LABELS:
        return "the clips that were set aside, one in five,"
    count = taught.aside()
    return f"the {count} examples that were set aside" if count > 1 else "what was set aside"


def task_of(taught: TeachingSet) -> str:
    """The task as the chat calls it."""
    return f"{picking.OWN_ACTIONS}{taught.name}" if taught.kind == LABELS else taught.name


def name_of(room: Room, visitor: Visitor) -> str:
    """Of the task that the visitor teaches; "": a new one."""
    if visitor.teaching is None or is_gone(visitor):
        visitor.teaching = room.trainer.running() or newest_set()
    return visitor.teaching


def is_gone(visitor: Visitor) -> bool:
    """Whether the task that the visitor teaches was removed by another."""
    return bool(visitor.teaching) and visitor.teaching not in list_sets()
