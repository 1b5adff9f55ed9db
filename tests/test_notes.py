"""Notes: what was perceived and said, as lines of words for a language model."""

from __future__ import annotations

import pytest
from fakes import ScriptedSource, add_source

from assistant.dialogue.subtitles import Line
from assistant.sources import Perceived, Source
from assistant.vqa.by_llm import sources_noted
from assistant.vqa.notes import notes_of

SPAN = (0.0, 10.0)
SAID = (Line("Come here!", "ANN", 3.2, 4.0), Line("Good dog."))


@pytest.fixture(autouse=True)
def things(monkeypatch: pytest.MonkeyPatch) -> None:
    add_source(monkeypatch, "things", ScriptedSource())
    add_source(monkeypatch, "scenes", ScriptedSource())


def note(*items: Perceived, **options: object) -> str:
    return notes_of([Source("things", items)], **options)


def test_a_line_a_source_and_what_is_said_below():
    sources = [
        Source("things", (Perceived("dog", 0.9), Perceived("cat", 0.4))),
        Source("scenes", (Perceived("beach", 0.8),)),
        Source("attributes"),
    ]
    wanted = "THINGS: dog, cat?\nSCENES: beach\nSaid:\nANN: Come here!\nGood dog."
    assert notes_of(sources, SAID) == wanted
    assert notes_of([]) == ""


@pytest.mark.parametrize(
    ("start", "end", "question", "words"),
    [
        (2.0, 5.0, "", "0:02-0:05 dog"),
        (2.0, 2.2, "", "0:02 dog"),
        (0.5, 9.5, "", "dog"),  # all the time
        (0.5, 9.5, "What happens first?", "0:00-0:10 dog"),
        (0.5, 9.5, "Who is there at 0:04?", "0:00-0:10 dog"),
    ],
)
def test_times_stand_where_they_tell_something(start, end, question, words):
    item = Perceived("dog", 0.9, start, end)
    assert note(item, question=question, span=SPAN) == f"THINGS: {words}"


def test_all_is_noted_but_what_costs_seconds_and_is_not_asked_for():
    names = sources_noted("Who is there?", ["captions"])
    assert {"attributes", "objects", "phrases"} <= {*names}
    assert not {"read", "captions"} & {*names}
    assert "read" in sources_noted("What does the sign say?", ())


def test_lines_have_times_where_times_are_asked_for():
    assert notes_of([], SAID, question="When?") == "Said:\n0:03 ANN: Come here!\nGood dog."


def test_what_looks_alike_at_once_is_one_thing_with_all_that_is_known_of_it():
    two = [Perceived("person", 0.9, count=2, color=color) for color in ("red", "blue")]
    assert note(*two) == "THINGS: person, person (in red; in blue)"  # by the test's `as_text`
    again = [Perceived("dog", 0.3, at, at + 1, color="brown", count=1) for at in (1.0, 7.0)]
    assert note(*again, span=SPAN) == "THINGS: 0:01-0:02 dog (brown)?, 0:07-0:08 dog (brown)?"


def test_the_shipped_sources_are_told_as_they_tell_themselves():
    sources = [
        Source("attributes", (Perceived("cup", 0.3),)),
        Source("read", (Perceived("Exit only", 0.95, 1.0, 1.0),)),
        Source("objects", (Perceived("person", 0.9, count=2), Perceived("person", 0.8, count=2))),
    ]
    assert notes_of(sources) == 'Seen: cup?\nWritten: 0:01 "Exit only"\nObjects: 2 persons'
