"""A tiny random causal language model with a chat template, as the hub has them."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny import letter_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

TEMPLATE = (
    "{% for message in messages %}|{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}|assistant: {% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"


def write_chat(folder: Path, template: str | None = TEMPLATE, positions: int = 4096) -> Path:
    """A whole checkpoint in ``folder``; ``template`` None: of one that was not tuned to chat."""
    disable_progress_bar()
    torch.manual_seed(3)
    tokenizer = letter_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=120,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=positions,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
