"""Training data as the models take it: texts of each item, in batches that a seed decides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from assistant.data.items import Item
from assistant.dialogue.spoken import Range, Spoken, cut
from assistant.dialogue.subtitles import Dialogue
from assistant.errors import InputError
from assistant.model.assistant import VideoAssistant
from assistant.sources import SOURCES, Look, Source, perceiver
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import Recipe, Training
from assistant.training.clips import ClipRef, asked_of, clip_of
from assistant.training.features import FeatureTable
from assistant.training.generated import is_generated
from assistant.training.losses.base import Loss
from assistant.vqa.request import Request, compose, expected_by, sources_read

DEV_SHARE = 0.1  # of the clips, where the data have no dev split


@dataclass(frozen=True)
class Example:
    """One item: what is asked, with some of what is perceived, and what is right."""

    clip: str | None  # key in the table; None: text alone
    requests: Mapping[frozenset[str], Request]  # by the sources that it reads, each set of them
    answer: str
    choices: tuple[str, ...]
    type: str
    known: Mapping[str, Any] = field(default_factory=dict)  # by loss, what it wants to know of it
    speaker: str = ""  # of the last line; "": nobody is named
    expected: Tensor | None = field(default=None, compare=False)  # (K,), of the last line

    @property
    def sources(self) -> frozenset[str]:
        """Names of those that say something of it."""
        return max(self.requests, key=len)

    @property
    def shown(self) -> Request:
        """With all that is perceived."""
        return self.requests[self.sources]


@dataclass(frozen=True)
class DrawnExample:
    """An example with the texts that were drawn for it."""

    example: Example
    request: Request


def make_examples(
    items: Sequence[Item],
    prompt: TaskPrompt,
    model: VideoAssistant,
    table: FeatureTable | None,
    keys: dict[ClipRef, str],
    recipe: Recipe,
    losses: Mapping[str, type[Loss]] | None = None,
) -> list[Example]:
    """The examples of ``items``, with what ``losses`` want to know of them.

    Raises:
        InputError: a question that is too long or names a time beyond the clip, or choices that
            cannot be.
    """
    made = []
    perceived: dict[tuple[str, str], Source] = {}
    spoken: dict[Path, Spoken] = {}
    encoded = recipe.frames * recipe.training.jitter
    slow = recipe.regresses and prompt.expects is not None
    for item in tqdm(items, "what was expected", unit="line", disable=not slow):
        ref = clip_of(item) if recipe.frames else None
        key = None if ref is None else keys[ref]
        where, plain = asked_of(item)
        said = _said(item, where, spoken if prompt.takes_dialogue else None)
        sources: list[Source] = []
        if ref is not None and key is not None and table is not None:
            patches = table.clip(key)
            look = Look(
                patches=patches,
                classes=table.classes(key),
                class_names=model.class_names,
                seconds=range(len(patches)),  # their numbers: nobody is told the times
                encoder=model.encoder_fingerprint,
                pictures=partial(_pictures, ref),
                space=lambda: model.space,
            )
            for name in sources_read(prompt, item.question, recipe.without):
                if (key, name) not in perceived:
                    perceived[key, name] = perceiver(name).look_at(name, look)
                sources.append(perceived[key, name])
        telling = [source for source in sources if source.text]
        requests = {
            frozenset(source.name for source in some): compose(
                prompt,
                model,
                plain,
                said=said,
                sources=some,
                choices=item.choices,
                without=recipe.without,
            )
            for count in range(len(telling) + 1)
            for some in combinations(telling, count)
        }
        facts = {name: kind.known(item, encoded) for name, kind in (losses or {}).items()}
        known = {name: fact for name, fact in facts.items() if fact is not None}
        choices = item.choices or ()
        speaker = said.lines[-1].speaker if said else None
        expected = expected_by(model, prompt, said) if recipe.regresses else None
        shown = (key, requests, item.answer, choices, item.type, known, speaker or "", expected)
        made.append(Example(*shown))
    return made


def _said(item: Item, where: Range, spoken: dict[Path, Spoken] | None) -> Dialogue:
    """What an item gives, else what is beside or inside its clip, as in a session; found once.

    ``spoken``: what was found; None: nobody reads it, so that it is not looked for.
    """
    if item.dialogue is not None or item.video is None or is_generated(item.video):
        return cut(item.dialogue or Dialogue(), where)
    if spoken is None:
        return Dialogue()
    if item.video not in spoken:
        spoken[item.video] = Spoken(item.video, None, transcribe="no")
    return spoken[item.video].within(where)


def _pictures(ref: ClipRef, count: int, max_side: int) -> tuple[np.ndarray, list[float]]:
    """Frames of an item's clip, and where they stand in it, 0 to 1: training needs no more."""
    frames = ref.read(count)
    return frames, [place / len(frames) for place in range(len(frames))]


def split_items(items: Sequence[Item], recipe: Recipe) -> tuple[list[Item], list[Item]]:
    """Training and dev items; without a dev split a share of the clips is set aside for it.

    Test items are in neither.
    """
    train = [item for item in items if item.split in (None, "train")]
    dev = [item for item in items if item.split == "dev"]
    if dev or len(train) < 2:
        return train, dev
    groups = sorted({_group(item) for item in train})
    rng = np.random.default_rng(recipe.training.seed)
    count = max(1, round(len(groups) * DEV_SHARE))
    aside = {groups[place] for place in rng.permutation(len(groups))[:count]}
    if len(aside) == len(groups):
        return train, []
    return (
        [item for item in train if _group(item) not in aside],
        [item for item in train if _group(item) in aside],
    )


def drawn(items: Sequence[Item], recipe: Recipe) -> list[Item]:
    """At most ``dev_most`` of the items, the same ones every time."""
    rng = np.random.default_rng(recipe.training.seed)
    places = rng.permutation(len(items))[: recipe.training.dev_most]
    return [items[place] for place in sorted(places)]


def _group(item: Item) -> str:
    """Items about one clip stay on one side."""
    return str(item.id) if item.video is None else str(item.video)


def steps_per_epoch(count: int, size: int, training: Training) -> int:
    """Steps of an epoch of ``count`` examples in all, the last one perhaps smaller."""
    return -(-(training.epoch_examples or count) // size)


def draw(
    examples: Sequence[Example], recipe: Recipe, size: int, epoch: int
) -> Iterator[list[DrawnExample]]:
    """The batches of an epoch; they depend on nothing but these arguments."""
    seed = recipe.training.seed
    rng = np.random.default_rng((seed, epoch))
    order = _order([example.type for example in examples], recipe.training, epoch)
    said = frozenset[str]().union(*(example.sources for example in examples))
    share = recipe.training.sources_kept
    kept = {name: rng.random(len(order)) < share for name in SOURCES if name in said}
    for start in range(0, len(order), size):
        batch = []
        for at, place in enumerate(order[start : start + size], start):
            example = examples[place]
            read = frozenset(name for name in example.sources if kept[name][at])
            batch.append(DrawnExample(example, example.requests[read]))
        yield batch


def _order(types: Sequence[str], training: Training, epoch: int) -> np.ndarray:
    """Places of an epoch's examples; a type's share is its number to the power 1 - balance, times
    its weight."""
    taken = training.epoch_examples or len(types)
    if not training.balance and not training.weights:
        return _passes(len(types), taken, (training.seed, 1), epoch)
    names, kinds = np.unique(np.array(types), return_inverse=True)
    shares = np.bincount(kinds) ** (1.0 - training.balance)
    shares = shares * [training.weights.get(str(name), 1.0) for name in names]
    if not shares.any():
        raise InputError(f"weights: {', '.join(map(str, names))} weigh 0; give one of them more")
    ends = np.rint(taken * np.cumsum(shares) / shares.sum()).astype(int)
    counts = np.diff(ends, prepend=0)
    parts = [
        np.flatnonzero(kinds == kind)[
            _passes(int((kinds == kind).sum()), int(counts[kind]), (training.seed, 2, kind), epoch)
        ]
        for kind in range(len(names))
    ]
    return np.random.default_rng((training.seed, 3, epoch)).permutation(np.concatenate(parts))


def _passes(count: int, taken: int, seed: tuple[int, ...], epoch: int) -> np.ndarray:
    """Places ``(taken,)`` of an epoch: its part of permutations of all ``count``."""
    if not taken:
        return np.zeros(0, int)
    first = epoch * taken
    passes = range(first // count, -(-(first + taken) // count))
    orders = [np.random.default_rng((*seed, number)).permutation(count) for number in passes]
    skipped = first - passes[0] * count
    return np.concatenate(orders)[skipped : skipped + taken]
