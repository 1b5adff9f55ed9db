"""Things: what the frozen encoder, as a classifier of 1000 things, finds in a clip.

They enter as words beside the frames, so that a thing that no caption named can be named. Source:
BIKE's attribute branch (Cross-modal Knowledge Mining, 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.sources import Look, Perceived, Perceiver

if TYPE_CHECKING:
    from torch import Tensor

MOST = 5  # attributes of a clip
FLOOR = 0.08  # least probability of an attribute
SURE = 0.5  # probability from which it is named without a question mark


class Classifier(Perceiver):
    """The encoder as a classifier."""

    def perceive(self, look: Look) -> tuple[Perceived, ...]:
        """The likeliest things of the frames looked at."""
        return likeliest(look.classes, look.class_names)

    def as_text(self, items: Sequence[Perceived]) -> str:
        """See :func:`as_text`."""
        return as_text(items)


PERCEIVER = Classifier()


def likeliest(classes: Tensor, names: Sequence[str]) -> tuple[Perceived, ...]:
    """The likeliest classes of the frames' mean, likeliest first.

    Args:
        classes: ``(T, C)`` probabilities. names: C names; none gives no attributes.
    """
    if not names:
        return ()
    best = classes.float().mean(0).topk(MOST)
    found = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return tuple(Perceived(names[index], share) for share, index in found if share >= FLOOR)


def as_text(items: Sequence[Perceived]) -> str:
    """As the models read it: ``water bottle, cup?`` with a mark at what is less than sure."""
    return ", ".join(item.name + ("" if item.probability >= SURE else "?") for item in items)


def sure_names(text: str) -> list[str]:
    """The names in an :func:`as_text` that stand without a question mark."""
    return [name for name in text.split(", ") if name and not name.endswith("?")]
