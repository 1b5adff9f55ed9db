"""Build a model from its config, the fetched weights and the trained part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from assistant.core.config import ModelConfig, QFormerConfig, ViTConfig
from assistant.core.progress import report
from assistant.errors import InputError, WeightsError
from assistant.model.assistant import VideoAssistant
from assistant.model.encoders.loading import encoder_class, load_encoder
from assistant.model.llm import LanguageModel
from assistant.model.llm_weights import convert_gguf, load_language_model, merge_language_model
from assistant.model.memory import AUTO
from assistant.model.placement import choose_device, choose_precision
from assistant.model.qformer import QFormer, initialise_from_bert
from assistant.model.quantization import BITS, check_quantization, quantize_network
from assistant.model.tokens import Tokens
from assistant.model.weight_files import read_weights
from assistant.weights import store as weights_store
from assistant.weights.base import find_base
from assistant.weights.presets import preset_of
from assistant.weights.spaces import check_space

if TYPE_CHECKING:
    from assistant.model.large.loading import Tell

LOADING = "Loading the model (only this first time)"
FROZEN = ("qformer.embeddings.", ".intermediate.", ".output.dense", ".output.LayerNorm")


def load_model(
    name: str = "mini",
    *,
    base: Path | None = None,
    precision: str = AUTO,
    attention: str = "sdpa",
    quantize: str = AUTO,
    device: str = AUTO,
    frames: int = 8,
    space: str = AUTO,
    reading: bool = True,
    tell: Tell | None = None,
) -> VideoAssistant:
    """The named backend, ready to ask; fetches what the cache lacks.

    Args:
        name: a folder of the shipped adapters; or a paper-scale model: a preset, a hub id, or a
            folder with a checkpoint of InstructBLIP.
        base: folder of other base weights, for a shipped backend.
        precision: "fp32", "bf16", "fp16" or "auto" (bf16 where the processor has it).
        attention: "sdpa", or "eager", whose gradients a processor computes faster in bf16.
        quantize: "none", "8bit", "4bit" or "auto": what fits; nothing for a shipped backend.
        device: "cpu", "cuda" or "auto": a GPU for a paper-scale model, where there is one.
        frames: that memory is planned for, at paper scale.
        space: the joint space: "auto", the model's own, or CLIP, SigLIP, SigLIP 2 or BLIP-2-ITM by
            hub id or folder, on a GPU where there is one.
        reading: False leaves the language model as it was before it learned to read notes, as
            adapters are made for; so does quantization.
        tell: gets what a person should know while a paper-scale model loads, a line each.

    Raises:
        InputError: unknown name or option. WeightsError: weights missing, damaged or foreign.
        ModelError: no CUDA, no bitsandbytes, or not enough memory.
    """
    own = find_base(name, base)
    if own is None:
        from assistant.model.large.loading import load_paper_scale

        return load_paper_scale(
            name,
            precision=precision,
            quantize=quantize,
            device=device,
            attention=attention,
            frames=frames,
            space=space,
            tell=tell,
        )
    check_space(space)
    place = choose_device(device, large=False)
    if quantize not in (AUTO, *BITS):
        raise InputError(f"quantize is {quantize!r}; choose {', '.join((AUTO, *BITS))}")
    bits = BITS.get(quantize, 0)
    check_quantization(bits, place)
    read_weights(own.weights)  # what is damaged shows before what takes long
    dtype = choose_precision(precision)
    model = build_model(own.config, precision=precision, attention=attention)
    load_trained(model.qformer, own.weights)
    model.fingerprint = own.fingerprint
    if reading and not bits and (found := own.reading) is not None:
        told, weights = found
        merge_language_model(model.llm.network, read_weights(weights), told.lora)
        model.reads_notes(
            told.reads, weights.parent, lambda: _language_model(own.config, dtype, attention)
        )
    model.use_space(space, device=device, precision=precision, quantize=quantize)
    if bits:
        quantize_network(model.llm.network, bits, dtype, place)
    return model.to(place).eval()


def shape_of(name: str) -> tuple[QFormerConfig, int]:
    """Q-Former and patch width of a backend, by its name or folder; nothing is fetched.

    Raises:
        InputError: it is neither shipped, nor a preset, nor a checkpoint's folder.
    """
    own = find_base(name)
    if own is not None:
        config = own.config
        return config.qformer, encoder_class(config.encoder.kind).width_of(config.encoder)
    from assistant.model.large.checkpoint import Checkpoint
    from assistant.model.large.instructblip import model_config, qformer_config

    if preset_of(name) is not None and not Path(name).is_dir():
        return qformer_config({}), ViTConfig().width
    if not Path(name).is_dir():
        raise InputError(f"model {name!r} is unknown; give a preset or a checkpoint's folder")
    config = model_config(Checkpoint(Path(name)), name)
    return config.qformer, encoder_class(config.encoder.kind).width_of(config.encoder)


def build_model(
    config: ModelConfig, *, precision: str = AUTO, attention: str = "sdpa", seed: int = 0
) -> VideoAssistant:
    """The model at its initialisation: everything pretrained, nothing of ours trained."""
    dtype = choose_precision(precision)
    report(LOADING, 0.0)
    encoder = load_encoder(config, dtype)
    report(LOADING, 0.2)
    llm = _language_model(config, dtype, attention)
    report(LOADING, 0.6)
    qformer, bert = new_qformer(config.qformer, encoder.width, llm.width, attention, seed)
    initialise_projection(qformer, llm)
    report(LOADING, 0.9)
    return VideoAssistant(config, encoder, qformer, Tokens(bert), llm, fingerprint="untrained")


def new_qformer(
    config: QFormerConfig, patch_width: int, width: int, attention: str = "sdpa", seed: int = 0
) -> tuple[QFormer, Path]:
    """A Q-Former that begins as the text model from the registry, and that model's folder."""
    bert = weights_store.ensure_source(config.weights)
    with torch.device("meta"):  # no weight is set twice
        qformer = QFormer(config, patch_width, width, attention)
    qformer.to_empty(device="cpu").requires_grad_(True)
    initialise_from_bert(qformer, bert, seed)
    return qformer, bert


def _language_model(config: ModelConfig, dtype: torch.dtype, attention: str) -> LanguageModel:
    """As it comes from the registry."""
    folder = weights_store.ensure_source(config.llm.weights, prepare=convert_gguf)
    return load_language_model(folder, config.llm, dtype, attention)


@torch.no_grad()
def initialise_projection(qformer: QFormer, llm: LanguageModel) -> None:
    """Let visual tokens start with the mean and the spread of the LLM's own input embeddings."""
    words = llm.network.get_input_embeddings().weight.float()
    qformer.projection.weight.normal_(
        0.0, float((words - words.mean(0)).std()) / qformer.config.width**0.5
    )
    qformer.projection.bias.copy_(words.mean(0))


def trained_names(qformer: QFormer) -> list[str]:
    """Parameters that pretraining changes: all but the text's embeddings and feed-forward."""
    return [
        name
        for name, _ in qformer.named_parameters()
        if "attention" in name or not any(part in name for part in FROZEN)
    ]


def load_trained(qformer: QFormer, path: Path) -> None:
    """Fill the trained parameters from ``path``; every one of them and nothing else.

    Raises:
        WeightsError: file missing or damaged, a key missing, unknown or of another shape, a number
            that is not finite.
    """
    state = read_weights(path)
    wanted = trained_names(qformer)
    missing, unknown = set(wanted) - set(state), set(state) - set(wanted)
    if missing or unknown:
        raise WeightsError(
            f"{path}: lacks {sorted(missing)[:3]} and has unknown {sorted(unknown)[:3]}; "
            "these weights belong to another config"
        )
    own = qformer.state_dict()
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise WeightsError(
                f"{path}: {name} is {tuple(value.shape)}, the config wants {tuple(own[name].shape)}"
            )
        own[name].copy_(value)
