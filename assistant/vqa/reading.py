"""An assistant whose questions a language model of the person's own answers (``--llm``).

It reads what the sources perceive. Of the named model only what looks at clips is loaded, all of it
where an adapter is asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from assistant.model.sound_naming import OURS, SoundNaming
from assistant.vqa.assistants import Assistant, LaterAssistant

if TYPE_CHECKING:
    from assistant.model.assistant import VideoAssistant
    from assistant.model.chat.base import ChatModel
    from assistant.model.features import FeatureStore
    from assistant.model.sight import Sight


class ReadingAssistant(LaterAssistant):
    """It looks with one model, and another speaks."""

    llm: ChatModel

    def __init__(
        self,
        llm: ChatModel,
        name: str,
        load: Callable[[], VideoAssistant],
        store: FeatureStore,
        load_sight: Callable[[], Sight],
        sounds: SoundNaming = OURS,
    ) -> None:
        """``name``, ``load``, ``load_sight``: of the model that looks."""
        super().__init__(name, load, store, load_sight, sounds)
        self.llm = llm

    def load(self) -> None:
        self.llm.prepare()
        self.sight  # noqa: B018

    @property
    def answerer(self) -> object:
        return self.llm

    def sharing(self, store: FeatureStore) -> Assistant:
        return ReadingAssistant(
            self.llm, self.name, lambda: self.model, store, lambda: self.sight, self.sounds
        )
