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

from assistant.ui import cards
from assistant.ui import room as rooms
from assistant.ui.export import write_corrections
from assistant.ui.keeping import CORRECTIONS
from assistant.ui.room import Room
from assistant.ui.settings import LONGEST_QUESTION
from assistant.ui.showing import CHAT
from assistant.ui.taught import is_gone, name_of, shown, shown_training, task_of, without_training
from assistant.ui.uploads import check_clip, safe_name
from assistant.ui.view import Parts, Props
from assistant.ui.visitor import Visitor

from assistant.errors import AssistantError, InputError
from assistant.training.teaching.corrections import unpack_corrections
from assistant.training.teaching.runs import RUNNING
from assistant.training.teaching.sets import (
    LABELS,
    WHICH,
    TeachingSet,
    create_set,
    find_set,
    installed,
    teaching_dir,
)

ELSEWHERE = (
    "Teaching is off: this page can be reached from other machines. Its owner can start it with "
    "--teach to let visitors teach tasks, and see the clips of all that are taught."
)
NONE_YET = "Choose a task, or give a new one a name and begin it."
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
    if is_gone(visitor):
        return shown(room, visitor)
    if not (name := name_of(room, visitor)):
        return {} if room.trainer.running() else without_training(room)
    taught = find_set(name)
    changed = shown_training(room, taught)
    if room.trainer.state(taught) == RUNNING:
        del changed["lessons"]  # it stays
        return changed
    return {**changed, **rooms.offered(room, visitor)}


def try_it(room: Room, visitor: Visitor) -> Parts:
    """The chat, with the task that was taught."""
    task = task_of(_chosen(room, visitor))
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


def _chosen(room: Room, visitor: Visitor) -> TeachingSet:
    """Raises InputError: none is chosen, or another visitor removed it."""
    if is_gone(visitor):  # never act on another than the page shows
        raise InputError(f"{visitor.teaching} was removed meanwhile; choose another task")
    if not (name := name_of(room, visitor)):
        raise InputError(NONE_YET)
    return find_set(name)


def _changeable(room: Room, visitor: Visitor) -> TeachingSet:
    """Raises InputError: it is being trained."""
    taught = _chosen(room, visitor)
    if room.trainer.state(taught) == RUNNING:
        raise InputError(f"{taught.name} is being trained; stop that first")
    return taught
