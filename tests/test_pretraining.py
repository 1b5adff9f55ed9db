"""Pretraining on a tiny model: it learns, resumes exactly, and changes only what it says."""

from __future__ import annotations

import io
import json
import math
import zipfile

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tiny import letter_tokenizer, tiny_assistant

from assistant.core.config import ModelConfig, from_yaml
from assistant.core.results import held_alone
from assistant.errors import ConfigError, InputError, WeightsError
from assistant.model.loading import trained_names
from assistant.training.loop import Loop
from assistant.training.pretraining import run as pretraining
from assistant.training.pretraining.captions import thing_words
from assistant.training.pretraining.config import Phase
from assistant.training.pretraining.examples import (
    PretrainExample,
    content_words,
    match_samples,
    tidy,
)
from assistant.training.pretraining.photos import VIEWS, Photos, photo_table, view_name
from assistant.training.pretraining.sampler import Sampler
from assistant.training.pretraining.words import WordTruths
from assistant.training.run_folder import LOCK

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
CONFIG = {
    "seed": 3,
    "scenes": 6,
    "dev_scenes": 4,
    "model": {"name": "tiny"},
    "prompts": ["Describe the picture."],
    "phases": [
        {
            "samples": 24,
            "batch": 4,
            "lr": 1e-3,
            "losses": {"slots": 1.0, "contents": 0.5, "binding": 0.5},
            "focus": 3.0,
            "horizon": 48,
            "parts": 2,
            "mix": {"caption": 1.0, "list": 0.5, "scene": 1.0, "reasoning": 0.5, "match": 0.5},
        },
        {
            "samples": 16,
            "batch": 4,
            "lr": 1e-3,
            "losses": {"slots": 0.1, "llm": 1.0},
            "silent": 3,
            "silent_mix": {"reasoning": 1.0},
            "mix": {"caption": 1.0, "question": 0.5},
        },
    ],
}


@pytest.fixture
def photos(tmp_path):
    """Flickr8k's layout: plain red and blue pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    captions, names = [], []
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for index in range(12):
            colour = list(COLOURS)[index % 2]
            name = f"p{index}.jpg"
            names.append(name)
            data = io.BytesIO()
            Image.new("RGB", (64, 64), COLOURS[colour]).save(data, "JPEG")
            archive.writestr(name, data.getvalue())
            for k in range(5):
                captions.append(f"{name}#{k}\tA {colour} dog is running on the grass .")
    (folder / "captions.tsv").write_text("\n".join(captions) + "\n")
    for split, part in {"train": names[:8], "dev": names[8:10], "test": names[10:]}.items():
        (folder / f"{split}.txt").write_text("\n".join(part) + "\n")
    return folder


@pytest.fixture
def config_file(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "build_model", lambda *a, **k: tiny_assistant(seed=k["seed"]))
    path = tmp_path / "pretrain.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def test_interrupted_and_resumed_run_ends_in_the_same_weights(
    tmp_path, photos, config_file, monkeypatch
):
    whole = pretraining.run(config_file, photos, tmp_path / "whole")
    step = Loop.step

    def interrupted(self, batch):
        if (self.progress.phase, self.progress.step) == (1, 2):
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Loop, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pretraining.run(config_file, photos, tmp_path / "parts")
    monkeypatch.setattr(Loop, "step", step)
    with pytest.raises(InputError, match="--resume"):
        pretraining.run(config_file, photos, tmp_path / "parts")
    base = tmp_path / "whole/base"
    with pytest.raises(InputError, match="another beginning"):
        pretraining.run(config_file, photos, tmp_path / "parts", resume=True, start=base)
    with (
        held_alone(tmp_path / "parts" / LOCK, "it is mine"),
        pytest.raises(InputError, match="another run trains in it"),
    ):
        pretraining.run(config_file, photos, tmp_path / "parts", resume=True)
    captions = (photos / "captions.tsv").read_text()
    (photos / "captions.tsv").write_text(captions.replace("grass", "beach"))
    with pytest.raises(InputError, match="another set of photos"):
        pretraining.run(config_file, photos, tmp_path / "parts", resume=True)
    (photos / "captions.tsv").write_text(captions)
    parts = pretraining.run(config_file, photos, tmp_path / "parts", resume=True)
    first, second = (load_file(base / "qformer.safetensors") for base in (whole, parts))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_changes_what_it_names_and_leaves_the_rest(tmp_path, photos, config_file, monkeypatch):
    models = []
    monkeypatch.setattr(
        pretraining, "build_model", lambda *a, **k: models.append(tiny_assistant(3)) or models[0]
    )
    base = pretraining.run(config_file, photos, tmp_path / "run")
    fresh = tiny_assistant(3)
    names = trained_names(fresh.qformer)
    before = fresh.qformer.state_dict()
    after = models[0].qformer.state_dict()
    saved = load_file(base / "qformer.safetensors")
    assert set(saved) == set(names)
    assert all(value.dtype == torch.float16 for value in saved.values())
    frozen = set(before) - set(names)
    assert all(torch.allclose(before[n], after[n].float(), atol=2e-2) for n in frozen)
    moved = [n for n in names if not torch.equal(before[n].half(), saved[n])]
    still = set(names) - set(moved)
    assert all("key.bias" in name for name in still), still  # a key's bias cancels in the softmax
    for old, new in zip(fresh.llm.parameters(), models[0].llm.parameters(), strict=True):
        assert torch.equal(old, new)
    assert from_yaml(ModelConfig, base / "model.yaml") == ModelConfig("tiny")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"dev caption", "dev scene"} <= {key for line in log for key in line}


def test_begins_with_given_weights_at_a_phase(tmp_path, photos, config_file, monkeypatch):
    first = pretraining.run(config_file, photos, tmp_path / "first")
    begun = []
    monkeypatch.setattr(Loop, "run", lambda self: begun.append(self.progress.phase))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "log.jsonl").write_text((tmp_path / "first" / "log.jsonl").read_text())
    more = pretraining.run(config_file, photos, tmp_path / "more", start=first, phase=2)
    assert begun == [1]
    old, new = (load_file(base / "qformer.safetensors") for base in (first, more))
    assert all(torch.equal(old[name], new[name]) for name in old)
    with pytest.raises(InputError, match="phase is 3"):
        pretraining.run(config_file, photos, tmp_path / "none", phase=3)
    with pytest.raises(WeightsError, match="is not there"):
        pretraining.run(config_file, photos, tmp_path / "none", start=tmp_path)


def test_unknown_key_in_the_recipe_is_named(tmp_path, photos, config_file):
    wrong = {**CONFIG["phases"][0], "losses": {"contour": 1.0}}
    absurd = {**CONFIG["phases"][0], "batch": 0}
    for change, named in (
        ({"rat": 1}, "'rat'"),
        ({"phases": [wrong]}, "'contour'"),
        ({"phases": [absurd]}, "batch is 0"),
        ({"average": math.nan}, "average is nan"),
    ):
        config_file.write_text(yaml.safe_dump({**CONFIG, **change}))
        with pytest.raises(ConfigError, match=named):
            pretraining.run(config_file, photos, tmp_path / "run")


def test_keys_of_earlier_versions_are_read():
    from assistant.core.config import from_mapping

    old = {"rate": 0.1, "slots": 1.0, "dense": 0.5, "binding": 2.0, "llm": 0.0, "warmup": 0.05}
    rest = {"samples": 8, "batch": 4, "mix": {"caption": 1.0}}
    weights = {"slots": 1.0, "contents": 0.5, "binding": 2.0, "llm": 0.0}
    assert from_mapping(Phase, old | rest, "x") == Phase(**rest, lr=0.1, losses=weights)
    with pytest.raises(ConfigError, match="blind"):
        from_mapping(Phase, old | rest | {"blind": 0.5}, "x")


def test_pictures_encoded_before_a_stop_are_kept_and_another_archive_is_another_table(
    tmp_path, photos
):
    encoder, source = tiny_assistant().encoder, Photos(photos)
    names, encoded = source.splits["train"], []

    def counting(pictures, most=99):
        encoded.extend(pictures)
        if len(encoded) > most:
            raise KeyboardInterrupt
        return encoder(pictures)

    def table(most=99):
        return photo_table(
            tmp_path / "work",
            Counted(encoder, counting, most),
            source,
            names[:1],
            viewed=names,
            seed=3,
        )

    with pytest.raises(KeyboardInterrupt):
        table(most=20)  # of 4 views of 8 photos, 16 at a time
    encoded.clear()
    whole = table()
    assert len(encoded) == 16
    views = [view_name(names[0], cropped, turned) for cropped, turned in VIEWS]
    assert whole.stills(views).shape[:2] == (4, 1)
    assert torch.equal(whole.stills(views[:1]), whole.stills(names[:1]))
    source.archive.touch()
    encoded.clear()
    table()
    assert len(encoded) == 32


class Counted:
    """An encoder that tells what it is given."""

    def __init__(self, encoder, call, most):
        self.encoder, self.call, self.most = encoder, call, most

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def __call__(self, pictures):
        return self.call(pictures, self.most)


def samples(kind):
    return [
        PretrainExample(f"p{i}", f"Is it {i} in the picture?", str(i), kind, flips=True)
        for i in range(40)
    ]


def test_batches_depend_on_seed_and_step_alone():
    kinds = {"a": samples("x"), "b": samples("y")}
    one, two = (Sampler(kinds, {"a": 1, "b": 3}, seed=5, follow_ups=0.3) for _ in range(2))
    two.batch(0, 8)
    assert one.batch(7, 8) == two.batch(7, 8)
    assert one.batch(7, 8) != one.batch(8, 8)


def test_mix_follow_ups_and_mirrors_have_their_shares():
    kinds = {"a": samples("x"), "b": samples("y")}
    batch = Sampler(
        kinds,
        {"a": 1, "b": 3},
        seed=5,
        follow_ups=0.25,
        views=True,
        attributes_kept=0.5,
        attributes=lambda picture: "seen",
    ).batch(0, 4000)
    assert np.mean([s.type == "y" for s in batch]) == pytest.approx(0.75, abs=0.03)
    assert np.mean([bool(s.history) for s in batch]) == pytest.approx(0.25, abs=0.03)
    assert np.mean(["|mirror" in s.picture for s in batch]) == pytest.approx(0.5, abs=0.03)
    assert not any("|crop" in s.picture for s in batch)
    assert np.mean([s.fused == "seen" for s in batch]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([s.seen == s.fused for s in batch]) == pytest.approx(0.5, abs=0.03)
    assert {"picture", "clip", "video"} <= {s.question.split()[-1].rstrip("?") for s in batch}


def test_a_list_begins_with_what_the_classifier_is_sure_of_where_the_llm_reads_it():
    pool = [PretrainExample("p", "What is in the picture?", "dog, ball", "list")]
    sampler = Sampler(
        {"list": pool},
        {"list": 1},
        seed=1,
        attributes=lambda picture: "tennis ball, sled?",
        attributes_kept=0.5,
    )
    told = {(bool(s.seen), s.answer) for s in sampler.batch(0, 40)}
    assert told == {(True, "tennis ball, dog"), (False, "dog, ball")}


def test_other_captions_of_a_mirrored_photo_hold_in_the_mirror():
    also = ("A dog on the left.", "A brown dog.")
    pool = [
        PretrainExample("p", "Describe the picture.", "A dog.", "caption", flips=True, also=also)
    ]
    batch = Sampler({"caption": pool}, {"caption": 1}, seed=1, views=True).batch(0, 40)
    assert {("mirror" in s.picture, s.also) for s in batch} == {(False, also), (True, also[1:])}


def test_captions_become_sentences_and_words():
    assert tidy("a dog , running .") == "A dog, running."
    assert content_words(["A red dog runs", "the dog ran", "a red hat", "no dog"]) == ("dog", "red")


def test_words_of_a_text_are_true_false_or_unknown():
    tokenizer = letter_tokenizer(bert=True)
    truths = WordTruths(
        tokenizer, {"p": ["A dog runs.", "A dog and a ball."]}, {"s": [(0.5, 0.5, 1, 0, 1)]}
    )
    words = ["dog", "ball", "boat", "runs", "animal", "red", "blue", "cubes", "metal"]
    truths.things = [thing_words().get(word) for word in words]
    truths.parts = [
        {"red": "red", "blue": "blue", "cubes": "cube", "metal": "metal"}.get(w) for w in words
    ]
    truths.continues = torch.zeros(len(words), dtype=torch.bool)
    ids = torch.arange(len(words))[None]
    assert truths.labels(["p|crop"], ids).tolist() == [[1, 1, 0, -1, -1, -1, -1, -1, -1]]
    assert truths.labels(["s"], ids).tolist() == [[-1, -1, -1, -1, -1, 1, 0, 1, 1]]
    truths.continues[1] = True  # "dog" is only a beginning now
    assert truths.labels(["p"], ids).tolist()[0][:3] == [-1, -1, 0]


def test_captions_of_other_photos_are_half_of_what_is_to_be_matched(photos):
    asked = match_samples(Photos(photos), "train", 3)
    assert [s.answer for s in asked] == ["yes", "no"] * 40
    own = [s for s in asked if s.answer == "yes"]
    colours = {f"p{i}.jpg": list(COLOURS)[i % 2] for i in range(8)}
    assert all(colours[s.picture] in s.question for s in own)
