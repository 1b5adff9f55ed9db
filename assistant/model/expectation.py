"""What a line stands beside, as numbers for a regression of it: whether anything was said before,
and what the language model expected there.

A line that is not meant contradicts what was to be expected there. How likely are its words after
what was said before, and by themselves? How likely is the opposite, a plain reply in its place, a
remark after it? Each is a mean log-probability per token of the frozen LLM.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from assistant.model.llm import LanguageModel

BEFORE = 1  # signals of what was said before
OWN = 8  # signals of the line itself
GOES_ON = "..."  # begins a text that could follow the line; others could stand in its place
MOST_BEFORE, MOST_LINE = 40, 30  # tokens that are read: the last ones before, the line's first
END = 4  # tokens of the line's end
MIDDLE, SPREAD = -5.0, 2.0  # of log-probabilities, so that signals are about one
VERB = r"\b(is|am|are|was|were|will|would|can|could|should|do|does|did|have|has|had|'s|'m|'re)\b"


def signals(texts: Sequence[str] | None) -> int:
    """K, how many signals there are with these texts; None: the language model is not asked."""
    return BEFORE + (0 if texts is None else OWN + len(texts))


@torch.no_grad()
def expectation(llm: LanguageModel, lines: Sequence[str], texts: Sequence[str] | None) -> Tensor:
    """The signals of the last of ``lines``, ``(K,)``; zeros where nothing is said.

    Args:
        lines: oldest first. texts: that could be said in its place, or after it (``GOES_ON``);
            None: the language model is not asked.
    """
    if not lines or not lines[-1].strip():
        return torch.zeros(signals(texts))
    company = torch.tensor([math.log(len(lines))])
    if texts is None:
        return company

    def ids(text: str) -> Tensor:
        return llm.answer_ids(text, ended=False)

    start = torch.tensor([llm.tokenizer.eos_token_id])
    before = torch.cat([start, ids("".join(f"{one}\n" for one in lines[:-1]))])[-MOST_BEFORE:]
    line, opposite = ids(lines[-1])[:MOST_LINE], ids(negation(lines[-1]))[:MOST_LINE]
    instead = [ids(text) for text in texts if not text.startswith(GOES_ON)]
    after = [ids(text.removeprefix(GOES_ON)) for text in texts if text.startswith(GOES_ON)]
    embeddings = llm.network.get_input_embeddings().weight
    nothing = torch.zeros(1, 0, llm.width, device=embeddings.device)

    def likely(prompt: Tensor, *answers: Tensor) -> list[Tensor]:
        """Log-probabilities of the tokens of each answer, ``(La,)``."""
        return [-losses for losses in llm.token_losses(nothing, [prompt], [answers])[0]]

    there, against, *others = likely(before, line, opposite, *instead)
    (alone,) = likely(start, line)
    if after:
        others += likely(torch.cat([before, line]), *after)
    own = [there, alone, against, there[:1], there[-END:], alone[-END:]]
    told = [*(one.mean() for one in own), there.min(), *(one.mean() for one in others)]
    length = torch.tensor([math.log(len(line)) - 2.0])
    return torch.cat([company, length, (torch.stack(told).float().cpu() - MIDDLE) / SPREAD])


def stacked(clips: Sequence[Tensor | None]) -> Tensor | None:
    """``(B, K)``: zeros where nothing is said. None: nowhere is anything."""
    there = [one for one in clips if one is not None]
    if not there:
        return None
    return torch.stack([torch.zeros_like(there[0]) if one is None else one for one in clips])


def negation(line: str) -> str:
    """The line with a "not" more, or less."""
    if re.search(r"n't\b| not\b", line):
        return re.sub(r"n't\b| not\b", "", line, count=1).strip() or line
    if re.search(VERB, line, re.IGNORECASE):
        return re.sub(VERB, r"\1 not", line, count=1, flags=re.IGNORECASE)
    return f"It is not true: {line}"
