"""What is being done in a clip: by a trained recogniser, or by descriptions of any labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.actions.bank import bare_bank, read_bank
from assistant.actions.head import load_head
from assistant.actions.looking import FRAMES, ClipPixels, features_of, look_of, pixels_of
from assistant.actions.store import find_recogniser
from assistant.actions.zero_shot import descriptions_of, read_none_rule
from assistant.core.progress import report
from assistant.errors import InputError
from assistant.model.space.base import mean_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor

    from assistant.actions.bank import Bank
    from assistant.model.features import ClipFeatures, FeatureStore
    from assistant.model.sight import Sight

TRAINED, DESCRIBED = "trained", "zero-shot"
LARGEST = 448  # pixels of the longer side of a frame that is drawn


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
    seconds: tuple[float, ...] = ()  # (T,) when it was looked at
    none_likely: bool | None = None  # whether likely none of the labels is shown; None: not known

    @property
    def doubt(self) -> str:
        """For the person, where likely none of the labels is shown; else ""."""
        label, share = self.actions[0]
        return f"none of these is likely (best: {label} {share:.0%})" if self.none_likely else ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        known = {} if self.none_likely is None else {"none_likely": self.none_likely}
        return {
            "video": str(self.path),
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "by": self.by,
            "actions": [{"label": name, "probability": round(p, 4)} for name, p in self.actions],
            **known,
            "warnings": list(self.warnings),
        }


class Namer:
    """Names the actions of clips, looking at each once."""

    def __init__(
        self,
        sight: Sight,
        store: FeatureStore,
        head: str | Path | None = None,
        bank: Bank | None = None,
    ) -> None:
        """``head``: a recogniser's name or folder; ``bank``: labels to choose among instead of its
        own.

        Raises:
            InputError: neither is given, or the head does not fit. ConfigError, WeightsError: it
                is damaged.
        """
        if head is None and bank is None:
            raise InputError("nothing to choose among; give --head, --labels or --bank")
        self.sight, self.store = sight, store
        self.head = (
            None
            if head is None
            else load_head(find_recogniser(head), sight, texts=bank is not None)
        )
        self.described = None if bank is None else descriptions_of(sight.space, bank)
        self.none_rule = None if bank is None else read_none_rule(sight.space)
        self.frames = FRAMES if self.head is None else self.head.network.frames

    def name(
        self, path: Path, top: int = 5, start: float | None = None, end: float | None = None
    ) -> Named:
        """Of a range in seconds; None: of the whole clip. Raises VideoError: it cannot be read."""
        seen = self._look(path, start, end)
        labels, shares, none_likely = self._shares(seen, path)
        best = shares.topk(min(top, len(labels)))
        found = tuple(
            (labels[place], float(share))
            for share, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        by = TRAINED if self.described is None else DESCRIBED
        return Named(
            path,
            found,
            by,
            seen.start,
            seen.end,
            (start, end),
            seen.warnings,
            seen.seconds,
            none_likely,
        )

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
        from assistant.actions.evidence import draw_evidence

        frames, seconds, heat = self.rests(named)
        label, share = named.actions[0]
        return draw_evidence(frames, seconds, heat, f"{label} ({share:.0%})")

    def rests(
        self, named: Named, max_side: int = LARGEST
    ) -> tuple[np.ndarray, Sequence[float], Tensor]:
        """The frames ``(T, H, W, 3)``, of at most ``max_side`` pixels or as a video encoder of its
        own sees them, their times, and ``(T, g, g)``: where in them a trained
        recogniser's likeliest action rests.

        Raises:
            InputError: no recogniser named it. VideoError: the clip cannot be read.
        """
        from assistant.actions.evidence import rests_on
        from assistant.media.video import read_clip

        if self.head is None:
            raise InputError("what has no head rests on no patches; give --head with --evidence")
        seen = self._look(named.path, *named.asked)
        texts = None if self.described is None else self.described.vectors
        labels = self.head.config.labels if self.described is None else self.described.labels
        heat = rests_on(self.head, _of(seen), labels.index(named.actions[0][0]), texts)
        if self.head.video is not None and isinstance(seen, ClipPixels):
            middle = self.head.video.middle
            return middle(seen.pictures.numpy()), middle(seen.seconds), heat
        start, end = named.asked
        clip = read_clip(named.path, frames=self.frames, start=start, end=end, max_side=max_side)
        return clip.frames, clip.seconds, heat

    def _look(
        self, path: Path, start: float | None = None, end: float | None = None
    ) -> ClipFeatures | ClipPixels:
        if self.head is not None and self.head.video is not None:
            return pixels_of(path, self.head.video, self.store, start, end)
        return features_of(path, self.sight, self.store, self.frames, start, end)

    def _shares(
        self, seen: ClipFeatures | ClipPixels, path: Path
    ) -> tuple[Sequence[str], Tensor, bool | None]:
        """Labels, the probability of each, and whether likely none is shown."""
        if self.head is not None:
            if self.described is None:
                head = self.head
                asks = head.teacher is not None or head.known is not None
                pictured = self._pictured(seen, path) if asks else None
                strange = None if pictured is None else head.is_strange(pictured)
                return head.config.labels, head.probabilities(_of(seen), pictured), strange
            texts = self.described.vectors
            return self.described.labels, self.head.probabilities_of(_of(seen), texts), None
        assert self.described is not None
        labels = self.described.labels
        near = self.described.nearness(self._pictured(seen, path)[None])[0]
        rule = self.none_rule
        none_likely = None if rule is None else float(near.max()) < rule.bound(len(labels))
        return labels, (self.described.scale * near).softmax(-1), none_likely

    def _pictured(self, seen: ClipFeatures | ClipPixels, path: Path) -> Tensor:
        """``(E,)`` the joint space's mean of the frames."""
        if isinstance(seen, ClipPixels):
            assert self.head is not None and self.head.video is not None
            look = self.head.video.look(seen.pictures.numpy(), self.sight)
        else:
            look = look_of(seen.patches, seen.classes, self.sight, path, seen.start, seen.end)
        return mean_of(self.sight.space.embed_frames(look))


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
