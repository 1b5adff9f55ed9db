"""Load a paper-scale model by name, hub id or folder, in the precision that fits.

The plan is made from the memory that is free, told, and tried; where it does not hold after all,
one step down is taken, and told.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from assistant.errors import InputError, ModelError, WeightsError
from assistant.model.assistant import VideoAssistant
from assistant.model.encoders.vit import ViTEncoder
from assistant.model.large.checkpoint import Checkpoint
from assistant.model.large.instructblip import build, build_encoder, sizes_of_checkpoint
from assistant.model.memory import (
    AUTO,
    CONTEXT,
    Plan,
    choose_plan,
    free_memory,
    step_down,
    within_memory,
)
from assistant.model.placement import choose_device, choose_dtype
from assistant.model.quantization import QUANTIZATIONS, check_quantization
from assistant.weights import store as weights_store
from assistant.weights.checkpoints import FILES
from assistant.weights.presets import model_name, source_of, terms_once
from assistant.weights.spaces import check_space

Tell = Callable[[str], None]
"""Gets what a person should know, a line each."""

LARGE = 1e9  # parameters: a processor answers in minutes
SMALL_FILES = ("*.json", "*.model", "*.txt", "qformer_tokenizer/*")
WEIGHTS = ("*.safetensors", "*.bin")  # the second only where there is none of the first
REHEARSED = 2  # tokens that are said in a rehearsal


def load_paper_scale(
    model: str,
    *,
    precision: str = AUTO,
    quantize: str = AUTO,
    device: str = AUTO,
    attention: str = "sdpa",
    frames: int = 8,
    context: int = CONTEXT,
    space: str = AUTO,
    tell: Tell | None = None,
) -> VideoAssistant:
    """The model that ``model`` names, ready to ask; its checkpoint is fetched where it is absent.

    Args:
        quantize: none, 8bit, 4bit, or auto: what fits into the free memory.
        device: auto is a GPU, where there is one. frames, context: what there must be room for.
        space: the joint space, as `assistant.model.loading.load_model` takes it.
        tell: gets the terms, the plan, and a step down.

    Raises:
        InputError: an unknown model or option. WeightsError: the checkpoint is not there, damaged,
            or of another architecture. ModelError: no CUDA, no bitsandbytes, not enough memory.
    """
    if quantize not in (AUTO, *QUANTIZATIONS):
        raise InputError(f"quantize is {quantize!r}; choose {', '.join((AUTO, *QUANTIZATIONS))}")
    check_space(space)
    place = choose_device(device, large=True)
    terms = None if tell is None else terms_once(model)
    tell = tell or _silence
    if terms is not None:
        tell(terms)
    checkpoint = Checkpoint(checkpoint_folder(model))
    kind = checkpoint.config["text_config"]["model_type"]
    dtype = _dtype(precision, place, kind)
    sizes = sizes_of_checkpoint(checkpoint)
    on_gpu = place.type == "cuda"
    plan = choose_plan(
        sizes,
        free_memory(place),
        quantize=quantize,
        dtype_bytes=dtype.itemsize,
        frames=frames,
        context=context,
        on_gpu=on_gpu,
    )
    tell(f"{model_name(model)} on {place.type}, {plan.as_text(sizes, free_memory(place))}")
    if not on_gpu and sizes.parameters > LARGE:
        tell("no GPU with CUDA is used: an answer takes half a minute or more")
    make = partial(
        _make,
        checkpoint.folder,
        model_name(model),
        dtype=dtype,
        device=place,
        attention="sdpa" if on_gpu else attention,
        space={"name": space, "device": device, "precision": precision, "quantize": quantize},
    )
    try:
        return make(plan)
    except torch.OutOfMemoryError as error:
        lower = step_down(plan, quantize, on_gpu)
        if lower is None:
            raise ModelError(
                f"not enough memory for {plan.precision}; close what else uses the GPU, or choose "
                "--quantize auto"
            ) from error
    torch.cuda.empty_cache()
    tell(f"that did not fit after all; one step down: {lower.precision}")
    try:
        return make(replace(lower, chunk=max(1, lower.chunk // 2)))
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"not enough memory, not for {lower.precision} either; close what else uses the GPU, "
            "or take --quantize 4bit, fewer --frames or a smaller model"
        ) from error


def _make(
    folder: Path,
    name: str,
    plan: Plan,
    *,
    dtype: torch.dtype,
    device: torch.device,
    attention: str,
    space: Mapping[str, str],
) -> VideoAssistant:
    """The model under ``plan``, tried on a GPU. Raises torch.OutOfMemoryError, ModelError.

    Args:
        space: of `VideoAssistant.use_space`.
    """
    for bits in {plan.llm_bits, plan.encoder_bits}:
        check_quantization(bits, device)
    model = build(Checkpoint(folder), name, plan, dtype=dtype, device=device, attention=attention)
    model.use_space(**space)
    return _tried(model, plan.frames, plan.context)


def _tried(model: VideoAssistant, frames: int, context: int) -> VideoAssistant:
    """On a GPU: ask once about as many frames and as long a text as was planned for."""
    if model.qformer.queries.device.type == "cuda":
        pictures = np.zeros((frames, 64, 64, 3), np.uint8)
        seen = model.encoder(pictures).patches[None]
        with torch.inference_mode():
            visual = model.visual_tokens(seen, ["?"])
            room = max(1, context - visual.shape[1] - REHEARSED)
            model.llm.complete(visual, [torch.ones(room, dtype=torch.long)], REHEARSED)
    return model


def load_paper_scale_encoder(
    model: str, precision: str, quantize: str, device: str, tell: Tell | None
) -> ViTEncoder:
    """The image encoder of a paper-scale model alone, ready to look; arguments and errors are those
    of :func:`load_paper_scale`."""
    if quantize not in (AUTO, *QUANTIZATIONS):
        raise InputError(f"quantize is {quantize!r}; choose {', '.join((AUTO, *QUANTIZATIONS))}")
    place = choose_device(device, large=True)
    terms = None if tell is None else terms_once(model)
    if tell is not None and terms is not None:
        tell(terms)
    checkpoint = Checkpoint(checkpoint_folder(model))
    dtype = _dtype(precision, place, checkpoint.config["text_config"]["model_type"])
    bits = 8 if quantize in ("8bit", "4bit") else 0  # as `choose_plan` has it
    check_quantization(bits, place)
    with within_memory():
        return build_encoder(checkpoint, bits, dtype=dtype, device=place).eval()


def checkpoint_folder(model: str) -> Path:
    """The folder with the checkpoint of a preset, a hub id or a folder.

    Raises:
        InputError: ``model`` is none of these. WeightsError: it cannot be fetched.
    """
    source = source_of(model)
    if isinstance(source, Path):
        return source
    for weights in WEIGHTS:
        folder = weights_store.ensure_hub(source, patterns=[*SMALL_FILES, weights])
        if any((folder / name).is_file() for names in FILES for name in names):
            return folder
    raise WeightsError(f"{source}: holds no weights; name an InstructBLIP checkpoint")


def _dtype(precision: str, device: torch.device, kind: str) -> torch.dtype:
    """What the frozen parts compute in.

    Raises:
        InputError: unknown, or one in which T5 overflows.
    """
    if precision == "fp16" and kind == "t5":
        raise InputError("precision fp16: Flan-T5 overflows in it; choose bf16 or fp32")
    return choose_dtype(precision, device, wide=kind == "t5")


def _silence(line: str) -> None:
    """Nobody listens."""
