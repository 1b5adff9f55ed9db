"""What is being done in a clip: by a trained recogniser, or by descriptions of any labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.actions.bank import bare_bank, read_bank
from assistant.actions.head import load_head
from assistant.actions.looking import FRAMES, ClipPixels, features_of, look_of, pixels_of
from assistant.actions.zero_shot import descriptions_of
from assistant.core.progress import report
from assistant.errors import InputError
from assistant.model.space.base import mean_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure
    from torch import Tensor

    from assistant.actions.bank import Bank
    from assistant.model.features import ClipFeatures, FeatureStore
    from assistant.model.sight import Sight

TRAINED, DESCRIBED = "trained", "zero-shot"


@dataclass(frozen=True)
class Named:
    """A range of a clip, and its likeliest actions, likeliest first."""

    path: Path
    actions: tuple[tuple[str, float], ...]  # label, probability among all labels
    by: str  # TRAINED or DESCRIBED
    start: float  # seconds
    end: float
    asked: tuple[float | None, float | None] = (None, None)  # the range, as it was asked for
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "video": str(self.path),
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "by": self.by,
            "actions": [{"label": name, "probability": round(p, 4)} for name, p in self.actions],
            "warnings": list(self.warnings),
        }


class Namer:
    """Names the actions of clips, looking at each once."""

    def __init__(
        self,
        sight: Sight,
        store: FeatureStore,
        head: Path | None = None,
        bank: Bank | None = None,
    ) -> None:
        """``head``: a recogniser's folder; ``bank``: labels to choose among instead of its own.

        Raises:
            InputError: neither is given, or the head does not fit. ConfigError, WeightsError: it
                is damaged.
        """
        if head is None and bank is None:
            raise InputError("nothing to choose among; give --head, --labels or --bank")
        self.sight, self.store = sight, store
        self.head = None if head is None else load_head(head, sight, texts=bank is not None)
        self.described = None if bank is None else descriptions_of(sight.space, bank)
        self.frames = FRAMES if self.head is None else self.head.network.frames

    def name(
        self, path: Path, top: int = 5, start: float | None = None, end: float | None = None
    ) -> Named:
        """Of a range in seconds; None: of the whole clip. Raises VideoError: it cannot be read."""
        seen = self._look(path, start, end)
        labels, shares = self._shares(seen, path)
        best = shares.topk(min(top, len(labels)))
        found = tuple(
            (labels[place], float(share))
            for share, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        by = TRAINED if self.described is None else DESCRIBED
        return Named(path, found, by, seen.start, seen.end, (start, end), seen.warnings)

    def name_windows(self, path: Path, every: float, top: int = 5) -> Iterator[Named]:
        """Of equal windows of about ``every`` seconds, one after the other; what was looked at is
        kept. Raises VideoError: as `name`."""
        from assistant.media.video import probe

        duration = probe(path).duration
        count = max(1, round(duration / every))
        if count == 1:
            yield self.name(path, top)
            return
        for number in range(count):
            report("Naming actions", number, count)
            yield self.name(path, top, duration * number / count, duration * (number + 1) / count)
        report("Naming actions", 1)

    def evidence(self, named: Named) -> Figure:
        """A picture of where a trained recogniser's likeliest action rests.

        Raises:
            InputError: no recogniser named it. VideoError: the clip cannot be read.
        """
        from assistant.actions.evidence import draw_evidence, rests_on
        from assistant.media.video import read_clip

        if self.head is None:
            raise InputError("what has no head rests on no patches; give --head with --evidence")
        seen = self._look(named.path, *named.asked)
        texts = None if self.described is None else self.described.vectors
        labels = self.head.config.labels if self.described is None else self.described.labels
        label, share = named.actions[0]
        heat = rests_on(self.head, _of(seen), labels.index(label), texts)
        title = f"{label} ({share:.0%})"
        if self.head.video is not None and isinstance(seen, ClipPixels):
            middle = self.head.video.middle
            return draw_evidence(middle(seen.pictures.numpy()), middle(seen.seconds), heat, title)
        start, end = named.asked
        clip = read_clip(named.path, frames=self.frames, start=start, end=end)
        return draw_evidence(clip.frames, clip.seconds, heat, title)

    def _look(
        self, path: Path, start: float | None = None, end: float | None = None
    ) -> ClipFeatures | ClipPixels:
        if self.head is not None and self.head.video is not None:
            return pixels_of(path, self.head.video, self.store, start, end)
        return features_of(path, self.sight, self.store, self.frames, start, end)

    def _shares(self, seen: ClipFeatures | ClipPixels, path: Path) -> tuple[Sequence[str], Tensor]:
        """Labels, and the probability of each."""
        if self.head is not None:
            if self.described is None:
                return self.head.config.labels, self.head.probabilities(_of(seen))
            texts = self.described.vectors
            return self.described.labels, self.head.probabilities(_of(seen), texts)
        assert self.described is not None and not isinstance(seen, ClipPixels)
        look = look_of(seen.patches, seen.classes, self.sight, path, seen.start, seen.end)
        vector = mean_of(self.sight.space.embed_frames(look))
        return self.described.labels, self.described.logits(vector[None])[0].softmax(-1)


def _of(seen: ClipFeatures | ClipPixels) -> Tensor:
    """What a recogniser reads."""
    return seen.pictures if isinstance(seen, ClipPixels) else seen.patches


def bank_for(labels: Sequence[str] | None, named: str | None) -> Bank | None:
    """The labels to choose among, with what describes them; None: none are given.

    Raises:
        InputError: fewer than two, or the bank is not there or lacks one. ConfigError: it breaks a
            rule.
    """
    if named is None:
        found = None if labels is None else bare_bank(labels)
    else:
        found = read_bank(named)
        found = found if labels is None else found.of(labels)
    if found is not None and len(found.actions) < 2:
        raise InputError("one label alone leaves nothing to choose; give two or more")
    return found
