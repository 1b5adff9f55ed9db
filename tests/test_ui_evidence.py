"""What is shown under an answer: frames at their times, weights, dialogue, routing."""

from __future__ import annotations

import json
from dataclasses import replace

from assistant.ui import asking, cards, opening
from assistant.ui.chat import message_places
from assistant.ui.export import as_markdown, read_conversation
from assistant.ui.room import change
from assistant.ui.settings import CHOICES, YES_NO
from assistant.ui.timeline import as_svg, draw_routing, draw_weights, place_lines, timeline
from assistant.ui.visitor import Told
from clips import picture
from PIL import Image
from ui_page import last, opened, upload

from assistant.dialogue.subtitles import Line as Said

SRT = "1\n00:00:00,500 --> 00:00:01,500\nANN: The <b>first</b> line.\n"

pytest_plugins = ["ui_room"]


def test_evidence_from_a_file_is_shown_only_where_it_is_sound(tmp_path):
    turn = {"clip": "a", "question": "b", "answer": "c", "correction": None, "choices": None}
    turn["also"] = False
    path = tmp_path / "a.json"
    sound = {"frames": [0.5], "warnings": [], "seconds": 1.0, "task": "chat", "start": 0.0}
    sound |= {"range_source": "none", "dialogue_source": "none", "end": 1.0, "adapter": None}
    red = {"objects": [{"name": "dog", "probability": 0.9, "color": ["red"]}]}
    for found in ({"frames": ["<script>"]}, {"frames": []}, 7, sound | red):
        rows = [turn | {"found": found}]
        path.write_text(json.dumps({"format": "assistant conversation 1", "turns": rows}))
        (read,) = read_conversation(path)
        assert read.told is None and cards.evidence(read) == ""
    red["objects"][0]["color"] = "red"
    rows = [turn | {"found": sound | red}]
    path.write_text(json.dumps({"format": "assistant conversation 1", "turns": rows}))
    (read,) = read_conversation(path)
    assert "dog (red) 90%" in cards.evidence(read) and "dog (red) 90%" in as_markdown([read])


def test_moments_of_the_timeline_are_shown_and_read_only_where_they_are_sound(tmp_path):
    path = tmp_path / "a.json"
    found = {"frames": [], "warnings": [], "seconds": 1.0, "task": "timeline", "start": 0.0}
    found |= {"range_source": "clip", "dialogue_source": "none", "end": 90.0, "adapter": None}
    moment = {"start": 62.0, "end": 70.5, "score": 1.5}
    row = {"clip": "a", "question": "b", "answer": "c", "correction": None, "choices": None}
    for moments, shown in (([moment], 1), ([moment | {"end": "<b>"}], 0), (["x"], 0), ("x", 0)):
        rows = [row | {"also": False, "found": found | {"moments": moments}}]
        path.write_text(json.dumps({"format": "assistant conversation 1", "turns": rows}))
        (read,) = read_conversation(path)
        assert cards.evidence(read).count('data-seek="62.000"') == shown
        assert as_markdown([read]).count("the clip's timeline") == shown
    read.told = Told(found | {"moments": [moment]})
    assert "1:02.0 to 1:10.5" in cards.evidence(read)
    assert "base weights" not in cards.evidence(read)
    assert "the clip&#x27;s timeline" in cards.inside(read)


def test_what_people_call_things_is_never_markup(room, visitor, clip):
    opened(room, visitor, clip, "<img onerror=1>.mp4")
    page = last(asking.ask(room, visitor, "<b>What</b> is it?"))
    assert "<img onerror" not in page["evidence"] + cards.player(
        visitor.clips["<img onerror=1>.mp4"]
    )
    assert "<b>What" not in page["evidence"] + page["inside"]


def test_the_task_that_a_question_chose_is_told(room, visitor, clip):
    opened(room, visitor, clip)
    page = last(asking.ask(room, visitor, "What is it?"))
    assert "task chat</span>" in page["evidence"]  # there was nothing to choose from
    turn = visitor.turns[0]
    turn.told.found.update(task="sarcasm", task_score=0.714)
    assert "task sarcasm, chosen from the question (likeness 0.71)" in cards.evidence(turn)
    turn.told.found.update(unsure=True, reason="nothing is said")
    assert "Unsure: nothing is said." in cards.evidence(turn)


def test_how_sure_an_answer_is_stands_below_it(room, visitor, clip, model, monkeypatch):
    def said(form: str, choices: str = "") -> str:
        return last(asking.ask(room, visitor, "Is it?", form, choices))["chat"][-1]["content"]

    opened(room, visitor, clip)
    assert said(YES_NO) == "yes\n\n73% likely"
    assert said(CHOICES, "red, blue").startswith("red\n\n52% likely · Unsure: no choice")
    model.blind_scores["yes"] = 0.0
    assert said(YES_NO).startswith("yes\n\n73% likely · Unsure: the clip makes")
    assert visitor.turns[-1].said == "yes"  # as it is remembered, saved and told to the model
    monkeypatch.setattr(model, "occlusion", lambda *_, **__: [-0.1] * 8)
    model.blind_scores["yes"] = -9.0
    assert said(YES_NO) == "yes\n\n73% likely"
    told = last(asking.explain(room, visitor))["chat"][-1]["content"]
    assert told == 'yes\n\n73% likely · Unsure: no frame speaks for "yes".'
    page = last(
        asking.edit(room, visitor, len(visitor.turns) * 2 - 1, told.replace("yes", "no", 1))
    )
    assert visitor.turns[-1].correction == page["chat"][-1]["content"] == "no"


def test_the_clip_of_a_clicked_answer_is_played(room, visitor, clip):
    opened(room, visitor, clip)
    opened(room, visitor, clip, "kitchen.mp4")
    last(asking.ask(room, visitor, "What is in street.mp4?"))
    last(asking.ask(room, visitor, "What is in kitchen.mp4?"))
    assert message_places(visitor.turns)[1] == ("assistant", 0)
    page = asking.select(room, visitor, 1)
    assert "What is in street.mp4?" in page["evidence"] and visitor.chosen == "street.mp4"


def test_lines_stand_at_their_times_and_part_where_they_overlap():
    lines = [Said("a", None, 0.0, 5.0), Said("b", None, 1.0, 2.0), Said("c", None, 6.0, 9.0)]
    placed = [
        (lane, round(left, 2), round(width, 2))
        for lane, left, width, _ in place_lines([*lines, Said("untimed")], (0.0, 10.0))
    ]
    assert placed == [(0, 0.0, 0.5), (1, 0.1, 0.1), (0, 0.6, 0.3)]


def test_the_routing_is_drawn_in_the_pages_colour():
    drawn = as_svg(draw_routing([{"space": [0.7, 0.3], "time": [0.5, 0.5]}, {"space": [1.0]}]))
    assert drawn.startswith("<svg") and "currentColor" in drawn


def test_only_a_moment_that_speaks_for_the_answer_is_marked():
    assert "va-best" in timeline((), (1.0, 2.0), (0.1, -0.2), (0.0, 3.0))
    assert "va-best" not in timeline((), (1.0, 2.0), (-0.1, -0.2), (0.0, 3.0))
    assert "va-waiting" in timeline((), (1.0, 2.0), None, (0.0, 3.0), waiting=True)
    assert "va-wait" not in timeline((), (1.0, 2.0), None, (0.0, 3.0))
    assert timeline((), (1.0, 2.0), (0.001, -0.001), (0.0, 3.0)).count("<b>0.00</b>") == 2


def test_bars_are_drawn_on_one_scale():
    (axes,) = draw_weights((1.0, 2.0), (0.03, -0.03), (0.0, 3.0)).axes
    (other,) = draw_weights((1.0, 2.0), (3.0, 0.3), (0.0, 3.0)).axes
    low, high = axes.get_ylim()
    assert other.get_ylim() == (low, high) and 0.03 / (high - low) < 0.05
    assert "va-best" not in timeline((), (1.0, 2.0), (0.03, -0.03), (0.0, 3.0))


def test_an_adapter_that_reads_text_alone_shows_what_it_read(room, visitor, clip, tmp_path):
    (tmp_path / "street.srt").write_text(SRT)
    opened(room, visitor, clip)
    last(opening.take(room, visitor, [upload(room, tmp_path / "street.srt")]))
    page = change(room, visitor, "task", "humor")
    assert "does not look at the pictures" in page["about"]
    last(asking.ask(room, visitor, "What is it?"))
    turn = visitor.turns[0]
    turn.told = replace(
        turn.told, found=turn.told.found | {"frames": [], "start": None, "end": None}
    )
    shown = cards.evidence(turn)
    assert "ANN: The first line." in shown and "dialogue: street.srt" in shown
    assert "va-frame" not in shown and "8 frames" not in shown


def test_a_picture_has_a_weight_but_no_time(room, visitor, tmp_path):
    Image.fromarray(picture(7, (32, 16))).save(tmp_path / "still.png")
    opened(room, visitor, tmp_path / "still.png")
    last(asking.ask(room, visitor, "What is it?"))
    shown = last(asking.explain(room, visitor))["evidence"]
    assert "1 picture" in shown and "+0.03" in shown
    assert "0:00" not in shown and "<svg" not in shown
