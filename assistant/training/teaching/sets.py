"""A teaching set: a few clips, and what is right to say of each, in a folder of the person's own.

ASSISTANT_HOME/teaching/NAME/
    kind         "labels" or "answers"
    data.jsonl   the examples, as `assistant data check` reads them
    clips/       their clips
    run/         what training leaves there
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from assistant.actions.store import recogniser_names, user_recognisers
from assistant.core.files import write_whole
from assistant.core.resources import user_dir
from assistant.data.items import DATA, NO_DEV, describe_items, scan_items
from assistant.errors import InputError
from assistant.tasks.prompts import TaskPrompt, list_prompts
from assistant.tasks.store import adapter_folders, user_adapters

LABELS, ANSWERS = "labels", "answers"
KINDS = (LABELS, ANSWERS)  # a label a clip, or questions with their answers
CLIPS, KIND, SEGMENTS = "clips", "kind", "segments.jsonl"
RESERVED = ("actions", "auto", "base", "events", "none", "retrieval")  # no task's name
LONGEST_NAME = 40  # characters
MOST_EXAMPLES = 200  # of a set; more are for the command line
LEAST_CLIPS = 3  # of a label
ASIDE_FROM = 10  # clips of each label on, some are set aside: one of few says too little
LEAST_ANSWERS = 4
SET_ASIDE = 5  # one in so many of the examples with one answer chooses the epoch
MOST_CHOICES = 8  # answers to one question, that are offered
WHICH = "Which of these is it?"  # what a label answers
MOST_QUESTIONS = 8  # that are its examples
TOKENS = 32  # of an answer, at most, unless one that was taught is longer


@dataclass(frozen=True)
class Lesson:
    """One example. ``more``: what else its line of data has (start, end, dialogue)."""

    id: str
    clip: str  # a name in the set's folder of clips
    question: str
    answer: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TeachingSet:
    """The task ``name``, taught by labels or by answers, in ``folder``."""

    name: str
    kind: str  # of KINDS
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / DATA

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def clip(self, name: str) -> Path:
        """Where a clip of it lies."""
        return self.folder / CLIPS / name

    def examples(self) -> tuple[Lesson, ...]:
        """In the order in which they came."""
        lines = self.data.read_text("utf-8").split("\n")  # a text may hold other ends of lines
        return tuple(_lesson(json.loads(line)) for line in lines if line)

    def digest(self) -> str:
        """Tells what it teaches: a run goes on with its own alone."""
        return hashlib.sha256(self.data.read_bytes()).hexdigest()

    def add(self, clip: Path, name: str, question: str, answer: str, **more: Any) -> Lesson:
        """Another example; the file ``clip`` is moved into the set, where it is not in it yet.

        Raises:
            InputError: the set is full, or has another clip of this name.
        """
        with self._changing() as examples:
            if len(examples) >= MOST_EXAMPLES:
                raise InputError(
                    f"{self.name} has {MOST_EXAMPLES} examples, the most that the page teaches; "
                    "assistant finetune takes more"
                )
            place = self.clip(name)
            if clip != place:
                if place.exists():
                    raise InputError(f"{self.name} has a clip {name} by now; drop yours again")
                place.parent.mkdir(exist_ok=True)
                _move_whole(clip, place)
            added = Lesson(uuid4().hex[:12], name, question, answer, more)
            examples.append(added)
            return added

    def change(
        self, example: str, *, question: str | None = None, answer: str | None = None
    ) -> None:
        """Other words for what the example with this id teaches."""
        told = {"question": question, "answer": answer}
        given: dict[str, Any] = {name: text for name, text in told.items() if text is not None}
        with self._changing() as examples:
            examples[:] = [replace(e, **given) if e.id == example else e for e in examples]

    def remove(self, example: str) -> None:
        """Without the example of this id, and its clip where no other is about it."""
        with self._changing() as examples:
            gone = [one for one in examples if one.id == example]
            examples[:] = [one for one in examples if one.id != example]
            left = {one.clip for one in examples}
            for one in gone:
                if one.clip not in left:
                    self.clip(one.clip).unlink(missing_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[list[Lesson]]:
        """Its examples, to be changed; by one at a time."""
        from filelock import FileLock

        with FileLock(self.folder / ".lock"):
            examples = list(self.examples())
            yield examples
            write_whole(self.data, "".join(map(_line, _rows(self.kind, examples))))

    def check(self) -> list[str]:
        """What `assistant data check` says of it, a line each; a wrong example by its clip's name.

        Raises:
            InputError: it holds nothing, or nothing that is right.
        """
        examples = self.examples()
        if not examples:
            raise InputError(f"{self.name} has no clip yet; drop some")
        clips = {one.id: one.clip for one in examples}
        items, wrong = scan_items(self.data)
        told = [f"{clips.get(str(one.id), one.place)}: {one.fault}" for one in wrong]
        lines = [*told, *describe_items(items)]
        return [line for line in lines if self.sets_aside() or not line.endswith(NO_DEV)]

    def check_enough(self) -> None:
        """Raises InputError: it is too little to learn from, or an example is unfinished."""
        examples = self.examples()
        what = "label" if self.kind == LABELS else "answer"
        for one in examples:
            if not one.question:
                raise InputError(f"{one.clip} has no question; type one, or remove it")
            if not one.answer:
                raise InputError(f"{one.clip} has no {what}; type one, or remove it")
        counts = Counter(one.answer for one in examples)
        if self.kind == ANSWERS and len(examples) < LEAST_ANSWERS:
            raise InputError(
                f"{len(examples)} answers are too few to learn from; give {LEAST_ANSWERS} or more"
            )
        if len(counts) < 2:
            alike = f"all are {next(iter(counts))!r:.60}" if counts else "there is none yet"
            raise InputError(f"two different {what}s are wanted, and {alike}; add clips of another")
        if self.kind == LABELS:
            few = [f"{label} has {n}" for label, n in counts.items() if n < LEAST_CLIPS]
            if few:
                raise InputError(
                    f"each label wants {LEAST_CLIPS} clips or more, and {', '.join(few)}; add some"
                )

    def sets_aside(self) -> bool:
        """Whether some of its clips are not learned, and tell how good it is."""
        if self.kind == ANSWERS:
            return True
        counts = Counter(one.answer for one in self.examples())
        return min(counts.values(), default=0) >= ASIDE_FROM

    def aside(self) -> int:
        """How many examples of a set of answers are not learned."""
        return sum(row.get("split") == "dev" for row in _rows(self.kind, self.examples()))

    def prompt(self) -> TaskPrompt:
        """What the models read of a set of answers."""
        examples = self.examples()
        questions = tuple(dict.fromkeys(one.question for one in examples))
        spoken = "{dialogue}\n\n" if any("dialogue" in one.more for one in examples) else ""
        longest = max(len(one.answer.split()) for one in examples)
        choices = choices_by_question(examples).get(questions[0])
        single = len(questions) == 1
        return TaskPrompt(
            name=self.name,
            description=f"Taught in the page, from {len(examples)} answers.",
            qformer_text=f"{{question}}\n\n{spoken}".strip(),
            prompt=f"{spoken}{{question}}",
            examples=questions[:MOST_QUESTIONS],
            max_new_tokens=max(TOKENS, 3 * longest),
            question=questions[0] if single else None,
            choices=choices if single else None,
        )

    def write_segments(self) -> Path:
        """The labels, as ``assistant finetune actions`` reads them. Of few clips all are learned,
        and choose the epoch, too."""
        examples = self.examples()
        rows = [
            {"video": f"{CLIPS}/{one.clip}", "segments": [{"label": one.answer}]}
            for one in examples
        ]
        if not self.sets_aside():
            rows = [{**row, "split": split} for row in rows for split in ("train", "dev")]
        path = self.folder / SEGMENTS
        write_whole(path, "".join(map(_line, rows)))
        return path


def teaching_dir() -> Path:
    """Where the sets lie."""
    return user_dir() / "teaching"


def list_sets() -> tuple[str, ...]:
    """Their names."""
    return tuple(sorted(path.parent.name for path in teaching_dir().glob(f"[!.]*/{KIND}")))


def newest_set() -> str:
    """The name of that which was changed last; "": there is none."""
    return max(list_sets(), key=lambda name: find_set(name).data.stat().st_mtime, default="")


def find_set(name: str) -> TeachingSet:
    """Raises InputError: there is none of this name."""
    if name not in list_sets():
        raise InputError(f"no task {name!r:.60} is being taught here; begin one")
    folder = teaching_dir() / name
    return TeachingSet(name, (folder / KIND).read_text().strip(), folder)


def create_set(name: str, kind: str, model: str = "mini") -> TeachingSet:
    """An empty one.

    Raises:
        InputError: the name cannot be, or something is called so already.
    """
    if kind not in KINDS:
        raise InputError(f"a task is taught by {' or by '.join(KINDS)}, not by {kind!r:.60}")
    if not (name.isidentifier() and name.isascii()) or len(name) > LONGEST_NAME:
        raise InputError(
            f"a task cannot be called {name!r:.60}; use letters, digits and _, {LONGEST_NAME} at "
            "most, a letter first"
        )
    taken = {*RESERVED, *list_prompts(), *adapter_folders(model), *recogniser_names(), *list_sets()}
    if name in taken:
        raise InputError(f"something is called {name} already; choose another name")
    folder = teaching_dir() / name
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)  # a killed server may have left it
    (folder / DATA).touch()
    write_whole(folder / KIND, kind)
    return TeachingSet(name, kind, folder)


def installed(taught: TeachingSet, model: str = "mini") -> Path | None:
    """Where the finished task lies; None: it is not finished."""
    own = user_recognisers() if taught.kind == LABELS else user_adapters(model)
    place = own / taught.name
    return place if place.is_dir() else None


def choices_by_question(examples: Sequence[Lesson]) -> dict[str, tuple[str, ...]]:
    """The answers to choose from, of each question that has some which come again."""
    answers: dict[str, Counter[str]] = {}
    for one in examples:
        if one.answer:
            answers.setdefault(one.question, Counter())[one.answer] += 1
    return {
        question: tuple(sorted(counts))
        for question, counts in answers.items()
        if 2 <= len(counts) <= MOST_CHOICES and counts.total() > len(counts)
    }


def _rows(kind: str, examples: Sequence[Lesson]) -> Iterator[dict[str, Any]]:
    """Of the data: with the choices of each question, and the examples that are set aside."""
    choices = choices_by_question(examples)
    seen: Counter[tuple[str, str]] = Counter()
    for one in examples:
        row: dict[str, Any] = {"id": one.id, "video": f"{CLIPS}/{one.clip}"}
        row |= {"question": one.question, "answer": one.answer, **one.more}
        offered = choices.get(one.question)
        if offered and one.answer:
            row["choices"] = list(offered)
        if kind == ANSWERS:
            alike = (one.question, one.answer)
            seen[alike] += 1
            row["split"] = (
                "dev" if offered and seen[alike] % SET_ASIDE == SET_ASIDE // 2 else "train"
            )
        yield row


def _move_whole(clip: Path, place: Path) -> None:
    """By one rename, whichever disk ``clip`` lies on."""
    part = place.with_name(f".{uuid4().hex}")
    try:
        shutil.move(clip, part)
        part.rename(place)
    finally:
        part.unlink(missing_ok=True)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _lesson(row: dict[str, Any]) -> Lesson:
    own = ("id", "video", "question", "answer", "choices", "split")
    more = {key: value for key, value in row.items() if key not in own}
    return Lesson(row["id"], Path(row["video"]).name, row["question"], row["answer"], more)
