"""Token states of many texts, encoded once and memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from assistant.model.sentences import SentenceEncoder

CHUNK = 128  # texts at once


class TokenStates:
    """States ``(M, Dt)`` of each text's tokens, fp16, by the text."""

    def __init__(self, folder: Path, sentences: SentenceEncoder, texts: Sequence[str]) -> None:
        """Of these ``texts``; encoded now where ``folder`` does not hold them."""
        told = "\n".join([sentences.fingerprint, *texts])
        name = hashlib.sha256(told.encode()).hexdigest()[:16]
        states, ends = folder / f"states-{name}.npy", folder / f"ends-{name}.npy"
        if not ends.exists():  # it is written last
            folder.mkdir(parents=True, exist_ok=True)
            lengths = _encode(sentences, texts, states)
            with ends.open("wb") as file:
                np.save(file, np.cumsum(lengths))
        self._states = np.load(states, mmap_mode="r")
        self._ends = np.load(ends)
        self.rows = {text: row for row, text in enumerate(texts)}

    def batch(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """``(N, M, Dt)`` fp32, and ``(N, M)``: True where there is a token."""
        found = []
        for text in texts:
            row = self.rows[text]
            first = self._ends[row - 1] if row else 0
            found.append(torch.from_numpy(self._states[first : self._ends[row]].astype(np.float32)))
        there = pad_sequence([torch.ones(len(one), dtype=torch.bool) for one in found], True)
        return pad_sequence(found, True), there


def _encode(sentences: SentenceEncoder, texts: Sequence[str], path: Path) -> list[int]:
    """Write the states of all tokens to ``path``; how many tokens each text has."""
    states: list[np.ndarray] = []
    lengths: list[int] = []
    for first in tqdm(range(0, len(texts), CHUNK), desc="encoding texts"):
        some, there = sentences.tokens(texts[first : first + CHUNK])
        states.append(some[there].half().numpy())
        lengths += there.sum(1).tolist()
    with path.open("wb") as file:
        np.save(file, np.concatenate(states))
    return lengths
