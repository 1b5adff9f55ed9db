"""A causal language model of a model hub, on this machine, by its own chat template."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from assistant.core.progress import report
from assistant.core.shortage import pass_on_memory
from assistant.errors import InputError, ModelError, WeightsError
from assistant.model.chat.base import ChatModel, Message
from assistant.model.memory import (
    AUTO,
    HEADROOM,
    Part,
    free_memory,
    gigabytes,
    part_of,
    within_memory,
)
from assistant.model.placement import choose_device, choose_dtype
from assistant.model.quantization import (
    BITS,
    QUANTIZATIONS,
    check_quantization,
    let_gradients_through,
)
from assistant.weights.causal import fetch_small, fetch_weights

CONTEXT = 4096  # tokens that memory is planned for: notes, conversation and answer
LARGE = 1.5e9  # parameters: a processor reads the notes for a minute or more
CLOSE = "close what else uses it, take a smaller model, or a server (--llm http://...)"
CHAT = "give one that was tuned to chat, mostly called -Instruct, -it or -chat"


class HubChat(ChatModel):
    """The network at work, greedily."""

    place = "this machine"

    def __init__(self, name: str, network: Any, tokenizer: Any) -> None:
        self.name = name
        self.network, self.tokenizer = network.requires_grad_(False).eval(), tokenizer
        positions = getattr(network.config.get_text_config(), "max_position_embeddings", None)
        self.context = min(positions or CONTEXT, CONTEXT)

    def prepare(self) -> None:
        """It is loaded."""

    def fits(self, messages: Sequence[Message], max_tokens: int) -> bool:
        return self.ids(messages).shape[1] + max_tokens <= self.context

    def parameters(self) -> Iterable[Tensor]:
        return self.network.parameters()

    def ids(self, messages: Sequence[Message]) -> Tensor:
        """Of the messages in its own chat template, ``(1, N)``. Raises WeightsError: it has none
        that can be used."""
        try:
            return self._templated(messages)
        except Exception as error:  # a template is a program: it may raise anything
            system, first, *rest = messages  # some refuse a system's turn
            merged = Message(first.role, f"{system.text}\n\n{first.text}")
            try:
                return self._templated([merged, *rest])
            except Exception:
                told = str(error).strip().partition("\n")[0][:160]
                raise WeightsError(
                    f"{self.name}: its chat template cannot be used ({told}); {CHAT}"
                ) from error

    def _templated(self, messages: Sequence[Message]) -> Tensor:
        turns = [message.as_dict() for message in messages]
        # ``enable_thinking``: Qwen's; other templates do not look at it.
        text = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False, enable_thinking=False
        )
        ids = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        return ids.to(self.network.device)

    def pieces(self, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        ids = self.ids(messages)
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        stop, failed = threading.Event(), list[BaseException]()

        def work() -> None:
            try:
                with torch.inference_mode(), within_memory(CLOSE):
                    self.network.generate(
                        ids,
                        attention_mask=torch.ones_like(ids),
                        max_new_tokens=max_tokens,
                        do_sample=False,
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([_ReaderLeft(stop)]),
                    )
            except BaseException as error:
                failed.append(error)
                streamer.end()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield from streamer
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]


class _ReaderLeft(StoppingCriteria):
    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: object) -> Tensor:
        return torch.full((len(input_ids),), self.stop.is_set(), device=input_ids.device)


def load_hub_chat(
    source: Path | str,
    name: str,
    *,
    device: str = AUTO,
    precision: str = AUTO,
    quantize: str = AUTO,
    tell: Callable[[str], None] | None = None,
) -> HubChat:
    """The language model in a folder, or of a hub id, whose weights are fetched once there is room.

    Args:
        device: auto is a GPU, where there is one.
        quantize: auto is the first that fits into the free memory: none, 8bit on a GPU, 4bit.
        tell: gets what memory it takes.

    Raises:
        InputError: an unknown option. WeightsError: it is not there, damaged, or no model that
            chats. ModelError: no CUDA, no bitsandbytes, not enough memory.
    """
    if quantize not in (AUTO, *QUANTIZATIONS):
        raise InputError(f"quantize is {quantize!r}; choose {', '.join((AUTO, *QUANTIZATIONS))}")
    place = choose_device(device, large=True)
    dtype = choose_dtype(precision, place)
    report(f"Loading {name.removeprefix('llm:')}", 0.0)
    folder = fetch_small(source)
    config = _config(folder)
    tokenizer = _tokenizer(folder)
    part = part_of(lambda: AutoModelForCausalLM.from_config(config))
    bits, plan = choose_bits(
        part, cache_bytes(config, dtype.itemsize), free_memory(place), quantize, dtype.itemsize,
        on_gpu=place.type == "cuda",
    )  # fmt: skip
    check_quantization(bits, place)
    if tell is not None:
        tell(f"{name} on {place.type}, {plan}")
        if place.type != "cuda" and part.parameters > LARGE:
            tell("no GPU with CUDA is used: an answer may take minutes")
    network = _network(fetch_weights(source), bits, dtype, place)
    return HubChat(name, network, tokenizer)


def choose_bits(
    part: Part, work: int, free: int, quantize: str, plain: int, *, on_gpu: bool
) -> tuple[int, str]:
    """In how many bits (0: as they are) the weights fit into ``free`` bytes, and that in words.

    Args:
        work: bytes beside the weights. plain: bytes of a number that is not quantized.
    Raises:
        ModelError: in none that ``quantize`` allows.
    """
    ways = ((0, 8, 4) if on_gpu else (0, 4)) if quantize == AUTO else (BITS[quantize],)
    for bits in ways:
        need = round((part.weight_bytes(bits, plain) + work) * (1.0 + HEADROOM))
        told = f"{bits or 8 * plain} bit: needs {gigabytes(need)}, {gigabytes(free)} are free"
        if need <= free:
            return bits, told
    more = "" if 4 in ways else ", or choose --quantize 4bit"
    raise ModelError(f"not enough memory, {told}; {CLOSE}{more}")


def cache_bytes(config: Any, plain: int) -> int:
    """What keys, values and one layer's activations of ``CONTEXT`` tokens take."""
    text = config.get_text_config()
    heads = getattr(text, "num_attention_heads", None) or 1
    width = getattr(text, "hidden_size", None) or 1024
    inner = getattr(text, "intermediate_size", None) or 4 * width
    kept = (getattr(text, "num_key_value_heads", None) or heads) * (
        getattr(text, "head_dim", None) or width // heads
    )
    layers = getattr(text, "num_hidden_layers", None) or 1
    return CONTEXT * (2 * layers * kept + 8 * width + 3 * inner) * plain


def _config(folder: Path) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # damaged files make the libraries raise anything
        raise _unusable(folder, "config", error) from error
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise WeightsError(
            f"{folder}: is a checkpoint of {config.model_type}, wanted a causal language model; "
            f"{CHAT}"
        )
    return config


def _tokenizer(folder: Path) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise _unusable(folder, "tokenizer", error) from error
    if not tokenizer.chat_template:
        raise WeightsError(f"{folder}: has no chat template; {CHAT}")
    return tokenizer


def _network(folder: Path, bits: int, dtype: torch.dtype, place: torch.device) -> Any:
    quantized = {
        8: BitsAndBytesConfig(load_in_8bit=True),
        4: BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
    }
    logging.disable_progress_bar()
    try:
        with within_memory(CLOSE):
            network, found = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                device_map={"": place},
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **({"quantization_config": quantized[bits]} if bits else {}),
            )
    except ModelError:
        raise
    except Exception as error:  # damaged files make the libraries raise anything
        raise _unusable(folder, "weights", error) from error
    if missing := sorted(map(str, found["missing_keys"])):
        raise WeightsError(
            f"{folder}: lacks {missing[0]}, one of {len(missing)}; get the whole checkpoint"
        )
    if bits:
        let_gradients_through(network)  # the packed kernel takes some shapes alone
    return network


def _unusable(folder: Path, what: str, error: BaseException) -> WeightsError:
    pass_on_memory(error)
    told = str(error).strip().partition("\n")[0][:160]
    return WeightsError(f"{folder}: holds no usable {what} ({told}); get the whole checkpoint")
