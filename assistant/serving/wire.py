"""What is sent to the server, checked: OpenAI's fields, and a few of ours beside them.

A field that OpenAI has and this server cannot serve is refused unless it asks for what is done
anyway (`ONLY`); nothing is passed over in silence but what only labels a request (`LABELS`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    PositiveInt,
    Tag,
    ValidationError,
)

from assistant.serving.problems import Problem

MOST_MESSAGES, MOST_PARTS, MOST_CHOICES, MOST_INPUTS = 256, 32, 64, 256
MOST_CHARACTERS = 100_000  # of one text
MOST_TOKENS = 1024  # of one answer

# What may be said of fields that cannot be served: that they are to be as they are anyway.
ONLY: dict[str, tuple[Any, ...]] = {
    "temperature": (0, 1),
    "top_p": (1,),
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "stop": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "web_search_options": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
LABELS = ("user", "metadata", "seed", "safety_identifier", "prompt_cache_key")

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """An unknown key is an error, and no value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class TextPart(Strict):
    type: Literal["text"]
    text: Text


class Address(Strict):
    url: str
    detail: Literal["auto", "low", "high"] | None = None  # frames are always seen whole


class ImagePart(Strict):
    type: Literal["image_url"]
    image_url: Address

    @property
    def url(self) -> str:
        return self.image_url.url


class VideoPart(Strict):
    type: Literal["video_url"]
    video_url: Address

    @property
    def url(self) -> str:
        return self.video_url.url


class Sound(Strict):
    data: str
    format: Literal["wav", "mp3", "flac", "ogg", "m4a"]


class SoundPart(Strict):
    type: Literal["input_audio"]
    input_audio: Sound


Part = Annotated[TextPart | ImagePart | VideoPart | SoundPart, Field(discriminator="type")]
LookPart = ImagePart | VideoPart


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else "parts"


class UserMessage(Strict):
    role: Literal["user"]
    content: Annotated[
        Annotated[Text, Tag("text")]
        | Annotated[list[Part], Field(min_length=1, max_length=MOST_PARTS), Tag("parts")],
        Discriminator(_kind),
    ]
    name: str | None = None


class Said(Strict):
    """What only has a text: a client sends back more of what it got, which is passed over."""

    model_config = ConfigDict(extra="ignore")
    content: Annotated[
        Annotated[Text | None, Tag("text")] | Annotated[list[TextPart], Tag("parts")],
        Discriminator(lambda value: "parts" if isinstance(value, list) else "text"),
    ] = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class SystemMessage(Said):
    role: Literal["system", "developer"]


class AssistantMessage(Said):
    role: Literal["assistant"]


Message = Annotated[UserMessage | SystemMessage | AssistantMessage, Field(discriminator="role")]


class StreamOptions(Strict):
    include_usage: bool | None = None  # tokens are not counted: the last event says null
    include_obfuscation: bool | None = None


class Loose(Strict):
    """What is not served may be there, where it changes nothing."""

    model_config = ConfigDict(extra="allow")

    def check_extra(self) -> None:
        """Raises Problem: a field that is unknown, or asks for what is not done."""
        for name, value in (self.model_extra or {}).items():
            if name in LABELS or (name in ONLY and (value is None or value in ONLY[name])):
                continue
            if name not in ONLY:
                raise Problem(
                    400,
                    f"unrecognized request argument: {name:.60}; docs/serve.md lists what is read",
                    param=name[:60],
                    code="unknown_parameter",
                )
            taken = " or ".join(repr(one) for one in ONLY[name])
            raise Problem(
                400,
                f"{name} is {value!r:.60}, which is not supported; leave it out"
                + (f" or give {taken}" if taken else ""),
                param=name,
                code="unsupported_value",
            )


class ChatRequest(Loose):
    """``POST /v1/chat/completions``."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[PositiveInt, Field(le=MOST_TOKENS)] | None = None
    max_completion_tokens: Annotated[PositiveInt, Field(le=MOST_TOKENS)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    # ours
    choices: Annotated[list[Text], Field(max_length=MOST_CHOICES)] | None = None
    task: str | None = None
    dialogue: Text | None = None  # what is said, as subtitles or lines of NAME: TEXT
    start: Annotated[FiniteFloat, Field(ge=0)] | None = None  # seconds
    end: Annotated[FiniteFloat, Field(ge=0)] | None = None
    evidence: bool | None = None  # also what each frame weighs, which takes one more pass


class EmbeddingRequest(Loose):
    """``POST /v1/embeddings``; an input may be a content part that is looked at."""

    model: str
    input: (
        Text
        | Annotated[
            list[Text | Annotated[TextPart | LookPart, Field(discriminator="type")]],
            Field(min_length=1, max_length=MOST_INPUTS),
        ]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: PositiveInt | None = None

    @property
    def inputs(self) -> list[str | LookPart]:
        """Raises Problem: a text is empty."""
        given = [self.input] if isinstance(self.input, str) else self.input
        found = [one.text if isinstance(one, TextPart) else one for one in given]
        for place, one in enumerate(found):
            if isinstance(one, str) and not one.strip():
                raise Problem(400, f"input.{place} is empty; give a text", param="input")
        return found


def read(kind: type[M], body: bytes) -> M:
    """A body as ``kind``. Raises Problem: it is none."""
    try:
        found = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:120]
        told = f"{where}: {first['msg']}" if where else f"the body: {first['msg']}"
        raise Problem(400, f"{told}; docs/serve.md has examples", param=where or None) from None
    if isinstance(found, Loose):
        found.check_extra()
    return found
