"""Paper-scale backends on tiny weights in the hub's format, against `transformers`' own models."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from checkpoints import MEAN, SIDE, STD, write_checkpoint
from safetensors.torch import load_file, save_file
from transformers import (
    InstructBlipForConditionalGeneration,
    InstructBlipVideoForConditionalGeneration,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from assistant.errors import WeightsError
from assistant.model.large.checkpoint import Checkpoint
from assistant.model.large.instructblip import build
from assistant.model.memory import Plan

TEXTS = ["what is the man doing", "who", "is the dog on the left or right"]
PROMPTS = ["what is the man doing", "where is the red dog on grass", "who"]
ANSWERS = ["a dog runs", "yes", "two in the grass"]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
KINDS = ("llama", "t5")


def load(folder, **plan):
    checkpoint = Checkpoint(folder)
    return build(checkpoint, "tiny", Plan(**plan), dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """Our model and theirs, from one folder."""
    folder = write_checkpoint(tmp_path_factory.mktemp(request.param), request.param)
    return load(folder), InstructBlipForConditionalGeneration.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(3).integers(0, 255, (3, 40, 60, 3), dtype=np.uint8)


def pixels(frames):
    """As transformers prepares them."""
    processor = BlipImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=STD
    )
    return processor(list(frames), return_tensors="pt")["pixel_values"]


def placed(ours, theirs, answers=()):
    """Their input: image tokens, prompt and answer, padded on the left; and its labels."""
    image = theirs.config.image_token_id
    rows, told = [], []
    for place, prompt in enumerate(PROMPTS):
        ids = ours.llm.prompt_ids(prompt).tolist()
        answer = ours.llm.answer_ids(answers[place]).tolist() if answers else []
        rows.append([image] * 4 + ids + answer)
        told.append([-100] * (4 + len(ids)) + answer)
    longest = max(map(len, rows))
    pad = [[0] * (longest - len(row)) for row in rows]
    ids = torch.tensor([p + row for p, row in zip(pad, rows, strict=True)])
    labels = torch.tensor([[-100] * len(p) + t for p, t in zip(pad, told, strict=True)])
    mask = torch.tensor([[0] * len(p) + [1] * len(row) for p, row in zip(pad, rows, strict=True)])
    return ids, mask, labels


def test_pictures_are_prepared_as_by_the_hubs_processor(pair, frames):
    ours, _ = pair
    assert torch.allclose(ours.encoder.pixels(frames), pixels(frames), **CLOSE)


@torch.no_grad()
def test_features_of_frames_are_those_of_transformers_in_any_chunks(pair, frames):
    ours, theirs = pair
    seen = theirs.vision_model(pixels(frames)).last_hidden_state
    assert seen.std() > 0.1 and (seen[0] - seen[1]).abs().max() > 0.1  # it sees
    for chunk in (1, 2, 16):
        ours.encoder.chunk = chunk
        found = ours.encoder(frames)
        assert torch.allclose(found.patches, seen, **CLOSE)
    assert found.patches.shape == (3, ours.encoder.patch_count, ours.encoder.width)
    assert found.classes.shape == (3, 0) and ours.class_names == ()


@torch.no_grad()
def test_visual_tokens_of_pictures_with_unequal_texts(pair, frames):
    ours, theirs = pair
    ids, mask = ours.qformer_ids(TEXTS)
    theirs_seen = theirs.get_image_features(
        pixels(frames), qformer_input_ids=ids, qformer_attention_mask=mask
    ).pooler_output
    patches = ours.encoder(frames).patches[:, None]  # three clips of one frame
    found = ours.visual_tokens(patches, TEXTS)
    assert (found[0] - found[1]).abs().max() > 0.1
    assert torch.allclose(found, theirs_seen, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_video_checkpoint_gives_the_mean_over_frames_of_its_own_tokens(kind, tmp_path, frames):
    folder = write_checkpoint(tmp_path, kind, video=True)
    ours = load(folder)
    theirs = InstructBlipVideoForConditionalGeneration.from_pretrained(folder).eval()
    ids, mask = ours.qformer_ids(TEXTS[:1])
    every = theirs.get_video_features(
        pixels(frames)[None], qformer_input_ids=ids, qformer_attention_mask=mask
    ).pooler_output  # (1, T * L, W)
    found = ours.visual_tokens(ours.encoder(frames).patches[None], TEXTS[:1])
    assert torch.allclose(found, every.unflatten(1, (3, 4)).mean(1), **CLOSE)


@torch.no_grad()
def test_loss_of_answers_in_an_unequal_batch(pair, frames):
    ours, theirs = pair
    ids, mask = ours.qformer_ids(TEXTS)
    visual = ours.visual_tokens(ours.encoder(frames).patches[:, None], TEXTS)
    prompts = [ours.llm.prompt_ids(text) for text in PROMPTS]
    answers = [ours.llm.answer_ids(text) for text in ANSWERS]
    losses = torch.cat(ours.llm.answer_losses(visual, prompts, [[answer] for answer in answers]))
    lengths = torch.tensor([len(answer) for answer in answers])
    told = {"qformer_input_ids": ids, "qformer_attention_mask": mask}
    if theirs.config.use_decoder_only_language_model:
        inputs, visible, labels = placed(ours, theirs, ANSWERS)
    else:
        inputs, visible, _ = placed(ours, theirs)
        labels = torch.nn.utils.rnn.pad_sequence(answers, batch_first=True, padding_value=-100)
    loss = theirs(
        pixels(frames), input_ids=inputs, attention_mask=visible, labels=labels, **told
    ).loss
    assert torch.allclose((losses * lengths).sum() / lengths.sum(), loss, **CLOSE)


@torch.no_grad()
def test_several_answers_of_a_sample_weigh_what_each_weighs_alone(pair):
    ours, _ = pair
    visual = torch.randn(2, 4, ours.llm.width)
    prompts = [ours.llm.prompt_ids(text) for text in PROMPTS[:2]]
    some = [[ours.llm.answer_ids(text) for text in texts] for texts in (ANSWERS, ANSWERS[:1])]
    together = ours.llm.answer_losses(visual, prompts, some)
    for row, answers in enumerate(some):
        for place, answer in enumerate(answers):
            one = visual[row : row + 1], prompts[row : row + 1], [[answer]]
            (alone,) = ours.llm.answer_losses(*one)
            assert torch.allclose(together[row][place], alone[0], **CLOSE)


@torch.no_grad()
def test_greedy_answers_are_the_same_tokens(pair, frames, monkeypatch):
    ours, theirs = pair
    ids, mask = ours.qformer_ids(TEXTS)
    inputs, visible, _ = placed(ours, theirs)
    told = theirs.generate(
        pixels(frames),
        qformer_input_ids=ids,
        qformer_attention_mask=mask,
        input_ids=inputs,
        attention_mask=visible,
        max_new_tokens=12,
        do_sample=False,
    )
    if theirs.config.use_decoder_only_language_model:
        told = told[:, inputs.shape[1] :]
    said = []
    decode = ours.llm.tokenizer.batch_decode
    monkeypatch.setattr(
        ours.llm.tokenizer,
        "batch_decode",
        lambda out, **options: said.append(out) or decode(out, **options),
    )
    visual = ours.visual_tokens(ours.encoder(frames).patches[:, None], TEXTS)
    prompts = [ours.llm.prompt_ids(text) for text in PROMPTS]
    texts = ours.llm.complete(visual, prompts, 12)
    assert len(set(texts)) == len(texts)  # the pictures and texts matter
    end = ours.llm.tokenizer.eos_token_id
    for own, other in zip(said[-1].tolist(), told.tolist(), strict=True):
        assert until(own, end) == until(other, end)
    streamed = "".join(ours.llm.generate_batch(visual[1:2], [prompts[1]], 12)[0])
    assert streamed.strip() == texts[1]


def until(ids, end):
    """Up to the end token; what follows is padding."""
    return ids[: ids.index(end, 1) + 1] if end in ids[1:] else ids


@pytest.mark.parametrize("kind", KINDS)
def test_older_files_give_the_same_model(kind, tmp_path, frames):
    new = load(write_checkpoint(tmp_path / "new", kind))
    old = load(write_checkpoint(tmp_path / "old", kind, safe=False))
    assert list((tmp_path / "old").glob("*.bin")) and not list(tmp_path.glob("old/*.safetensors"))
    assert old.fingerprint == new.fingerprint
    own, other = dict(old.named_parameters()), dict(new.named_parameters())
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("query_tokens"), "lacks query_tokens"),
        (lambda state: state.update(stranger=torch.zeros(1)), "no place for .stranger"),
        (lambda state: state.update(query_tokens=torch.zeros(1, 5, 16)), "query_tokens is"),
    ],
)
def test_every_tensor_is_used_or_named(tmp_path, change, told):
    folder = write_checkpoint(tmp_path, shard="1GB")
    path = folder / "model.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)
    with pytest.raises(WeightsError, match=told):
        load(folder)


def config_of(**changed):
    return json.dumps({"model_type": "instructblip"} | changed)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", None, "holds no config.json"),
        ("config.json", "{", "cannot be read"),
        ("config.json", config_of(model_type="llava"), "checkpoint of llava, wanted instructblip"),
        ("config.json", config_of(text_config={"model_type": "opt"}), "is opt, wanted llama or t5"),
        ("model-00002-of-00014.safetensors", None, "is not there, one of 14"),
        ("model-00002-of-00014.safetensors", "no tensors", "is damaged"),
        ("model.safetensors.index.json", None, "holds no weights"),
        ("preprocessor_config.json", None, "how pictures are normalised"),
        ("tokenizer.model", None, "holds no tokenizer"),
    ],
)
def test_a_wrong_or_damaged_folder_is_one_line(tmp_path, name, content, told):
    folder = write_checkpoint(tmp_path)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(WeightsError, match=told) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path, safe=False)
    torch.save({"query_tokens": print}, folder / "pytorch_model-00001-of-00002.bin")
    with pytest.raises(WeightsError, match="more than tensors"):
        load(folder)
