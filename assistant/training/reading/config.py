"""The recipe of a reading language model."""

from dataclasses import dataclass, field

from assistant.core.bounds import check_bounds, check_optimizer
from assistant.core.config import LoraSettings
from assistant.errors import ConfigError


@dataclass(frozen=True)
class AskedSet:
    """Photos of one folder, and what is asked about them."""

    captions: tuple[str, ...] = ()  # files of "name#k<TAB>caption" lines
    questions: str = ""  # file of "name<TAB>question<TAB>answer<TAB>..." lines
    labels: str = ""  # file of "name<TAB>label" lines
    asked: tuple[str, ...] = ()  # questions whose answer is the label
    # Sentences about a label that describe the photo; {a}: the label with its article.
    told: tuple[str, ...] = ()
    answer: str = "{}"  # what such a question is answered with
    renamed: dict[str, str] = field(default_factory=dict)  # labels that read badly

    def __post_init__(self) -> None:
        if not (self.captions or self.questions or self.labels):
            raise ConfigError("a set of photos has captions, questions or labels; name one of them")
        for text in (*self.told, self.answer):
            if "{}" not in text and "{a}" not in text:
                raise ConfigError(f"told: {text!r} has no {{}} or {{a}} for the label")


@dataclass(frozen=True)
class ReadingConfig:
    """Everything that the weights depend on, beside the base, the sources and the photos."""

    sets: dict[str, AskedSet]  # by folder
    prompts: tuple[str, ...]  # that ask for a description
    mix: dict[str, float]  # kind of example: weight
    reads: tuple[str, ...] = ("attributes", "objects", "phrases")  # sources
    lora: LoraSettings = field(default_factory=LoraSettings)  # on every Linear of the LLM
    samples: int = 24000
    batch: int = 32
    parts: int = 4  # a batch goes through in so many parts, sorted by length
    lr: float = 1e-3
    seed: int = 7
    weight_decay: float = 0.0
    betas: tuple[float, ...] = (0.9, 0.98)
    average: float = 0.98  # decay of the weights' running average, which is what is kept
    captions: int = 2  # of a photo that a description is taught by, at once
    source_kept: float = 0.85  # share of examples in which a source is read
    unread: float = 0.1  # share of examples without any source
    wrong: float = 0.2  # share of examples in which some words are of another photo
    unseen: float = 0.08  # share of parts that see no picture
    follow_ups: float = 0.1  # share of examples with an earlier turn
    dev_every: int = 100  # steps
    weighed: int = 100  # dev questions of each form, by which candidates are weighed

    def __post_init__(self) -> None:
        check_bounds(self, samples=(1, 10**9), batch=(1, 4096), parts=(1, 4096), lr=(0, 10))
        check_bounds(self, seed=(0, 2**32 - 1), average=(0, 1), captions=(1, 100))
        check_bounds(self, source_kept=(0, 1), unread=(0, 1), wrong=(0, 1), unseen=(0, 1))
        check_bounds(
            self, weighed=(2, 10**6), follow_ups=(0, 1), dev_every=(1, 10**7), mix=(0, 1e6)
        )
        check_optimizer(self.betas, self.weight_decay)
        if not self.sets or not any(self.mix.values()):
            raise ConfigError("sets and mix: name photos, and give some kind a weight")
