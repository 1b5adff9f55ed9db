"""Small talk and impossible questions get a sentence, real questions the model; follow-ups."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clips import make_clip
from fakes import ScriptedModel

from assistant.errors import InputError
from assistant.model.features import FeatureStore
from assistant.tasks.prompts import list_prompts, load_prompt
from assistant.vqa.assistants import Assistant, LaterAssistant
from assistant.vqa.conversation import Conversation, Turn
from assistant.vqa.evidence import check_frames
from assistant.vqa.followups import resolve
from assistant.vqa.talk import QUESTION, kind_of, reply_to, words

HERE = Path(__file__).parent
TURNS = yaml.safe_load((HERE / "talk_turns.yaml").read_text("utf-8"))
TALK = [(kind, text) for kind, texts in TURNS["dev"].items() for text in texts if kind != QUESTION]
# Reasons are not to be seen: a real question by task_questions.yaml, and talk here.
LEAST_CAUGHT, LEAST_LET_THROUGH = 0.7, 0.9
WHY = ("Why?", "Why is the man standing there?")


def real_questions() -> set[str]:
    """What benchmarks, tests and prompts ask about clips."""
    found = set(TURNS["dev"][QUESTION])
    for path in (HERE.parent / "benchmarks").glob("real_*.jsonl"):
        found |= {json.loads(line)["question"] for line in path.read_text("utf-8").splitlines()}
    for by_task in yaml.safe_load((HERE / "task_questions.yaml").read_text("utf-8")).values():
        found |= {question for questions in by_task.values() for question in questions}
    for prompt in map(load_prompt, list_prompts()):
        found |= {*prompt.examples, prompt.question or prompt.examples[0]}
    return found - set(WHY)


def test_talk_is_caught():
    assert len(TALK) >= 60
    wrong = {text: kind_of(text) for kind, text in TALK if kind_of(text) != kind}
    assert not wrong


def test_no_real_question_is_caught():
    questions = real_questions()
    assert len(questions) >= 200
    assert not {text: kind for text in questions if (kind := kind_of(text)) != QUESTION}


def test_the_rules_hold_on_turns_that_they_were_not_made_on():
    held_out = [(kind, text) for kind, texts in TURNS["held_out"].items() for text in texts]
    dev = {text for texts in TURNS["dev"].values() for text in texts}
    assert not dev & {text for _, text in held_out}
    talk = [kind_of(text) != QUESTION for kind, text in held_out if kind != QUESTION]
    real = [kind_of(text) == QUESTION for kind, text in held_out if kind == QUESTION]
    assert len(talk) >= 60 and sum(talk) / len(talk) >= LEAST_CAUGHT
    assert len(real) >= 60 and sum(real) / len(real) >= LEAST_LET_THROUGH


def test_every_reply_says_what_can_be_asked_and_nothing_of_a_clip():
    for kind in words().kinds:
        if kind == "sure":
            continue
        reply = reply_to(kind, "the clip")
        assert "{" not in reply and reply.endswith((".", "!", "?"))
        assert "sk" in reply or kind in ("praise", "goodbye", "help")  # "Ask ..."


def test_a_dialogue_may_tell_what_pictures_do_not():
    assert kind_of("Why does she leave?") == "why"
    assert kind_of("Why does she leave?", lambda: True) == QUESTION
    assert kind_of("What is the capital of France?", lambda: True) == "knowledge"


@pytest.mark.parametrize(
    "text", ["\u200b", "\U0001f600", "a" * 3000, "(" * 500, "?!" * 400, "\x00"]
)
def test_strange_text_is_read_at_once(text):
    assert isinstance(kind_of(text), str)


ASKED_TWO = ("What is the man holding?", "a guitar")
FOLLOWED = [
    (ASKED_TWO, "What color is it?", "What color is the guitar?"),
    (ASKED_TWO, "And what color is that?", "What color is the guitar?"),
    (ASKED_TWO, "What is he wearing?", "What is the man wearing?"),
    (ASKED_TWO, "What color is his hat?", "What color is the man's hat?"),
    (ASKED_TWO, "Where?", "Where is the guitar?"),
    (ASKED_TWO, "And the woman?", "What is the woman holding?"),
    (ASKED_TWO, "what about the women?", "What are the women holding?"),
    (ASKED_TWO, "And at 0:03?", "What is the man holding at 0:03?"),
    (("Is there a dog?", "yes"), "What color is it?", "What color is the dog?"),
    (("Is there a dog?", "yes"), "And a cat?", "Is there a cat?"),
    (("What is on the table?", "a cup"), "And under the table?", "What is under the table?"),
    (("How many people are there?", "two"), "Where are they?", "Where are the people?"),
    (("How many people are there?", "two"), "And dogs?", "How many dogs are there?"),
    (("What happens?", "a dog runs"), "And the woman?", "What is the woman doing?"),
    (("What animal is there?", "cat"), "Is it asleep?", "Is the cat asleep?"),
]


@pytest.mark.parametrize(("turn", "text", "meant"), FOLLOWED)
def test_a_follow_up_takes_the_last_thing_talked_about(turn, text, meant):
    found = resolve(text, [Turn(*turn)], lambda: 10.0)
    assert (found.question, found.stands_alone, found.lost) == (meant, True, "")


@pytest.mark.parametrize(
    "text",
    [
        "Is there a dog?",
        "Is it raining?",
        "What is it?",
        "What happens in the video?",
        "Does the man drop his hat?",
        "When the dog runs, does it jump?",
        "What color is the car?",
        "How many people are there?",
    ],
)
def test_an_unrelated_question_stays_itself(text):
    found = resolve(text, [Turn(*ASKED_TWO)], lambda: 10.0)
    assert found.question == text and found.stands_alone


def test_a_pronoun_that_nothing_fits_is_left_and_the_model_reads_on():
    for text in ("What are they saying?", "Is she old?", "And red?", "What else?"):
        found = resolve(text, [Turn("What color is the car?", "blue")], lambda: 10.0)
        assert found.question == text and not found.stands_alone


def test_and_then_is_about_the_time_after_the_last_one():
    part = {"range_source": "question", "start": 0.0, "end": 4.0}
    turns = Conversation().add("What does the man do in the first 4 seconds?", "sits", part).turns
    then = resolve("And then?", turns, lambda: 10.0)
    assert then.question == "What does the man do between 0:04 and 0:08?"
    assert resolve("What happens next?", turns, lambda: 5.0).question.endswith("0:04 and 0:05?")
    assert resolve("And before that?", turns, lambda: 10.0).lost == "over"
    assert resolve("And then?", turns, lambda: 4.0).lost == "over"
    assert resolve("And then?", (), lambda: 4.0).lost == "whole"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 50, fps=10)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(lambda asked: "a red guitar")


@pytest.fixture
def mini(model: ScriptedModel, tmp_path: Path) -> Assistant:
    return Assistant(model, FeatureStore(tmp_path / "features"))


def test_talk_loads_no_model_and_decodes_nothing(clip, tmp_path):
    def load() -> ScriptedModel:
        raise AssertionError("loaded")

    store = FeatureStore(tmp_path / "features")
    session = LaterAssistant("scripted", load, store).open(clip)
    for kind, text in (("greeting", "Hello!"), ("future", "What will happen next?")):
        answer = session.ask(text)
        assert list(answer) == [reply_to(kind, "the clip")]
    assert "no answer yet" in LaterAssistant("x", load, store).open(clip).ask("Are you sure?").text
    assert session.conversation.turns[0].is_talk and session.conversation.about_clip == ()


def test_a_reply_has_the_keys_of_an_answer_and_no_evidence(mini, clip):
    session = mini.open(clip)
    reply, answer = session.ask("Thanks!"), session.ask("What is there?")
    assert reply.as_dict().keys() == answer.as_dict().keys()
    assert reply.as_dict()["task"] == "talk" and reply.frames == ()
    assert reply.evidence() == () and reply.routing() == [] and reply.warnings == ()
    with pytest.raises(InputError, match="'Thanks!' is no question"):
        check_frames(reply)


def test_talk_between_two_questions_changes_neither(mini, model, clip):
    session = mini.open(clip)
    session.ask("What is the man holding?").text  # noqa: B018
    session.ask("Thank you!").text  # noqa: B018
    answer = session.ask("What color is it?")
    assert answer.text and answer.as_dict()["asked_as"] == "What color is the guitar?"
    assert model.asked[-1].prompt == "What color is the guitar?"
    assert answer.basis.question == "What color is it?"
    assert [asked.history for asked in model.asked] == [(), ()]
    assert "asked_as" not in session.ask("Who is there?").as_dict()


def test_a_following_part_is_looked_at(mini, model, clip):
    session = mini.open(clip, frames=2)
    session.ask("What happens in the first 2 seconds?").text  # noqa: B018
    answer = session.ask("And then?")
    assert answer.text and all(2 <= second <= 4 for second in answer.frames)
    assert answer.as_dict()["range_source"] == "question"
    assert session.ask("And then?").basis.end == pytest.approx(5.0, abs=0.2)
    assert model.asked[-1].history == ()


def test_are_you_sure_is_about_the_last_answer_and_computes_nothing(mini, model, clip):
    session = mini.open(clip, frames=3)
    session.ask("What is it?").text  # noqa: B018
    passes = len(model.together)
    told = session.ask("Are you sure?").text
    assert '"a red guitar"' in told and "3 frames from" in told and "no proof" in told
    assert "no statement" in session.ask("Really?").text
    model.scores = {"yes": -0.1, "no": -3.0}
    session.ask("Is it red?", choices=["yes", "no"]).text  # noqa: B018
    assert '"yes" 9' in session.ask("Are you sure?").text
    model.blind_scores = {"a red guitar": 0.0}
    session.ask("What is there?").text  # noqa: B018
    assert "no likelier than the question alone" in session.ask("Are you sure?").text
    assert passes == 2
    session.conversation = Conversation((Turn("What is there?", "corrected"),))
    assert "not known any more" in session.ask("Are you sure?").text


def test_choices_and_tasks_that_have_them_are_no_talk(mini, model, clip):
    session = mini.open(clip)
    model.scores = {"yes": -0.1, "no": -3.0}
    assert session.ask("Are you sure?", choices=["yes", "no"]).text == "yes"
    assert session.ask("Thanks!", task="humor", dialogue="ANN: Ha.").basis.task == "humor"


def test_reasons_are_no_question_unless_something_is_said(mini, model, clip):
    session = mini.open(clip)
    session.ask("What is there?").text  # noqa: B018
    assert session.ask("Why does she leave?").basis.task == "talk"
    said = session.ask("Why does she leave?", dialogue="ANN: I leave, for it is late.")
    assert said.basis.task == "chat"


def test_questions_and_talk_are_answered_side_by_side(mini, clip):
    texts = [
        one.text for one in mini.open(clip).ask_many(["Hi", "What is there?", "Who made you?"])
    ]
    assert texts[0] == reply_to("greeting", "the clip") and texts[1] == "a red guitar"
    assert texts[2] == reply_to("about_me", "the clip")


def test_talk_imports_nothing_heavy():
    code = (
        "import sys; from assistant.vqa.talk import kind_of; kind_of('Hello');"
        "print([name for name in ('torch', 'transformers', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
