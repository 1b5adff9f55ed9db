"""Frozen, nested configs and their strict YAML loader."""

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

import yaml

from assistant.core.bounds import check_bounds
from assistant.errors import ConfigError

C = TypeVar("C")

ROUTINGS = ("none", "log_bias", "logit", "mixture")  # forms of DAR: how masks enter attention
POOLINGS = ("mean", "saliency", "learned")  # over frames
MOST_REREADS = 2  # by an adapter
MOST_FRAMES = 256  # of a clip


@dataclasses.dataclass(frozen=True)
class EfficientNetConfig:
    """A frozen EfficientNet-Lite."""

    kind: str = "efficientnet"
    weights: str = "efficientnet-lite0"  # name in the weights lock
    size: int = 224  # side of the square input, pixels
    deep: str = "head"  # the deep map: "last" block, or the classifier's "head" over it
    position_width: int = 16  # channels of the 2-D sine position appended to every patch

    def __post_init__(self) -> None:
        check_bounds(self, size=(32, 4096), position_width=(0, 4096))
        if self.deep not in ("last", "head"):
            raise ConfigError(f"deep is {self.deep!r}; choose last or head")


@dataclasses.dataclass(frozen=True)
class ViTConfig:
    """InstructBLIP's frozen image encoder, as its checkpoint describes it."""

    kind: str = "vit"
    weights: str = ""  # hub id or folder with an InstructBlipVisionModel; a whole checkpoint: none
    size: int = 224  # side of the square input, pixels
    patch: int = 14  # side of a patch, pixels
    width: int = 1408
    layers: int = 39
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)  # of red, green, blue; CLIP's
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    def __post_init__(self) -> None:
        check_bounds(self, size=(1, 4096), patch=(1, 4096), width=(1, 16384), layers=(1, 256))
        if self.size % self.patch:
            raise ConfigError(
                f"size {self.size} is not a multiple of patch {self.patch}; change one"
            )


EncoderConfig = EfficientNetConfig | ViTConfig  # a file's ``kind`` chooses


@dataclasses.dataclass(frozen=True)
class QFormerConfig:
    """InstructBLIP's Q-Former (``transformers`` names in brackets)."""

    weights: str = "all-minilm-l6-v2"  # initialisation and tokenizer
    queries: int = 32
    width: int = 384  # hidden_size
    layers: int = 6
    heads: int = 12
    intermediate: int = 1536
    cross_every: int = 2  # cross_attention_frequency
    text_positions: int = 512
    vocabulary: int = 30522

    def __post_init__(self) -> None:
        check_bounds(self, queries=(1, 1024), width=(1, 16384), layers=(1, 256), heads=(1, 256))
        check_bounds(self, intermediate=(1, 65536), cross_every=(1, 256))
        check_bounds(self, text_positions=(3, 65536), vocabulary=(1, 1_000_000))
        if self.width % self.heads:
            raise ConfigError(
                f"width {self.width} is not a multiple of heads {self.heads}; change one"
            )


@dataclasses.dataclass(frozen=True)
class LLMConfig:
    """The frozen language model and how a turn is written for it."""

    weights: str = "smollm2-135m-instruct"
    turn: str = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    end: str = "<|im_end|>\n"  # closes an answer inside the history
    special_tokens: bool = False  # the tokenizer adds its own to a prompt: Llama's <s>, T5's </s>
    max_new_tokens: int = 48
    repetition_penalty: float = 1.0
    no_repeat: int = 0  # so many tokens in a row are not said twice; 0: they may be
    beams: int = 1  # of beam search; more than 1: an answer comes whole, not piece by piece
    choice_prior: float = 0.0  # share of its blind log-probability taken off a choice's
    one_sentence: bool = (
        True  # an answer ends with its first sentence, or where its list starts over
    )

    def __post_init__(self) -> None:
        check_bounds(self, max_new_tokens=(1, 1024), repetition_penalty=(0.01, 100))
        check_bounds(self, no_repeat=(0, 1024), beams=(1, 64), choice_prior=(0, 1))


@dataclasses.dataclass(frozen=True)
class TransferConfig:
    """What an adapter adds to the image Q-Former. Defaults were measured on mini."""

    RETIRED: ClassVar[dict[str, Any]] = {"masks": 3, "router_width": 16, "temperature": 0.1}

    frames: int = 8  # length of the learned temporal embedding; 0: frames are not told their time
    windows: bool = True  # each head of the attention over frames has a time that it looks at
    temporal: bool = True  # False: frames are seen one by one ("without mqt")
    reuse: bool = True  # False: attention over frames begins anew, with weights of its own
    layers: int = 3  # of the Q-Former, the last ones, that are adapted; 0: all, as in the paper
    gate: float | None = 1.0  # at the start; 0: the image model; None: 1 for good, as in the paper
    gate_layers: int = 2  # the last layers, that begin with it; those before with 0; 0: all
    routing: str = "log_bias"  # form of DAR, one of ROUTINGS
    contrast: int = 16  # channels that tell what changes in a query over the clip; 0: none
    neighbours: int = 0  # channels that tell what changes from frame to frame; 0: none
    rereads: int = 0  # times that the last layer runs again over pooled queries and text
    text_mean: int = 0  # channels that tell every query the mean of the text's tokens; 0: none
    regression: int = 0  # scores of a regression of the text, fitted before training; 0: none
    regressions: int = 1  # of kinds of lines, with one that tells these kinds
    expectation: int = 0  # signals that they read, of what the last line stands beside
    pooling: str = "mean"  # over frames, one of POOLINGS
    sees: bool = True  # False: the frames' patches are left out ("without video")
    sound: int = 0  # width of what an audio encoder hears, which joins the text; 0: nothing does
    sound_tokens: int = 4  # of what is heard beside a frame

    def __post_init__(self) -> None:
        for name, value, known in (
            ("routing", self.routing, ROUTINGS),
            ("pooling", self.pooling, POOLINGS),
        ):
            if value not in known:
                raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(known)}")
        check_bounds(self, frames=(0, MOST_FRAMES), rereads=(0, MOST_REREADS), gate=(-100, 100))
        check_bounds(self, layers=(0, 256), gate_layers=(0, 256))
        check_bounds(self, contrast=(0, 4096), text_mean=(0, 4096))
        check_bounds(self, regression=(0, 256), regressions=(1, 256), expectation=(0, 4096))
        check_bounds(self, neighbours=(0, 4096))
        check_bounds(self, sound=(0, 16384), sound_tokens=(1, 256))


@dataclasses.dataclass(frozen=True)
class LoraSettings:
    """How much an attention may change."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    output: bool = False  # also on self-attention's output projection, in space and in time
    feed_forward: bool = False  # also on the queries' feed-forward
    train: bool = True  # False leaves the LoRAs at zero ("without lora")

    def __post_init__(self) -> None:
        check_bounds(self, rank=(1, 1024), alpha=(0.001, 10_000), dropout=(0, 0.95))


@dataclasses.dataclass(frozen=True)
class SpaceConfig:
    """A joint space of pictures and texts over frozen features of both."""

    weights: str = "all-minilm-l6-v2"  # the text encoder, in the weights lock
    members: int = 3  # networks whose vectors stand side by side
    width: int = 384  # of the vectors of each
    inner: int = 512  # width of a patch in the picture's tower
    heads: int = 4  # of its attention pooling
    hidden: int = 768  # width of the hidden layer of each branch
    word_width: int = 192  # of the vectors that match single words with single patches
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_bounds(self, members=(1, 64), width=(1, 16384), inner=(1, 16384))
        check_bounds(self, heads=(1, 256), hidden=(1, 65536), word_width=(1, 16384))
        check_bounds(self, dropout=(0, 0.95))
        if self.inner % self.heads:
            raise ConfigError(
                f"inner {self.inner} is not a multiple of heads {self.heads}; change one"
            )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One backend: encoder, Q-Former and LLM."""

    name: str
    encoder: EncoderConfig = EfficientNetConfig()
    qformer: QFormerConfig = QFormerConfig()
    llm: LLMConfig = LLMConfig()


def from_yaml(kind: type[C], path: str | Path) -> C:
    """Read ``path`` into the frozen dataclass ``kind``.

    Raises:
        ConfigError: unreadable file, unknown or missing key, wrong type; the key is named.
    """
    return from_mapping(kind, read_yaml(Path(path)), str(path))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises ConfigError: it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not YAML ({where}); mend the line named") from error


def from_mapping(kind: type[C], data: Any, where: str) -> C:
    """Build the frozen dataclass ``kind`` from ``data``; every key must be known and well typed.

    Raises:
        ConfigError: the offending key, what it holds and what was wanted.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: holds {type(data).__name__}, wanted keys and values")
    data = _as_of_today(kind, data, where)
    hints = {field.name: get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [str(key) for key in data if key not in hints]
    if unknown:
        raise ConfigError(
            f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(hints))}"
        )
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    missing = [
        field.name
        for field in fields
        if field.name not in data
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: the key {missing[0]!r} is missing; add it")
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in data.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _as_of_today(kind: type, data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``data`` of an earlier version, in today's keys.

    ``kind.RENAMED`` has old names of keys, each with the new one, or with several; "losses.llm" is
    the key ``llm`` in the mapping ``losses``. ``kind.RETIRED`` has keys that are gone, each with
    the value by which alone everything is still computed.
    """
    renamed: dict[str, str | tuple[str, ...]] = getattr(kind, "RENAMED", {})
    retired: dict[str, Any] = getattr(kind, "RETIRED", {})
    for key, value in data.items():
        if key in retired and value != retired[key]:
            raise ConfigError(
                f"{where}: {key} is {value!r}; this version only has {retired[key]!r}: "
                "make it again without that key, or use the version that made it"
            )
    found = {key: data[key] for key in data if key not in renamed and key not in retired}
    for key in renamed.keys() & data.keys():
        new = renamed[key]
        for name in (new,) if isinstance(new, str) else new:
            into, _, inner = name.rpartition(".")
            box = found.get(into, {}) if into else found
            if not isinstance(box, Mapping):
                raise ConfigError(f"{where}: {into} is {box!r}, wanted keys and values")
            if inner in box:
                raise ConfigError(f"{where}: given twice, as {key!r} and as {name!r}; keep one")
            found |= {into: {**box, inner: data[key]}} if into else {inner: data[key]}
    return found


def _convert(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type ``hint``, or a ConfigError that names ``where``."""
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, where)
    origin = get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in get_args(hint):
            return None
        members = [member for member in get_args(hint) if member is not type(None)]
        return _convert(_chosen(members, value, where), value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(
            _convert(get_args(hint)[0], item, f"{where}[{i}]") for i, item in enumerate(value)
        )
    if origin is dict and isinstance(value, Mapping):
        inner = get_args(hint)[1]
        return {str(key): _convert(inner, item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.inf
    if (
        isinstance(hint, type)
        and isinstance(value, hint)
        and (hint is bool or not isinstance(value, bool))
    ):
        return value
    wanted = getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{where} is {reprlib.repr(value)}, wanted {wanted}")


def _chosen(members: list[Any], value: Any, where: str) -> Any:
    """The member of a union of dataclasses that the ``kind`` in ``value`` names; the first where
    it names none."""
    if len(members) == 1 or not isinstance(value, Mapping) or "kind" not in value:
        return members[0]
    for member in members:
        if member.kind == value["kind"]:
            return member
    known = ", ".join(member.kind for member in members)
    raise ConfigError(f"{where}: kind is {value['kind']!r}; choose one of {known}")
