"""Turns as the messages of a chat, and messages back to turns."""

from collections.abc import Sequence

from assistant.ui.visitor import Asked


def messages(
    turns: Sequence[Asked], question: str | None = None, pending: str = "", *, also: bool = False
) -> list[dict[str, str]]:
    """``{"role", "content"}`` of each message, then the question being answered.

    Args:
        pending: its answer so far. also: the question is on the page already, for another clip.
    """
    found = []
    for role, place in message_places(turns):
        turn = turns[place]
        said = turn.question if role == "user" else label_of(turns, turn) + turn.said
        found.append({"role": role, "content": said})
    if question is not None:
        found += [] if also else [{"role": "user", "content": question}]
        found.append({"role": "assistant", "content": pending})
    return found


def message_places(turns: Sequence[Asked]) -> list[tuple[str, int]]:
    """Role and turn of each message, in the order shown."""
    return [
        (role, place)
        for place, turn in enumerate(turns)
        for role in (("assistant",) if turn.also else ("user", "assistant"))
    ]


def label_of(turns: Sequence[Asked], turn: Asked) -> str:
    """The clip's name before an answer, where the conversation is about several."""
    return f"**{turn.clip}:** " if len({other.clip for other in turns}) > 1 else ""
