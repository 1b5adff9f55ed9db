"""Several clips in one question, on the page: asked together, shown clip by clip, kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from assistant.ui import asking, cards, comparing, export, opening, picking
from clips import make_clip
from ui_room import clip, model, room, visitor  # noqa: F401, fixtures


@pytest.fixture
def two(room, visitor, clip: Path, tmp_path: Path) -> list[str]:
    """A street of 5 s and a kitchen of 2 s, open."""
    own = tmp_path / "own"
    own.mkdir()
    street = own / "street.mp4"
    street.write_bytes(clip.read_bytes())
    kitchen = make_clip(own / "kitchen.mp4", range(100, 120), fps=10)
    list(opening.take(room, visitor, [str(street), str(kitchen)]))
    return list(visitor.clips)


def ask(room, visitor, question: str):
    list(asking.ask(room, visitor, question))
    return visitor.turns[-1]


def test_clips_are_compared_whichever_is_chosen(room, visitor, two):
    assert visitor.chosen == "kitchen.mp4"
    turn = ask(room, visitor, "Which is longer?")
    assert turn.answer == "The first (street.mp4), 5.0 s; the second, 2.0 s."
    assert turn.about == ("street.mp4", "kitchen.mp4") and len(visitor.turns) == 1
    assert [len(strip) for strip in turn.told.strips] == [8, 8]
    shown = cards.evidence(turn)
    assert shown.count('class="va-compared"') == 2 and shown.count("<img") == 16
    assert "1. street.mp4" in shown and "2 clips compared" in shown


def test_a_closed_clip_takes_its_comparisons_along(room, visitor, two):
    ask(room, visitor, "Which is longer?")
    visitor.remove("street.mp4")
    assert visitor.turns == [] and visitor.shown is None


def test_the_last_question_to_another_clip(room, visitor, two, model):
    ask(room, visitor, "What is in the first clip?")
    assert visitor.turns[-1].clip == "street.mp4"
    assert model.asked[-1].prompt.count("What is in the clip?") == 1
    turn = ask(room, visitor, "And in the second?")
    assert turn.clip == "kitchen.mp4" and turn.question == "And in the second?"
    assert "What is in the clip?" in model.asked[-1].prompt


@pytest.mark.parametrize(
    ("question", "compared"),
    [
        ("Which of the two is outdoors?", ["a.mp4", "b.mp4", "c.mp4"]),
        ("What differs between the first and the third?", ["a.mp4", "c.mp4"]),
        ("What differs?", ["a.mp4", "b.mp4", "c.mp4"]),
        ("What is the man doing?", []),
        ("What is in b.mp4?", []),
    ],
)
def test_which_clips_a_question_compares(question, compared):
    assert picking.compared_clips(question, ["a.mp4", "b.mp4", "c.mp4"]) == compared
    assert picking.compared_clips(question, ["a.mp4"]) == []


def test_a_comparison_is_saved_and_read_back(room, visitor, two, tmp_path):
    ask(room, visitor, "Which is longer?")
    path = tmp_path / "conversation.json"
    path.write_text(export.as_json(visitor.turns))
    (turn,) = export.read_conversation(path)
    assert turn.clip == "street.mp4, kitchen.mp4"
    shown = cards.evidence(turn)
    assert "5.0 s" in shown and "<img" not in shown


@pytest.mark.parametrize(
    "clips",
    ["a", [1], [{"clip": "a"}], [{"clip": "a", "place": 1, "frames": ["<b>"]}]],
)
def test_damaged_clips_are_not_shown(clips):
    assert not comparing.are_clips(clips)


def test_a_clips_name_is_escaped():
    assert "<b>" not in comparing.strips([{"clip": "<b>.mp4", "place": 1}], ()).replace(
        "<b>1. ", ""
    )


@pytest.mark.parametrize("place", [-1, 0, 1, 7])
def test_a_clip_of_which_fewer_pictures_are_known_is_told_all_the_same(place):
    told = comparing.strips(
        [{"place": place, "clip": "a.mp4", "frames": [1.0, 2.0], "scores": [0.5]}], [("data:,",)]
    )
    assert "a.mp4" in told and told.count("<img") == (place == 1)
