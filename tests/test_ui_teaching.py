"""The Teach tab without a browser, with a scripted program that trains."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from assistant.ui import asking, lessons, teaching
from assistant.ui.lessons import still
from assistant.ui.room import offered
from assistant.ui.teaching import on_the_tab
from PIL import Image
from test_teaching import SCRIPT, wait_for
from ui_page import last, opened, upload

from assistant.cli.main import main
from assistant.training.teaching import runs
from assistant.training.teaching.sets import (
    ANSWERS,
    LABELS,
    WHICH,
    TeachingSet,
    create_set,
    find_set,
    list_sets,
)

pytest_plugins = ["ui_room"]


@pytest.fixture(autouse=True)
def teaches(room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of the person's own, where a script trains."""
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    (tmp_path / "trains.py").write_text(SCRIPT)
    monkeypatch.setattr(runs, "PROGRAM", (sys.executable, str(tmp_path / "trains.py")))
    room.options = replace(room.options, teaches=True)
    monkeypatch.setattr(lessons, "still", lambda path, changed: "data:,")  # decodes nothing


@pytest.fixture
def do(room, visitor) -> Callable[..., dict]:
    """The page after an action of the tab."""
    return lambda action, *values: last(on_the_tab(action)(room, visitor, *values))


@pytest.fixture
def give(do, room, tmp_path: Path) -> Callable[..., dict]:
    """Drops so many pictures of a label, or of an answer."""

    def give(count: int, answer: str, question: str = "") -> dict:
        files = []
        for number in range(count):
            path = tmp_path / f"{answer or 'none'} {number}.png"
            Image.new("RGB", (32, 32)).save(path)
            files.append(upload(room, path))
        return do(teaching.take, files, question, answer)

    return give


@pytest.fixture
def tidy(tmp_path: Path, teaches) -> TeachingSet:
    """Begun, with three pictures of each of two labels."""
    taught = create_set("tidy", LABELS)
    for number, label in enumerate(("tidy", "messy") * 3):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (32, 32)).save(path)
        taught.add(path, path.name, WHICH, label)
    return taught


def trained(do, taught: TeachingSet, *, hold: bool = False) -> dict:
    if hold:
        (taught.folder / "hold").touch()
    page = do(teaching.train)
    wait_for((taught.run / "checkpoint.pt").exists)
    if not hold:
        wait_for(lambda: runs.read_run(taught).code == 0)
        page = do(teaching.look)
    return page


def test_a_page_for_others_teaches_nothing_unless_its_owner_says_so(room, visitor, do):
    room.options = replace(room.options, teaches=False)
    page = teaching.offer(room, visitor)
    assert page["teach form"] == {"visible": False} and "--teach" in page["teach off"]
    for action, values in (
        (teaching.begin, ("tidy", LABELS)),
        (teaching.take, ([], "", "")),
        (teaching.train, ()),
        (teaching.stop, ()),
        (teaching.export, ()),
        (teaching.remove, ()),
    ):
        assert "Teaching is off" in do(action, *values)["teach status"]
    assert list_sets() == ()


@pytest.mark.parametrize(
    ("words", "teaches"),
    [
        ("", True),
        ("--auth ada:secret", True),
        ("--no-teach", False),
        ("--host 0.0.0.0", False),
        ("--host 0.0.0.0 --teach", True),
        ("--share --auth ada:secret", False),
    ],
)
def test_who_may_teach(words, teaches, monkeypatch):
    served = []
    monkeypatch.setattr("assistant.cli.ui.serve", lambda options, **_: served.append(options) or 0)
    assert main(["ui", *words.split()]) == 0
    assert served[0].teaches is teaches


def test_clips_are_dropped_with_their_label(do, give, monkeypatch):
    monkeypatch.setattr(lessons, "still", still)
    do(teaching.begin, "tidy", LABELS)
    give(2, "tidy")
    page = give(1, "messy")
    assert "3 examples: 2 tidy, 1 messy" in page["counted"]
    assert page["lessons"].count("data:image/jpeg") == 3
    assert page["train"]["visible"] and not page["export"]["visible"]


def test_a_wrong_clip_gets_one_line_and_the_others_stay(do, room, tidy, tmp_path):
    (tmp_path / "notes.mp4").write_text("These are only notes.\n")
    Image.new("RGB", (32, 32)).save(tmp_path / "good.png")
    files = [upload(room, tmp_path / name) for name in ("notes.mp4", "good.png")]
    page = do(teaching.take, files, "", "tidy")
    assert page["teach status"].count("<p") == 1 and "notes.mp4" in page["teach status"]
    assert str(tmp_path) not in page["teach status"]
    assert "4 tidy" in page["counted"] and list(room.uploads.rglob("*.*")) == []


def test_a_card_is_changed_and_removed(do, tidy):
    first, second, *_ = tidy.examples()
    told = {"lesson": first.id, "field": "answer", "text": " very  tidy "}
    assert "lessons" not in do(teaching.edit, json.dumps(told))  # another is being typed in
    page = do(teaching.edit, json.dumps({"lesson": second.id, "field": "remove", "text": ""}))
    assert "5 examples: 2 tidy, 2 messy, 1 very tidy" in page["counted"]


@pytest.mark.parametrize(("field", "text"), [("kind", "x"), ("answer", "x" * 3000)])
def test_what_no_card_sends_changes_nothing(do, tidy, field, text, capsys):
    before = tidy.digest()
    page = do(teaching.edit, json.dumps({"lesson": "1", "field": field, "text": text}))
    assert "cannot be that" in page["teach status"] and tidy.digest() == before
    assert capsys.readouterr().err == ""


def test_check_says_what_the_command_says_and_what_is_missing(do, give, tidy):
    page = do(teaching.check)
    assert "6 examples, 6 clips" in page["teach checks"]
    assert "enough to train" in page["teach status"]
    give(1, "<b>")
    page = do(teaching.check)
    assert "&lt;b&gt; 1" in page["teach checks"] and "Not enough" in page["teach status"]


def test_too_little_is_one_line(do, give):
    do(teaching.begin, "tidy", LABELS)
    give(1, "tidy")
    assert "two different labels are wanted" in do(teaching.train)["teach status"]
    assert "cannot be called" in do(teaching.begin, "no good", LABELS)["teach status"]


def test_corrections_of_the_chat_are_taught(do, room, visitor, clip):
    do(teaching.begin, "asked", ANSWERS)
    assert "Nothing was corrected" in do(teaching.take_own_corrections)["teach status"]
    opened(room, visitor, clip)
    for number, text in enumerate(("Two people.", "A dog.")):
        last(asking.ask(room, visitor, "Who is there?"))
        last(asking.edit(room, visitor, 2 * number + 1, text))
    page = do(teaching.take_own_corrections)
    assert "2 corrected answers are taught" in page["teach status"]
    taught = find_set("asked")
    assert [one.answer for one in taught.examples()] == ["Two people.", "A dog."]
    assert len([*(taught.folder / "clips").iterdir()]) == 1
    assert not [*visitor.folder.glob("*.zip")]


def test_while_it_trains_others_see_it_and_nothing_is_changed(do, room, tidy):
    page = trained(do, tidy, hold=True)
    assert page["stop training"]["visible"] and page["teach clock"]["active"]
    other = room.visitors.of("page-2")
    seen = teaching.offer(room, other)
    assert seen["set"]["value"] == "tidy" and "<input" not in seen["lessons"]
    assert "Epoch 2 of 4" in last(on_the_tab(teaching.look)(room, other))["teach status"]
    for action, values in ((teaching.take, ([], "", "x")), (teaching.remove, ())):
        assert "is being trained; stop that first" in do(action, *values)["teach status"]
    do(teaching.stop)
    wait_for(lambda: room.trainer.running() is None)
    page = do(teaching.look)
    assert page["go on"]["visible"] and "Stopped: epoch 2 of 4" in page["teach status"]


def test_the_end_of_the_server_stops_it(do, room, tidy):
    trained(do, tidy, hold=True)
    room.close()
    assert room.trainer.running() is None
    assert room.trainer.state(tidy) == runs.STOPPED


def test_the_new_task_is_there_for_all_and_can_be_taken_along(do, room, visitor, tidy):
    other = room.visitors.of("page-2")
    page = trained(do, tidy)
    assert "Of so few clips none was set aside" in page["teach status"]
    assert "<svg" in page["curve"] and not page["teach clock"]["active"]
    for told in (page, offered(room, other)):
        assert ("tidy (your actions)", "actions:tidy") in told["task"]["choices"]
    page = do(teaching.export)
    assert page["file name"] == "tidy.zip" and "--head tidy" in page["teach status"]
    assert zipfile.is_zipfile(visitor.folder / "tidy.zip")


def test_removing_asks_first_and_leaves_the_task(do, room, tidy):
    trained(do, tidy)
    assert do(teaching.ask_to_remove)["remove for good"]["visible"] and list_sets() == ("tidy",)
    page = do(teaching.remove)
    assert list_sets() == () and page["set"]["value"] == ""
    assert "tidy (your actions)" in dict(
        offered(room, room.visitors.of("page-2"))["task"]["choices"]
    )


def test_what_another_removed_is_not_taken_for_the_next(do, give, room, visitor, tidy, tmp_path):
    visitor.teaching = "tidy"
    create_set("other", LABELS)
    room.trainer.remove(tidy)
    for page in (give(1, "tidy"), do(teaching.train), do(teaching.ask_to_remove)):
        assert "tidy was removed meanwhile" in page["teach status"]
    assert "tidy was removed" in do(teaching.remove)["teach status"]
    assert list_sets() == ("other",) and find_set("other").examples() == ()
    assert do(teaching.choose, "other")["set"]["value"] == "other"


def test_a_label_is_one_line_and_keeps_its_signs(do, give, tidy):
    page = give(1, ' "a, b"\n<i> ')
    assert find_set("tidy").examples()[-1].answer == '"a, b" <i>'
    assert "&quot;a, b&quot; &lt;i&gt;" in page["lessons"] and "<i>" not in page["counted"]
