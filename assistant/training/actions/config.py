"""The recipe of an action recogniser."""

from dataclasses import dataclass, field

from assistant.actions.gates import GATES
from assistant.actions.recogniser import RecogniserConfig
from assistant.core.bounds import check_bounds, check_optimizer
from assistant.errors import ConfigError

LOSSES = ("ce", "text", "image")


@dataclass(frozen=True)
class ActionsConfig:
    """Everything that the weights depend on, beside the data, their descriptions and the space."""

    recogniser: RecogniserConfig = field(default_factory=RecogniserConfig)
    losses: tuple[str, ...] = LOSSES  # L = L_ce + L_text + alpha L_image
    teacher: bool = True  # whether the joint space has a share in the answer, as dev wants it
    motion: bool = True  # whether it begins with what the motion adapter knows, if that is mini's
    tau: float = 0.07
    positives: int = 1  # descriptions that a clip is drawn to, P
    negatives: int = 1200  # and pushed from, K, at most
    alpha: float = 1.0  # the paper's 10 leaves mini's recogniser less of what moves
    gate: str = "self"  # of the teacher's patches: identity, self or cross
    keyword_covers: float = 0.5  # thr1 of cross: from which share on a patch is a keyword's
    keyword_shown: float = 0.0  # thr2: how similar a frame must be to it, more than this
    distilled: int = 1  # frames of a clip that a step compares with the teacher's
    epochs: int = 10
    least_steps: int = 120  # of a run: few clips are gone through more often
    batch: int = 16  # clips
    lr: float = 1e-3
    seed: int = 7
    weight_decay: float = 0.05
    betas: tuple[float, ...] = (0.9, 0.98)
    checkpointing: bool = False  # of a video encoder's layers: less memory, more time

    def __post_init__(self) -> None:
        check_bounds(self, tau=(1e-3, 10), positives=(1, 10**4), negatives=(1, 10**6))
        check_bounds(self, alpha=(0, 10**4), keyword_covers=(0, 1), keyword_shown=(-1, 1))
        check_bounds(self, distilled=(1, 256), epochs=(1, 10**6), batch=(1, 65536), lr=(0, 10))
        check_bounds(self, seed=(0, 2**32 - 1), least_steps=(0, 10**6))
        check_optimizer(self.betas, self.weight_decay)
        if not set(self.losses) <= set(LOSSES) or not {"ce", "text"} & set(self.losses):
            raise ConfigError(
                f"losses is {list(self.losses)}; wanted some of {', '.join(LOSSES)}, ce or text "
                "among them: image alone names nothing"
            )
        if self.gate not in GATES:
            raise ConfigError(f"gate is {self.gate!r}; choose one of {', '.join(GATES)}")


def video_recipe() -> ActionsConfig:
    """Of a video encoder that is fine-tuned whole: the paper's, section 4."""
    return ActionsConfig(epochs=40, least_steps=0, lr=1.5e-4, betas=(0.9, 0.999), alpha=10.0)
