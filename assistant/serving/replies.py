"""Answers in OpenAI's words: one object, or events of a stream."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from assistant.serving.engine import Answered

DONE = "data: [DONE]\n\n"
NEVER = -9999.0  # OpenAI's log-probability of what is as good as impossible


@dataclass(frozen=True)
class Reply:
    """The frame around one answer."""

    model: str
    fingerprint: str
    logprobs: int | None = None  # how many choices are told of; None: none was asked for
    warnings: tuple[str, ...] = ()  # beside those of the answer
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answered: Answered) -> dict[str, Any]:
        """``chat.completion``."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answered.text, "refusal": None},
            "logprobs": self._logprobs(answered),
            "finish_reason": "stop",
        }
        return self._framed("chat.completion", [choice]) | {"evidence": self._evidence(answered)}

    def first(self) -> str:
        return self._event({"role": "assistant", "content": ""})

    def piece(self, text: str) -> str:
        return self._event({"content": text})

    def last(self, answered: Answered) -> str:
        """With the evidence."""
        return self._event(
            {},
            logprobs=self._logprobs(answered),
            finish_reason="stop",
            more={"evidence": self._evidence(answered)},
        )

    def usage(self) -> str:
        """The event that a client may ask for: tokens are not counted."""
        return event(self._framed("chat.completion.chunk", []))

    def _event(
        self, delta: Mapping[str, Any], *, more: Mapping[str, Any] | None = None, **choice: Any
    ) -> str:
        told = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} | choice
        return event(self._framed("chat.completion.chunk", [told]) | dict(more or {}))

    def _framed(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": None,
            "system_fingerprint": self.fingerprint,
        }

    def _evidence(self, answered: Answered) -> dict[str, Any]:
        told = answered.record
        return told | {"warnings": [*told.get("warnings", ()), *self.warnings]}

    def _logprobs(self, answered: Answered) -> dict[str, Any] | None:
        """Of the choices: each counts as one token."""
        shares = answered.shares
        if self.logprobs is None or not shares:
            return None
        told = [_logprob(choice, share) for choice, share in shares.items()]
        told.sort(key=lambda one: -one["logprob"])
        said = next((one for one in told if one["token"] == answered.text), told[0])
        return {"content": [said | {"top_logprobs": told[: self.logprobs]}], "refusal": None}


def event(content: Mapping[str, Any]) -> str:
    """One event of a stream."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _logprob(choice: str, share: float) -> dict[str, Any]:
    value = math.log(share) if share > 0 else NEVER
    return {"token": choice, "logprob": value, "bytes": list(choice.encode())}
