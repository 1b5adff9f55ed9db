"""From messages to a question: which clips it is about, and what was said of them before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.serving.problems import Problem
from assistant.serving.wire import (
    AssistantMessage,
    ImagePart,
    Message,
    Sound,
    SoundPart,
    SystemMessage,
    TextPart,
    UserMessage,
    VideoPart,
)
from assistant.vqa.conversation import Conversation
from assistant.vqa.several.naming import MOST

SYSTEM_UNREAD = "system messages are not read: this model takes no instructions beside the question"


@dataclass(frozen=True)
class Asked:
    """The last message's question, with what it is about."""

    question: str | None  # None: the task's own
    conversation: Conversation  # about the same clips
    clips: tuple[str, ...]  # their URLs; several are compared
    sound: Sound | None
    warnings: tuple[str, ...] = ()


def asked_in(messages: Sequence[Message]) -> Asked:
    """The conversation since the newest clips were brought; before that it was about others.

    Raises:
        Problem: the last message is not the user's, or one brings too many clips, or two sounds.
    """
    last = messages[-1]
    if not isinstance(last, UserMessage):
        raise Problem(400, "the last message is to be a user's: the question", param="messages")
    clips, sound, begin = _brought(messages)
    conversation, questions = Conversation(), list[str]()
    for message in messages[begin:]:
        if isinstance(message, UserMessage):
            questions.append(_text(message))
        elif isinstance(message, AssistantMessage) and questions:
            conversation = conversation.add("\n".join(filter(None, questions)), message.text)
            questions = []
    has_system = any(isinstance(m, SystemMessage) and m.text.strip() for m in messages)
    question = "\n".join(filter(None, questions)).strip()
    return Asked(
        question or None, conversation, clips, sound, (SYSTEM_UNREAD,) if has_system else ()
    )


def _brought(messages: Sequence[Message]) -> tuple[tuple[str, ...], Sound | None, int]:
    """The newest clips and sound, and the place of the message that the clips came with first."""
    clips: tuple[str, ...] = ()
    sound: Sound | None = None
    begin = 0
    for place, message in enumerate(messages):
        parts = message.content if isinstance(message, UserMessage) else ()
        if isinstance(parts, str):
            continue
        urls = tuple(part.url for part in parts if isinstance(part, ImagePart | VideoPart))
        sounds = [part.input_audio for part in parts if isinstance(part, SoundPart)]
        for what, found, most in (("clips or pictures", urls, MOST), ("sounds", sounds, 1)):
            if len(found) > most:
                raise Problem(
                    400,
                    f"messages.{place} brings {len(found)} {what}; a question is about {most} at "
                    "most: ask about the others in a request of its own",
                    param=f"messages.{place}.content",
                )
        if urls and urls != clips:
            clips, sound, begin = urls, None, place
        sound = sounds[0] if sounds else sound
    return clips, sound, begin


def _text(message: UserMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))
