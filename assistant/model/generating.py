"""Tokens of a network of `transformers`, as its `generate` makes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Streamer:
    """What `generate` tells tokens to; None: there are no more."""

    def __init__(self) -> None:
        self.made: SimpleQueue[list[int] | None] = SimpleQueue()

    def put(self, value: Tensor) -> None:
        self.made.put(value.flatten().tolist())

    def end(self) -> None:
        self.made.put(None)


def streamed(
    network: PreTrainedModel, x: Tensor, mask: Tensor, options: dict[str, Any]
) -> Iterator[int]:
    """Tokens of the answer to embeddings ``(1, N, W)``; ``options`` of `generate`.

    It works in a thread of its own. Leaving early stops the work.
    """
    streamer, stop = _Streamer(), threading.Event()
    failed: list[BaseException] = []

    def left(ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        return torch.full((len(ids),), stop.is_set(), device=ids.device)

    ends = [*options["stopping_criteria"], left]

    def work() -> None:
        try:
            with torch.inference_mode():
                network.generate(
                    inputs_embeds=x,
                    attention_mask=mask,
                    streamer=streamer,
                    **{**options, "stopping_criteria": ends},
                )
        except BaseException as error:
            failed.append(error)
            streamer.end()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (tokens := streamer.made.get()) is not None:
            yield from tokens
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]
