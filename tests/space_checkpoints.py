"""Tiny random joint spaces in the hub's format: CLIP, SigLIP, SigLIP 2 and BLIP-2-ITM.

transformers' own classes make weights and tokenizers; configs of tokenizers and image processors
are as the hub has them.
"""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import sentencepiece
import torch
from checkpoints import MEAN, SAID, STD
from transformers import (
    BertTokenizer,
    Blip2Config,
    Blip2ForImageTextRetrieval,
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedModel,
    Siglip2Config,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
)
from transformers.utils.logging import disable_progress_bar

KINDS = ("clip", "siglip", "siglip2", "siglip2-fixed", "blip-2")
SIDE, PATCH = 32, 8
QUERIES = 4
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = TOWER | {"image_size": SIDE, "patch_size": PATCH}
WORDS = sorted(set(SAID.lower().split()))


def write_space(folder: Path, kind: str, *, safe: bool = True, seed: int = 0) -> Path:
    """A whole checkpoint in ``folder``; ``safe`` False writes a pickled ``.bin`` file."""
    disable_progress_bar()
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    network = BUILDERS[kind](folder)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1:
                value.normal_(0.0, 0.25)
            elif name == "logit_scale":
                value.fill_(1.5)
    network.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return folder


def _clip(folder: Path) -> PreTrainedModel:
    letters = [letter + end for letter in ascii_lowercase for end in ("", "</w>")]
    vocabulary = {token: i for i, token in enumerate([*letters, "<|startoftext|>"])}
    vocabulary["<|endoftext|>"] = len(vocabulary)
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    square = {"do_center_crop": True, "crop_size": SIDE, "size": SIDE}
    _write(  # as openai's checkpoints of 2021 have it
        folder / "preprocessor_config.json",
        {"feature_extractor_type": "CLIPFeatureExtractor", "image_mean": MEAN, "image_std": STD}
        | {"do_normalize": True, "do_resize": True, "resample": 3}
        | square,
    )
    text = TOWER | {"vocab_size": len(vocabulary), "max_position_embeddings": 16}
    text |= {"eos_token_id": 2}  # as theirs: the end is the highest token
    return CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24))


def _siglip(folder: Path) -> PreTrainedModel:
    draw = random.Random(0)
    lines = [" ".join(draw.choices(WORDS, k=6)) for _ in range(400)]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        vocab_size=60,
        pad_id=-1,
        eos_id=1,
        unk_id=2,
        bos_id=0,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    (folder / "spiece.model").write_bytes(out.getvalue())
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "SiglipTokenizer", "do_lower_case": True, "model_max_length": 64}
        | {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
        | {"model_input_names": ["input_ids"]},
    )
    return _siglip_network(folder, 64)


def _siglip_network(folder: Path, vocabulary: int) -> PreTrainedModel:
    _write(
        folder / "preprocessor_config.json",
        {"image_processor_type": "SiglipImageProcessor", "processor_class": "SiglipProcessor"}
        | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
        | {"size": {"height": SIDE, "width": SIDE}},
    )
    text = TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 16}
    return SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))


def _siglip2(folder: Path) -> PreTrainedModel:
    vocabulary = _gemma_tokenizer(folder)
    _write(
        folder / "preprocessor_config.json",
        {"image_processor_type": "Siglip2ImageProcessor", "processor_class": "Siglip2Processor"}
        | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
        | {"patch_size": PATCH, "max_num_patches": (SIDE // PATCH) ** 2},
    )
    text = TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 16}
    vision = TOWER | {"patch_size": PATCH, "num_patches": (SIDE // PATCH) ** 2}
    return Siglip2Model(Siglip2Config(text_config=text, vision_config=vision))


def _siglip2_fixed(folder: Path) -> PreTrainedModel:
    """SigLIP 2 of one resolution is a SigLIP with Gemma's tokenizer, which keeps capitals."""
    return _siglip_network(folder, _gemma_tokenizer(folder))


def _gemma_tokenizer(folder: Path) -> int:
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokens = [*special, "▁", *ascii_lowercase, *ascii_lowercase.upper(), ".", "?"]
    Siglip2Tokenizer({token: i for i, token in enumerate(tokens)}, []).save_pretrained(folder)
    path = folder / "tokenizer.json"
    core = json.loads(path.read_text())
    core["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    path.write_text(json.dumps(core))
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    _write(
        path,
        config
        | {"tokenizer_class": "GemmaTokenizer", "padding_side": "right"}
        | {"model_input_names": ["input_ids"]},
    )
    return len(tokens)


def _blip2(folder: Path) -> PreTrainedModel:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*ascii_lowercase, *("##" + letter for letter in ascii_lowercase), "?", "."]
    tokens = dict.fromkeys([*special, *WORDS, *pieces])  # a word of one letter is one of both
    vocabulary = {token: i for i, token in enumerate(tokens)}
    vocabulary["[DEC]"] = len(vocabulary)
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=True)
    tokenizer.add_tokens(["<image>"], special_tokens=True)  # one more than there are embeddings
    tokenizer.save_pretrained(folder)
    _write(
        folder / "preprocessor_config.json",
        {"image_processor_type": "BlipImageProcessor", "processor_class": "Blip2Processor"}
        | {"image_mean": MEAN, "image_std": STD, "resample": 3}
        | {"size": {"height": SIDE, "width": SIDE}},
    )
    _write(
        folder / "processor_config.json",
        {"processor_class": "Blip2Processor", "num_query_tokens": QUERIES},
    )
    qformer = TOWER | {"vocab_size": len(vocabulary), "max_position_embeddings": 20}
    qformer |= {"use_qformer_text_input": True, "hidden_dropout_prob": 0.1}
    config = Blip2Config(
        vision_config=VISION,
        qformer_config=qformer,
        text_config={"model_type": "opt"},
        num_query_tokens=QUERIES,
        image_text_hidden_size=24,
        image_token_index=len(vocabulary),
    )
    return Blip2ForImageTextRetrieval(config)


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values))


BUILDERS = {
    "clip": _clip,
    "siglip": _siglip,
    "siglip2": _siglip2,
    "siglip2-fixed": _siglip2_fixed,
    "blip-2": _blip2,
}
