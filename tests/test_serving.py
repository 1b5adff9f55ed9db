"""The server as its clients meet it: the official package, curl, and Simon Willison's ``llm``."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip, picture
from fakes import ScriptedModel, leave_sources
from PIL import Image
from retrieval_sight import tiny_sight
from serving_room import Served, about, data_url, error_of, serving

from assistant.dialogue.subtitles import parse_dialogue
from assistant.serving import service

openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")

SEEN = "I see 0 1 2 3 4 5 6 7"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 8, fps=4)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        leave_sources(patch)
        home = tmp_path_factory.mktemp("home")
        (home / "actions" / "waving").mkdir(parents=True)
        patch.setenv("ASSISTANT_HOME", str(home))
        model = ScriptedModel(scores={"a cat": -0.1, "a dog": -2.0})
        with serving(model, tmp_path_factory.mktemp("serving")) as found:
            yield found


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture
def asked(served: Served) -> list:
    """What the model is asked from now on."""
    served.model.asked.clear()
    return served.model.asked


def test_models(client):
    names = [one.id for one in client.models.list()]
    assert names == ["scripted", "scripted:none", "scripted:actions/waving"]
    assert client.models.retrieve("scripted:actions/waving").object == "model"
    with pytest.raises(openai.NotFoundError) as met:
        client.models.retrieve("../../etc")
    assert met.value.code == "model_not_found"


def test_an_answer_with_its_evidence(client, clip):
    found = client.chat.completions.create(
        model="scripted", messages=[about(data_url(clip))], extra_body={"evidence": True}
    )
    assert found.choices[0].message.content == SEEN
    assert found.choices[0].finish_reason == "stop" and found.choices[0].logprobs is None
    assert len(found.evidence["frames"]) == 8 == len(found.evidence["evidence"])
    assert found.evidence["model"] == "scripted"
    assert str(clip) not in found.model_dump_json()


def test_a_stream_is_the_whole_in_pieces(client, clip):
    stream = client.chat.completions.create(
        model="scripted",
        messages=[about(data_url(clip))],
        stream=True,
        stream_options={"include_usage": True},
    )
    *events, last, usage = stream
    pieces = [event.choices[0].delta.content or "" for event in events]
    assert "".join(pieces) == SEEN and len([piece for piece in pieces if piece]) == 10
    assert last.choices[0].finish_reason == "stop" and last.evidence["answer"] == SEEN
    assert usage.choices == [] and usage.usage is None


def test_the_last_message_is_the_question_and_earlier_ones_the_conversation(client, clip, asked):
    found = client.chat.completions.create(
        model="scripted",
        messages=[
            {"role": "system", "content": "You are a pirate."},
            about(data_url(clip), "Who is there?"),
            {"role": "assistant", "content": "A man in a hat."},
            {"role": "user", "content": "And what is he wearing?"},
        ],
    )
    assert asked[-1].prompt == "What is he wearing?"
    assert asked[-1].history == (("Who is there?", "A man in a hat."),)
    assert any("system messages are not read" in line for line in found.evidence["warnings"])
    assert "pirate" not in repr(asked)


def test_a_new_clip_begins_a_new_conversation(client, clip, asked, tmp_path):
    other = make_clip(tmp_path / "other.mp4", range(100, 108), fps=4)
    found = client.chat.completions.create(
        model="scripted",
        messages=[
            about(data_url(clip), "Who is there?"),
            {"role": "assistant", "content": "A man."},
            about(data_url(other), "What is it?"),
        ],
    )
    assert found.choices[0].message.content.startswith("I see 100 101")
    assert asked[-1].history == ()


def test_a_part_of_a_clip(client, clip):
    found = client.chat.completions.create(
        model="scripted", messages=[about(data_url(clip))], extra_body={"start": 1.0, "end": 1.5}
    )
    assert set(found.choices[0].message.content.split()[2:]) <= {"4", "5"}


def test_choices_and_their_log_probabilities(client, clip):
    found = client.chat.completions.create(
        model="scripted",
        messages=[about(data_url(clip))],
        logprobs=True,
        top_logprobs=2,
        extra_body={"choices": ["a dog", "a cat"]},
    )
    (told,) = found.choices[0].logprobs.content
    assert told.token == found.choices[0].message.content == "a cat"
    shares = [math.exp(one.logprob) for one in told.top_logprobs]
    assert sum(shares) == pytest.approx(1) and shares[0] > shares[1]
    with pytest.raises(openai.BadRequestError) as met:
        client.chat.completions.create(
            model="scripted", messages=[about(data_url(clip))], logprobs=True
        )
    assert met.value.param == "logprobs"


def test_files_are_kept_asked_about_and_deleted(client, served, clip):
    with clip.open("rb") as file:
        kept = client.files.create(file=file, purpose="user_data")
    assert kept.filename == "clip.mp4" and kept.bytes == clip.stat().st_size
    assert [one.id for one in client.files.list()] == [kept.id]
    assert client.files.retrieve(kept.id) == kept
    found = client.chat.completions.create(model="scripted", messages=[about(kept.id)])
    assert found.choices[0].message.content == SEEN
    assert client.files.delete(kept.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="scripted", messages=[about(kept.id)])
    with pytest.raises(openai.BadRequestError, match=r"notes\.mp4"):
        client.files.create(file=("notes.mp4", b"no clip at all"), purpose="user_data")
    assert list(client.files.list()) == []
    folder = served.service.files._folder
    assert [*folder.rglob("*.*")] == []


def test_vectors_of_texts_pictures_and_clips(tmp_path):
    sight = tiny_sight()
    sight.name = "colors"
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    frames[..., 2] = 230
    Image.fromarray(frames[0]).save(tmp_path / "blue.png")
    with (
        serving(sight, tmp_path) as served,
        openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as client,
    ):
        texts = client.embeddings.create(model="colors", input=["red", "blue"])  # as base64
        plain = client.embeddings.create(model="colors", input="red", encoding_format="float")
        assert texts.data[0].embedding == pytest.approx(plain.data[0].embedding)
        part = {"type": "image_url", "image_url": {"url": data_url(tmp_path / "blue.png")}}
        seen = client.embeddings.create(model="colors", input=["red", part, "blue"])
        red, picture, blue = (np.array(one.embedding) for one in seen.data)
        assert picture @ blue > 0.5 > picture @ red
        assert np.linalg.norm(picture) == pytest.approx(1, abs=1e-5)
        for wrong in ({"input": " "}, {"input": "a", "dimensions": 3}, {"input": [[1, 2]]}):
            with pytest.raises(openai.BadRequestError):
                client.embeddings.create(model="colors", **wrong)


def test_a_model_without_a_joint_space_says_so(served):
    told = served.post("/v1/embeddings", json={"model": "scripted", "input": "a"})
    assert told.status_code == 400 and "joint space" in error_of(told)["message"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"temperature": 0.3}, "temperature"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"colour": "red"}, "colour"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"task": "/etc/passwd"}, "task"),
        ({"stream": "yes"}, "stream"),
        ({"choices": "a"}, "choices"),
    ],
)
def test_what_the_api_lacks_is_refused_by_name(served, clip, more, param):
    told = served.ask(about(data_url(clip)), **more)
    assert told.status_code == 400
    error = error_of(told)
    assert error["param"] == param and error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "messages"),
        ([{"role": "user", "content": "hello"}], "nothing that the question is about"),
        ([{"role": "assistant", "content": "hello"}], "the last message"),
        ([{"role": "tool", "content": "x", "tool_call_id": "1"}], "messages.0"),
        ([{"role": "user", "content": [{"type": "file", "file": {"file_id": "a"}}]}], "type"),
        ([about("file-0000")], "no such file"),
        ([about("ftp://example.com/a.mp4")], "no URL that is read"),
        ([about("data:video/mp4;base64,AAAA")], "cannot be read"),
        ([about("data:video/mp4;base64,%%%")], "base64"),
    ],
)
def test_a_wrong_message_gets_one_line(served, messages, words):
    told = served.ask(*messages)
    assert told.status_code in (400, 404)
    assert words in error_of(told)["message"]


def test_of_several_the_one_that_is_no_clip_is_named(client, clip, tmp_path):
    (tmp_path / "notes.mp4").write_text("These are only notes.")
    message = about(data_url(clip), "Which is longer?")
    bad = {"type": "video_url", "video_url": {"url": data_url(tmp_path / "notes.mp4")}}
    message["content"].append(bad)
    with pytest.raises(openai.BadRequestError, match=r"clip 2: cannot be read as a video"):
        client.chat.completions.create(model="scripted", messages=[message])


def test_several_clips_in_one_message_are_compared(client, clip, asked, tmp_path):
    longer = make_clip(tmp_path / "longer.mp4", range(20, 32), fps=4)
    kept = client.files.create(file=longer, purpose="user_data")
    message = about(data_url(clip), "Which is longer?")
    message["content"].append({"type": "video_url", "video_url": {"url": kept.id}})
    messages = [message]

    def ask() -> openai.types.chat.ChatCompletion:
        return client.chat.completions.create(
            model="scripted", messages=messages, extra_body={"evidence": True}
        )

    found = ask()
    said = found.choices[0].message.content
    assert said == "The second (longer.mp4), 3.0 s; the first, 2.0 s."
    assert [one["value"] for one in found.evidence["clips"]] == ["2.0 s", "3.0 s"]
    messages.append({"role": "assistant", "content": said})
    messages.append({"role": "user", "content": "What is in the first?"})
    assert ask().choices[0].message.content == f"First: {SEEN}"
    messages += [{"role": "assistant", "content": f"First: {SEEN}"}]
    messages.append({"role": "user", "content": "And in the second one?"})
    found = ask()
    assert found.choices[0].message.content.startswith("Second (longer.mp4): I see 2")
    assert "What is in the clip?" in asked[-1].prompt
    assert len(found.evidence["clips"][0]["evidence"]) == 8
    assert str(tmp_path) not in found.model_dump_json()


def test_more_clips_than_can_be_compared_are_refused(served, clip):
    message = about(data_url(clip))
    message["content"] += [message["content"][-1]] * 8
    assert "9 clips" in error_of(served.ask(message))["message"]


def test_what_is_said_is_asked_about_without_a_clip(served, asked):
    told = served.ask({"role": "user", "content": "What does Ann say?"}, dialogue="ANN: I am Ann.")
    assert told.status_code == 200 and "I am Ann." in asked[-1].qformer_text


def test_what_is_heard_is_asked_about(client, asked, monkeypatch):
    sent = b"RIFF of a wave"
    heard = []

    def listen(path):
        heard.append(path.read_bytes())
        return parse_dialogue("ANN: I am Ann.")

    monkeypatch.setattr(service, "transcribe", listen)
    sound = {"data": base64.b64encode(sent).decode(), "format": "wav"}
    content = [
        {"type": "text", "text": "What does Ann say?"},
        {"type": "input_audio", "input_audio": sound},
    ]
    messages = [{"role": "user", "content": content}]
    client.chat.completions.create(model="scripted", messages=messages)
    assert heard == [sent] and "I am Ann." in asked[-1].qformer_text
    with pytest.raises(openai.BadRequestError, match="leave one of them out"):
        client.chat.completions.create(
            model="scripted", messages=messages, extra_body={"dialogue": "BOB: No."}
        )


@pytest.mark.parametrize("data", ["no base64!", base64.b64encode(b"no sound").decode()])
def test_a_sound_that_is_none(served, data):
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    told = served.ask({"role": "user", "content": [part]})
    assert told.status_code == 400 and "\n" not in error_of(told)["message"]


def test_health_and_unknown_addresses(served):
    assert served.get("/health").json() == {"status": "ok", "model": "scripted"}
    told = served.get("/v1/completions")
    assert told.status_code == 404 and "/v1/chat/completions" in error_of(told)["message"]
    assert error_of(served.post("/v1/models"))["code"] == "unknown_url"
    assert served.get("/docs").status_code == 404


def test_metrics(served, clip):
    pytest.importorskip("prometheus_client", reason="pip install prometheus-client")
    served.ask(about(data_url(clip)))
    told = served.get("/metrics").text
    assert 'assistant_requests_total{route="/v1/chat/completions",status="200"}' in told
    assert "assistant_waiting 0.0" in told


def test_curl(served, clip, tmp_path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    body = tmp_path / "body.json"
    body.write_text(
        json.dumps({"model": "scripted", "stream": True, "messages": [about(data_url(clip))]})
    )
    command = [curl, "-sN", f"{served.address}/v1/chat/completions", "-d", f"@{body}"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Content-Type: application/json" in json.loads(plain)["error"]["message"]
    command += ["-H", "Content-Type: application/json"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == SEEN


def test_llm(served, tmp_path):
    llm = pytest.importorskip("llm", reason="llm is not installed: pip install llm")
    from llm.default_plugins.openai_models import Chat

    Image.fromarray(picture(77)).save(tmp_path / "picture.png")
    model = Chat("served", model_name="scripted", api_base=f"{served.address}/v1", vision=True)
    shown = llm.Attachment(path=str(tmp_path / "picture.png"))
    told = model.prompt("What is it?", attachments=[shown], key="none")
    assert told.text() == "I see 77"
