"""Which events are told apart, P(y|V) = softmax(W z_e + b) (Cross-modal Knowledge Mining, 3.7).

W comes from label texts (zero-shot), also from examples of some labels (few-shot), from the
lexicon's phrases where these are trained with the space, or from a folder that
``assistant finetune events`` wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from assistant.errors import InputError
from assistant.model.space.usual import read_usual
from assistant.sources.bank import bank_of
from assistant.sources.lexicon import ACTIVITIES, load_lexicon
from assistant.timeline.knowledge import load_prompts
from assistant.timeline.saliency import event_probabilities, label_vectors

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.space.base import JointSpace

MOST_LABELS, MOST_LETTERS = 2000, 200
EXAMPLES_HALF = 6.0  # examples of a label that weigh as much as its text; chosen on dev photos


@dataclass(frozen=True, eq=False)
class EventHead:
    """A linear classifier of events."""

    names: tuple[str, ...]  # K
    weights: Tensor  # (K, E)
    bias: Tensor  # (K,)
    once: bool = False  # whether it knows frames as they are seen first, not twice
    several: bool = False  # whether labels may be true at once: a probability of each by itself

    def probabilities(self, events: Tensor) -> Tensor:
        """``(..., E)`` -> ``(..., K)``."""
        if self.several:
            return (events @ self.weights.T + self.bias).sigmoid()
        return event_probabilities(events, self.weights, self.bias)

    def best(self, event: Tensor, count: int = 5) -> tuple[tuple[str, float], ...]:
        """The likeliest of one ``(E,)``, likeliest first."""
        top = self.probabilities(event).topk(min(count, len(self.names)))
        return tuple(
            (self.names[k], float(p))
            for p, k in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        )


def lexicon_head(space: JointSpace, group: str = ACTIVITIES) -> EventHead:
    """The phrases of one of the lexicon's groups, as they are trained with the space; of a space
    without such, their texts."""
    bank = bank_of(space)
    own = bank.within(group)
    names = tuple(bank.phrases[place][1] for place in own)
    return EventHead(names, bank.weights[own], bank.bias[own], once=True)


def zero_shot(space: JointSpace, labels: Sequence[str]) -> EventHead:
    """By the labels' texts, less what is usual of each: near to most photos, it says little."""
    vectors = texts_of(space, labels)
    usual = read_usual(space.folder, space.fingerprint, space.width)
    bias = torch.from_numpy(usual.of(vectors.numpy(), text=True))
    return EventHead(tuple(labels), space.scale * vectors, -space.scale * bias)


def few_shot(
    space: JointSpace, examples: Mapping[str, Tensor], labels: Sequence[str] = ()
) -> EventHead:
    """By examples ``(N, E)`` of labels, z_v each, and by the labels' texts; ``labels``: others,
    that have none.

    Pictures are nearer to pictures than to any text, so that each kind is taken less its mean. The
    more examples a label has, the less its text counts.
    """
    names = list(dict.fromkeys([*examples, *labels]))
    texts = texts_of(space, names)
    texts = texts - texts.mean(0)
    seen = {name: F.normalize(own.mean(0), dim=0) for name, own in examples.items()}
    middle = torch.stack(list(seen.values())).mean(0)
    rows = []
    for name, text in zip(names, texts, strict=True):
        count = len(examples.get(name, ()))
        share = count / (count + EXAMPLES_HALF)
        rows.append((1 - share) * text + (share * (seen[name] - middle) if count else 0.0))
    return EventHead(tuple(names), space.scale * torch.stack(rows), torch.zeros(len(rows)))


def texts_of(space: JointSpace, labels: Sequence[str]) -> Tensor:
    """``(K, E)``: each label in the mean of the prompts."""
    prompts = load_prompts().events
    with torch.inference_mode():
        flat = space.embed_texts([prompt.format(label) for label in labels for prompt in prompts])
    return label_vectors(flat.float().reshape(len(labels), len(prompts), -1)).clone()


def read_labels(named: str) -> tuple[str, ...]:
    """Of a group of the lexicon, or of a file with one in each line.

    Raises:
        InputError: it is neither, or holds fewer than two labels, one twice, or one too long.
    """
    groups = load_lexicon().groups
    if named in groups:
        return tuple(groups[named].phrases)
    try:
        lines = Path(named).read_text("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputError(
            f"labels {named!r}: no such file; give one with a label in each line, or one of "
            + ", ".join(groups)
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"labels {named!r}: cannot be read ({why})") from error
    labels = [" ".join(line.split()) for line in lines if line.strip()]
    return check_labels(labels, named)


def check_labels(labels: Sequence[str], named: str) -> tuple[str, ...]:
    """Raises InputError: they cannot be told apart."""
    if not 2 <= len(labels) <= MOST_LABELS:
        raise InputError(
            f"{named}: holds {len(labels)} labels; give 2 to {MOST_LABELS}, a line each"
        )
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise InputError(f"{named}: holds {twice[0]!r} twice; leave one out")
    if long := [label for label in labels if len(label) > MOST_LETTERS]:
        raise InputError(
            f"{named}: a label has {len(long[0])} letters ({long[0][:30]!r} ...); "
            f"at most {MOST_LETTERS}"
        )
    return tuple(labels)
