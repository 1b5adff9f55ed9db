"""A causal language model of a hub, on this machine: tiny, random, in the hub's own format."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from tiny_chat import NO_SYSTEM, TEMPLATE, write_chat

from assistant.errors import AssistantError, InputError, ModelError, WeightsError
from assistant.model.chat import hub
from assistant.model.chat.base import Message
from assistant.model.chat.hub import choose_bits, load_hub_chat
from assistant.model.chat.loading import find_chat_model
from assistant.model.memory import Part

ASKED = (Message("system", "Be short."), Message("user", "Who is there?"))
WRITTEN = "|system: Be short.\n|user: Who is there?\n|assistant: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chat(tmp_path_factory.mktemp("hub") / "tiny-chat")


@pytest.fixture(scope="module")
def chat(folder: Path) -> hub.HubChat:
    return load_hub_chat(folder, "llm:tiny-chat", device="cpu", precision="fp32")


def test_it_answers_as_transformers_does(chat):
    ids = chat.tokenizer(WRITTEN, return_tensors="pt")["input_ids"]
    assert chat.ids(ASKED).tolist() == ids.tolist()
    with torch.inference_mode():
        whole = chat.network.generate(ids, max_new_tokens=12, do_sample=False)
    wanted = chat.tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
    said = [*chat.pieces(ASKED, 12)]
    assert "".join(said) == wanted and wanted and len([piece for piece in said if piece]) > 1


def test_a_name_is_that_of_the_folder_and_loading_waits(folder):
    found = find_chat_model(str(folder), precision="fp32", device="cpu")
    assert found.name == "llm:tiny-chat" and [*found.parameters()] == [] and not found.notice()
    found.prepare()
    assert [*found.parameters()] and found.fits(ASKED, 12)


def test_the_name_of_a_copy_in_the_hubs_cache_is_its_id(folder, tmp_path):
    place = tmp_path / "models--owner--name" / "snapshots" / "abc"
    place.parent.mkdir(parents=True)
    place.symlink_to(folder)
    copy = write_chat(place.parent / "def")
    assert find_chat_model(str(copy)).name == "llm:owner/name"


def test_a_template_that_takes_no_system_gets_one_turn_less(tmp_path):
    folder = write_chat(tmp_path / "gemma", NO_SYSTEM + TEMPLATE)
    chat = load_hub_chat(folder, "llm:gemma", device="cpu", precision="fp32")
    written = "|user: Be short.\n\nWho is there?\n|assistant: "
    assert chat.ids(ASKED).tolist() == [chat.tokenizer(written)["input_ids"]]


def test_there_is_room_for_as_many_tokens_as_it_reads(tmp_path):
    folder = write_chat(tmp_path / "short", positions=len(WRITTEN) + 10)
    chat = load_hub_chat(folder, "llm:short", device="cpu", precision="fp32")
    assert chat.fits(ASKED, 10) and not chat.fits(ASKED, 11)


def test_leaving_early_stops_the_work(chat):
    answer = chat.reply(ASKED, 3000)
    next(answer)
    answer.close()
    assert not [thread.name for thread in threading.enumerate() if "work" in thread.name]


def test_what_fails_at_work_is_met(chat, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(chat.network, "generate", full)
    with pytest.raises(ModelError, match="memory is full; close what else uses it"):
        [*chat.reply(ASKED, 3)]


def test_four_bits(folder):
    told: list[str] = []
    chat = load_hub_chat(
        folder, "llm:tiny", device="cpu", precision="fp32", quantize="4bit", tell=told.append
    )
    kinds = {type(module).__name__ for module in chat.network.modules()}
    assert "Linear4bit" in kinds and [*chat.pieces(ASKED, 3)]
    assert told[0].startswith("llm:tiny on cpu, 4 bit: needs ")


def test_memory_is_checked_before():
    part = Part(((1000, 1000),), (), 0)
    assert choose_bits(part, 0, 5_000_000, "auto", 4, on_gpu=False)[0] == 0
    assert choose_bits(part, 0, 1_500_000, "auto", 4, on_gpu=True)[0] == 8
    assert choose_bits(part, 0, 1_500_000, "auto", 4, on_gpu=False)[0] == 4
    with pytest.raises(ModelError, match=r"not enough memory, 4 bit: needs .* are free; close"):
        choose_bits(part, 0, 100, "auto", 4, on_gpu=False)
    with pytest.raises(ModelError, match="or choose --quantize 4bit"):
        choose_bits(part, 0, 100, "none", 4, on_gpu=False)


def test_where_memory_lacks_no_weights_are_read(folder, monkeypatch):
    monkeypatch.setattr(hub, "free_memory", lambda place: 1000)
    monkeypatch.setattr(hub, "_network", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(ModelError, match="not enough memory"):
        load_hub_chat(folder, "llm:tiny", device="cpu", precision="fp32")


def broken(folder: Path, name: str) -> Path:
    """A copy with something wrong."""
    folder = write_chat(folder, None if name == "template" else TEMPLATE)
    config, weights = folder / "config.json", folder / "model.safetensors"
    if name == "config":
        config.unlink()
    elif name == "json":
        config.write_text("{")
    elif name == "kind":
        config.write_text(json.dumps({"model_type": "t5"}))
    elif name == "foreign":
        config.write_text(json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "x.Y"}}))
    elif name == "weights":
        weights.unlink()
    elif name == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif name == "larger":
        found = json.loads(config.read_text())
        config.write_text(json.dumps(found | {"num_hidden_layers": 3}))
    elif name == "tokenizer":
        (folder / "tokenizer.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("template", "has no chat template; give one that was tuned to chat"),
        ("config", "holds no config.json"),
        ("json", "config.json: cannot be read"),
        ("kind", "is a checkpoint of t5, wanted a causal language model"),
        ("foreign", "holds no usable config"),
        ("weights", "holds no weights"),
        ("cut", "holds no usable weights"),
        ("larger", "lacks model.layers.2"),
        ("tokenizer", "holds no tokenizer"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(name, line, tmp_path):
    with pytest.raises(WeightsError, match=line) as caught:
        find_chat_model(str(broken(tmp_path / "broken", name)), device="cpu").prepare()
    assert "\n" not in str(caught.value)


def test_a_template_that_fails_is_one_line(tmp_path):
    folder = write_chat(tmp_path / "odd", "{{ raise_exception('never') }}")
    with pytest.raises(WeightsError, match=r"chat template cannot be used \(never\)"):
        load_hub_chat(folder, "llm:odd", device="cpu").ids(ASKED)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (WeightsError("owner/name asks for its terms to be accepted"), "terms"),
        (WeightsError("the hub shows no owner/name"), "shows no"),
    ],
)
def test_what_the_hub_refuses_is_told_when_it_is_needed(error, line, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("assistant.weights.store.fetch_hub", refuse)
    found = find_chat_model("owner/name", device="cpu")
    with pytest.raises(AssistantError, match=line):
        found.prepare()


def test_without_a_network_the_hub_is_not_reached():
    with pytest.raises(WeightsError, match="not in the hub's cache and the hub was not reached"):
        find_chat_model("owner/of-no-such-name", device="cpu").prepare()


def test_an_unknown_option_is_refused(folder):
    with pytest.raises(InputError, match="quantize is '2bit'"):
        load_hub_chat(folder, "llm:tiny", quantize="2bit")
