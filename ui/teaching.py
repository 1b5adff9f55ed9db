"""The Teach tab: a task of the person's own, taught from a few clips while others go on asking."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from assistant.ui import cards, lessons, picking
from assistant.ui import room as rooms
from assistant.ui.export import write_corrections
from assistant.ui.keeping import CORRECTIONS
from assistant.ui.room import Room
from assistant.ui.settings import LONGEST_QUESTION
from assistant.ui.showing import CHAT
from assistant.ui.uploads import check_clip, safe_name
from assistant.ui.view import Parts, Props
from assistant.ui.visitor import Visitor

from assistant.errors import AssistantError, InputError
from assistant.training.teaching.corrections import unpack_corrections
from assistant.training.teaching.progress import Progress, read_progress
from assistant.training.teaching.runs import (
    DONE,
    FAILED,
    RUNNING,
    STOPPED,
    can_resume,
    failure,
)
from assistant.training.teaching.sets import (
    LABELS,
    WHICH,
    TeachingSet,
    create_set,
    find_set,
    installed,
    list_sets,
    newest_set,
    teaching_dir,
)

ELSEWHERE = (
    "Teaching is off: this page can be reached from other machines. Its owner can start it with "
    "--teach to let visitors teach tasks, and see the clips of all that are taught."
)
NONE_YET = "Choose a task, or give a new one a name and begin it."
NEW_TASK = ("A new task", "")
BUTTONS = (
    *("check", "train", "stop training", "go on", "try it", "export", "remove set"),
    "remove for good",
)
FIELDS = ("question", "answer")  # of a card
Action = Callable[..., Iterator[Parts] | Parts]


def on_the_tab(action: Action) -> Callable[..., Iterator[Parts]]:
    """``action`` where teaching is allowed; what is wrong is told on the tab itself."""

    @wraps(action)
    def told(room: Room, visitor: Visitor, *values: Any) -> Iterator[Parts]:
        try:
            if not room.options.teaches:
                raise InputError(ELSEWHERE)
            changes = action(room, visitor, *values)
            yield from [changes] if isinstance(changes, dict) else changes
        except Exception as error:  # a page that says nothing would be worse
            said = rooms.excuse(room, error)["hint"]
            yield {"teach status": said.replace(f"{teaching_dir()}/", "")}

    return told


def offer(room: Room, visitor: Visitor) -> Parts:
    """The tab is opened: what is taught here, and the training that runs."""
    if not room.options.teaches:
        return {"teach form": Props(visible=False), "teach off": cards.note(ELSEWHERE)}
    return {"teach form": Props(visible=True), **shown(room, visitor)}


def shown(room: Room, visitor: Visitor) -> Parts:
    """The task that the visitor teaches, with its clips and its training."""
    name, names = _name(room, visitor), list_sets()
    parts: Parts = {
        "set": Props(choices=[NEW_TASK, *((one, one) for one in names)], value=name),
        "new set": Props(visible=not name),
        "lesson form": Props(visible=bool(name)),
        "teach checks": "",
    }
    if not name:
        return {**parts, "counted": "", "lessons": "", **_without_training(room)}
    taught = find_set(name)
    labels = taught.kind == LABELS
    return {
        **parts,
        "lesson question": Props(visible=not labels),
        "lesson answer": Props(label="Label" if labels else "Answer"),
        "take corrections": Props(visible=not labels),
        **shown_training(room, taught),
    }


def _without_training(room: Room) -> Parts:
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
    label = tasks.get(_task_of(taught), taught.name)
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


def _task_of(taught: TeachingSet) -> str:
    """The task as the chat calls it."""
    return f"{picking.OWN_ACTIONS}{taught.name}" if taught.kind == LABELS else taught.name


def choose(room: Room, visitor: Visitor, name: str) -> Parts:
    """Another task is taught, or a new one is to be."""
    visitor.teaching = name or ""
    return shown(room, visitor)


def begin(room: Room, visitor: Visitor, name: str, kind: str) -> Parts:
    """A new task, without clips."""
    visitor.teaching = create_set((name or "").strip(), kind, room.options.model).name
    return {"set name": "", **shown(room, visitor)}


def take(
    room: Room, visitor: Visitor, files: Sequence[str], question: str, answer: str
) -> Iterator[Parts]:
    """Uploaded clips, all of what is typed; a wrong one gets one line, the others go on."""
    yield {"lesson clips": None}
    taught, wrong = _changeable(room, visitor), []
    asked = WHICH if taught.kind == LABELS else _in_a_line(question)
    label = _in_a_line(answer)
    for path in map(Path, files):
        try:
            if path.suffix.lower() == ".zip" and taught.kind != LABELS:
                _take_corrections(room, taught, path)
                continue
            yield {"teach status": cards.progress(f"Checking {path.name}", 0.0)}
            name = _free_name(taught, path.name)
            check_clip(path, name, room.options.limits)
            taught.add(path, name, asked, label)
        except AssistantError as error:
            wrong.append(cards.note(str(error).replace(str(path), path.name), "bad"))
        except FileNotFoundError:  # it waited until it was swept
            wrong.append(cards.note(f"{path.name} is not there any more. Drop it again.", "bad"))
        finally:
            path.unlink(missing_ok=True)
    changed = shown(room, visitor)
    yield {**changed, "teach status": "".join(wrong) or changed["teach status"]}


def take_own_corrections(room: Room, visitor: Visitor) -> Parts:
    """What the visitor corrected in the chat, with its clips."""
    taught = _changeable(room, visitor)
    path = visitor.folder / f"taught-{CORRECTIONS}.zip"
    clips = {name: clip.path for name, clip in visitor.clips.items()}
    try:
        missing = write_corrections(visitor.turns, clips, path)
        count = _take_corrections(room, taught, path)
    finally:
        path.unlink(missing_ok=True)
    told = f"{count} corrected {'answer is' if count == 1 else 'answers are'} taught."
    if missing:
        told += f" Open {', '.join(missing)} for what you corrected there."
    return {**shown(room, visitor), "teach status": cards.note(told, "good")}


def _take_corrections(room: Room, taught: TeachingSet, path: Path) -> int:
    """How many there were."""
    limits, names = room.options.limits, dict[Path, str]()
    count = 0
    with tempfile.TemporaryDirectory(dir=taught.folder, prefix=".zip-") as folder:
        for one in unpack_corrections(path, Path(folder), limits.bytes * limits.clips):
            if one.clip not in names:
                names[one.clip] = _free_name(taught, one.clip.name)
                check_clip(one.clip, one.clip.name, limits)
            name = names[one.clip]
            place = one.clip if one.clip.exists() else taught.clip(name)
            taught.add(place, name, one.question, one.answer, **one.more)
            count += 1
    return count


def _free_name(taught: TeachingSet, name: str) -> str:
    return safe_name(name, tuple(path.name for path in taught.clip(name).parent.glob("*")))


def _in_a_line(text: str) -> str:
    return " ".join(text.split())


def edit(room: Room, visitor: Visitor, told: str) -> Parts:
    """A field of a card was changed, or its example removed; ``told``: as teach.js says it."""
    taught, change = _changeable(room, visitor), json.loads(told)
    example, field, text = (str(change.get(key, "")) for key in ("lesson", "field", "text"))
    if field == "remove":
        taught.remove(example)
        return shown(room, visitor)
    if field not in FIELDS or len(text) > LONGEST_QUESTION:
        raise InputError(
            f"{field or 'a field'} cannot be that; type up to {LONGEST_QUESTION} signs"
        )
    taught.change(example, **{field: _in_a_line(text)})
    changed = shown_training(room, taught)
    del changed["lessons"]  # the next field is being typed in
    return changed


def check(room: Room, visitor: Visitor) -> Parts:
    """What `assistant data check` says, and whether it is enough."""
    taught = _chosen(room, visitor)
    told = "".join(f"<li>{escape(line)}</li>" for line in taught.check())
    parts: Parts = {"teach checks": f'<ul class="va-told-lines">{told}</ul>'}
    try:
        taught.check_enough()
    except InputError as error:
        return {**parts, "teach status": cards.note(f"Not enough to train: {error}", "bad")}
    return {**parts, "teach status": cards.note("This is enough to train.", "good")}


def train(room: Room, visitor: Visitor) -> Parts:
    """Begin anew."""
    room.trainer.start(_chosen(room, visitor))
    return shown(room, visitor)


def go_on(room: Room, visitor: Visitor) -> Parts:
    """Go on where a training was stopped."""
    room.trainer.start(_chosen(room, visitor), resume=True)
    return shown(room, visitor)


def stop(room: Room, visitor: Visitor) -> Iterator[Parts]:
    """Whoever's training it is; its checkpoint stays."""
    taught = _chosen(room, visitor)
    yield {"teach status": cards.progress("Stopping", 0.0), "stop training": Props(visible=False)}
    room.trainer.stop(taught)


def look(room: Room, visitor: Visitor) -> Parts:
    """The clock ticks: how far it is by now."""
    if _is_gone(visitor):
        return shown(room, visitor)
    if not (name := _name(room, visitor)):
        return {} if room.trainer.running() else _without_training(room)
    taught = find_set(name)
    changed = shown_training(room, taught)
    if room.trainer.state(taught) == RUNNING:
        del changed["lessons"]  # it stays
        return changed
    return {**changed, **rooms.offered(room, visitor)}


def try_it(room: Room, visitor: Visitor) -> Parts:
    """The chat, with the task that was taught."""
    task = _task_of(_chosen(room, visitor))
    return {**rooms.change(room, visitor, "task", task), "tabs": Props(selected=CHAT)}


def export(room: Room, visitor: Visitor) -> Parts:
    """The adapter's folder, or the recogniser's, as a zip that goes with its visitor."""
    taught = _chosen(room, visitor)
    folder = installed(taught, room.options.model)
    if folder is None:
        raise InputError(f"{taught.name} is not taught yet; train it first")
    path = Path(
        shutil.make_archive(str(visitor.folder / taught.name), "zip", folder.parent, folder.name)
    )
    option = "--head" if taught.kind == LABELS else "--adapter"
    told = f"Unpack {path.name}, then: assistant ask CLIP QUESTION {option} {taught.name}"
    address = f"gradio_api/file={quote(str(path))}?{time.time_ns()}"
    return {"file": address, "file name": path.name, "teach status": cards.note(told, "good")}


def ask_to_remove(room: Room, visitor: Visitor) -> Parts:
    """What would go, before it goes."""
    taught = _changeable(room, visitor)
    told = f"{taught.name} and its clips here go for good; a task that was taught stays."
    return {
        "remove set": Props(visible=False),
        "remove for good": Props(visible=True),
        "teach status": cards.note(told, "bad"),
    }


def remove(room: Room, visitor: Visitor) -> Parts:
    """The set with its clips; the task that it taught stays."""
    room.trainer.remove(_chosen(room, visitor))
    visitor.teaching = ""
    return shown(room, visitor)


def _name(room: Room, visitor: Visitor) -> str:
    """Of the task that the visitor teaches; "": a new one."""
    if visitor.teaching is None or _is_gone(visitor):
        visitor.teaching = room.trainer.running() or newest_set()
    return visitor.teaching


def _is_gone(visitor: Visitor) -> bool:
    """Whether the task that the visitor teaches was removed by another."""
    return bool(visitor.teaching) and visitor.teaching not in list_sets()


def _chosen(room: Room, visitor: Visitor) -> TeachingSet:
    """Raises InputError: none is chosen, or another visitor removed it."""
    if _is_gone(visitor):  # never act on another than the page shows
        raise InputError(f"{visitor.teaching} was removed meanwhile; choose another task")
    if not (name := _name(room, visitor)):
        raise InputError(NONE_YET)
    return find_set(name)


def _changeable(room: Room, visitor: Visitor) -> TeachingSet:
    """Raises InputError: it is being trained."""
    taught = _chosen(room, visitor)
    if room.trainer.state(taught) == RUNNING:
        raise InputError(f"{taught.name} is being trained; stop that first")
    return taught
