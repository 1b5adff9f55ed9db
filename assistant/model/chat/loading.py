"""From a hub id, a folder or an address to a language model that answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from assistant.core.files import first_time
from assistant.core.resources import user_dir
from assistant.errors import InputError
from assistant.model.chat.base import ChatModel, Message
from assistant.weights.causal import find_causal, short_name

if TYPE_CHECKING:
    from torch import Tensor

ADDRESS = re.compile(r"\w+://")
SERVERS_TOLD = "llm-servers-told"  # in the user's folder: hosts of which was told what goes there


def find_chat_model(
    name: str | None,
    model: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    quantize: str = "auto",
    tell: Callable[[str], None] | None = None,
) -> ChatModel:
    """The language model that ``name`` stands for; one of a hub is loaded when it is first needed.

    Args:
        name: a hub id, a folder, or the address of an OpenAI-compatible server.
        model: its name on that server; None: the only one there.
        device, precision, quantize: of one that runs here.
        tell: gets what goes where, at the first use of a server, and the plan of memory.
    Raises:
        InputError: it is none of these. WeightsError: a folder that cannot be used.
    """
    if name is None:
        raise InputError(f"--llm-name {model} is a model of the server --llm; give --llm, too")
    if ADDRESS.match(name.strip()):
        from assistant.model.chat.endpoint import Endpoint

        server = Endpoint(name, model)
        if tell is not None and first_time(user_dir() / SERVERS_TOLD, server.place):
            tell(server.notice())
        return server
    if model is not None:
        raise InputError(
            f"--llm-name names a model of a server, and --llm {name} is none; leave it out"
        )
    source = find_causal(name)
    own = f"llm:{short_name(source)}"

    def load() -> ChatModel:
        from assistant.model.chat.hub import load_hub_chat  # takes seconds to import

        return load_hub_chat(
            source, own, device=device, precision=precision, quantize=quantize, tell=tell
        )

    return LaterChat(own, load)


class LaterChat(ChatModel):
    """One that runs here, loaded when it is first needed."""

    place = "this machine"

    def __init__(self, name: str, load: Callable[[], ChatModel]) -> None:
        self.name, self._load = name, load
        self._model: ChatModel | None = None
        self._loading = Lock()

    @property
    def model(self) -> ChatModel:
        """The model, loaded now where that had waited."""
        with self._loading:
            if self._model is None:
                self._model = self._load()
            return self._model

    def prepare(self) -> None:
        self.model.prepare()

    def fits(self, messages: Sequence[Message], max_tokens: int) -> bool:
        return self.model.fits(messages, max_tokens)

    def pieces(self, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        return self.model.pieces(messages, max_tokens)

    def parameters(self) -> Iterable[Tensor]:
        return self._model.parameters() if self._model else ()
