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
    from assistant.vqa.assistants import Assistant

MOST_LOADED = 2  # models in memory at once


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
        self._models: OrderedDict[tuple[str, str, str | None], Assistant] = OrderedDict()

    def assistant(self, settings: Settings, store: FeatureStore) -> Assistant:
        """The wanted model in the wanted precision, with the visitor's own ``store`` of features.

        Raises:
            WeightsError: weights missing or damaged. InputError: an unknown model or precision.
        """
        name = picking.model_of(self.options, settings)
        auto = settings.precision == "auto"
        llm = picking.llm_of(self.options, settings)
        key = (name, self.options.precision if auto else settings.precision, llm)
        if key not in self._models:
            report("Loading the model (only this first time)", 0.0)
            from assistant import load  # with torch, which takes seconds

            while len(self._models) >= MOST_LOADED:
                _, dropped = self._models.popitem(last=False)
                self._on_drop(dropped.answerer)
            base = self.options.base if name == self.options.model else None
            self._models[key] = load(
                name,
                base=base,
                precision=key[1],
                quantize=self.options.quantize,
                device=self.options.device,
                space=self.options.space,
                llm=llm,
                llm_name=self.options.llm_name if llm else None,
                store=store,
            )
        self._models.move_to_end(key)
        return self._models[key].sharing(store)

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
