"""The models in memory: loaded with the first question, used by one question at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.ui import picking
from assistant.ui.line import Line
from assistant.ui.settings import Options, Settings

from assistant.core.progress import report

if TYPE_CHECKING:
    from assistant.model.features import FeatureStore
    from assistant.model.sight import Sight
    from assistant.vqa.assistants import Assistant

MOST_LOADED = 2  # models in memory at once
Key = tuple[str, str, str | None]  # model, precision, language model


@dataclass(frozen=True)
class Loaded:
    """What lies in memory, for a person."""

    model: str
    precision: str
    parameters: int
    megabytes: float  # of its weights
    adapters: tuple[str, ...]


class Engine:
    """Everything here but ``line`` and ``loaded`` is for the line's own thread."""

    def __init__(self, options: Options, on_drop: Callable[[object], None]) -> None:
        """``on_drop`` gets what answers (`Assistant.answerer`) and leaves memory, to let go of it,
        too."""
        self.options, self._on_drop = options, on_drop
        self.line = Line(options.most_waiting)
        self._models: OrderedDict[Key, Assistant] = OrderedDict()
        self._looking: Assistant | None = None  # whose model is not loaded

    def assistant(self, settings: Settings, store: FeatureStore) -> Assistant:
        """The wanted model in the wanted precision, with the visitor's own ``store`` of features.

        Raises:
            WeightsError: weights missing or damaged. InputError: an unknown model or precision.
        """
        key = self._key(settings)
        if key not in self._models:
            report("Loading the model (only this first time)", 0.0)
            while len(self._models) >= MOST_LOADED:
                _, dropped = self._models.popitem(last=False)
                self._on_drop(dropped.answerer)
            self._models[key] = self._load(key, store)
        self._models.move_to_end(key)
        return self._models[key].sharing(store)

    @property
    def sight(self) -> Sight:
        """What searches compare with, of the server's own model, which is not loaded for it."""
        key = self._key(Settings())
        if key in self._models:
            self._looking = None
            return self._models[key].sight
        if self._looking is None:
            report("Loading what looks (only this first time)", 0.0)
            self._looking = self._load(key, None, now=False)
        return self._looking.sight

    def _key(self, settings: Settings) -> Key:
        auto = settings.precision == "auto"
        return (
            picking.model_of(self.options, settings),
            self.options.precision if auto else settings.precision,
            picking.llm_of(self.options, settings),
        )

    def _load(self, key: Key, store: FeatureStore | None, *, now: bool = True) -> Assistant:
        from assistant import load  # with torch, which takes seconds

        name, precision, llm = key
        return load(
            name,
            base=self.options.base if name == self.options.model else None,
            precision=precision,
            quantize=self.options.quantize,
            device=self.options.device,
            space=self.options.space,
            sounds=self.options.sounds,
            sound_labels=self.options.sound_labels,
            llm=llm,
            llm_name=self.options.llm_name if llm else None,
            store=store,
            now=now,
        )

    def loaded(self) -> list[Loaded]:
        """The models in memory, the last used last."""
        return [_describe(key[1], held) for key, held in list(self._models.items())]


def _describe(precision: str, assistant: Assistant) -> Loaded:
    llm = assistant.llm
    model = assistant.model if llm is None else llm
    weights = list(model.parameters())
    if weights:  # that of most of them
        precision = str(max(weights, key=lambda weight: weight.nbytes).dtype).split(".")[-1]
    elif llm is not None:
        precision = f"at {llm.place}"
    return Loaded(
        model=model.name,
        precision=precision,
        parameters=sum(weight.numel() for weight in weights),
        megabytes=sum(weight.nbytes for weight in weights) / 1e6,
        adapters=assistant.model.loaded_adapters if llm is None else (),
    )
