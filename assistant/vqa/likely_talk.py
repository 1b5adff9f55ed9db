"""Small talk in words that no rule of `assistant.vqa.talk` knows: a logistic regression on a text's
sentence vector, by the encoder that `assistant.vqa.task_choice` asks of every question anyway.

It was taught by `assistant pretrain talk`. Nonsense and other languages are for the rules alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.bounds import check_bounds
from assistant.core.config import from_yaml
from assistant.core.resources import adapters_dir
from assistant.errors import ConfigError, WeightsError
from assistant.vqa.talk import BEYOND, LANGUAGE, NONSENSE, QUESTION, names_time, words
from assistant.vqa.time_ranges import without_time
from assistant.weights.presets import model_name

if TYPE_CHECKING:
    import numpy as np

FOLDER, CONFIG, WEIGHTS = "talk", "talk.yaml", "talk.safetensors"
Guess = Callable[[str, Callable[[], bool]], str]  # a text, and whether something is said: its kind


@dataclass(frozen=True)
class TalkConfig:
    """What the weights are of."""

    encoder: str  # of sentences; its name in the weights lock
    kinds: tuple[str, ...]  # a row of the weights each
    least: float  # chance of being a question below which a text is none
    strength: float  # C: the larger, the less the weights were held small
    seed: int

    def __post_init__(self) -> None:
        check_bounds(self, least=(0, 1))
        known = {QUESTION, *words().kinds} - {NONSENSE, LANGUAGE}
        if QUESTION not in self.kinds or (unknown := set(self.kinds) - known):
            met = min(unknown) if QUESTION in self.kinds else f"no {QUESTION!r}"
            raise ConfigError(f"kinds hold {met}; choose {QUESTION} and some of its kinds of talk")


@dataclass(frozen=True)
class LikelyTalk:
    """The regression."""

    config: TalkConfig
    weight: np.ndarray  # (kinds, D)
    bias: np.ndarray  # (kinds,)

    def chances(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, kinds)``: what each text may be.

        Raises:
            WeightsError: the sentence encoder cannot be fetched.
        """
        import numpy as np

        from assistant.model.sentences import sentence_encoder

        vectors = sentence_encoder()([without_time(text) for text in texts])
        scores = vectors @ self.weight.T + self.bias
        exact = np.exp(scores - scores.max(1, keepdims=True))
        return exact / exact.sum(1, keepdims=True)

    def kind_of(self, text: str, is_said: Callable[[], bool]) -> str:
        """The kind of a text that the rules take for a question; `QUESTION` where it may be one.

        ``is_said``: whether there is a dialogue; it is asked only where that could know.
        """
        (chances,) = self.chances([text])
        by_kind = dict(zip(self.config.kinds, chances.tolist(), strict=True))
        if by_kind.pop(QUESTION) >= self.config.least:
            return QUESTION
        kind = max(by_kind, key=by_kind.__getitem__)
        if (kind in BEYOND and names_time(text)) or (words().kinds[kind].spoken and is_said()):
            return QUESTION
        return kind


def likely_kind(model: str, text: str, is_said: Callable[[], bool]) -> str:
    """The kind of a text by what is shipped for a model; `QUESTION` where nothing is: the rules
    are alone then.

    Raises:
        ConfigError, WeightsError: it is damaged, or the sentence encoder cannot be fetched.
    """
    folder = adapters_dir() / model_name(model) / FOLDER
    return load_likely_talk(folder).kind_of(text, is_said) if folder.is_dir() else QUESTION


@lru_cache(maxsize=2)
def load_likely_talk(folder: Path) -> LikelyTalk:
    """The one in ``folder``. Raises ConfigError, WeightsError: its files cannot be used."""
    from assistant.model.sentences import WEIGHTS as ENCODER
    from assistant.model.weight_files import read_weights

    config = from_yaml(TalkConfig, folder / CONFIG)
    if config.encoder != ENCODER:
        raise WeightsError(
            f"{folder}: was made for the sentence encoder {config.encoder}, and this is {ENCODER}; "
            "make it again with `assistant pretrain talk`"
        )
    state = read_weights(folder / WEIGHTS)
    rows = len(config.kinds)
    weight, bias = (state.get(name) for name in ("weight", "bias"))
    if weight is None or bias is None or weight.shape[:1] != (rows,) or bias.shape != (rows,):
        raise WeightsError(
            f"{folder / WEIGHTS}: does not fit {CONFIG} beside it; get the whole folder again"
        )
    return LikelyTalk(config, weight.float().numpy(), bias.float().numpy())
