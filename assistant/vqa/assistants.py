"""What answers questions about clips: a loaded model, or one that loads when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias, TypedDict, Unpack, overload

from assistant.core.clip_names import clip_path
from assistant.dialogue.spoken import DialogueLike
from assistant.model.features import FeatureStore
from assistant.model.sound_naming import OURS, SoundNaming
from assistant.tasks.recipes import Recipe
from assistant.tasks.store import StoredAdapter
from assistant.vqa.session import Session
from assistant.vqa.several.session import SeveralSession

if TYPE_CHECKING:
    from assistant.model.assistant import VideoAssistant
    from assistant.model.chat.base import ChatModel
    from assistant.model.sight import Sight


Paths: TypeAlias = list[str | Path] | list[str] | list[Path] | tuple[str | Path, ...]


class Opening(TypedDict, total=False):
    """How clips are opened, see `Assistant.open`."""

    frames: int
    start: float | None
    end: float | None
    decoder: str
    dialogue: DialogueLike | None
    transcribe: str
    without: Collection[str]
    head: str | Path | None


class OpeningSeveral(Opening, total=False):
    """The same of a list of clips."""

    names: Sequence[str] | None


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in memory."""

    name: str
    key: str  # its name in the model
    recipe: Recipe


class Assistant:
    """A loaded model, ready to open clips."""

    llm: ChatModel | None = None  # that answers instead, see `assistant.vqa.reading`

    def __init__(
        self,
        model: VideoAssistant,
        store: FeatureStore | None = None,
        sounds: SoundNaming = OURS,
    ) -> None:
        """``sounds``: what names those that are heard."""
        self.model, self.sounds = model, sounds
        self.name = model.name
        self.store = store or FeatureStore()

    @property
    def waits(self) -> bool:
        """Whether the model is still to be loaded, which takes long."""
        return False

    def load(self) -> None:
        """Load now what answers, where that had waited."""
        self.model  # noqa: B018

    @property
    def answerer(self) -> object:
        """What answers, loaded or not: a session stays while it is the same."""
        return self.model

    def sharing(self, store: FeatureStore) -> Assistant:
        """The same with another store of features."""
        return Assistant(self.model, store, self.sounds)

    @property
    def sight(self) -> Sight:
        """What it looks with; the model itself where that is loaded."""
        return self.model

    def adapter(self, stored: StoredAdapter | None) -> LoadedAdapter | None:
        """An adapter in memory.

        Raises:
            WeightsError: it belongs to another base, or is damaged.
        """
        if stored is None:
            return None
        key = self.model.load_adapter(stored.folder, stored.recipe)
        return LoadedAdapter(stored.name, key, stored.recipe)

    @overload
    def open(self, path: str | Path | None = None, **how: Unpack[Opening]) -> Session: ...

    @overload
    def open(self, path: Paths, **how: Unpack[OpeningSeveral]) -> SeveralSession: ...

    def open(
        self,
        path: str | Path | Paths | None = None,
        *,
        frames: int = 8,
        start: float | None = None,
        end: float | None = None,
        decoder: str = "auto",
        dialogue: DialogueLike | None = None,
        transcribe: str = "auto",
        without: Collection[str] = (),
        head: str | Path | None = None,
        names: Sequence[str] | None = None,
    ) -> Session | SeveralSession:
        """A conversation about the clip (or picture) at ``path``, or about a list of them; decoding
        waits for the first use.

        Args:
            path: a text as people name clips (`assistant.core.clip_names`); None: there is no
                clip, and ``dialogue`` is what it is about; a list: up to 8, which are compared.
            frames: how many are looked at, spread evenly over the range.
            start, end: the range looked at unless a question says otherwise, seconds.
            decoder: "auto", "pyav" or "decord".
            dialogue: a Path is read; text and turns are taken as they are. None: subtitles beside
                or inside the clip.
            transcribe: "yes": listen to the clip instead (needs the ``speech`` extra); "auto":
                where that is installed and there are no subtitles; "no".
            without: sources to leave out, of ``assistant.sources.SOURCES``.
            head: a recogniser of actions of yours, by name or folder, that answers where the
                question asks for an action and it is sure.
            names: of a list: what answers call the clips, instead of their files' names.
        Raises:
            InputError: an argument out of its range, or neither a clip nor a dialogue.
            VideoError: no such file. DialogueError: unreadable dialogue.
        """
        how: Opening = {"frames": frames, "start": start, "end": end, "decoder": decoder}
        how |= {"dialogue": dialogue, "transcribe": transcribe, "without": without, "head": head}
        if isinstance(path, list | tuple):
            return SeveralSession.open(self, path, names, **how)
        return Session(self, clip_path(path) if isinstance(path, str) else path, **how)


class LaterAssistant(Assistant):
    """One whose model is loaded when it is first needed: what is wrong otherwise shows before."""

    def __init__(
        self,
        name: str,
        load: Callable[[], VideoAssistant],
        store: FeatureStore,
        load_sight: Callable[[], Sight] | None = None,
        sounds: SoundNaming = OURS,
    ) -> None:
        """``load_sight``: what it looks with alone, for who asks nothing; None: the model."""
        self.name, self._load, self.store, self.sounds = name, load, store, sounds
        self._load_sight = load_sight
        self._sight: Sight | None = None
        self._loading = Lock()

    @property
    def waits(self) -> bool:
        return "_loaded" not in self.__dict__

    @property
    def model(self) -> VideoAssistant:  # type: ignore[override]
        with self._loading:
            return self._loaded

    @property
    def sight(self) -> Sight:
        if self._load_sight is None or not self.waits:
            self._sight = None  # the model looks with its own
            return self.model
        with self._loading:
            if self._sight is None:
                self._sight = self._load_sight()
            return self._sight

    @cached_property
    def _loaded(self) -> VideoAssistant:
        return self._load()
