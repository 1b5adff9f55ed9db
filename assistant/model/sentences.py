"""Sentences as vectors: all-MiniLM-L6-v2, which mini's Q-Former was initialised from.

BERT's layers by the names that `transformers` gives them; the library itself takes seconds to
import.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from assistant.errors import WeightsError
from assistant.model.encoders.base import weights_digest
from assistant.model.qformer_layers import EPS, Added, Projections, Widened, unfilled
from assistant.model.tokens import Tokens
from assistant.weights import store as weights_store

WEIGHTS = "all-minilm-l6-v2"
MOST_TOKENS = 128  # of a sentence; what the encoder was trained with


class SentenceEncoder:
    """Unit vectors whose products say how alike sentences are (Reimers and Gurevych 2019)."""

    def __init__(self, folder: Path) -> None:
        """``folder``: a BERT checkpoint with its tokenizer."""
        self.tokenizer = Tokens(folder)
        self.network = read_bert(folder)
        self.width = self.network.embeddings.LayerNorm.weight.shape[0]

    @property
    def fingerprint(self) -> str:
        """Of all that decides a sentence's vector."""
        return weights_digest(self.network)

    @torch.inference_mode()
    def tokens(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """States of each text's tokens, ``(N, Kt, D)``, and ``(N, Kt)``: where there is one."""
        rows = []
        for text in texts:
            ids = self.tokenizer(text)["input_ids"]
            if len(ids) > MOST_TOKENS:
                ids = [*ids[: MOST_TOKENS - 1], ids[-1]]  # [SEP] is the last
            rows.append(torch.tensor(ids))
        ids = pad_sequence(rows, batch_first=True)  # [PAD] is 0
        lengths = torch.tensor([len(row) for row in rows])
        there = torch.arange(ids.shape[1]) < lengths[:, None]
        return self.network(ids, there), there

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


def read_bert(folder: Path) -> "Bert":
    """The BERT in ``folder``, in evaluation mode, without its pooler.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape.
    """
    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    state = load_file(folder / "model.safetensors")
    left = ("pooler.", "embeddings.position_ids")
    state = {name: value for name, value in state.items() if not name.startswith(left)}
    try:
        with torch.device("meta"):
            network = Bert(shape["num_hidden_layers"], shape["num_attention_heads"], state)
        network.load_state_dict(state, assign=True)
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{folder}: is no BERT ({error}); fetch it again") from error
    return network.requires_grad_(False).eval()


class Bert(nn.Module):
    def __init__(self, layers: int, heads: int, state: dict[str, Tensor]) -> None:
        """``state`` says how large everything is."""
        super().__init__()
        words, width = state["embeddings.word_embeddings.weight"].shape
        inner = len(state["encoder.layer.0.intermediate.dense.bias"])
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = unfilled(words, width)
        for name in ("position_embeddings", "token_type_embeddings"):
            count = len(state[f"embeddings.{name}.weight"])
            self.embeddings.add_module(name, unfilled(count, width))
        self.embeddings.LayerNorm = nn.LayerNorm(width, eps=EPS)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(BertLayer(width, heads, inner) for _ in range(layers))

    def forward(self, ids: Tensor, there: Tensor) -> Tensor:
        """States ``(N, Kt, D)`` of ids ``(N, Kt)``, which attend where ``there`` is something."""
        known = self.embeddings
        x = known.word_embeddings(ids) + known.token_type_embeddings.weight[0]
        x = known.LayerNorm(x + known.position_embeddings.weight[: ids.shape[1]])
        for layer in self.encoder.layer:
            x = layer(x, there[:, None, None])
        return x


class BertLayer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": Projections(width, heads, width), "output": Added(width, width)}
        )
        self.intermediate, self.output = Widened(width, inner), Added(inner, width)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        query, key, value = self.attention["self"](x, x)
        mixed = F.scaled_dot_product_attention(query, key, value, there)
        x = self.attention["output"](mixed.transpose(1, 2).flatten(2), x)
        return self.output(self.intermediate(x), x)
