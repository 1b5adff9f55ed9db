"""Sentences as vectors: all-MiniLM-L6-v2, which mini's Q-Former was initialised from."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import AutoTokenizer, BertModel
from transformers.utils.logging import disable_progress_bar

from assistant.model.encoders.base import weights_digest
from assistant.weights import store as weights_store

WEIGHTS = "all-minilm-l6-v2"
MOST_TOKENS = 128  # of a sentence; what the encoder was trained with


class SentenceEncoder:
    """Unit vectors whose products say how alike sentences are (Reimers and Gurevych 2019)."""

    def __init__(self, folder: Path) -> None:
        """``folder``: a BERT checkpoint with its tokenizer."""
        disable_progress_bar()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.network = _WithoutPooler.from_pretrained(folder, local_files_only=True).eval()
        self.width = int(self.network.config.hidden_size)

    @property
    def fingerprint(self) -> str:
        """Of all that decides a sentence's vector."""
        return weights_digest(self.network)

    @torch.inference_mode()
    def tokens(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """States of each text's tokens, ``(N, Kt, D)``, and ``(N, Kt)``: where there is one."""
        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt"
        )
        there = batch["attention_mask"]
        return self.network(batch["input_ids"], there).last_hidden_state, there.bool()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)``: the mean over each text's tokens, of length 1."""
        states, there = self.tokens(texts)
        weights = there[..., None].to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1)
        return F.normalize(mean, dim=-1).numpy()


@lru_cache(maxsize=1)
def sentence_encoder() -> SentenceEncoder:
    """The encoder, loaded once (90 MB). Raises WeightsError where it cannot be fetched."""
    return SentenceEncoder(weights_store.ensure(WEIGHTS))


class _WithoutPooler(BertModel):
    _keys_to_ignore_on_load_unexpected = (r"pooler\.",)

    def __init__(self, config: object) -> None:
        super().__init__(config, add_pooling_layer=False)
