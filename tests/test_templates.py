"""Task prompts: the shipped ones render, a mistake in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from assistant.errors import ConfigError
from assistant.tasks.prompts import VARIABLES, TaskPrompt, list_prompts, load_prompt

ALL = {"question": "What is it?", "previous": "", "dialogue": "", "choices": "", "sources": ""}
ALL |= {"target": "...", "context": ""}
ABOUT_A_LINE = {"sarcasm": "sarcastic", "humor": "humorous"}  # however a person asks
GOOD = {
    "name": "mine",
    "description": "A test.",
    "fusion": "{question}",
    "prompt": "Options: {choices}\n\n{question}\n",
    "examples": ["What?"],
    "max_new_tokens": 8,
}


def write(folder: Path, **changes: object) -> Path:
    data = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_prompt(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", list_prompts())
def test_every_shipped_prompt_loads_and_renders(name: str) -> None:
    task = load_prompt(name)
    assert task.name == name
    assert task.description and task.examples
    full = {variable: f"<{variable}>" for variable in VARIABLES}
    if name in ABOUT_A_LINE:
        assert task.question == f"Is it {ABOUT_A_LINE[name]}?" and task.choices == ("yes", "no")
        return
    assert "<question>" in task.render_qformer_text(**full)
    assert "<question>" in task.render_prompt(**full)
    paper = "Pair with the video, " if name == "egoqa" else ""
    assert task.render_prompt(**ALL) == f"{paper}What is it?"
    assert task.render_qformer_text(**ALL) == "What is it?"


def test_chat_asks_after_the_subtitles() -> None:
    chat = load_prompt("chat")
    said = {"question": "Who?", "previous": "What? A dog.", "dialogue": "ANN: Hi.\nBOB: Ho."}
    said |= {"sources": ""}
    assert chat.render_qformer_text(**said) == "Who?\nWhat? A dog.\nANN: Hi.\nBOB: Ho."
    assert chat.render_qformer_text(**said | {"previous": ""}) == "Who?\nANN: Hi.\nBOB: Ho."
    assert chat.render_prompt(**said) == "Subtitles:\nANN: Hi.\nBOB: Ho.\nWho?"
    assert chat.render_prompt(**said | {"dialogue": " \n"}) == "Who?"
    seen = said | {"dialogue": "", "sources": "Seen: cup, plate?"}
    assert chat.render_prompt(**seen) == "Seen: cup, plate?\nWho?"


@pytest.mark.parametrize(("name", "asked"), ABOUT_A_LINE.items())
def test_the_dialogue_is_fused_and_the_prompt_names_its_last_line(name: str, asked: str) -> None:
    task = load_prompt(name)
    said = "LEONARD: Hi.\nSHELDON: It's a privilege."
    filled = ALL | {"dialogue": said, "target": "SHELDON: It's a privilege."}
    filled["context"] = "LEONARD: Hi."
    marked = "<SHELDON: It's a privilege.>\nLEONARD: Hi."
    read = {"sarcasm": marked, "humor": "SHELDON: It's a privilege."}
    assert task.render_qformer_text(**filled) == read[name]
    assert task.render_prompt(**filled) == (
        f"Pair with the past dialogue and video, is it {asked} when <SHELDON: It's a privilege.>?"
    )


def test_describe_has_a_question_of_its_own() -> None:
    assert load_prompt("describe").question == "Describe the picture."
    assert load_prompt("chat").question is None


def test_braces_in_what_is_filled_in_stay(tmp_path: Path) -> None:
    task = load_prompt(write(tmp_path, prompt="{{x}} {question}"))
    assert task.render_prompt(question="{dialogue} {0}") == "{x} {dialogue} {0}"


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, choices=["yes", "no"], question="Is it?")
    for task in (load_prompt(path), load_prompt(str(path))):
        assert task.choices == ("yes", "no")
        assert task.question == "Is it?"
        assert task.max_new_tokens == 8
        assert task.render_prompt(question="Is it?", choices="yes, no") == (
            "Options: yes, no\nIs it?"
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fusoin": "{question}"}, "unknown key 'fusoin'"),
        ({"prompt": ...}, "the key 'prompt' is missing"),
        ({"name": "other"}, "name is 'other': wanted 'mine'"),
        ({"description": ""}, "description is ''"),
        ({"description": None}, "description is None"),
        ({"fusion": ["{question}"]}, "fusion is"),
        ({"examples": "What?"}, "examples is 'What?'"),
        ({"examples": []}, "examples is []"),
        ({"examples": [1]}, "examples is [1]"),
        ({"choices": ["yes"]}, "list of 2 or more"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": True}, "max_new_tokens is True"),
        ({"max_new_tokens": "64"}, "max_new_tokens is '64'"),
        ({"fusion": "{question} {subtitles}"}, "fusion names {subtitles}"),
        ({"prompt": "{question!r}"}, "wanted a bare name"),
        ({"prompt": "{question.__class__}"}, "wanted a bare name"),
        ({"prompt": "{}"}, "wanted a bare name"),
        ({"prompt": "{question"}, "mine.prompt: "),
    ],
)
def test_a_mistake_in_a_prompt_file_is_named(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    assert said in refused(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: [", "not valid YAML"),
        (b"just text", "wanted the keys name, description"),
        (b"", "wanted the keys"),
        (b"\xff\xfe", "cannot be read"),
        (b"name: mine\nname: mine\n", "the key 'name' is there twice"),
        (b"name: 2001-99-99\n", "not valid YAML"),
        (b"? [1]\n: 2\n", "not valid YAML"),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    assert said in refused(path)


def test_an_unknown_task_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="no task is called 'chatt': wanted one of chat, describe"
    ):
        load_prompt("chatt")
    assert "none.yaml" in refused(tmp_path / "none.yaml")


def test_variables_must_be_given_and_known() -> None:
    chat = load_prompt("chat")
    with pytest.raises(ConfigError, match="prompt needs 'dialogue'"):
        chat.render_prompt(question="Who?")
    with pytest.raises(ConfigError, match="unknown variable 'subtitles'"):
        chat.render_prompt(question="Who?", dialogue="", subtitles="")
    with pytest.raises(ConfigError, match=r"fusion names \{what\}"):
        TaskPrompt("t", "d", "{what}", "{question}", ("e",), 1)
