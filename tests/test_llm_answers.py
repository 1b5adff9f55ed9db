"""A language model of the person's own answers from notes: in Python, in every command."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chat_server import Reply, says, serving
from clips import make_clip
from fakes import ScriptedModel, ScriptedSource, add_source, install, leave_sources
from tiny_chat import write_chat

from assistant import load
from assistant.cli import main as cli
from assistant.cli.main import main
from assistant.errors import InputError, ModelError
from assistant.model.chat.base import ChatModel, Message
from assistant.model.features import FeatureStore
from assistant.sources import Perceived
from assistant.vqa.answer import CANNOT_TELL
from assistant.vqa.by_llm import choice_in, instructions
from assistant.vqa.reading import ReadingAssistant

DOG = Perceived("dog", 0.9, 1.0, 2.0)
TALK = "ANN: Is that a dog?"
NOTES = "THINGS: 0:01-0:02 dog"


@dataclass
class ScriptedChat(ChatModel):
    """It says what the test says, and remembers what it read."""

    said: list[str]
    room: int = 10_000  # characters
    name: str = "llm:scripted"
    place: str = "the test"
    read: list[list[tuple[str, str]]] = field(default_factory=list)
    most: int = 0

    def prepare(self) -> None:
        """It is there."""

    def fits(self, messages: Sequence[Message], max_tokens: int) -> bool:
        return sum(len(message.text) for message in messages) <= self.room

    def pieces(self, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        self.read.append([(message.role, message.text) for message in messages])
        self.most = max_tokens
        words = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        yield from (f"{word} " for word in words.split())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds; the picture at t seconds carries the number 10 t."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 40, fps=10)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A dialogue without a clip."""
    (path := tmp_path / "talk.txt").write_text(TALK)
    return path


@pytest.fixture(autouse=True)
def things(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedSource:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    leave_sources(monkeypatch)
    source = ScriptedSource((DOG,))
    add_source(monkeypatch, "things", source)
    return source


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Every load of the whole model; what looks is a scripted one."""
    return install(monkeypatch, ScriptedModel())


@pytest.fixture
def opened(clip, tmp_path):
    """A session of a language model that says these things, and the model."""

    def open_with(*said: str, room: int = 10_000, **options: object):
        def no_model() -> ScriptedModel:
            raise AssertionError("the model was loaded")

        chat = ScriptedChat([*said], room)
        store = FeatureStore(tmp_path / "features")
        reading = ReadingAssistant(chat, "mini", no_model, store, ScriptedModel)
        options.setdefault("path", clip)
        return reading.open(options.pop("path"), frames=4, **options), chat

    return open_with


class TestSession:
    def test_it_answers_from_notes_and_no_model_is_loaded(self, opened):
        session, chat = opened("A dog.")
        answer = session.ask("Who is there?")
        assert [*answer] == ["A ", "dog. "]
        ((system, user),) = chat.read
        assert system == ("system", " ".join(instructions().system.split()))
        assert user == ("user", f"Notes:\n{NOTES}\n\nQuestion: Who is there?")
        found = answer.as_dict()
        assert found["model"] == "llm:scripted" and found["adapter"] is None
        assert found["notes"] == NOTES and found["things"][0]["name"] == "dog"
        assert len(found["frames"]) == 4 and "unsure" not in found
        assert answer.evidence() == () and answer.routing() == []
        assert chat.most == instructions().max_new_tokens

    def test_the_notes_of_several_clips_stand_under_their_names(self, opened, clip, tmp_path):
        other = tmp_path / "other.mp4"
        other.write_bytes(clip.read_bytes())
        session, chat = opened("Both show a dog.", "The second.", path=[clip, other])
        answer = session.ask("What differs?")
        assert answer.text.strip() == "Both show a dog."
        ((system, user),) = chat.read
        assert "several clips" in system[1]
        notes = f"First (clip.mp4), 4.0 s:\n{NOTES}\n\nSecond (other.mp4), 4.0 s:\n{NOTES}"
        assert user[1] == f"Notes:\n{notes}\n\nQuestion: What differs?"
        assert answer.as_dict()["notes"] == notes
        assert session.ask("Which is longer?").text.startswith("They are alike")
        assert len(chat.read) == 1  # it is measured
        session.ask("Who is there?").finish()
        assert [role for role, _ in chat.read[1]][:3] == ["system", "user", "assistant"]

    def test_a_follow_up_reads_the_turns_before(self, opened):
        session, chat = opened("A dog.", "Brown, maybe.", path=None, dialogue=TALK)
        session.ask("Who is there?").finish()
        session.ask("What color is it?").finish()
        roles = [role for role, _ in chat.read[1]]
        assert roles == ["system", "user", "assistant", "user"]
        assert [text for _, text in chat.read[1]][1:3] == ["Who is there?", "A dog. "]
        assert [turn.question for turn in session.conversation.turns][1] == "What color is it?"

    def test_dialogue_is_read_with_and_without_a_clip(self, opened):
        session, chat = opened("Hello.", dialogue="ANN: Hello.\nBOB: You are late.")
        session.ask("What is said?").finish()
        assert "Said:\nANN: Hello.\nBOB: You are late." in chat.read[0][1][1]
        session, chat = opened("Hello.", path=None, dialogue="ANN: Hello.")
        found = session.ask("What is said?").as_dict()
        assert found["frames"] == [] and found["notes"] == "Said:\nANN: Hello."

    def test_a_time_in_the_question_chooses_what_is_looked_at(self, opened, things):
        session, chat = opened("A dog.")
        answer = session.ask("Who is there between 1 and 2 seconds?")
        assert answer.basis.range_source == "question" and answer.basis.start == 1.0
        answer.finish()
        assert "Question: Who is there?" in chat.read[0][1][1]

    def test_that_it_cannot_tell_is_unsure(self, opened):
        session, _ = opened("I cannot tell; I see a dog.", path=None, dialogue=TALK)
        answer = session.ask("What is she saying?")
        assert answer.text.strip() == "I cannot tell; I see a dog."
        assert answer.reason == "the notes do not tell, says llm:scripted"

    def test_it_picks_a_choice(self, opened):
        session, chat = opened("2.", path=None, dialogue=TALK)
        answer = session.ask("Is there a cat?", choices=["yes", "no"])
        assert answer.choice == "no" and answer.probabilities is None and answer.reason is None
        assert "1. yes\n2. no\nReply with its number alone" in chat.read[0][1][1]
        assert "probabilities" not in answer.as_dict() and answer.as_dict()["choice"] == "no"

    def test_a_pick_of_none_is_unsure(self, opened):
        session, _ = opened("It depends.", path=None, dialogue=TALK)
        answer = session.ask("Is there a cat?", choices=["yes", "no"])
        assert answer.text == CANNOT_TELL and answer.choice is None
        assert answer.reason == "llm:scripted chose none of yes, no"

    def test_the_oldest_lines_go_where_there_is_no_room(self, opened):
        lines = "\n".join(f"ANN: This is line number {number}." for number in range(40))
        session, chat = opened("Yes.", path=None, dialogue=lines, room=1500)
        answer = session.ask("Is it long?")
        assert "dialogue lines did not fit" in " ".join(answer.warnings)
        answer.finish()
        assert "number 39." in chat.read[0][1][1] and "number 0." not in chat.read[0][1][1]

    def test_no_room_at_all_is_one_line(self, opened):
        session, _ = opened("Yes.", room=100, path=None, dialogue=TALK)
        with pytest.raises(InputError, match="no room for the question and 512 tokens"):
            session.ask("Is it long?")

    def test_a_task_by_name_is_its_adapters(self, monkeypatch):
        loads = install(monkeypatch, ScriptedModel(name="mini"))
        with serving(says("No.")) as server:
            mini = load(llm=server.address, llm_name="tiny", now=False)
            session = mini.open(dialogue="ANN: How lovely.")
            session.ask("Is it sarcastic?", task="sarcasm", adapter="none").finish()
            assert loads == [] and len(server.heard) == 1
            assert "is it sarcastic when <ANN: How lovely.>?" in server.last
            with pytest.raises(AttributeError, match="load_adapter"):  # scripted: it has no weights
                session.ask("Is it sarcastic?", task="sarcasm")
        assert len(loads) == 1 and len(server.heard) == 1

    def test_what_fails_is_not_remembered_and_the_conversation_goes_on(self, loads):
        failed = Reply(['data: {"error": {"message": "no memory"}}\n\n'])
        with serving(says("A dog."), failed, says("Brown.")) as server:
            mini = load(llm=server.address, llm_name="tiny", now=False)
            session = mini.open(dialogue=TALK)
            session.ask("Who is there?").finish()
            with pytest.raises(ModelError, match="no memory"):
                session.ask("And then?").finish()
            assert session.ask("What color is it?").text == "Brown."
        assert [turn.answer for turn in session.conversation.turns] == ["A dog.", "Brown."]
        assert [one["content"] for one in server.heard[-1]["messages"]][1:3] == [
            "Who is there?",
            "A dog.",
        ]


@pytest.mark.parametrize(
    ("said", "choices", "chosen"),
    [
        ("1", ["yes", "no"], "yes"),
        ("(2) no", ["yes", "no"], "no"),
        ("Answer: 2", ["yes", "no"], "no"),
        ("**No**, there is none.", ["yes", "no"], "no"),
        ("yes or no", ["yes", "no"], None),
        ("3", ["yes", "no"], None),
        ("I can't tell, no dog is noted", ["yes", "no"], None),
        ("2", ["1", "2", "3"], "2"),  # in its words: the labels are letters
        ("b. 2", ["3", "2"], "2"),
        ("It is dark red.", ["red", "dark red"], "dark red"),
        ("a dog", ["a dog", "a cat"], "a dog"),
    ],
)
def test_the_choice_in_an_answer(said, choices, chosen):
    assert choice_in(said, choices) == chosen


def asked(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([*map(str, words)])
    return code, *capsys.readouterr()


class TestCommands:
    def test_ask(self, clip, loads, capsys):
        with serving(says("A ", "dog.")) as server:
            words = ("ask", clip, "Who is there?", "--frames", 2, "--llm", server.address)
            code, out, err = asked(capsys, *words)
            assert (code, out) == (0, "A dog.\n") and loads == []
            assert "[llm:tiny answered from words alone; frames at" in err
            assert err.startswith("Your questions, what was perceived") and err.count("Your") == 1
            code, out, err = asked(capsys, *words, "--json")
        found = json.loads(out)
        assert found["model"] == "llm:tiny" and found["notes"] == NOTES
        assert "Your questions" not in err  # told once
        sent = json.dumps(server.heard)
        assert "base64" not in sent and str(clip) not in sent and clip.name not in sent

    def test_several_questions_and_choices(self, clip, loads, capsys):
        with serving(says("2"), says("1")) as server:
            code, out, _ = asked(
                capsys, "ask", clip, "Is it?", "Was it?", "--frames", 2, "--llm", server.address,
                "--choices", "yes", "no",
            )  # fmt: skip
        assert (code, out) == (0, "no\nyes\n")

    def test_batch_goes_on_after_a_failure_and_asks_nothing_twice(
        self, clip, loads, tmp_path, capsys
    ):
        lines = [{"id": n, "video": str(clip), "question": f"What {n}?"} for n in range(3)]
        (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
        with serving(says("A dog."), Reply([], 500), says("A cat.")) as server:
            code, _, _ = asked(
                capsys, "batch", tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--frames", 2,
                "--llm", server.address,
            )  # fmt: skip
        found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert code == 0 and len(server.heard) == 3
        assert [one.get("answer") for one in found] == ["A dog.", None, "A cat."]
        assert "answered 500" in found[1]["error"] and found[2]["model"] == "llm:tiny"

    def test_chat_goes_on_after_a_failure(self, talk, loads, capsys, monkeypatch):
        questions = "Who is there?\nAnd then?\nWhat color is it?\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(questions))
        with serving(says("A dog."), Reply([], 429), says("Brown.")) as server:
            code, out, err = asked(capsys, "chat", "--dialogue", talk, "--llm", server.address)
        assert (code, out) == (0, "A dog.\nBrown.\n") and loads == []
        assert "llm:tiny answers from what is perceived and said" in err
        assert "assistant: 127.0.0.1" in err and "answered 429" in err

    def test_a_model_in_a_folder(self, talk, loads, tmp_path, capsys):
        folder = write_chat(tmp_path / "tiny-chat")
        code, out, err = asked(
            capsys, "ask", "Who is there?", "--dialogue", talk, "--llm", folder, "--json",
            "--max-tokens", 8, "--precision", "fp32", "--device", "cpu",
        )  # fmt: skip
        assert code == 0 and json.loads(out)["model"] == "llm:tiny-chat" and loads == []
        assert "llm:tiny-chat on cpu, 32 bit: needs" in err

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (["--llm", "http://127.0.0.1:9/v1", "--llm-name", "x"], "cannot be reached"),
            (["--llm", "nowhere"], "llm 'nowhere': there is no such folder"),
            (["--llm-name", "x"], "give --llm, too"),
            (
                ["--llm", "http://127.0.0.1:9/v1", "--evidence", "why.png"],
                "a language model of yours answers from words alone",
            ),
        ],
    )
    def test_a_mistake_is_one_line(self, options, line, talk, loads, capsys):
        code, out, err = asked(capsys, "ask", "Who?", "--dialogue", talk, "--quiet", *options)
        assert (code, out) == (cli.MENDABLE, "") and line in err and err.count("\n") == 1
