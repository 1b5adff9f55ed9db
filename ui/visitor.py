"""What belongs to one visitor: clips, answers, features, files; nothing of it is shared."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from assistant.ui.lending import Lent
from assistant.ui.settings import Settings
from assistant.ui.uploads import Offer

from assistant.actions.store import user_recognisers
from assistant.model.features import FeatureStore
from assistant.sources import SOURCES
from assistant.vqa.conversation import TALK, Conversation, Turn

if TYPE_CHECKING:
    from assistant.ui.engine import Engine
    from assistant.ui.found import Found, Wanted
    from assistant.ui.line import Job
    from assistant.ui.scenes import Scenes
    from assistant.ui.suggesting import Known

    from assistant.dialogue.subtitles import Dialogue, Line
    from assistant.sources import Perceived
    from assistant.vqa.answer import Answer
    from assistant.vqa.perception import Perception
    from assistant.vqa.session import Session

MOST_TURNS = 200  # of a conversation; older ones leave
FEATURES_IN_MEMORY, FEATURES_ON_DISK = 32 * 2**20, 256 * 2**20  # bytes, of one visitor


@dataclass(frozen=True)
class Told:
    """What is shown about one answer."""

    found: dict[str, Any]  # see Answer.as_dict
    lines: tuple[Line, ...] = ()  # dialogue in the range looked at
    sent: dict[str, str] = field(default_factory=dict)  # texts that the models read, by reader
    pictures: tuple[str, ...] = ()  # of the T frames, as data URIs
    weights: tuple[float, ...] | None = None  # (T,), see Answer.evidence; None: not known yet
    routing: list[dict[str, list[float]]] = field(default_factory=list)  # see Answer.routing
    items: tuple[Perceived, ...] = ()  # what stands in the frames, see Session.perceived
    strips: tuple[tuple[str, ...], ...] = ()  # of the clips that were compared, as ``pictures``

    @property
    def sees(self) -> bool:
        """Whether frames were looked at; some adapters read text alone."""
        return bool(self.found["frames"])

    @property
    def is_talk(self) -> bool:
        """Whether it is nothing about the clip, and rests on nothing."""
        return self.found["task"] == TALK


@dataclass
class Asked:
    """One question to one clip, and its answer."""

    clip: str
    question: str
    answer: str = ""
    correction: str | None = None
    choices: tuple[str, ...] | None = None
    told: Told | None = None  # None: a turn that was loaded from a file
    live: Answer | None = None  # until its evidence is known
    also: bool = False  # the same question as the turn before, to another clip
    among: tuple[str, ...] = ()  # the clips that it compares; (): it is to one
    instead: str = ""  # the clip that was chosen, where the question named this one

    @property
    def about(self) -> tuple[str, ...]:
        """The clips that it is to."""
        return self.among or (self.clip,)

    @property
    def said(self) -> str:
        """The answer as it stands."""
        return self.answer if self.correction is None else self.correction


@dataclass
class OpenClip:
    """One clip of a visitor, and its session."""

    name: str
    path: Path
    offer: Offer
    dialogue: Path | None = None  # uploaded subtitles
    session: Session | None = None
    opened_with: tuple = ()  # what decides whether the session can stay
    model: object = None  # that the session is with, see `Assistant.answerer`
    said: Dialogue | None = None  # what was found to be said in it
    sample: str = ""  # the button it was made by
    origin: str = ""  # the file on the host that a search found; ``path`` is another name of it
    moment: tuple[float, float] | None = None  # seconds that were found; None: all of it is asked
    known: Known | None = None  # once it was looked at
    thumbnail: str = ""  # as a data URI
    pictures: dict[tuple, tuple[str, ...]] = field(default_factory=dict)  # thumbnails, by window
    seen: Perception | None = None  # what is perceived of all of it, so far
    scenes: Scenes | None = None  # its timeline
    timing: Job | None = None  # that which makes it
    sceneless: str = ""  # HTML: why it could not be made

    @property
    def is_timed(self) -> bool:
        """Whether its timeline is being made."""
        job = self.timing
        return job is not None and not (job.stop.is_set() or job.ended.is_set())


class Visitor:
    """One open page. ``folder`` is theirs alone and goes with them."""

    def __init__(self, root: Path) -> None:
        self.folder = root / uuid4().hex
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o700)
        self.clips: dict[str, OpenClip] = {}
        self.turns: list[Asked] = []
        self.cleared: list[Asked] = []  # until it is brought back
        self.before: list[Asked] = []  # the conversation, while a question of it is asked again
        self.chosen = ""  # a clip's name
        self.settings = Settings()
        self.shown: Asked | None = None  # whose evidence is on the page
        self.job: Job | None = None  # the question being answered
        self.explaining: Job | None = None  # the evidence being worked out
        self.seeing: Job | None = None  # a clip being looked at
        self.unanswered = ""  # a question whose page was left before its answer
        self._talking = threading.Lock()  # a turn is remembered, or forgotten
        self.taking = threading.Lock()  # uploads are taken in the order in which they came
        self.wanted: Wanted | None = None  # by the search that was begun last
        self.found: Found | None = None  # by the last that came to its end
        self.searching: Job | None = None
        self.teaching: str | None = None  # the task that is taught; "": a new one; None: the last
        self.lent = Lent(self.folder)
        self.has_begun = False  # with what the server was started to show
        self.active = time.monotonic()
        self.left: float | None = None
        self.store = FeatureStore(
            self.folder / "features", disk_bytes=FEATURES_ON_DISK, memory_bytes=FEATURES_IN_MEMORY
        )

    @property
    def is_busy(self) -> bool:
        """Whether a question of theirs is being answered."""
        return self.job is not None and not self.job.ended.is_set()

    def add(self, source: Path, name: str, offer: Offer) -> OpenClip:
        """Take the file at ``source`` over as a clip called ``name``."""
        place = self.folder / f"{uuid4().hex}{offer.suffix}"
        shutil.move(source, place)
        self.clips[name] = OpenClip(name, place, offer)
        self.chosen = name
        return self.clips[name]

    def remove(self, name: str) -> None:
        """Close a clip; its file and what was asked about it go, too."""
        clip = self.clips.pop(name)
        if clip.timing is not None:
            clip.timing.stop.set()
        for path in (clip.path, subtitles_of(clip)):
            path.unlink(missing_ok=True)
        self.lent.take_back(clip.path)
        shutil.rmtree(dialogues_of(clip), ignore_errors=True)
        self.turns = [turn for turn in self.turns if name not in turn.about]
        self.cleared = [turn for turn in self.cleared if name not in turn.about]
        if self.shown is not None and name in self.shown.about:
            self.shown = None
        if self.chosen == name:
            self.chosen = next(reversed(self.clips), "")

    def session(self, clip: OpenClip, engine: Engine) -> Session:
        """The clip's session under the present settings; features are kept over a change."""
        wanted = self.settings
        start, end = clip.moment or (None, None)
        how = (wanted.precision, wanted.frames, wanted.sources, wanted.transcribe)
        key = (*how, clip.dialogue, start, end)
        assistant = engine.assistant(wanted, self.store)
        if clip.session is None or clip.model is not assistant.answerer or clip.opened_with != key:
            hears = clip.offer.has_audio and clip.dialogue is None
            clip.session = assistant.open(
                clip.path,
                frames=wanted.frames,
                start=start,
                end=end,
                dialogue=clip.dialogue,
                transcribe=wanted.transcribe if hears else "no",
                without=[name for name in SOURCES if name not in wanted.sources],
                head=engine.options.head,
            )
            clip.opened_with, clip.model, clip.seen = key, assistant.answerer, None
        clip.session.conversation = Conversation(
            tuple(
                Turn.of(turn.question, turn.said, turn.told.found if turn.told else {})
                for turn in self.turns
                if turn.clip == clip.name
            )
        )
        return clip.session

    def remember(self, turn: Asked, job: Job, *clips: OpenClip) -> bool:
        """The newest answer, which is shown; not of a job that was stopped or a clip that left."""
        with self._talking:
            if job.stop.is_set() or any(self.clips.get(one.name) is not one for one in clips):
                return False
            self.turns = [*self.turns, turn][-MOST_TURNS:]
            self.shown = turn
            return True

    def stop(self) -> None:
        """Nothing more is said, nor explained."""
        for job in (self.job, self.explaining, self.seeing, self.searching):
            if job is not None:
                job.stop.set()

    def go(self) -> None:
        """The page was left: stop, and look for no scenes."""
        self.stop()
        for clip in [*self.clips.values()]:
            if clip.timing is not None:
                clip.timing.stop.set()

    def question_to(self, clip: OpenClip) -> str:
        """The one whose answer is shown, as a whole question; "": it is none to this clip."""
        turn = self.shown
        if turn is None or turn.clip != clip.name or (turn.told and turn.told.is_talk):
            return ""
        return (turn.told.found.get("asked_as") if turn.told else "") or turn.question

    def sought_by(self, clip: OpenClip) -> str:
        """What the shown answer looked for in the clip's timeline; "": nothing."""
        turn = self.shown
        if turn is None or turn.clip != clip.name or turn.told is None:
            return ""
        return str(turn.told.found.get("sought", ""))

    def without_paths(self, message: str) -> str:
        """The message with clips and recognisers as the person calls them."""
        for clip in self.clips.values():
            message = message.replace(str(clip.path), clip.name).replace(clip.path.name, clip.name)
        return message.replace(str(self.folder), "").replace(f"{user_recognisers()}/", "")

    def forget(self) -> None:
        """Stop, and forget the conversation; clips stay."""
        self.stop()
        with self._talking:
            self.turns, self.shown = [], None

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.go()
        self.clips.clear()
        self.forget()
        shutil.rmtree(self.folder, ignore_errors=True)


def subtitles_of(clip: OpenClip) -> Path:
    """Where the player finds the clip's subtitles (WebVTT), if it has any."""
    return clip.path.with_name(f"{clip.path.stem}.player.vtt")


def dialogues_of(clip: OpenClip) -> Path:
    """The folder of subtitles that were uploaded for the clip."""
    return clip.path.with_name(f"{clip.path.stem}.said")
