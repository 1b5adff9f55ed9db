"""A tokenizer from its ``tokenizer.json``: the part of `transformers`' interface that is in use.

The library takes seconds to import, and the tokenizers below it do the work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor

NONE = -1  # id of an end token where there is none


class Tokens:
    """Texts to ids and back."""

    def __init__(self, folder: Path) -> None:
        """``folder``: holds ``tokenizer.json`` and ``tokenizer_config.json``."""
        self._core = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._core.no_truncation()
        self._core.no_padding()
        known = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        end = self.convert_tokens_to_ids(known.get("eos_token", ""))
        self.eos_token_id = NONE if end is None else end

    def __len__(self) -> int:
        return self._core.get_vocab_size(with_added_tokens=True)

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": self._core.encode(text, add_special_tokens=add_special_tokens).ids}

    def decode(self, ids: Sequence[int] | Tensor, skip_special_tokens: bool = False) -> str:
        return self._core.decode(_plain(ids), skip_special_tokens=skip_special_tokens)

    def batch_decode(
        self, rows: Iterable[Sequence[int] | Tensor], skip_special_tokens: bool = False
    ) -> list[str]:
        return [self.decode(row, skip_special_tokens) for row in rows]

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        return [self._core.id_to_token(one) or "" for one in ids]

    def convert_tokens_to_ids(self, token: str) -> int | None:
        return self._core.token_to_id(token)


def _plain(ids: Sequence[int] | Tensor) -> list[int]:
    return ids.tolist() if isinstance(ids, Tensor) else list(ids)
