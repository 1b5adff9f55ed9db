"""What the server does, less HTTP: requests in, answers and vectors out."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from assistant.dialogue.speech import transcribe
from assistant.serving.asked import Asked, asked_in
from assistant.serving.embedding import Vectors
from assistant.serving.engine import Answered, Engine, too_slow
from assistant.serving.files import Files, Stored
from assistant.serving.limits import Limits
from assistant.serving.media import NAME, Media, said_in, without_paths
from assistant.serving.metrics import Metrics
from assistant.serving.models import Choice, choose
from assistant.serving.problems import Problem
from assistant.serving.replies import Reply
from assistant.serving.wire import ChatRequest, EmbeddingRequest, LookPart
from assistant.ui.uploads import safe_name

if TYPE_CHECKING:
    import numpy as np

    from assistant.dialogue.spoken import DialogueLike
    from assistant.vqa.answer import Answer
    from assistant.vqa.assistants import Assistant, Opening
    from assistant.vqa.session import Session
    from assistant.vqa.several.session import SeveralSession

T = TypeVar("T")
Gone = Callable[[], Awaitable[bool]]  # whether who asked has left


class Service:
    """One model behind the API."""

    def __init__(
        self,
        assistant: Assistant,
        folder: Path,
        *,
        limits: Limits,
        folders: Sequence[Path] = (),
        remote: bool = False,
        frames: int = 8,
    ) -> None:
        """
        Args:
            folder: for what is sent; emptied by who made it.
            folders: below which ``file://`` is read. remote: whether http(s) is fetched.
            frames: how many are looked at.
        """
        self.assistant, self.limits, self.metrics = assistant, limits, Metrics()
        self.started = int(time.time())
        self._frames = frames
        self._requests = folder / "requests"  # a folder each
        self._requests.mkdir()
        self.files = Files(folder / "files", limits)
        self.media = Media(self.files, limits, [one.resolve() for one in folders], remote)
        self._engine = Engine(self.metrics.together)
        self._vectors = Vectors(assistant, frames)
        self._opening = ThreadPoolExecutor(limits.waiting, "opening")  # nobody waits for a slow one
        self._waiting = 0

    def close(self) -> None:
        """Whoever waits still is answered first; what is being opened is left."""
        self._opening.shutdown(wait=False, cancel_futures=True)
        self._engine.close()

    async def _open(self, work: Callable[[], T]) -> T:
        """What ``work`` returns that may wait for others: for the web, or for a decoder."""
        return await asyncio.get_running_loop().run_in_executor(self._opening, work)

    @property
    def _retry_after(self) -> int:
        return self._engine.seconds_for(self._waiting)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line, for as long as a request lasts. Raises Problem: there is none."""
        if self._waiting >= self.limits.waiting:
            raise Problem(
                429,
                f"{self._waiting} requests are waiting; try again later",
                code="rate_limit_exceeded",
                retry_after=self._retry_after,
            )
        self._waiting += 1
        self.metrics.waiting(self._waiting)
        try:
            yield
        finally:
            self._waiting -= 1
            self.metrics.waiting(self._waiting)

    @asynccontextmanager
    async def own_folder(self) -> AsyncIterator[Path]:
        """For what one request brings."""
        folder = Path(tempfile.mkdtemp(dir=self._requests))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def chat(
        self, request: ChatRequest, owner: str, gone: Gone
    ) -> AsyncGenerator[Reply | str | Answered]:
        """The frame of the answer, its pieces, and the whole of it.

        Raises:
            Problem: what is asked for is not served. AssistantError: nor can it be.
        """
        name = self.assistant.name
        choice = choose(request.model, request.task, name)
        asked = asked_in(request.messages)
        reply = Reply(
            request.model,
            self.assistant.name,
            logprobs=_logprobs(request, choice, name),
            warnings=asked.warnings,
        )
        with self.place():
            async with self.own_folder() as folder:
                begin = await self._open(
                    partial(self._beginning, request, asked, choice, owner, folder)
                )
                yield reply
                answer = self._engine.ask(
                    begin,
                    weigh=bool(request.evidence),
                    seconds=self.limits.answer_seconds,
                    gone=gone,
                )
                async with aclosing(answer):
                    async for piece in answer:
                        yield piece

    def _beginning(
        self, request: ChatRequest, asked: Asked, choice: Choice, owner: str, folder: Path
    ) -> Callable[[], Answer]:
        """What asks, once it is the request's turn. Raises Problem: a clip cannot be had."""
        clips, several = [], len(asked.clips) > 1
        told = [f"clip {n + 1}" if several else NAME for n in range(len(asked.clips))]
        for place, url in enumerate(asked.clips):
            own = folder / str(place)
            own.mkdir()
            clips.append(self.media.clip(url, owner, own, told[place]))
        names = [self.media.name(url, owner) for url in asked.clips]
        sound = None if asked.sound is None else self.media.sound(asked.sound, folder)
        if sound is not None and request.dialogue is not None:
            raise Problem(
                400, "a sound and a dialogue are given; leave one of them out", param="dialogue"
            )
        if not clips and sound is None and not request.dialogue:
            raise Problem(
                400,
                "there is nothing that the question is about; bring a clip as video_url, a picture "
                "as image_url, a sound as input_audio, or what is said as dialogue",
                param="messages",
            )
        said: DialogueLike | None = request.dialogue
        if said is None and len(clips) == 1 and sound is None:
            said = said_in(clips[0])  # here, where nobody waits for the decoder

        def begin() -> Answer:
            with ExitStack() as hiding:
                brought = [*zip(clips, told, strict=True), *([(sound, NAME)] if sound else [])]
                for path, called in brought or [(folder, NAME)]:
                    hiding.enter_context(without_paths(path, called))
                how: Opening = {
                    "frames": self._frames,
                    "dialogue": said if sound is None else transcribe(sound),
                }
                session: Session | SeveralSession
                if several:
                    session = self.assistant.open(clips, names=names, **how)
                else:
                    session = self.assistant.open(next(iter(clips), None), **how)
                session.take_up(asked.conversation)
                return session.ask(
                    asked.question,
                    task=choice.task,
                    adapter=choice.adapter,
                    recogniser=choice.recogniser,
                    choices=request.choices,
                    start=request.start,
                    end=request.end,
                    max_new_tokens=request.max_completion_tokens or request.max_tokens,
                )

        return begin

    def keep(self, owner: str, name: str, purpose: str, size: int, content: BinaryIO) -> Stored:
        """Store an uploaded file. Raises Problem: it is no clip, too large, or one too many."""
        own = safe_name(name)

        def write(path: Path) -> None:
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            self.media.check(path, own)

        return self.files.add(owner, own, purpose, size, write)

    async def embed(self, request: EmbeddingRequest, owner: str) -> np.ndarray:
        """``(N, E)``: a vector of the joint space for each input.

        Raises:
            Problem: what is asked for is not served. AssistantError: nor can it be.
        """
        name = self.assistant.name
        if request.model != name:
            choose(request.model, None, name)
            raise Problem(
                400,
                f"{request.model[:80]!r} has no vectors of its own; ask for {name!r}, whose joint "
                "space all share",
                param="model",
            )
        with self.place():
            async with self.own_folder() as folder:
                try:
                    async with asyncio.timeout(self.limits.answer_seconds):
                        found = await self._vectors_of(request.inputs, owner, folder)
                except TimeoutError:
                    raise too_slow(self.limits.answer_seconds, self._retry_after) from None
        width = found.shape[1]
        if request.dimensions not in (None, width):
            raise Problem(
                400, f"vectors have {width} dimensions; leave dimensions out", param="dimensions"
            )
        return found

    async def _vectors_of(
        self, inputs: Sequence[str | LookPart], owner: str, folder: Path
    ) -> np.ndarray:
        """All texts at once, then clip by clip, so that questions come in between."""
        import numpy as np

        texts = [one for one in inputs if isinstance(one, str)]
        read = iter(await self._engine.run(lambda: self._vectors.of_texts(texts)) if texts else ())
        found = []
        for place, one in enumerate(inputs):
            if isinstance(one, str):
                found.append(next(read))
                continue
            own = folder / str(place)
            own.mkdir()
            path = await self._open(partial(self.media.clip, one.url, owner, own))
            found.append(await self._engine.run(partial(self._vector_of, path)))
        return np.stack(found)

    def _vector_of(self, path: Path) -> np.ndarray:
        with without_paths(path):
            return self._vectors.of_clip(path)


def _logprobs(request: ChatRequest, choice: Choice, name: str) -> int | None:
    """Of how many choices the log-probabilities are told; None: they are not asked for.

    Raises:
        Problem: they are asked for where nothing is chosen.
    """
    if not request.logprobs:
        if request.top_logprobs is not None:
            raise Problem(400, "top_logprobs wants logprobs: true", param="top_logprobs")
        return None
    if not request.choices and not choice.weighs_choices(name):
        raise Problem(
            400,
            "log-probabilities are told of choices, not of tokens; give choices (a list), or leave "
            "logprobs out",
            param="logprobs",
            code="unsupported_value",
        )
    return request.top_logprobs or 0
