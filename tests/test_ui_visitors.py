"""Many at once: the line before the model, who sees what, what is left, where memory ends."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from assistant.ui import asking, cards, opening
from assistant.ui.answering import answer_once
from assistant.ui.line import Failed, Job, Line, Waiting
from assistant.ui.room import arrive, change
from assistant.ui.settings import Settings
from ui_page import last, opened, upload

from assistant.errors import InputError
from assistant.model.doctor import Check
from assistant.vqa.session import Session

pytest_plugins = ["ui_room"]


def test_visitors_are_kept_apart_and_leave_nothing(room, visitor, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    other = room.visitors.of("page-2")
    page = arrive(room, other)
    assert page["chat"] == [] and page["clips"]["choices"] == []
    assert visitor.folder != other.folder and visitor.store.folder != other.store.folder
    assert list((visitor.folder / "features").glob("*.safetensors"))
    room.visitors.leave("page-1")
    assert room.visitors.sweep() == 1 and not visitor.folder.exists()
    assert room.visitors.of("page-2") is other and len(room.visitors) == 1


def test_a_visitor_who_comes_back_in_time_finds_everything(room, visitor):
    room.visitors.grace = 60.0
    room.visitors.leave("page-1")
    assert room.visitors.sweep() == 0
    assert room.visitors.of("page-1") is visitor and visitor.left is None


def test_a_page_that_is_loaded_again_finds_its_conversation(room, model, clip):
    token = "0123456789abcdef" * 2
    visitor = room.visitors.join("page-1", token)
    opened(room, visitor, clip)
    change(room, visitor, "frames", 3)
    last(asking.ask(room, visitor, "What is it?"))
    model.gate.clear()
    left = asking.ask(room, visitor, "And now?")
    next(left)
    left.close()
    again = room.visitors.join("page-2", token)
    room.visitors.leave("page-1")
    assert again is visitor and visitor.left is None
    page = arrive(room, again)
    model.gate.set()
    assert page["chat"][-1]["content"].startswith("A man") and page["frames"] == 3
    assert page["question"]["value"] == "And now?" and "left before" in page["hint"]
    assert page["clips"]["value"] == "street.mp4"
    assert arrive(room, again)["question"]["value"] == ""
    for token in ("", "guess", "../.."):  # no token of ours: a visitor of their own
        assert room.visitors.join(f"page {token}", token) is not visitor
    room.visitors.leave("page-2")
    room.visitors.sweep()
    assert not visitor.folder.exists()


def until(free: threading.Event) -> Callable[[Job], None]:
    """Work that ends when ``free`` is set."""

    def work(job: Job) -> None:
        free.wait(20)

    return work


def test_the_line_serves_in_order_and_tells_the_place():
    line, free, done = Line(), threading.Event(), []
    first = line.join(until(free))
    time.sleep(0.05)
    later = line.join(lambda job: done.append("evidence"), urgent=False)
    jobs = [line.join(lambda job, n=n: done.append(n)) for n in range(3)]
    assert [line.ahead_of(job) for job in jobs] == [1, 2, 3]
    assert line.ahead_of(later) == 4 and line.ahead_of(first) == 0
    update = next(iter(jobs[2]))  # this reader leaves: its work is not done
    assert isinstance(update, Waiting) and update.ahead == 3
    jobs[2].stop.set()
    free.set()
    assert list(jobs[1]) == [] and list(later) == []
    assert done == [0, 1, "evidence"]


def test_the_line_counts_people_and_what_does_not_give_way():
    line, free, ann, bob = Line(), threading.Event(), "Ann", "Bob"
    line.join(until(free), ann)
    time.sleep(0.05)
    line.join(until(free), ann, urgent=False)
    jobs = [line.join(until(free), who) for who in (ann, bob, bob, "Cem")]
    assert [line.ahead_of(job) for job in jobs] == [0, 1, 1, 2]
    jobs[1].stop.set()
    jobs[2].stop.set()
    assert line.ahead_of(jobs[3]) == 1
    free.set()


def test_evidence_gives_way_between_two_steps_and_goes_on():
    line, done, begun, asked = Line(), [], threading.Event(), threading.Event()

    def evidence(job: Job) -> Iterator[int]:
        for step in range(3):
            begun.set()
            asked.wait(20)
            done.append(step)
            yield step

    explained = line.join(evidence, "Ann", urgent=False)
    begun.wait(20)
    question = line.join(lambda job: done.append("answer"), "Bob")
    assert line.ahead_of(question) == 0
    asked.set()
    assert list(question) == [] and list(explained) == []
    assert done == [0, "answer", 1, 2]


@pytest.fixture
def weighing(room, visitor, model, clip, monkeypatch):
    """An answer that is being explained; ``free`` lets the model go on."""
    free, begun, passes = threading.Event(), threading.Event(), []

    def occlusion(*_: object, **__: object) -> Iterator[float]:
        for number in range(8):
            passes.append(number)
            begun.set()
            free.wait(20)
            yield 0.1

    monkeypatch.setattr(model, "occlusion", occlusion)
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    pages: list[dict] = []
    reader = threading.Thread(target=lambda: pages.extend(asking.explain(room, visitor)))
    reader.start()
    begun.wait(20)
    yield SimpleNamespace(free=free, passes=passes, pages=pages, reader=reader)
    free.set()
    reader.join()


@pytest.mark.parametrize("way", ["ask", "stop", "clear", "leave"])
def test_evidence_stops_for_its_visitor(room, visitor, weighing, way):
    told = []
    if way == "ask":
        asked = asking.ask(room, visitor, "And now?")
        while not visitor.is_busy:
            told.append(next(asked))
        assert room.engine.line.ahead_of(visitor.job) == 0
        weighing.free.set()
        told += asked
        assert visitor.turns[1].said.startswith("A taxi")
        assert "in line" not in str([page.get("chat") for page in told])
    elif way == "leave":
        room.visitors.leave("page-1")
    else:
        {"stop": asking.stop, "clear": asking.clear}[way](room, visitor)
    weighing.free.set()
    weighing.reader.join()
    assert weighing.passes == [0] and "<svg" not in weighing.pages[-1]["evidence"]
    if way == "stop":  # nothing is lost: a click on the answer explains it anew
        asking.select(room, visitor, 1)
        assert "<svg" in last(asking.explain(room, visitor))["evidence"]


def test_another_ones_question_waits_for_one_pass_only(room, weighing, clip):
    other = room.visitors.of("page-2")
    taking = threading.Thread(target=lambda: opened(room, other, clip))
    taking.start()
    while not room.engine.line._waiting:
        time.sleep(0.01)
    weighing.free.set()
    taking.join()
    last(asking.ask(room, other, "What is it?"))
    weighing.reader.join()
    assert len(other.turns) == 1 and "<svg" in weighing.pages[-1]["evidence"]


def test_a_question_in_line_whose_page_is_left_is_in_the_box(room, visitor, model, clip):
    opened(room, visitor, clip)
    room.visitors.grace = 60.0
    model.gate.clear()
    reader = threading.Thread(target=lambda: last(asking.ask(room, visitor, "What is it?")))
    reader.start()
    while not visitor.is_busy:
        time.sleep(0.01)
    room.visitors.leave("page-1")
    reader.join()
    model.gate.set()
    again = room.visitors.of("page-1")
    assert arrive(room, again)["question"]["value"] == "What is it?" and again.turns == []


@pytest.mark.parametrize("way", ["clear", "close"])
def test_what_was_let_go_does_not_come_back(room, visitor, model, clip, way):
    """With an answer that ends, or fails, after its conversation or its clip has left."""
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    model.gate.clear()
    again = asking.retry(room, visitor, 1)
    next(again)
    asking.clear(room, visitor) if way == "clear" else opening.remove(room, visitor)
    model.gate.set()
    page = last(again)
    assert visitor.turns == [] and page["chat"] == [] and visitor.shown is None
    asking.restore(room, visitor)
    assert len(visitor.turns) == (way == "clear")  # also what was being asked again


def test_twenty_visitors_ask_at_once(room, visitor, model, clip, monkeypatch):
    """One after the other on the model; who waits is told their place."""
    opened(room, visitor, clip)
    seen = visitor.clips["street.mp4"].session.look()
    monkeypatch.setattr(Session, "look", lambda session, *where: seen)  # decoding is not the point
    model.script = lambda asked: "A man walks past a row of parked cars."
    words = room.uploads / "words.txt"
    words.write_text("ANN: Look.")  # nor is the search for subtitles
    visitors = [room.visitors.of(f"page-{number + 1}") for number in range(20)]
    for who in visitors[1:]:
        who.add(upload(room, clip), "a.mp4", visitor.clips["street.mp4"].offer).dialogue = words
    model.gate.clear()
    told: list[str] = [""] * len(visitors)

    def ask(number: int) -> None:
        for page in asking.ask(room, visitors[number], f"What is it, {number}?"):
            if "chat" in page:
                told[number] += page["chat"][-1]["content"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    while sum("in line" in text for text in told) < 19:
        time.sleep(0.05)
    model.gate.set()
    for thread in threads:
        thread.join()
    assert all(text.endswith("cars.") for text in told)
    assert model.most_running == 1
    assert [[turn.question for turn in who.turns] for who in visitors] == [
        [f"What is it, {number}?"] for number in range(20)
    ]


def test_a_full_line_says_so():
    line, free = Line(most=1), threading.Event()
    line.join(until(free))
    time.sleep(0.05)
    line.join(lambda job: None)
    with pytest.raises(InputError, match="Too many"):
        line.join(lambda job: None)
    free.set()


def test_a_closed_line_ends_its_thread():
    before, line = set(threading.enumerate()), Line()
    running = line.join(lambda job: until(job.stop)(job))
    time.sleep(0.05)
    waiting = line.join(lambda job: None)
    line.close()
    assert running.ended.is_set() and not waiting.ended.is_set() and list(waiting) == []
    assert set(threading.enumerate()) <= before


def test_what_goes_wrong_in_the_line_is_one_line(capsys):
    def fail(job: object) -> None:
        raise MemoryError("model")

    (failure,) = list(Line().join(fail))
    assert isinstance(failure, Failed) and failure.memory


def test_a_full_disk_is_not_our_fault(room, visitor, model, clip, capsys):
    def full(asked: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", str(visitor.folder / "a"))

    opened(room, visitor, clip)
    model.script = full
    page = last(asking.ask(room, visitor, "What is it?"))
    assert "nothing more can be written" in page["hint"] and visitor.folder.name not in page["hint"]
    assert "Traceback" not in capsys.readouterr().err


def test_evidence_that_fails_says_so(room, visitor, model, clip, monkeypatch):
    def occlusion(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(model, "occlusion", occlusion)
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    assert "not enough memory" in last(asking.explain(room, visitor))["hint"]


def test_memory_running_out_brings_the_doctors_advice(room, visitor, model, clip, monkeypatch):
    def full(asked: object) -> str:
        raise MemoryError

    monkeypatch.setattr(
        "assistant.ui.room.examine", lambda: [Check("memory", "warn", "0.1 GB free", "close it")]
    )
    opened(room, visitor, clip)
    model.script = full
    page = last(asking.ask(room, visitor, "What is it?"))
    assert "close it" in page["hint"]


def test_memory_running_out_while_a_clip_is_opened_brings_advice(room, visitor, clip, monkeypatch):
    def load(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    checks = [Check("memory", "warn", "0.1 GB free", "close it"), Check("disk", "ok", "much", "")]
    monkeypatch.setattr("assistant.ui.room.examine", lambda: checks)
    monkeypatch.setattr("assistant.load", load)
    page = last(opening.take(room, visitor, [upload(room, clip)]))
    assert "not enough memory" in page["status"] and "close it" in page["status"]
    assert "disk" not in page["status"] and visitor.clips == {}
    assert "1 check is fine" in cards.checks(checks)


def test_programs_ask_through_the_same_steps(room, clip):
    found = answer_once(room, upload(room, clip), "Is it day?", choices=["yes", "no"])
    assert found["choice"] == "yes" and found["task"] == "chat"
    assert "no file that was uploaded" in answer_once(room, clip, "What?")["error"]
    assert "choose one" in answer_once(room, upload(room, clip), "What?", task="nonsense")["error"]
    assert list(room.uploads.rglob("*.mp4")) == [] and list(room.visitors.root.iterdir()) == []
    assert clip.exists()


def test_a_model_that_leaves_memory_is_let_go_by_all(room, visitor, clip):
    opened(room, visitor, clip)
    last(asking.ask(room, visitor, "What is it?"))
    room.visitors.drop_sessions(visitor.clips["street.mp4"].model)
    assert visitor.clips["street.mp4"].session is None and visitor.turns[0].live is None
    assert last(asking.ask(room, visitor, "And now?"))["chat"][-1]["content"].startswith("A taxi")


def test_settings_are_a_visitors_own(room, visitor):
    change(room, visitor, "frames", 4)
    assert room.visitors.of("page-2").settings == Settings()
