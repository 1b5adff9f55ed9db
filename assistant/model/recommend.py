"""Which model for this machine: the best that fits into its memory, can be had and answers soon.

`--model auto` takes it; `assistant doctor` recommends it, or a language model that reads what mini
perceives.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache

import torch

from assistant.errors import InputError, ModelError, WeightsError
from assistant.model.large.instructblip import sizes_of_preset
from assistant.model.large.loading import SMALL_FILES, WEIGHTS
from assistant.model.machine import (
    Estimate,
    Place,
    estimate,
    estimate_reader,
    local_servers,
    places,
)
from assistant.model.memory import AUTO, Plan, Sizes, gigabytes, steps
from assistant.model.placement import choose_dtype
from assistant.model.quantization import QUANTIZATIONS
from assistant.weights.checkpoints import weight_files
from assistant.weights.downloads import fetch_hub, hub_room, hub_sizes
from assistant.weights.presets import LLMShape, read_presets

MINI = "mini"
MINI_BYTES = 2e9  # with a clip, and room to spare
PATIENCE = 120.0  # seconds that an answer may take
HUB_SECONDS = 3.0  # for all that the hub is asked
SPARE_DISK = 1e9  # bytes that a download leaves free


@dataclass(frozen=True)
class Wanted:
    """What a person has chosen, as ``load`` takes it."""

    precision: str = AUTO
    quantize: str = AUTO
    frames: int = 8


@dataclass(frozen=True)
class Choice:
    """A model, and what is known of it before it is loaded."""

    model: str = MINI
    quantize: str = AUTO
    device: str = AUTO
    llm: str = ""  # that reads what mini perceives, as --llm takes it: a hub id or an address
    llm_name: str = ""
    hub: str = ""  # id of what it needs from the hub
    plan: Plan | None = None
    place: Place | None = None
    need: float = MINI_BYTES
    fetch: int = 0  # bytes that its first use downloads
    terms: str = ""
    seconds: Estimate | None = None
    against: tuple[str, ...] = ()  # what speaks against the better ones, a line each
    missed: Choice | None = None  # would be better, and is not to be had now

    @property
    def name(self) -> str:
        """For a person."""
        if self.llm:
            return f"{self.model} with {self.llm_name or self.llm}"
        return f"{self.model} ({self.plan.precision})" if self.plan else self.model

    @property
    def options(self) -> str:
        """What a command needs to take it."""
        given = {
            "--model": "" if self.model == MINI else self.model,
            "--quantize": "" if self.quantize == AUTO else self.quantize,
            "--device": "" if self.device == AUTO else self.device,
            "--llm": self.llm,
            "--llm-name": self.llm_name,
        }
        return "".join(f" {name} {value}" for name, value in given.items() if value)

    @property
    def memory(self) -> str:
        """What it needs of what there is."""
        if self.place is None:
            return f"{gigabytes(self.need)} of memory is easy"
        where = "the GPU's memory" if self.place.device == "cuda" else "memory"
        return f"needs {gigabytes(self.need)} of {where}, {gigabytes(self.place.free)} are free"


def choose_model(
    wanted: Wanted, device: str = AUTO, tell: Callable[[str], None] | None = None
) -> Choice:
    """What ``--model auto`` stands for here. Nothing is fetched yet.

    Args:
        tell: gets the choice, why nothing better, and what its first use downloads on which terms.
            None: nothing can be said before, so that only what is in the cache is taken.
    Raises:
        InputError: an unknown option, or one of several training processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("model auto: several processes might choose differently; name the model")
    if wanted.quantize not in (AUTO, *QUANTIZATIONS):
        known = ", ".join((AUTO, *QUANTIZATIONS))
        raise InputError(f"quantize is {wanted.quantize!r}; choose {known}")
    choice = best(_paper_scale(places(device), wanted), wanted, fetching=tell is not None)
    if choice.model == MINI:
        choice = replace(choice, quantize=wanted.quantize, device=device)
    if tell is not None:
        tell(auto_line(choice))
    return choice


def recommend(where: Sequence[Place]) -> Choice:
    """What `assistant doctor` recommends for a machine with these places."""
    choice = best(_ladder(where, Wanted()), Wanted(), fetching=True)
    if choice.missed is None:
        return choice
    try:
        return replace(choice, missed=_timed(choice.missed, Wanted()))
    except ModelError as error:
        return replace(choice, missed=None, against=(*choice.against, str(error)))


def best(ladder: Iterator[Choice], wanted: Wanted, *, fetching: bool) -> Choice:
    """The first that fits, can be had and is quick enough; else mini.

    Args:
        fetching: whether a download is allowed.
    """
    hub, missed = Hub(), None
    against: list[str] = []
    for choice in ladder:
        try:
            if choice.place is not None and choice.need > choice.place.free:
                raise ModelError(f"{choice.name} {choice.memory}")
            choice = _timed(hub.with_files(choice, fetching), wanted)
        except WeightsError as error:
            missed = missed or choice
            if not any(line.endswith(str(error)) for line in against):
                against.append(f"{choice.name} fits, but {error}")
        except ModelError as error:
            against.append(str(error))
        else:
            return replace(choice, against=tuple(against))
    return Choice(against=tuple(against), missed=missed)


def _ladder(where: Sequence[Place], wanted: Wanted) -> Iterator[Choice]:
    """All that can be recommended, the best first; whether or not it fits."""
    yield from _paper_scale([place for place in where if place.device == "cuda"], wanted)
    for address, name in local_servers():
        yield Choice(llm=address, llm_name=name)
    yield from _paper_scale([place for place in where if place.device == "cpu"], wanted)
    dtype = choose_dtype(wanted.precision, torch.device("cpu"))
    for place in where[-1:]:
        for reader in read_presets().readers:
            need = MINI_BYTES + reader.parameters * dtype.itemsize
            terms = f"licence {reader.licence}"
            yield Choice(llm=reader.hub, hub=reader.hub, place=place, need=need, terms=terms)


def _paper_scale(where: Sequence[Place], wanted: Wanted) -> Iterator[Choice]:
    """The presets in the most exact precision that fits, or in the smallest."""
    for place in where:
        for name in read_presets().recommended[place.device]:
            preset = read_presets().presets[name]
            kind, sizes = preset.llm.kind, _sizes(preset.llm)
            if kind == "t5" and wanted.precision == "fp16":
                continue  # it overflows
            dtype = _dtype(wanted, place, kind)
            how, on_gpu = wanted.quantize, place.device == "cuda"
            if how == AUTO and not (place.quantizes and on_gpu):
                how = "4bit" if place.quantizes else "none"  # on a processor also the quickest
            asked = Plan(dtype_bytes=dtype.itemsize, frames=wanted.frames)
            plans = list(steps(asked, how, on_gpu))
            fitting = (plan for plan in plans if plan.need(sizes).total <= place.free)
            plan = next(fitting, plans[-1])
            yield Choice(
                model=name,
                quantize=how,
                device="cpu" if not on_gpu and torch.cuda.is_available() else AUTO,
                hub=preset.hub,
                plan=plan,
                place=place,
                need=plan.need(sizes).total,
                terms=f"licence {preset.licence} ({preset.terms})",
            )


@lru_cache
def _sizes(llm: LLMShape) -> Sizes:
    return sizes_of_preset(llm)


def _dtype(wanted: Wanted, place: Place, kind: str) -> torch.dtype:
    return choose_dtype(wanted.precision, torch.device(place.device), wide=kind == "t5")


def _timed(choice: Choice, wanted: Wanted) -> Choice:
    """With the seconds expected. Raises ModelError: they are too many."""
    if choice.place is None:
        return choice
    device = choice.place.device
    if choice.plan is None:
        (reader,) = (reader for reader in read_presets().readers if reader.hub == choice.llm)
        seconds = estimate_reader(reader.parameters, device)
    else:
        llm = read_presets().presets[choice.model].llm
        dtype = _dtype(wanted, choice.place, llm.kind)
        seconds = estimate(_sizes(llm), choice.plan, device, dtype, llm.kind)
    if seconds.first > PATIENCE:
        raise ModelError(f"{choice.name} would take {seconds.as_text()}")
    return replace(choice, seconds=seconds)


@dataclass
class Hub:
    """What is in the hub's cache, and what the hub itself says within a few seconds."""

    left: float = HUB_SECONDS

    def with_files(self, choice: Choice, fetching: bool) -> Choice:
        """With what is to be downloaded. Raises WeightsError: why its files cannot be had."""
        if not choice.hub or _is_cached(choice.hub):
            return choice
        if not fetching:
            raise WeightsError("it is not in the cache, and nothing is downloaded unsaid")
        if self.left <= 0:
            raise WeightsError(f"the hub gave no answer within {HUB_SECONDS:.0f} s")
        began = time.monotonic()
        try:
            sizes = hub_sizes(choice.hub, self.left)
        finally:
            self.left -= time.monotonic() - began
        weights = next((p for p in WEIGHTS if any(fnmatch(name, p) for name in sizes)), None)
        if weights is None:
            raise WeightsError(f"the hub has no weights in {choice.hub}")
        wanted = (*SMALL_FILES, weights)
        fetch = sum(n for name, n in sizes.items() if any(fnmatch(name, p) for p in wanted))
        room = hub_room()
        if room < fetch + SPARE_DISK:
            raise WeightsError(
                f"its {gigabytes(fetch)} leave too little of the {gigabytes(room)} free on the disk"
            )
        return replace(choice, fetch=fetch)


def _is_cached(hub: str) -> bool:
    """Whether its weights are there, all of them."""
    for weights in WEIGHTS:
        try:
            patterns = [*SMALL_FILES, weights]
            weight_files(fetch_hub(hub, revision=None, patterns=patterns, local=True))
        except WeightsError:
            continue
        return True
    return False


def auto_line(choice: Choice) -> str:
    """What `--model auto` says before anything is fetched or loaded."""
    if choice.model == MINI:
        return "; ".join((f"auto: {MINI}", *choice.against))
    parts = [f"auto: {choice.name}", choice.memory]
    if choice.seconds is not None:
        parts.append(f"estimated: {choice.seconds.as_text()}")
    if choice.fetch:
        parts.append(f"its first use downloads {gigabytes(choice.fetch)} from the hub")
        parts.append(f"{choice.terms}; to decline: Ctrl-C, and --model {MINI}")
    else:
        parts.append("it is in the hub's cache")
    return "; ".join(parts)


def recommendation(choice: Choice) -> str:
    """How `assistant doctor` ends."""
    lines = [f"For this machine: {choice.name}", choice.memory]
    if choice.seconds is not None:
        lines.append(f"{choice.seconds.as_text()}, estimated from its size and the speed measured")
    if choice.fetch:
        lines.append(f"{gigabytes(choice.fetch)} to download from the hub; {choice.terms}")
    lines += [f"not {reason}" for reason in choice.against]
    if choice.missed is not None:
        seconds = choice.missed.seconds
        soon = f" ({choice.missed.memory}; {seconds.as_text()})" if seconds is not None else ""
        lines.append(f"once that is mended: assistant chat CLIP{choice.missed.options}{soon}")
    lines.append(f"-> assistant chat CLIP{choice.options}")
    return "\n".join([lines[0], *(f"  {line}" for line in lines[1:])])
