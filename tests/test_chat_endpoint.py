"""An OpenAI-compatible server as the language model: what is sent, said, and what goes wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from chat_server import DONE, Reply, event, says, serving

from assistant.errors import AssistantError, InputError, ModelError
from assistant.model.chat.base import Message, without_thoughts
from assistant.model.chat.endpoint import MOST_CHARACTERS, Endpoint
from assistant.model.chat.loading import find_chat_model

ASKED = (Message("system", "Be short."), Message("user", "Who is there?"))


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSISTANT_LLM_KEY", "OPENAI_API_KEY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def replies(*script: Reply | list[str], patience: float = 5.0, tokens: int = 20) -> list[str]:
    with serving(*script) as server:
        return [*Endpoint(server.address, "tiny", patience).reply(ASKED, tokens)]


def test_pieces_come_as_they_are_made():
    with serving(Reply(says("A ", "dog", " runs."), pause=0.2)) as server:
        answer = Endpoint(server.address, "tiny").reply(ASKED, 20)
        assert next(answer) == "A " and "".join(answer) == "dog runs."


def test_text_and_settings_are_all_that_is_sent():
    with serving(says("A dog.")) as server:
        assert "".join(Endpoint(server.address, "tiny").reply(ASKED, 20)) == "A dog."
    (body,) = server.heard
    assert body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Who is there?"},
        ],
        "stream": True,
        "max_tokens": 20,
        "temperature": 0,
    }
    assert "authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({"OPENAI_API_KEY": "theirs"}, "Bearer theirs"),
        ({"OPENAI_API_KEY": "theirs", "ASSISTANT_LLM_KEY": "own"}, "Bearer own"),
    ],
)
def test_the_key_is_that_of_the_environment(keys, sent, monkeypatch):
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    with serving(says("A dog.")) as server:
        "".join(Endpoint(server.address, "tiny").reply(ASKED, 20))
    assert server.headers[0]["authorization"] == sent


def test_the_key_of_openai_does_not_go_in_the_clear_to_another_machine(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert Endpoint("http://other.example/v1").key is None
    assert Endpoint("https://other.example/v1").key.value == "theirs"
    monkeypatch.setenv("ASSISTANT_LLM_KEY", "own")
    assert Endpoint("http://other.example/v1").key.value == "own"


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines"])
def test_a_key_that_cannot_be_sent_is_not_told(key, monkeypatch):
    monkeypatch.setenv("ASSISTANT_LLM_KEY", key)
    with pytest.raises(InputError, match="ASSISTANT_LLM_KEY holds what no key has") as caught:
        Endpoint("https://other.example/v1")
    assert key not in str(caught.value)


def test_this_machine_is_reached_without_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert replies(says("A dog.")) == ["A dog."]


def test_the_only_model_of_a_server_needs_no_name():
    with serving(says("Yes.")) as server:
        endpoint = Endpoint(server.address)
        assert endpoint.name == "llm:127.0.0.1"
        assert "".join(endpoint.reply(ASKED, 20)) == "Yes." and endpoint.name == "llm:tiny"
        assert server.heard[0]["model"] == "tiny"
    wanted = r"--llm-name is wanted; 127.0.0.1:\d+ has a, b"
    with serving(models=("a", "b")) as server, pytest.raises(InputError, match=wanted):
        Endpoint(server.address).prepare()


def test_a_server_that_does_not_stream_is_understood():
    body = json.dumps({"choices": [{"message": {"content": "A dog."}, "finish_reason": "stop"}]})
    assert replies(Reply([body], kind="application/json")) == ["A dog."]


def test_a_parameter_is_called_as_the_model_wants_it():
    def refused(name: str) -> Reply:
        error = {"error": {"message": f"Unsupported parameter: '{name}'."}}
        return Reply([json.dumps(error)], 400, "application/json")

    with serving(refused("max_tokens"), refused("temperature"), says("Yes.")) as server:
        assert "".join(Endpoint(server.address, "o").reply(ASKED, 20)) == "Yes."
    last = server.heard[-1]
    assert last["max_completion_tokens"] == 20 and not {"max_tokens", "temperature"} & last.keys()


def test_thoughts_are_not_said():
    thought = [
        event(delta={"reasoning_content": "hm"}),
        *says("<thi", "nk>a cat?", "</think>\n", "Dog"),
    ]
    assert "".join(replies(thought)) == "Dog"
    assert "".join(without_thoughts(["<", "b>"])) == "<b>"
    assert "".join(without_thoughts(["a <think>b</think>"])) == "a <think>b</think>"


def test_what_a_terminal_would_obey_is_left_out():
    assert replies(says("\x1b[2JA\tdog.\n")) == ["[2JA\tdog.\n"]


def failure(status: int, message: str = "", **more: object) -> Reply:
    return Reply([json.dumps({"error": {"message": message}})], status, "application/json", **more)


SPOKEN = event("A ")
FAILURES = {
    "401": (failure(401, "bad key"), r"answered 401 \(bad key\); set ASSISTANT_LLM_KEY"),
    "404": (failure(404, "no model 'tiny'"), r"answered 404 .*check --llm-name"),
    "429": (failure(429, "slow\ndown"), r"answered 429 \(slow down\); it is asked too often"),
    "500": (Reply(["<html>"], 500, "text/html"), "answered 500; look at the server"),
    "moved": (Reply([], 301, headers={"location": "http://x/v1"}), "moved to http://x/v1; give"),
    "page": (Reply(["<html>"], kind="text/html"), "sent text/html, no answer; is --llm"),
    "no json": (["data: {oops\n\n"], r"sent no JSON \(\{oops\)"),
    "no chat": (['data: {"text": "hi"}\n\n'], "something else than a chat's answer"),
    "list": (["data: []\n\n"], "something else than a chat's answer"),
    "no text": ([event(delta={"content": {"a": 1}})], "no text"),
    "error": ([SPOKEN, 'data: {"error": {"message": "out of memory"}}\n\n'], "out of memory"),
    "cut": ([SPOKEN], "broke off in the middle"),
    "broken": (Reply([SPOKEN], length=5000), "broke off in the middle"),
    "empty": (says("", " "), r"empty answer; ask again, or with a larger --max-tokens than 20"),
    "thoughts": (says("<think>on and on"), "empty answer"),
    "refusal": ([event(delta={"refusal": "I won't."}), DONE], "refused to answer: I won't."),
    "filter": ([event(finish_reason="content_filter")], "refused to answer .its content filter."),
    "endless": ([event("x" * 300) for _ in range(9)], "did not end after 320 characters"),
}


@pytest.mark.parametrize(("reply", "line"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_one_line(reply, line):
    with pytest.raises(ModelError, match=line) as caught:
        replies(reply)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("idle", ["", ": still here\n\n", event(), "x"])
def test_a_server_that_says_nothing_is_not_waited_for(idle):
    """Also where it keeps the line open: with comments, without text, without an end of line."""
    parts = [SPOKEN, *[idle] * 60]
    script = Reply(parts, pause=3.0 if not idle else 0.05)
    line = r"said nothing for 0.4 s|not come to an end|did not end after 32"
    with pytest.raises(ModelError, match=line):
        replies(script, patience=0.4, tokens=2)


def test_a_server_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ModelError, match=rf"127.0.0.1:{port} cannot be reached .*start the server"):
        [*Endpoint(f"http://127.0.0.1:{port}/v1", "tiny").reply(ASKED, 20)]


def test_leaving_early_ends_the_call():
    with serving(Reply(says(*"abcdefgh"), pause=0.1)) as server:
        answer: Iterator[str] = Endpoint(server.address, "tiny").reply(ASKED, 20)
        next(answer)
        answer.close()  # and the server's thread ends with its connection


@pytest.mark.parametrize(
    ("name", "model", "line"),
    [
        ("ftp://host/v1", None, "give http"),
        ("http:///v1", None, "give http"),
        ("http://[::1", None, "is no address"),
        ("http://ada:secret@host/v1", None, "holds a password"),
        ("nowhere", None, "there is no such folder"),
        ("owner/name", "tiny", "leave it out"),
        (None, "tiny", "give --llm, too"),
        ("model.gguf", None, "llama-server"),
    ],
)
def test_a_wrong_name_is_one_line(name, model, line):
    with pytest.raises(AssistantError, match=line) as caught:
        find_chat_model(name, model)
    assert "secret" not in str(caught.value)


def test_what_leaves_is_told_once_for_each_server(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    told: list[str] = []
    for name in ("https://a.example/v1", "https://a.example/v1", "http://localhost:9/v1"):
        find_chat_model(name, "tiny", tell=told.append)
    assert len(told) == 2 and "a.example; no picture and no sound does" in told[0]
    assert "localhost:9, on this machine; no" in told[1]


def test_an_address_may_end_as_people_copy_it():
    for end in ("/v1", "/v1/", "/v1/chat/completions"):
        assert str(Endpoint(f"http://h:1{end}").url) == "http://h:1/v1"


def test_there_is_room_for_so_many_characters():
    endpoint = Endpoint("http://h/v1", "m")
    assert endpoint.fits([Message("user", "x" * MOST_CHARACTERS)], 20)
    assert not endpoint.fits([Message("user", "x" * (MOST_CHARACTERS + 1))], 20)
