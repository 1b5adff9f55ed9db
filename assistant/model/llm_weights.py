"""The frozen language model's weights: a folder of safetensors, or a GGUF file turned into one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from assistant.core.config import LLMConfig, LoraSettings
from assistant.core.progress import report
from assistant.errors import WeightsError
from assistant.model.llama import read_config, read_llama
from assistant.model.llm import LanguageModel
from assistant.model.tokens import Tokens

LORA_PARTS = ("lora_A", "lora_B")


def load_language_model(
    folder: Path, config: LLMConfig, dtype: torch.dtype, attention: str = "sdpa"
) -> LanguageModel:
    """The LLM saved in ``folder`` (safetensors), frozen, in ``dtype``."""
    shape = read_config(folder)
    if shape is not None:
        return LanguageModel(read_llama(folder, shape, dtype, attention), Tokens(folder), config)
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # loading takes less than a second
    network = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return LanguageModel(network, tokenizer, config)


def convert_gguf(raw: Path, out: Path) -> None:
    """Turn the one GGUF file in ``raw`` into fp16 safetensors with tokenizer in ``out``.

    Reading GGUF takes tens of seconds, so it is done once.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = next(raw.rglob("*.gguf"))
    with _bars_reported(f"Converting {source.stem}"):
        network = AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, dtype=torch.float32
        )
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    config = network.config
    del config.quantization_config  # the weights below are plain numbers
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    plain.load_state_dict({name: value.half() for name, value in network.state_dict().items()})
    plain.tie_weights()
    plain.generation_config = network.generation_config
    plain.save_pretrained(out)
    tokenizer.save_pretrained(out)


@contextmanager
def _bars_reported(doing: str) -> Iterator[None]:
    """Tell how far the library's reader of GGUF is, which only moves a bar."""
    from transformers import modeling_gguf_pytorch_utils as reader

    def told(tensors: Sequence[object], **_: object) -> Iterator[object]:
        for number, tensor in enumerate(tensors):
            report(doing, number, len(tensors))
            yield tensor

    bar, reader.tqdm = reader.tqdm, told
    try:
        yield
    finally:
        reader.tqdm = bar


def merge_language_model(
    network: nn.Module, state: Mapping[str, Tensor], lora: LoraSettings
) -> None:
    """Add what `assistant.model.lora.tune_language_model` taught to the weights themselves.

    Raises:
        WeightsError: ``state`` is of another network.
    """
    modules = {f"{n}.{part}": m for n, m in network.named_modules() for part in LORA_PARTS}
    for name, value in state.items():
        module = modules.get(name)
        if not isinstance(module, nn.Linear) or lora.rank not in value.shape:
            raise WeightsError(f"{name} {tuple(value.shape)} is of another language model")
    for name in sorted({name.rpartition(".")[0] for name in state}):
        down, up = (state[f"{name}.{part}"].float() for part in LORA_PARTS)
        weight = modules[f"{name}.{LORA_PARTS[0]}"].weight
        with torch.no_grad():
            weight += ((lora.alpha / lora.rank) * (up @ down)).to(weight)
