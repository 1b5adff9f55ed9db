"""Tiny random checkpoints in the hub's exact format: InstructBLIP(Video) with Llama or T5.

transformers' own classes make the weights, so that names and shapes are the hub's; sentencepiece
trains the tokenizers. Vision and queries get weights large enough to see.
"""

from __future__ import annotations

import json
import random
from functools import lru_cache
from pathlib import Path

import sentencepiece
import torch
from tiny import letter_tokenizer
from transformers import (
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipVideoConfig,
    InstructBlipVideoForConditionalGeneration,
)
from transformers.utils.logging import disable_progress_bar

SAID = (
    "what is the man doing in this video question short answer yes no red blue left right a dog "
    "runs on grass one two three where who Question Short"
)
SIDE, PATCH = 28, 14
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
    "initializer_range": 0.1,  # 1e-10 by default: blind
}
QFORMER = {
    "vocab_size": 120,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.1,  # as on the hub; nothing drops out in evaluation
    "initializer_range": 0.2,
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 328,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.15,
}
T5 = {
    "model_type": "t5",
    "vocab_size": 56,
    "d_model": 64,
    "d_kv": 16,
    "d_ff": 128,
    "num_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "dropout_rate": 0.1,
    "initializer_factor": 1.0,
}
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def write_checkpoint(
    folder: Path,
    llm: str = "llama",
    *,
    video: bool = False,
    safe: bool = True,
    shard: str = "60KB",
    seed: int = 0,
) -> Path:
    """A whole checkpoint in ``folder``; ``safe`` False writes pickled ``.bin`` files."""
    disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    model = hub_model(llm, video=video, seed=seed)
    model.save_pretrained(folder, max_shard_size=shard)
    _as_published(folder / "config.json", llm)
    if not safe:
        _as_bin(folder, model)
    return write_words(folder, llm)


def hub_model(llm: str = "llama", *, video: bool = False, seed: int = 0) -> torch.nn.Module:
    """transformers' own model, tiny, with weights that see."""
    torch.manual_seed(seed)
    parts = {
        "vision_config": VISION,
        "qformer_config": QFORMER,
        "text_config": LLAMA if llm == "llama" else T5,
        "num_query_tokens": 4,
    }
    last = parts["text_config"]["vocab_size"] - 1
    if video:
        config = InstructBlipVideoConfig(**parts, video_token_index=last)
        model = InstructBlipVideoForConditionalGeneration(config)
    else:
        config = InstructBlipConfig(**parts, image_token_index=last)
        model = InstructBlipForConditionalGeneration(config)
    with torch.no_grad():
        model.query_tokens.normal_(0.0, 0.3)
        for layer in model.vision_model.encoder.layers:
            layer.self_attn.qkv.bias.normal_(0.0, 0.1)
        if llm == "t5":  # Flan-T5 has an output layer of its own
            head = model.language_model.lm_head
            head.weight = torch.nn.Parameter(torch.randn_like(head.weight) * 0.3)
            model.language_model.config.scale_decoder_outputs = False
    return model.eval()


def _as_published(path: Path, llm: str) -> None:
    """What the hub's config says and transformers no longer writes, and settings of 2023."""
    config = json.loads(path.read_text())
    config["text_config"] |= {"torchscript": False, "num_beams": 1, "max_length": 20, "top_k": 50}
    if llm == "t5":
        config["text_config"]["tie_word_embeddings"] = False
        config["text_config"].pop("scale_decoder_outputs", None)
    path.write_text(json.dumps(config))


def _as_bin(folder: Path, model: torch.nn.Module) -> None:
    """The same weights as the hub's older files: two pickles and their index."""
    for path in folder.glob("model*.safetensors*"):
        path.unlink()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if "language_model.shared.weight" in state:  # older files hold the shared embeddings thrice
        for side in ("encoder", "decoder"):
            state[f"language_model.{side}.embed_tokens.weight"] = state[
                "language_model.shared.weight"
            ].clone()
    else:
        for layer in range(LLAMA["num_hidden_layers"]):
            name = f"language_model.model.layers.{layer}.self_attn.rotary_emb.inv_freq"
            state[name] = torch.ones(8)
    state["qformer.embeddings.position_ids"] = torch.arange(40)[None]
    names = sorted(state)
    places = {}
    for number, some in enumerate((names[::2], names[1::2]), 1):
        shard = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save({name: state[name] for name in some}, folder / shard)
        places |= dict.fromkeys(some, shard)
    index = {"metadata": {}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def write_words(folder: Path, llm: str) -> Path:
    """All of a checkpoint but its weights and config: tokenizers, and how pictures are prepared.

    The LLM's is a sentencepiece model alone, as on the hub before there was ``tokenizer.json``.
    """
    name, model, config = _tokenizer(llm)
    (folder / name).write_bytes(model)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    letter_tokenizer(bert=True).save_pretrained(folder / "qformer_tokenizer")
    size = {"height": SIDE, "width": SIDE}
    processor = {"image_mean": MEAN, "image_std": STD, "size": size, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@lru_cache(maxsize=2)
def _tokenizer(llm: str) -> tuple[str, bytes, dict]:
    import io

    draw = random.Random(0)
    lines = [" ".join(draw.choices(SAID.split(), k=6)) + draw.choice(".:?!,") for _ in range(400)]
    options = {"sentence_iterator": iter(lines), "minloglevel": 2, "hard_vocab_limit": False}
    out = io.BytesIO()
    if llm == "llama":
        sentencepiece.SentencePieceTrainer.train(
            model_writer=out,
            model_type="bpe",
            vocab_size=320,
            byte_fallback=True,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            **options,
        )
        config = {
            "tokenizer_class": "LlamaTokenizer",
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<unk>",
        }
        return "tokenizer.model", out.getvalue(), config
    sentencepiece.SentencePieceTrainer.train(
        model_writer=out,
        model_type="unigram",
        vocab_size=52,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        **options,
    )
    config = {
        "tokenizer_class": "T5Tokenizer",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "extra_ids": 0,
    }
    return "spiece.model", out.getvalue(), config
