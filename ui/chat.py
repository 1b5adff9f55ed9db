"""Turns as the messages of a chat, and messages back to turns."""

from collections.abc import Sequence
from typing import Any

from assistant.ui.visitor import Asked

# Share of the likeliest choice; an adapter has a threshold of its own.
UNSURE_BELOW = 0.6


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
        said = label_of(turns, turn) + turn.said + how_sure(turn)
        said = turn.question if role == "user" else said
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


def how_sure(turn: Asked) -> str:
    """What stands below an answer: its probability, and why it is unsure; "" of a corrected one."""
    if turn.told is None or turn.correction is not None:
        return ""
    found = turn.told.found
    share = (found.get("probabilities") or {}).get(found.get("choice"))
    told = [f"{share:.0%} likely"] if share is not None else []
    if settled := found.get("settled"):
        told.append(f"Seen: {settled}.")
    if reason := unsure_of(found):
        told.append(f"Unsure: {reason}.")
    return f"\n\n{' · '.join(told)}" if told else ""


def unsure_of(found: dict[str, Any]) -> str:
    """Why an answer is unsure, in words; "" where it is not."""
    if found.get("unsure"):
        return str(found["reason"])
    shares = [share or 0.0 for share in found.get("probabilities", {}).values()]
    if shares and found["adapter"] is None and max(shares) < UNSURE_BELOW:
        return "no choice is much likelier than the others"
    return ""


def label_of(turns: Sequence[Asked], turn: Asked) -> str:
    """The clip's name before an answer, where the conversation is about several, or where the
    question named it and another was chosen."""
    if turn.instead:
        return f"**{turn.clip}** (named in the question; {turn.instead} is chosen)**:** "
    if turn.among:  # it names them itself
        return ""
    return f"**{turn.clip}:** " if len({other.clip for other in turns}) > 1 else ""
