"""Paper-scale backends: InstructBLIP with Vicuna or Flan-T5, from a checkpoint in the hub's format.

The classes are those of mini; only sizes and weights differ, and the image encoder is a ViT. What
a checkpoint calls each of our weights stands here as a whole: hence the length.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    InstructBlipVisionModel,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    T5Config,
)

from assistant.core.config import LLMConfig, ModelConfig, QFormerConfig, ViTConfig
from assistant.core.shortage import pass_on_memory
from assistant.errors import WeightsError
from assistant.model.assistant import VideoAssistant
from assistant.model.encoders.base import weights_digest
from assistant.model.encoders.vit import ViTEncoder
from assistant.model.large.checkpoint import Checkpoint
from assistant.model.large.encoder_decoder import EncoderDecoder
from assistant.model.llm import LanguageModel
from assistant.model.memory import Part, Plan, Sizes, part_of
from assistant.model.qformer import QFormer
from assistant.weights.checkpoints import read_json
from assistant.weights.presets import LLMShape, read_presets

TOKENIZER = "qformer_tokenizer"  # folder of the Q-Former's
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.txt")
PROCESSORS = (  # file, and the key under which newer ones keep the image processor's settings
    ("preprocessor_config.json", None),
    ("video_preprocessor_config.json", None),
    ("processor_config.json", "image_processor"),
    ("processor_config.json", "video_processor"),
)
QFORMER_NAMES = (("queries", "query_tokens"), ("projection.", "language_projection."))  # ours first
QUERIES, VOCABULARY = 32, 30523  # of every published Q-Former: BERT's words and "[DEC]"
GELU_ONLY = {"hidden_act": "gelu", "layer_norm_eps": 1e-12}  # of the Q-Former, built in


def build(
    checkpoint: Checkpoint,
    name: str,
    plan: Plan,
    *,
    dtype: torch.dtype,
    device: torch.device,
    attention: str = "sdpa",
) -> VideoAssistant:
    """The model in ``checkpoint`` on ``device``, frozen; the Q-Former is fp32.

    Raises:
        WeightsError: a tensor is missing, has another shape, or has no place in the model.
        torch.OutOfMemoryError: it does not fit after all.
    """
    config = model_config(checkpoint, name)
    encoder = build_encoder(checkpoint, plan.encoder_bits, dtype=dtype, device=device)
    encoder.chunk = plan.chunk
    llm = _language_model(checkpoint, config.llm, plan, dtype, device, attention)
    qformer = _qformer(checkpoint, config.qformer, encoder.width, llm.width, device, attention)
    checkpoint.finish()
    tokenizer = _tokenizer(checkpoint.folder, TOKENIZER)
    fingerprint = f"instructblip-{weights_digest(qformer)}"  # whatever its folder is called
    return VideoAssistant(config, encoder, qformer, tokenizer, llm, fingerprint).eval()


def build_encoder(
    checkpoint: Checkpoint, bits: int, *, dtype: torch.dtype, device: torch.device
) -> ViTEncoder:
    """The image encoder in ``checkpoint`` alone, quantized to ``bits`` (0: not).

    Raises:
        WeightsError: as :func:`build`. torch.OutOfMemoryError: it does not fit.
    """
    seen = vit_config(checkpoint)
    with init_empty_weights():
        network = _vision(checkpoint.config["vision_config"])
    checkpoint.fill(network, "vision_model.{}".format, dtype=dtype, device=device, bits=bits)
    encoder = ViTEncoder(network, seen, f"vit-{weights_digest(network.embeddings)}")
    return encoder.to(device)


def model_config(checkpoint: Checkpoint, name: str) -> ModelConfig:
    """The checkpoint's config as ours.

    Raises:
        WeightsError: it asks for something that this Q-Former does not do.
    """
    shape = checkpoint.config.get("qformer_config", {})
    for key, built in GELU_ONLY.items():
        if shape.get(key, built) != built:
            raise WeightsError(
                f"{checkpoint.folder}: its Q-Former has {key} {shape[key]}, wanted {built}; "
                "give an InstructBLIP checkpoint"
            )
    own = qformer_config(shape, checkpoint.config.get("num_query_tokens", QUERIES))
    family = read_presets().families[checkpoint.config["text_config"]["model_type"]]
    own, llm = replace(own, weights=name), replace(family, weights=name)
    return ModelConfig(name, vit_config(checkpoint), own, llm)


def vit_config(checkpoint: Checkpoint) -> ViTConfig:
    """The image encoder's config as ours. Raises WeightsError: no file says how it sees colors."""
    vision = InstructBlipVisionConfig(**_plain(checkpoint.config["vision_config"]))
    mean, std = _normalisation(checkpoint.folder)
    assert isinstance(vision.image_size, int) and isinstance(vision.patch_size, int)
    return ViTConfig(
        size=vision.image_size,
        patch=vision.patch_size,
        width=vision.hidden_size,
        layers=vision.num_hidden_layers,
        mean=mean,
        std=std,
    )


def qformer_config(shape: Mapping[str, Any], queries: int = QUERIES) -> QFormerConfig:
    """A hub's ``qformer_config`` as ours; what it does not say is as InstructBLIP has it."""
    found = InstructBlipQFormerConfig(**_plain({"vocab_size": VOCABULARY} | dict(shape)))
    return QFormerConfig(
        weights="",
        queries=queries,
        width=found.hidden_size,
        layers=found.num_hidden_layers,
        heads=found.num_attention_heads,
        intermediate=found.intermediate_size,
        cross_every=found.cross_attention_frequency,
        text_positions=found.max_position_embeddings,
        vocabulary=found.vocab_size,
    )


def sizes_of_checkpoint(checkpoint: Checkpoint) -> Sizes:
    """Sizes as its ``config.json`` says."""
    config = checkpoint.config
    queries = config.get("num_query_tokens", QUERIES)
    shape = qformer_config(config.get("qformer_config", {}), queries)
    return _sizes(config["vision_config"], shape, _text(config))


def sizes_of_preset(shape: LLMShape) -> Sizes:
    """Sizes of a named model, without its checkpoint."""
    return _sizes({}, qformer_config({}), _text_of_shape(shape))


def _sizes(vision: Mapping[str, Any], own: QFormerConfig, text: PretrainedConfig) -> Sizes:
    seen = InstructBlipVisionConfig(**_plain(vision))
    llm: Part = part_of(lambda: _empty_llm(text, torch.float32, "eager"))
    if text.model_type == "t5":
        inner, layers = text.d_ff, text.num_decoder_layers
        cached = 4 * layers * text.num_heads * text.d_kv  # of its own words, and of what it read
    else:
        inner, layers = text.intermediate_size, text.num_hidden_layers
        cached = 2 * layers * text.num_key_value_heads * text.head_dim
    assert isinstance(seen.image_size, int) and isinstance(seen.patch_size, int)
    return Sizes(
        encoder=part_of(lambda: _vision(vision)),
        qformer=part_of(lambda: QFormer(own, seen.hidden_size, text.hidden_size)),
        llm=llm,
        patches=(seen.image_size // seen.patch_size) ** 2 + 1,
        patch_width=seen.hidden_size,
        encoder_inner=seen.intermediate_size,
        qformer_width=own.width,
        llm_width=text.hidden_size,
        llm_inner=inner,
        cache_width=cached,
    )


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A nested config without what only names its class."""
    return {k: v for k, v in config.items() if k not in ("model_type", "torch_dtype", "dtype")}


def _vision(config: Mapping[str, Any], attention: str = "sdpa") -> InstructBlipVisionModel:
    return InstructBlipVisionModel._from_config(
        InstructBlipVisionConfig(**_plain(config)), attn_implementation=attention
    )


def _text(config: Mapping[str, Any]) -> PretrainedConfig:
    """The language model's config; a frozen T5 drops nothing out, also while others learn."""
    text = _plain(config["text_config"])
    if config["text_config"]["model_type"] == "t5":
        return T5Config(**{"decoder_start_token_id": 0} | text | {"dropout_rate": 0.0})
    return LlamaConfig(**text)


def _text_of_shape(shape: LLMShape) -> PretrainedConfig:
    if shape.kind == "t5":
        return T5Config(
            vocab_size=shape.vocabulary,
            d_model=shape.width,
            d_kv=shape.head_width,
            d_ff=shape.feed_forward,
            num_layers=shape.layers,
            num_heads=shape.heads,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        )
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        head_dim=shape.head_width,
    )


def _empty_llm(text: PretrainedConfig, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    kind = AutoModelForSeq2SeqLM if text.is_encoder_decoder else AutoModelForCausalLM
    network: PreTrainedModel = kind.from_config(text, dtype=dtype, attn_implementation=attention)
    if text.is_encoder_decoder:
        network.set_input_embeddings(network.get_input_embeddings())  # one table for both sides
        if not text.scale_decoder_outputs:  # Flan-T5: the output layer is its own
            head = network.get_output_embeddings()
            head.weight = nn.Parameter(torch.empty_like(head.weight))
    return network


def _language_model(
    checkpoint: Checkpoint,
    config: LLMConfig,
    plan: Plan,
    dtype: torch.dtype,
    device: torch.device,
    attention: str,
) -> LanguageModel:
    text = _text(checkpoint.config)
    with init_empty_weights():
        network = _empty_llm(text, dtype, attention)
    checkpoint.fill(
        network, "language_model.{}".format, dtype=dtype, device=device, bits=plan.llm_bits
    )
    if "language_model.lm_head.weight" not in checkpoint.names:  # T5 1.0
        network.get_output_embeddings().weight = network.get_input_embeddings().weight
    network.to(device)  # buffers
    tokenizer = _tokenizer(checkpoint.folder)
    network.generation_config = GenerationConfig(  # not the settings that old configs carry
        bos_token_id=getattr(text, "bos_token_id", None),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=text.pad_token_id,
        decoder_start_token_id=getattr(text, "decoder_start_token_id", None),
    )
    kind = EncoderDecoder if text.is_encoder_decoder else LanguageModel
    return kind(network, tokenizer, config)


def _qformer(
    checkpoint: Checkpoint,
    config: QFormerConfig,
    patch_width: int,
    token_width: int,
    device: torch.device,
    attention: str,
) -> QFormer:
    with init_empty_weights():
        qformer = QFormer(config, patch_width, token_width, attention)
    checkpoint.fill(qformer, _hub_name, dtype=torch.float32, device=device)
    return qformer.to(device)


def _hub_name(name: str) -> str:
    """Where a checkpoint keeps a parameter of our :class:`QFormer`."""
    for ours, theirs in QFORMER_NAMES:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and spread of each color, as the checkpoint's image processor has them.

    Raises:
        WeightsError: no file says so.
    """
    for name, key in PROCESSORS:
        if (folder / name).is_file():
            found = read_json(folder / name)
            found = found if key is None else found.get(key, {})
            if "image_mean" in found and "image_std" in found:
                return tuple(found["image_mean"]), tuple(found["image_std"])
    wanted = ", ".join(dict.fromkeys(name for name, _ in PROCESSORS))
    raise WeightsError(
        f"{folder}: no file says how pictures are normalised (wanted one of {wanted}); "
        "get the whole checkpoint"
    )


def _tokenizer(folder: Path, subfolder: str = "") -> Any:
    place = folder / subfolder
    if not any((place / name).is_file() for name in VOCABULARIES):  # else it would know 3 words
        raise WeightsError(
            f"{place}: holds no tokenizer (wanted one of {', '.join(VOCABULARIES)}); "
            "get the whole checkpoint"
        )
    try:
        return AutoTokenizer.from_pretrained(place, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        pass_on_memory(error)
        told = str(error).partition("\n")[0][:120]
        raise WeightsError(
            f"{place}: holds no usable tokenizer ({told}); get the whole checkpoint"
        ) from error
