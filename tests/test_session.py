"""One clip, one conversation: what is looked at, what the model is told, what an answer says."""

import gc
import math
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip
from fakes import ScriptedModel
from PIL import Image

import assistant.dialogue.speech
import assistant.dialogue.spoken
import assistant.media.video
import assistant.sources.heard
import assistant.vqa.session
from assistant.dialogue.subtitles import Dialogue, Line
from assistant.errors import AssistantError, ConfigError, DialogueError, InputError, VideoError
from assistant.model.features import FeatureStore
from assistant.sources import Perceived
from assistant.tasks.recipes import Calibration, Provenance, Recipe
from assistant.vqa.assistants import Assistant, LaterAssistant, LoadedAdapter
from assistant.vqa.scoring import softmax
from assistant.vqa.task_choice import TaskChoice
from assistant.vqa.untold import CANNOT_TELL

SRT = """1
00:00:00,500 --> 00:00:01,500
ANN: The first line.

2
00:00:03,000 --> 00:00:04,000
BOB: The second line.
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds; the picture at t seconds carries the number 10 t."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 50, fps=10)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def mini(model: ScriptedModel, tmp_path: Path) -> Assistant:
    return Assistant(model, FeatureStore(tmp_path / "features"))


def own_copy(clip: Path, folder: Path) -> Path:
    copy = folder / clip.name
    copy.write_bytes(clip.read_bytes())
    return copy


def test_the_stream_is_the_answer(mini, clip):
    answer = mini.open(clip, frames=3).ask("What happens?")
    pieces = list(answer)
    assert len(pieces) > 2
    assert answer.text == "".join(pieces)
    assert answer.text.startswith("I see ")
    assert len(answer.frames) == 3 and list(answer.frames) == sorted(answer.frames)


def test_a_clip_is_encoded_once_and_the_conversation_goes_on(mini, model, clip):
    session = mini.open(clip)
    first = session.ask("What is it?").text
    second = session.ask("And now?").text
    session.ask("How so?").text  # noqa: B018
    assert len(model.encoded) == 1
    assert [asked.history for asked in model.asked] == [
        (),
        (("What is it?", first),),
        (("What is it?", first), ("And now?", second)),
    ]
    assert "What is it?" in model.asked[1].qformer_text  # the previous turn
    assert "What is it?" not in model.asked[2].qformer_text


def test_clear_forgets_the_conversation_and_keeps_the_clip(mini, model, clip):
    session = mini.open(clip)
    session.ask("What is it?").text  # noqa: B018
    session.clear()
    session.ask("What is it?").text  # noqa: B018
    assert model.asked[1].history == ()
    assert len(model.encoded) == 1


def test_a_stopped_answer_is_not_remembered(mini, clip):
    session = mini.open(clip)
    answer = session.ask("What is it?")
    piece = next(answer)
    answer.close()
    assert answer.text == piece
    assert math.isnan(answer.seconds)
    assert session.conversation.turns == ()


def test_a_time_in_the_question_is_where_it_looks(mini, model, clip):
    session = mini.open(clip, frames=4)
    session.ask("What happens?").text  # noqa: B018
    answer = session.ask("What happens between 2 and 4 seconds?")
    assert all(20 <= number <= 40 for number in model.encoded[-1])
    assert all(2 <= second <= 4 for second in answer.frames)
    found = answer.as_dict()
    assert (found["start"], found["end"], found["range_source"]) == (2.0, 4.0, "question")

    session.ask("Who is there between 2 and 4 seconds?").text  # noqa: B018
    assert len(model.encoded) == 2  # that range was kept
    answer = session.ask("And now?")  # the whole clip again
    assert answer.basis.range_source == "clip" and max(answer.frames) > 4


def test_a_given_range_wins_over_the_question(mini, clip):
    answer = mini.open(clip).ask("What happens at 0:04?", start=0.0, end=2.0)
    assert max(answer.frames) <= 2
    assert answer.basis.range_source == "given"


def test_the_sessions_range_holds_unless_the_question_names_another(mini, clip):
    session = mini.open(clip, start=3.0)
    assert min(session.ask("What happens?").frames) >= 3
    assert max(session.ask("What happens in the first 2 seconds?").frames) <= 2


def test_a_time_beyond_the_end_is_an_error_and_not_another_answer(mini, model, clip):
    session = mini.open(clip)
    with pytest.raises(InputError, match="5"):
        session.ask("What happens at 7:30?")
    assert model.asked == []


def test_the_model_is_asked_without_the_time_that_chose_the_frames(mini, model, clip):
    answer = mini.open(clip).ask("What happens at 0:02?")
    assert answer.text and answer.basis.question == "What happens at 0:02?"
    assert "0:02" not in model.asked[0].prompt + model.asked[0].qformer_text
    assert "What happens in the video?" in model.asked[0].prompt


def test_choices_are_answered_by_likelihood(mini, model, clip):
    model.scores = {"cat": -3.0, "dog": -1.0, "cow": -2.0}
    answer = mini.open(clip).ask("Which animal?", choices=["cat", "dog", "cow"])
    assert list(answer) == ["dog"]
    assert answer.choice == answer.text == "dog"
    assert list(answer.probabilities) == ["cat", "dog", "cow"]
    assert answer.probabilities["dog"] == pytest.approx(
        math.exp(-1) / sum(math.exp(-n) for n in (1, 2, 3))
    )
    assert answer.as_dict()["choice"] == "dog"


def test_a_choice_that_is_seldom_said_can_win_over_its_prior(mini, model, clip):
    model.scores = {"red cube": -2.0, "blue cube": -3.0}
    model.blind_scores = {"red cube": -4.0, "blue cube": -9.0}
    choices = ["red cube", "blue cube"]
    assert mini.open(clip).ask("Which?", choices=choices).choice == "red cube"
    model.choice_prior = 0.5
    answer = mini.open(clip).ask("Which?", choices=choices)
    assert answer.choice == "blue cube"
    assert answer.probabilities["blue cube"] == pytest.approx(1 / (1 + math.exp(-1.5)))


SEEN = (Perceived("water bottle", 0.62), Perceived("cup", 0.09))


def test_attributes_reach_both_models_and_the_answer_shows_them(mini, model, clip):
    model.found = SEEN
    answer = mini.open(clip).ask("What is it?")
    shown = [{"name": thing.name, "probability": thing.probability} for thing in SEEN]
    assert answer.as_dict()["attributes"] == shown
    assert "Seen: water bottle, cup?" in model.asked[0].qformer_text
    assert "Seen: water bottle, cup?" in model.asked[0].prompt


def test_attributes_can_be_left_out(mini, model, clip):
    model.found = SEEN
    answer = mini.open(clip, without=["attributes"]).ask("What is it?")
    assert answer.as_dict()["attributes"] == []
    assert "Seen" not in model.asked[0].qformer_text + model.asked[0].prompt
    with pytest.raises(InputError, match=r"'sound'.*attributes"):
        mini.open(clip, without=["sound"])


def test_an_answer_no_likelier_than_without_the_clip_is_not_told(mini, model, clip):
    model.found = SEEN
    model.script = lambda asked: (
        "a dog" if "Who" in asked.prompt else "one two three four five six seven"
    )
    model.scores = {"a dog": -2.0, "one two three four five six": -2.0}
    model.blind_scores = {"a dog": -2.0, "one two three four five six": -2.1}
    session = mini.open(clip, dialogue="ANN: Hello.")
    answer = session.ask("Who is there?")
    assert list(answer) == [CANNOT_TELL]
    assert "a dog" in answer.reason
    assert answer.as_dict()["unsure"] is True and answer.as_dict()["reason"] == answer.reason
    assert "Seen" not in model.blind[0].prompt and "Hello" not in model.blind[0].qformer_text
    told = session.ask("What is it?")
    assert told.text == "one two three four five six seven"
    assert told.reason is None and "unsure" not in told.as_dict()
    assert model.blind[1].history == ()


def test_an_unsupported_choice_is_chosen_all_the_same(mini, model, clip):
    model.scores = {"cat": -3.0, "dog": -1.0}
    model.blind_scores = {"cat": -4.0, "dog": -0.5}
    answer = mini.open(clip).ask("Which animal?", choices=["cat", "dog"])
    assert answer.choice == "dog"
    assert "dog" in answer.reason


def calibrated(unsure_below=0.6, temperature=0.5):
    made = Provenance(
        "scripted-1", "0", 9, 1, calibration=Calibration(temperature, unsure_below, 50)
    )
    return Recipe(task="chat", made=made)


@pytest.fixture
def adapted(mini, monkeypatch):
    """Every question is answered by an adapter with a threshold of 60 %."""
    loaded = LoadedAdapter("tell", "tell-1", calibrated())
    monkeypatch.setattr(Assistant, "adapter", lambda self, stored: loaded)
    return mini


def test_an_adapters_temperature_makes_its_probabilities(adapted, model, clip):
    model.scores = {"yes": -1.0, "no": -1.5}
    answer = adapted.open(clip).ask("Is it?", choices=["yes", "no"])
    assert answer.probabilities["yes"] == pytest.approx(1 / (1 + math.exp(-0.5 / 0.5)))
    assert answer.reason is None and "unsure" not in answer.as_dict()


def test_below_its_threshold_an_adapter_is_unsure_and_says_why(adapted, model, clip):
    model.scores = {"yes": -1.0, "no": -1.1}  # 55 %
    session = adapted.open(clip, dialogue="")
    found = session.ask("Is it?", choices=["yes", "no"]).as_dict()
    assert found["choice"] == "yes" and found["unsure"] is True
    assert "no dialogue" in found["reason"]
    assert "55%" in found["reason"] and "60%" in found["reason"]
    given = session.ask("Is it?", choices=["yes", "no"], dialogue="ANN: It is.")
    assert "dialogue" not in given.reason and "55%" in given.reason
    silent = session.ask("Is it?", task="describe", choices=["yes", "no"])  # reads no dialogue
    assert "dialogue" not in silent.reason


def test_an_adapter_with_a_threshold_is_not_unsure_for_what_it_says_blind(adapted, model, clip):
    model.scores = model.blind_scores = {"yes": -1.0, "no": -3.0}
    assert adapted.open(clip).ask("Is it?", choices=["yes", "no"]).reason is None


def test_softmax_of_very_unlikely_choices_is_still_a_distribution():
    assert softmax([-1000.0, -1001.0]) == pytest.approx([0.7311, 0.2689], abs=1e-4)


def test_free_answers_have_no_choice(mini, clip):
    answer = mini.open(clip).ask("What?")
    assert answer.choice is None and answer.probabilities is None
    assert "choice" not in answer.as_dict()


def test_dialogue_given_wins_over_the_sidecar(mini, model, clip, tmp_path):
    copy = own_copy(clip, tmp_path)
    session = mini.open(copy)
    assert session.ask("Who speaks?").dialogue_source == "none"

    copy.with_suffix(".srt").write_text(SRT)
    answer = mini.open(copy).ask("Who speaks?")
    assert answer.dialogue_source == "sidecar:clip.srt"
    answer = mini.open(copy, dialogue="CAY: Hello.").ask("Who speaks?")
    assert answer.dialogue_source == "given"
    answer.text  # noqa: B018
    assert (
        "CAY: Hello." in model.asked[-1].qformer_text and "ANN" not in model.asked[-1].qformer_text
    )
    answer = mini.open(copy).ask("Who speaks?", dialogue=[{"speaker": "DAN", "text": "Bye."}])
    assert answer.dialogue_source == "given"
    answer = mini.open(copy, dialogue=copy.with_suffix(".srt")).ask("Who speaks?")
    assert answer.dialogue_source == "file:clip.srt"


def test_dialogue_is_cut_to_the_range(mini, model, clip, tmp_path):
    (tmp_path / "said.srt").write_text(SRT)
    session = mini.open(clip, dialogue=tmp_path / "said.srt")
    session.ask("What is said?").text  # noqa: B018
    assert (
        "first line" in model.asked[-1].qformer_text
        and "second line" in model.asked[-1].qformer_text
    )
    session.ask("What is said after 0:02?").text  # noqa: B018
    assert (
        "first line" not in model.asked[-1].qformer_text
        and "second line" in model.asked[-1].qformer_text
    )
    answer = session.ask("What is said between 1.8 and 2.5 seconds?")
    assert answer.dialogue_source == "file:said.srt (no line in the range)"


def test_listening_is_done_once_and_only_where_it_is_asked_about(mini, model, clip, monkeypatch):
    heard = []

    def transcribe(video, *, start, end):
        heard.append((start, end))
        return Dialogue((Line("Hello."),), "speech recognition")

    monkeypatch.setattr(assistant.dialogue.speech, "transcribe", transcribe)
    monkeypatch.setattr(assistant.dialogue.speech, "check_extra", lambda: None)
    session = mini.open(clip, transcribe="yes")
    for question in ("What is said after 0:03?", "Who speaks after 0:03?", "And in all?"):
        answer = session.ask(question)
        assert answer.dialogue_source == "speech recognition"
        answer.text  # noqa: B018
        assert "Hello." in model.asked[-1].qformer_text
    assert [start for start, _ in heard] == [3.0, None]


def test_a_clip_without_subtitles_is_listened_to_once_where_that_can_be(
    mini, model, clip, monkeypatch, tmp_path
):
    heard = []

    def transcribe(video, *, start, end):
        heard.append(video)
        return Dialogue(
            (Line("Hello.", start=1.0, end=2.0),), "speech recognition, English", ("!",)
        )

    monkeypatch.setattr(assistant.dialogue.speech, "transcribe", transcribe)
    monkeypatch.setattr(assistant.dialogue.speech, "check_extra", lambda: None)
    monkeypatch.setattr(assistant.dialogue.spoken, "can_listen", lambda: False)
    assert mini.open(clip).dialogue.source == "none"
    assert heard == []
    monkeypatch.setattr(assistant.dialogue.spoken, "can_listen", lambda: True)
    assert mini.open(clip, transcribe="no").dialogue.source == "none"
    assert heard == []
    answer = mini.open(clip).ask("What is said?")
    assert answer.text and "Hello." in model.asked[-1].qformer_text
    assert mini.open(clip).dialogue == transcribe(clip, start=None, end=None)
    assert len(heard) == 2, "the first session's, and that of the line above"
    own = own_copy(clip, tmp_path)
    own.with_suffix(".srt").write_text(SRT)
    assert mini.open(own).dialogue.source == "sidecar:clip.srt"
    assert len(heard) == 2


def test_who_cannot_be_heard_though_nobody_asked_is_a_warning(mini, clip, monkeypatch):
    def transcribe(video, *, start, end):
        raise VideoError("its sound is damaged")

    monkeypatch.setattr(assistant.dialogue.speech, "transcribe", transcribe)
    monkeypatch.setattr(assistant.dialogue.speech, "check_extra", lambda: None)
    monkeypatch.setattr(assistant.dialogue.spoken, "can_listen", lambda: True)
    assert mini.open(clip).dialogue.warnings == ("not listened to: its sound is damaged",)
    with pytest.raises(VideoError, match="damaged"):
        _ = mini.open(clip, transcribe="yes").dialogue
    with pytest.raises(InputError, match="auto, yes, no"):
        mini.open(clip, transcribe="maybe")


def test_a_question_about_sound_is_answered_from_what_is_heard(mini, model, clip, monkeypatch):
    listener = assistant.sources.heard.PERCEIVER
    monkeypatch.setattr(listener, "missing", lambda: "")
    monkeypatch.setattr(listener, "fingerprint", lambda look: "by hand")
    session = mini.open(clip)
    answer = session.ask("What do you hear?")
    assert answer.text == "Nothing: the clip has no sound."
    assert answer.as_dict()["task"] == "heard"
    monkeypatch.setattr(
        listener, "perceive", lambda look: (Perceived("dog barking", 0.9, 2.0, 3.0),)
    )
    monkeypatch.setattr(listener, "fingerprint", lambda look: "another")
    answer = mini.open(clip).ask("When does the dog bark?")
    assert answer.text == "From 0:02 to 0:03."
    assert [(one.start, one.end) for one in answer.basis.moments] == [(2.0, 3.0)]
    assert model.asked == []
    monkeypatch.setattr(listener, "missing", lambda: "install it")
    answer = mini.open(clip).ask("What do you hear?")
    assert answer.text == "I cannot listen to the clip here."
    assert answer.warnings == ("install it",)
    assert mini.open(clip, without=["heard"]).ask("What do you hear?").text.startswith("I see")


def test_subtitles_of_another_cut_are_said_to_lie_outside(mini, clip):
    lines = [{"text": "Hi.", "start": 1.0, "end": 2.0}, {"text": "Late.", "start": 9000.0}]
    (warning,) = mini.open(clip, dialogue=lines).ask("Who speaks?").warnings
    assert "1 of 2 lines of dialogue (given) are said after the clip's end" in warning
    assert mini.open(clip, dialogue=lines[:1]).ask("Who speaks?").warnings == ()


def test_a_task_without_dialogue_does_not_look_for_it(mini, model, clip, monkeypatch):
    def refuse(video):
        raise AssertionError("looked for dialogue")

    monkeypatch.setattr(assistant.dialogue.spoken, "find_dialogue", refuse)
    answer = mini.open(clip).ask(task="describe")
    assert answer.dialogue_source == "none"
    assert answer.text and model.asked[0].prompt == answer.basis.question


def test_the_oldest_lines_go_first_and_the_answer_says_so(mini, model, clip):
    model.room = 10
    lines = "\n".join(f"line{number} word word" for number in range(5))
    answer = mini.open(clip, dialogue=lines).ask("One two three four?")
    assert answer.warnings == ("the oldest 3 dialogue lines did not fit",)
    answer.text  # noqa: B018
    qformer_text = model.asked[-1].qformer_text
    assert "line2" not in qformer_text
    assert qformer_text.index("line3") < qformer_text.index(
        "line4"
    )  # still in the order they were said


def test_a_question_too_long_for_the_model_is_an_error(mini, model, clip):
    model.room = 3
    with pytest.raises(InputError, match="shorten"):
        mini.open(clip).ask("one two three four five")


def test_features_are_taken_from_the_store_without_decoding(clip, tmp_path, monkeypatch):
    first, second = ScriptedModel(), ScriptedModel()
    Assistant(first, FeatureStore(tmp_path)).open(clip).ask("What?").text  # noqa: B018

    def refuse(*args, **options):
        raise AssertionError("decoded again")

    monkeypatch.setattr(assistant.media.video, "read_clip", refuse)
    monkeypatch.setattr(assistant.media.video, "probe", refuse)
    session = Assistant(second, FeatureStore(tmp_path)).open(clip, dialogue="")
    assert session.ask("What?").text == "I see " + " ".join(map(str, first.encoded[0]))
    assert session.duration == pytest.approx(5.0, abs=0.1)
    assert second.encoded == []


def test_another_encoder_looks_again(clip, tmp_path):
    for fingerprint in ("one", "two"):
        model = ScriptedModel(encoder_fingerprint=fingerprint)
        Assistant(model, FeatureStore(tmp_path)).open(clip).look()
        assert len(model.encoded) == 1


def test_a_cache_that_cannot_be_written_is_a_warning(model, clip, tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = Assistant(model, FeatureStore(tmp_path / "file")).open(clip).ask("What?")
    assert answer.text
    assert any("not kept on disk" in warning for warning in answer.warnings)


def test_a_picture_is_a_clip_of_one_frame(mini, model, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((40, 60, 3), 99, np.uint8)).save(path)
    answer = mini.open(path).ask("What colour?")
    assert len(answer.frames) == 1
    assert answer.text


def test_a_clip_that_changes_while_it_is_open_is_an_error(mini, clip, tmp_path):
    copy = own_copy(clip, tmp_path)
    session = mini.open(copy)
    session.ask("What?").text  # noqa: B018
    make_clip(copy, 20, fps=10)
    with pytest.raises(VideoError, match="changed"):
        session.ask("What is at 0:01?")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"question": "  "}, InputError),
        ({"question": "\udc80"}, InputError),
        ({"start": 3.0, "end": 2.0}, InputError),
        ({"start": -1.0}, InputError),
        ({"end": math.nan}, InputError),
        ({"start": 100.0}, AssistantError),
        ({"choices": ["one"]}, InputError),
        ({"choices": ["one", " one"]}, InputError),
        ({"choices": "yes"}, InputError),
        ({"max_new_tokens": 0}, InputError),
        ({"task": "no-such-task"}, ConfigError),
        ({"dialogue": Path("no-such-file.srt")}, DialogueError),
    ],
)
def test_what_cannot_be_asked_is_one_line(mini, model, clip, options, error):
    options = {"question": "What?"} | options
    with pytest.raises(error) as caught:
        mini.open(clip).ask(**options)
    assert "\n" not in str(caught.value)
    assert model.asked == []


TALK = "ANN: The meeting is at nine.\nBOB: I love meetings at nine."


@pytest.fixture
def blinded(monkeypatch):
    """Whatever decodes a clip fails."""

    def refuse(*args, **options):
        raise AssertionError("a clip was opened")

    for name in ("read_clip", "probe"):
        monkeypatch.setattr(assistant.media.video, name, refuse)


def test_a_dialogue_can_be_asked_about_without_a_clip(mini, model, blinded):
    model.script = lambda asked: "at nine"
    session = mini.open(dialogue=TALK)
    answer = session.ask("When is the meeting at 0:42?")
    assert list(answer) == ["at", " nine"]  # told, though no clip makes it likelier
    assert answer.frames == () and answer.evidence() == () and answer.reason is None
    found = answer.as_dict()
    assert (found["frames"], found["start"], found["end"]) == ([], None, None)
    assert (found["range_source"], found["dialogue_source"]) == ("none", "given")
    assert "evidence" not in found and found["warnings"] == []
    assert "ANN: The meeting is at nine." in model.asked[0].qformer_text
    assert "0:42" in model.asked[0].prompt  # a time of no clip is a part of the question
    session.ask("Why?").text  # noqa: B018
    assert model.asked[1].history == (("When is the meeting at 0:42?", "at nine"),)
    assert model.encoded == []


def test_choices_about_a_dialogue_are_told_without_a_clip(mini, model):
    model.blind_scores = {"yes": -1.0, "no": -2.0}  # the double's: of whatever has no clip
    answer = mini.open(None, dialogue=TALK).ask("Is it?", choices=["yes", "no"])
    assert answer.choice == "yes" and answer.reason is None
    assert answer.probabilities["yes"] == pytest.approx(1 / (1 + math.exp(-1)))
    assert "BOB: I love meetings at nine." in model.blind[0].qformer_text


def test_without_a_clip_only_tasks_that_read_dialogue_are_chosen(mini, monkeypatch):
    chosen = TaskChoice("motion", 0.9)
    monkeypatch.setattr(assistant.vqa.session, "choose_task", lambda *args, **options: chosen)
    session = mini.open(dialogue=TALK)
    assert session.ask("Which way does it move?").basis.task == "chat"
    with pytest.raises(InputError, match="motion"):
        session.ask("Which way does it move?", task="motion", adapter="none")


def test_an_adapter_for_text_does_not_open_the_clip(mini, clip, blinded, monkeypatch):
    loaded = LoadedAdapter("tell", "tell-1", replace(calibrated(), frames=0))
    monkeypatch.setattr(Assistant, "adapter", lambda self, stored: loaded)
    session = mini.open(clip, dialogue=TALK)
    answer = session.ask("Is it?")
    assert answer.frames == () and answer.text == "I see" and answer.reason is None
    assert any("text alone" in warning for warning in answer.warnings)
    with pytest.raises(InputError, match="text alone"):
        session.pictures(answer)
    assert session.ask("Is it?", start=1.0).as_dict()["start"] == 1.0  # of what is said


def test_an_adapter_for_text_is_unsure_where_nothing_is_said(mini, clip, monkeypatch):
    loaded = LoadedAdapter("tell", "tell-1", Recipe(task="chat", frames=0))
    monkeypatch.setattr(Assistant, "adapter", lambda self, stored: loaded)
    answer = mini.open(clip, dialogue="").ask("Is it?")
    assert list(answer) == [CANNOT_TELL] and "no dialogue" in answer.reason


@pytest.mark.parametrize("task", ["sarcasm", "humor"])
@pytest.mark.parametrize("choices", [None, ["yes", "no"], ["surely", "never"]])
def test_a_line_that_nobody_says_is_not_judged(mini, model, clip, task, choices):
    model.scores = {"yes": -0.1, "no": -3.0}
    session = mini.open(clip)
    answer = session.ask(task=task, choices=choices)
    found = answer.as_dict()
    assert found["answer"] == answer.text == CANNOT_TELL and found["unsure"] is True
    assert "no dialogue" in found["reason"] and "choice" not in found and answer.choice is None
    session.clear()
    heard = session.ask(task=task, choices=choices, dialogue=TALK)
    assert heard.choice in (choices or ["yes", "no"]) and "dialogue" not in (heard.reason or "")


def test_a_task_that_the_base_weights_never_learned_says_so(mini):
    session = mini.open(dialogue=TALK)
    (warning,) = session.ask(task="sarcasm").warnings
    assert "no adapter for sarcasm" in warning and "\n" not in warning
    assert session.ask(task="sarcasm", adapter="none").warnings == ()  # as it was asked for
    assert session.ask("What is said?", task="chat").warnings == ()


@pytest.mark.parametrize(
    ("opened", "asked"),
    [
        ({}, None),
        ({"dialogue": ""}, None),
        ({"transcribe": "yes"}, None),
        ({"dialogue": TALK, "start": 1.0}, None),
        ({"dialogue": TALK}, {"end": 2.0}),
        ({"dialogue": TALK}, {"dialogue": ""}),
        ({"dialogue": TALK}, {"task": "describe"}),
    ],
)
def test_what_cannot_be_asked_without_a_clip_is_one_line(mini, model, opened, asked):
    with pytest.raises(InputError) as caught:
        session = mini.open(None, **opened)
        assert asked is not None
        session.ask("What?", **asked)
    assert "\n" not in str(caught.value) and "clip" in str(caught.value)
    assert model.asked == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"path": "no-such-clip.mp4"}, VideoError),
        ({"path": "."}, VideoError),
        ({"path": "a\0b"}, VideoError),
        ({"frames": 0}, InputError),
        ({"start": 2.0, "end": 2.0}, InputError),
        ({"dialogue": "A: b", "transcribe": "yes"}, InputError),
    ],
)
def test_what_cannot_be_opened_is_one_line(mini, clip, options, error):
    with pytest.raises(error) as caught:
        mini.open(**{"path": clip} | options)
    assert "\n" not in str(caught.value)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
import assistant
assert not {"torch", "numpy", "yaml", "transformers"} & set(sys.modules), "not light"
import pytest
from fakes import ScriptedModel, install
install(pytest.MonkeyPatch(), ScriptedModel())

from assistant import load
session = load("mini").open(sys.argv[1], frames=2)
for piece in session.ask("What happens?"):
    print(piece, end="")
"""


def test_the_python_api_works_in_a_plain_script(clip, tmp_path, fresh_cache):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, clip, Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("I see ") and done.stdout.count("I see") == 1


def test_several_questions_are_answered_at_once_and_remembered_in_order(mini, model, clip):
    session = mini.open(clip, frames=2)
    model.scores = {"yes": -0.5, "no": -2.0}
    first, second, third = session.ask_many(["What?", "What is at 0:01?", "Where?"])
    assert model.together == [3, 3]  # with the clip, and without it
    assert [asked.history for asked in model.asked] == [()] * 3
    assert first.text == third.text != second.text  # it looks elsewhere
    assert second.basis.range_source == "question"
    turns = session.conversation.turns
    assert [turn.question for turn in turns] == ["What?", "What is at 0:01?", "Where?"]
    chosen = session.ask_many(["Is it?", "Is it not?"], choices=["yes", "no"])
    assert [answer.choice for answer in chosen] == ["yes", "yes"]
    assert len(session.conversation.turns) == 5
    with pytest.raises(InputError, match="list"):
        session.ask_many("What?")


def test_a_failed_answer_fails_again_and_lets_go_of_what_it_computed_with(mini, model, clip):
    class Big(list):
        pass

    kept: list[weakref.ref] = []

    def visual_tokens(patches, texts, adapter=None, heard=None, expected=None):
        tokens = Big([(row, text) for row, text in zip(patches, texts, strict=True)])
        kept.append(weakref.ref(tokens))
        return tokens

    def fail(*args: object) -> None:
        raise InputError("the model is gone")

    model.visual_tokens, model.generate_batch = visual_tokens, fail
    answer = mini.open(clip).ask("What is it?")
    for _ in range(2):
        with pytest.raises(InputError, match="gone"):
            answer.text  # noqa: B018
    gc.collect()
    assert [tokens() for tokens in kept] == [None]


def test_a_mistake_shows_before_the_model_loads(clip, tmp_path):
    def load() -> ScriptedModel:
        raise AssertionError("loaded")

    session = LaterAssistant("mini", load, FeatureStore(tmp_path / "f")).open(clip)
    for options in (
        {"question": "What?", "task": "nonsense"},
        {"question": "What?", "adapter": "nonsense"},
        {"question": "What?", "choices": ["one"]},
        {"question": "What?", "start": 3.0, "end": 1.0},
        {"question": "What?", "beams": 0},
        {"question": "What?", "max_new_tokens": 2.5},
        {},
    ):
        with pytest.raises(AssistantError):
            session.ask(**options)
