"""Sound in the Q-Former: masked where there is none, heard beside its frame, kept strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import make_clip
from official import write_json
from safetensors.torch import load_file, save_file
from test_formats import mustard
from tiny import tiny_assistant, tiny_qformer

from assistant.core.config import LoraSettings, TransferConfig
from assistant.data.formats.convert import convert
from assistant.errors import ConfigError, InputError, WeightsError
from assistant.media.writer import write_clip
from assistant.model import audio
from assistant.model.audio import RATE, Ear, in_windows, read_sound
from assistant.model.hearing import Heard, cut_sound, together
from assistant.model.lora import Adapters
from assistant.model.spatiotemporal import SpatioTemporalQFormer
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import Recipe, Training, load_recipe
from assistant.tasks.store import ADAPTER_WEIGHTS, find_task
from assistant.training import clips
from assistant.training.finetune import ablated, examples_from, finetune
from assistant.training.loop import Loop
from assistant.vqa.assistants import Assistant

CONFIGS = Path(__file__).parents[1] / "configs"
WIDTH, FRAMES, TOKENS = 6, 4, 2
ROUNDING = 1e-3  # of a tiny network without scale: 1e-13 in fp64
LORA = LoraSettings(rank=2)
HEARING = TransferConfig(frames=FRAMES, sound=WIDTH, sound_tokens=TOKENS)
PROMPT = TaskPrompt("sound", "Hears.", "{question}", "{question}", ("is it?",), 8)
RECIPE = Recipe(
    task="sound",
    frames=2,
    with_=("sound",),
    lora=LORA,
    transfer=TransferConfig(frames=2, sound_tokens=TOKENS),
    training=Training(epochs=2, batch=3, silent_epochs=1, lr=1e-2),
)


class Loudness:
    """An encoder that hears how loud each tenth of a second is."""

    width, rate, fingerprint = WIDTH, 10.0, "loudness"

    def encode(self, samples: np.ndarray) -> torch.Tensor:
        step = RATE // 10
        parts = samples[: len(samples) // step * step].reshape(-1, step)
        return torch.tensor(np.abs(parts).mean(1))[:, None] ** torch.arange(1, WIDTH + 1)


@pytest.fixture(autouse=True)
def ears(monkeypatch, tmp_path):
    monkeypatch.setattr(audio, "audio_encoder", lambda source: Loudness())
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))


@pytest.fixture
def adapters():
    found = Adapters(SpatioTemporalQFormer(tiny_qformer()))
    found.add("sound", LORA, HEARING)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in found.trainable("sound").values():
            parameter.add_(torch.randn_like(parameter) * 0.2)
            parameter.copy_(parameter.half())
    return found


@pytest.fixture
def seen():
    torch.manual_seed(1)
    ids = torch.randint(1, 120, (2, 6))
    return torch.randn(2, FRAMES, 5, 20), ids, torch.ones_like(ids)


@pytest.fixture
def heard():
    torch.manual_seed(2)
    tokens = torch.randn(2, FRAMES, TOKENS, WIDTH)
    return Heard(tokens, torch.ones(2, FRAMES, TOKENS, dtype=torch.long))


def tokens(adapters, seen, heard=None, frames=None, name="sound"):
    with torch.no_grad(), adapters.using(name) as qformer:
        return qformer(*seen, frames, heard)


def test_no_sound_is_as_if_nobody_listened_whatever_stands_in_its_place(adapters, seen, heard):
    silent = tokens(adapters, seen)
    masked = Heard(heard.tokens, torch.zeros_like(heard.mask))
    assert torch.allclose(tokens(adapters, seen, masked), silent, atol=ROUNDING)
    assert not torch.allclose(tokens(adapters, seen, heard), silent, atol=1e-2)


def test_only_what_is_masked_is_not_heard(adapters, seen, heard):
    mask = heard.mask.clone()
    mask[:, 2:] = 0
    short = tokens(adapters, seen, Heard(heard.tokens, mask))
    other = heard.tokens.clone()
    other[:, 2:] = 7.0
    assert torch.allclose(tokens(adapters, seen, Heard(other, mask)), short, atol=ROUNDING)
    other[:, 1] = 7.0
    assert not torch.allclose(tokens(adapters, seen, Heard(other, mask)), short, atol=1e-2)


def test_a_clip_without_sound_beside_one_with_is_as_alone(adapters, seen, heard):
    both = together([Heard(heard.tokens[0], heard.mask[0]), None])
    mixed = tokens(adapters, seen, both)
    assert torch.allclose(mixed[1], tokens(adapters, seen)[1], atol=ROUNDING)
    assert torch.allclose(mixed[0], tokens(adapters, seen, heard)[0], atol=ROUNDING)


def test_when_it_is_heard_matters(adapters, seen, heard):
    turned = Heard(heard.tokens.flip(1), heard.mask)
    assert not torch.allclose(
        tokens(adapters, seen, turned), tokens(adapters, seen, heard), atol=1e-3
    )


def test_sound_alone_is_heard_without_pictures(adapters, seen, heard):
    adapters.add("blind", LORA, replace(HEARING, sees=False))
    blind = tokens(adapters, seen, heard, name="blind")
    other = (torch.randn_like(seen[0]), *seen[1:])
    assert torch.equal(tokens(adapters, other, heard, name="blind"), blind)
    assert torch.allclose(
        tokens(adapters, (None, *seen[1:]), heard, name="blind"), blind, atol=ROUNDING
    )
    other = Heard(heard.tokens.flip(-1), heard.mask)
    assert not torch.allclose(tokens(adapters, seen, other, name="blind"), blind, atol=1e-2)


def test_an_adapter_without_sound_does_not_listen(adapters, seen, heard):
    adapters.add("deaf", LORA, replace(HEARING, sound=0))
    assert torch.equal(
        tokens(adapters, seen, heard, name="deaf"), tokens(adapters, seen, name="deaf")
    )


def test_it_is_read_back_exactly_and_a_missing_part_is_refused(adapters, seen, heard, tmp_path):
    adapters.save("sound", tmp_path)
    again = Adapters(SpatioTemporalQFormer(tiny_qformer()))
    again.load("sound", tmp_path, LORA, HEARING)
    assert torch.equal(tokens(again, seen, heard), tokens(adapters, seen, heard))
    path = tmp_path / ADAPTER_WEIGHTS
    state = load_file(path)
    own = [key for key in state if "hearing." in key]
    assert len(own) == 2 * 3 * 3, "A and B of query, key and value in three layers"
    save_file({key: value for key, value in state.items() if key != own[0]}, path)
    with pytest.raises(WeightsError, match="lacks"):
        again.load("torn", tmp_path, LORA, HEARING)


def test_sound_is_cut_into_the_frames_windows_and_ends_where_it_ends():
    features = torch.arange(8.0)[:, None].repeat(1, 3)
    whole = cut_sound(features, 8, 2, 2)
    assert whole.tokens[..., 0].tolist() == [[0.5, 2.5], [4.5, 6.5]] and whole.mask.all()
    half = cut_sound(features[:5], 8, 2, 2)
    assert half.mask.tolist() == [[1, 1], [0, 0]]
    assert half.tokens[0, :, 0].tolist() == [0.5, 2.5]
    assert not cut_sound(features[:0], 8, 2, 2).mask.any()


def test_a_clip_without_a_track_is_not_a_number_and_nothing_is_heard(tmp_path):
    path = make_clip(tmp_path / "a.mp4", range(9))
    sound = read_sound(path, 2)
    assert sound.size and np.isnan(sound).all()
    assert not Ear(Loudness(), TOKENS).hear(sound).mask.any()


def test_of_a_long_clip_the_middle_of_each_window_is_read(tmp_path, monkeypatch):
    ramp = np.repeat(np.arange(8, dtype=np.float32) / 10, RATE // 2)  # 4 s
    path = tmp_path / "a.mp4"
    write_clip(path, [np.zeros((16, 16, 3), np.uint8)] * 24, 6, ramp, RATE)
    whole = read_sound(path, 2)
    assert whole.size == pytest.approx(4 * RATE, rel=0.02)
    monkeypatch.setattr(audio, "WINDOW", 1.0)
    some = read_sound(path, 2)
    assert some.shape == (2, RATE)
    for heard, first in zip(some, (RATE // 2, 5 * RATE // 2), strict=True):
        there = whole.reshape(-1)[first : first + RATE]
        assert np.nanmean(np.abs(heard - there)) < 0.02 < np.nanmax(heard)


def test_a_recipe_says_with_sound_and_nothing_else(tmp_path):
    assert load_recipe(RECIPE.save(tmp_path)) == RECIPE
    assert "\nwith:\n- sound\n" in (tmp_path / "recipe.yaml").read_text()
    with pytest.raises(ConfigError, match=r"smell.*sound"):
        Recipe(task="a", with_=("smell",))
    with pytest.raises(ConfigError, match="2 or more"):
        Recipe(task="a", with_=("sound",), frames=1)
    assert not ablated(RECIPE, ["sound"]).hears
    assert not ablated(RECIPE, ["video"]).transfer.sees


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Three clips, of which the last has no sound."""
    sounds = {}
    lines = []
    for number in range(3):
        path = make_clip(tmp_path / f"{number}.mp4", range(number, number + 6))
        wave = np.sin(np.arange(RATE) / 9).astype(np.float32) * (0.02, 0.9, np.nan)[number]
        sounds[path.name] = wave
        lines += [
            {
                "id": f"{number}-{turn}",
                "video": path.name,
                "question": f"is it {turn}?",
                "answer": "no" if number == 1 else "yes",
                "choices": ["yes", "no"],
                "split": "dev" if turn == 3 else "train",
            }
            for turn in range(4)
        ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(clips, "read_sound", lambda path, *_: in_windows(sounds[path.name], 2))
    return examples_from(tmp_path)


def test_a_stopped_run_goes_on_to_the_same_adapter(examples, tmp_path, monkeypatch):
    whole = finetune(RECIPE, PROMPT, tiny_assistant(), examples, tmp_path / "whole")
    assert whole.made.sound == "loudness"
    step, count = Loop.step, 0

    def stopping(loop, batch):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return step(loop, batch)

    monkeypatch.setattr(Loop, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples, tmp_path / "run")
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples, tmp_path / "run", resume=True)
    one, two = (folder / ADAPTER_WEIGHTS for folder in (whole.folder, done.folder))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("name", ["sarcasm", "humor"])
def test_sarcasm_and_humor_learn_from_what_is_heard_in_their_clips(name, tmp_path, monkeypatch):
    """From a folder as its authors publish it to an adapter that hears each utterance's clip."""
    heard = []

    def listen(path, windows, start=None, end=None):
        heard.append((path.name, start, end))
        return in_windows(np.sin(np.arange(RATE) / 9).astype(np.float32), windows)

    monkeypatch.setattr(clips, "read_sound", listen)
    source, frames = tmp_path / "in", range(6)
    if name == "sarcasm":
        mustard(source, 6)
        lying = [source / "utterances_final" / f"1_{number}.mp4" for number in range(6)]
    else:
        told = {"context": ["So we met."], "punchline": "He left."}
        items = [{"id": number, "humor": number % 2} | told for number in range(6)]
        write_json(source / "items.json", items)
        lying = [source / "urfunny2_videos" / f"{number}.mp4" for number in range(6)]
    for number, path in enumerate(lying):
        path.parent.mkdir(exist_ok=True)
        make_clip(path, [*frames, number])
    form = {"sarcasm": "mustard", "humor": "urfunny"}[name]
    made = convert(form, source, tmp_path / "data", missing="error")
    assert made.notes == []
    recipe = load_recipe(CONFIGS / f"{name}-sound.yaml")
    small = replace(recipe.training, epochs=1, silent_epochs=1, epoch_examples=4, batch=2)
    recipe = replace(recipe, lora=LORA, training=small)
    data = examples_from(tmp_path / "data")
    done = finetune(recipe, find_task(name), tiny_assistant(), data, tmp_path / "run")
    assert done.made.sound == "loudness"
    assert sorted(set(heard)) == [(path.name, None, None) for path in lying]
    silent = replace(data, items=[replace(item, video=None) for item in data.items])
    with pytest.raises(InputError, match="none of the examples has a clip"):
        finetune(recipe, find_task(name), tiny_assistant(), silent, tmp_path / "other")


def test_hearing_is_learned_beside_what_is_known_and_that_may_stay(examples, tmp_path):
    deaf = ablated(RECIPE, ["sound"])
    known = finetune(deaf, PROMPT, tiny_assistant(), examples, tmp_path / "deaf").folder
    held = replace(RECIPE, training=replace(RECIPE.training, start_lr=0.0, weight_decay=0.0))
    for name, recipe in (("held", held), ("free", RECIPE)):
        out = tmp_path / name
        finetune(recipe, PROMPT, tiny_assistant(), examples, out, start=known)
    before, kept, moved = (
        load_file(folder / ADAPTER_WEIGHTS)
        for folder in (known, tmp_path / "held/adapter", tmp_path / "free/adapter")
    )
    assert all(torch.equal(kept[name], value) for name, value in before.items())
    assert any(not torch.equal(moved[name], value) for name, value in before.items())
    heard = [name for name in kept.keys() - before.keys() if name.endswith("lora_B.weight")]
    assert heard and any(kept[name].any() for name in heard)


def test_a_session_listens_and_refuses_another_ear(examples, tmp_path, monkeypatch):
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples, tmp_path / "run", install=True)
    assert load_recipe(done.folder).transfer.sound == WIDTH
    sounds = np.sin(np.arange(RATE) / 9).astype(np.float32)
    loud, quiet, silent = (tmp_path / f"{name}.mp4" for name in ("loud", "quiet", "silent"))
    make_clip(silent, range(9))

    def answer(path, sound):
        monkeypatch.setattr(audio, "read_sound", lambda *_: in_windows(sound, 2))
        session = Assistant(tiny_assistant()).open(path, frames=2)
        told = session.ask("is it?", task="sound", choices=["yes", "no"])
        return told.probabilities, told.warnings

    for path, seed in ((loud, 1), (quiet, 2)):
        path.write_bytes(silent.read_bytes() + bytes([seed]))
    nothing = np.full(RATE, np.nan, np.float32)
    heard, warned = answer(loud, sounds)
    assert not any("no sound" in line for line in warned)
    other, _ = answer(quiet, sounds * 0.01)
    unheard, warned = answer(silent, nothing)
    assert heard != other != unheard != heard
    assert any("no sound" in line for line in warned)

    monkeypatch.setattr(Loudness, "fingerprint", "another")
    session = Assistant(tiny_assistant()).open(loud, frames=2)
    with pytest.raises(WeightsError, match="another"):
        str(session.ask("is it?", task="sound", choices=["yes", "no"]).text)
