"""The folder of a trained action recogniser, and the recogniser at work."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.actions.recogniser import ActionNetwork, Recogniser, RecogniserConfig
from assistant.actions.store import CONFIG, WEIGHTS
from assistant.actions.zero_shot import Descriptions, described
from assistant.core.bounds import check_bounds
from assistant.core.config import from_yaml
from assistant.errors import ConfigError, InputError, WeightsError
from assistant.model.weight_files import read_weights

if TYPE_CHECKING:
    from assistant.actions.video import VideoEncoder
    from assistant.model.motion import MotionReader
    from assistant.model.sight import Sight

TEXTS = "texts"  # among the weights: (C, E), what the labels' descriptions are on average
KNOWN = "known"  # among them: (C, E), what the clips of each label are, to the joint space
VIDEO = "video"  # a folder beside them: what a video encoder of its own is
BY = ("logits", "texts")  # what names a clip: the classifier, or the nearest descriptions


@dataclass(frozen=True)
class ActionHeadConfig:
    """What a recogniser is, and what it was made from."""

    space: str  # fingerprint of the joint space that taught it
    encoder: str  # fingerprint of the encoder whose maps it reads, or of its own as it began
    labels: tuple[str, ...]
    patch_width: int
    text_width: int
    recogniser: RecogniserConfig = field(default_factory=RecogniserConfig)
    motion: str = ""  # fingerprint of the motion adapter that it begins with; none: with none
    motion_width: int = 0  # of what that makes of a frame
    video: str = ""  # sha256 of the files in VIDEO; none: it reads maps
    by: str = BY[0]
    text_loss: bool = True  # whether it learned texts, so that it can name other labels
    tau: float = 0.07  # of similarities to texts
    teacher: float = 0.0  # share of the joint space's own log-scores in the answer, fitted on dev
    temperature: float = 1.0  # of log-scores, fitted on dev
    least_known: float | None = None  # how near clips of dev are to what was learned, but for 5 %
    data: str = ""  # sha256 of the labelled clips
    clips: int = 0  # that it learned from
    epoch: int = 0
    seed: int = 0
    date: str = ""
    figures: dict[str, float] = field(default_factory=dict)  # on dev
    bare: dict[str, float] = field(default_factory=dict)  # of the joint space alone

    def __post_init__(self) -> None:
        check_bounds(self, patch_width=(1, 65536), text_width=(1, 65536), tau=(1e-4, 100))
        check_bounds(self, teacher=(0, 1), temperature=(1e-6, 1e6))
        if len(self.labels) < 2 or self.by not in BY:
            raise ConfigError(
                f"{len(self.labels)} labels, by {self.by!r}; wanted two labels or more, by "
                + " or ".join(BY)
            )


class ActionHead:
    """Clips in, probabilities of its labels out."""

    def __init__(
        self,
        config: ActionHeadConfig,
        network: ActionNetwork,
        texts: Tensor,
        teacher: Descriptions | None = None,
        motion: MotionReader | None = None,
        known: Tensor | None = None,
    ) -> None:
        """``texts``: ``(C, E)`` unit vectors, of the labels' descriptions. ``teacher``: how the
        joint space tells its labels, where it has a share in the answer. ``motion``: where it
        begins with that. ``known``: ``(C, E)`` unit vectors, of the labels' clips."""
        self.config, self.network, self.texts = config, network.eval(), texts
        self.teacher, self.motion, self.known = teacher, motion, known

    def probabilities(self, seen: Tensor, pictured: Tensor | None = None) -> Tensor:
        """What is seen of one clip, ``(T, K, Dv)`` or with a video encoder ``(T, S, S, 3)``, ->
        ``(C,)``; ``pictured`` ``(E,)``: the joint space's mean of its frames, where there is a
        ``teacher``."""
        own = self.scores(seen)
        if self.teacher is not None:
            assert pictured is not None
            own = mixed(own, self.teacher.logits(pictured[None])[0], self.config.teacher)
        return (own / self.config.temperature).softmax(-1)

    def is_strange(self, pictured: Tensor) -> bool | None:
        """Whether a clip is less like those that were learned than nearly all of their labels are;
        None: not known. ``pictured``: as `probabilities`."""
        if self.known is None or self.config.least_known is None:
            return None
        return float(nearness(pictured[None], self.known)) < self.config.least_known

    @torch.inference_mode()
    def probabilities_of(self, seen: Tensor, texts: Tensor) -> Tensor:
        """``(C',)`` of other labels, which have the ``texts`` ``(C', E)``; not calibrated."""
        return self.scores(seen, texts).softmax(-1)

    @torch.inference_mode()
    def scores(self, seen: Tensor, texts: Tensor | None = None) -> Tensor:
        """Log-scores of its own, of its labels or of those of ``texts``."""
        return score_states(self, *self.states(seen), texts)[0]

    def states(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Z_v ``(1, T', g g, D)`` of one clip, and ``(1, T')`` ones: the times that it has."""
        times = len(seen) if self.video is None else self.network.times
        there = torch.ones(1, times, dtype=torch.long)
        motion = None if self.motion is None else self.motion(seen)[None]
        return self.network.states(seen[None], there, motion), there

    @property
    def video(self) -> VideoEncoder | None:
        """Its own; None: it reads maps of a frozen encoder."""
        return getattr(self.network, "video", None)


def nearness(pictured: Tensor, known: Tensor) -> Tensor:
    """``(N, E)``, ``(C, E)`` -> ``(N,)``: how near clips are to the nearest label's, a cosine."""
    return (F.normalize(pictured, dim=-1) @ known.T).amax(1)


def mixed(own: Tensor, taught: Tensor, share: float) -> Tensor:
    """Log-scores of a recogniser with a share of its teacher's."""
    return (1 - share) * own + share * taught


def score_states(
    head: ActionHead, states: Tensor, there: Tensor, texts: Tensor | None = None
) -> Tensor:
    """Z_v ``(N, T, g g, D)`` -> ``(N, C)`` log-scores of its labels, or of those of ``texts``."""
    network, config = head.network, head.config
    summary = network.summary(states, there)
    if texts is None and config.by == BY[0]:
        return network.logits(summary)
    return network.embed(summary) @ (head.texts if texts is None else texts).T / config.tau


def read_head_config(folder: Path) -> ActionHeadConfig:
    """
    Raises:
        InputError: ``folder`` holds no recogniser. ConfigError: its config cannot be used.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"head {folder}: holds no {name}; give a folder that assistant finetune actions "
                "wrote"
            )
    return from_yaml(ActionHeadConfig, folder / CONFIG)


def new_network(config: ActionHeadConfig, video: VideoEncoder | None) -> ActionNetwork:
    """As it is before it has learned; ``video``: its own video encoder."""
    classes, width = len(config.labels), config.text_width
    if video is None:
        return Recogniser(
            config.recogniser, config.patch_width, classes, width, config.motion_width
        )
    from assistant.actions.video import VideoRecogniser

    return VideoRecogniser(video, classes, width, config.recogniser.dropout)


def load_head(folder: Path, sight: Sight, *, texts: bool = False) -> ActionHead:
    """
    Args:
        texts: it is to compare clips with texts of the joint space instead.

    Raises:
        InputError: there is no such recogniser, or it was trained on what another encoder sees, or
            taught by another joint space, or no texts. ConfigError, WeightsError: its config or its
            weights cannot be used.
    """
    config = read_head_config(folder)
    if not config.video and config.encoder != sight.encoder_fingerprint:
        raise InputError(
            f"head {folder} reads what the encoder {config.encoder} sees, and this one is "
            f"{sight.encoder_fingerprint}; take that model with --model, or another head"
        )
    if texts and not config.text_loss:
        raise InputError(
            f"head {folder} was trained without text and names its own labels alone; leave out "
            "--labels and --bank, or --head"
        )
    if (texts or config.teacher) and config.space != sight.space.fingerprint:
        raise InputError(
            f"head {folder} was taught by the joint space {config.space}, and this one is "
            f"{sight.space.fingerprint}; name that space with --space, or another head with --head"
        )
    state = read_weights(folder / WEIGHTS)
    network = new_network(config, _own_video(folder, config) if config.video else None)
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    wanted[TEXTS] = torch.Size((len(config.labels), config.text_width))
    if config.least_known is not None:
        wanted[KNOWN] = wanted[TEXTS]
    if {name: value.shape for name, value in state.items()} != wanted:
        raise WeightsError(
            f"{folder / WEIGHTS}: does not fit {CONFIG} beside it; give a whole folder"
        )
    own_texts, known = state.pop(TEXTS).float(), state.pop(KNOWN, None)
    if known is not None:
        known = known.float() if config.space == sight.space.fingerprint else None
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    teacher = described(sight.space, config.labels, own_texts) if config.teacher else None
    motion = _own_motion(folder, config, sight) if config.motion else None
    return ActionHead(config, network, own_texts, teacher, motion, known)


def _own_motion(folder: Path, config: ActionHeadConfig, sight: Sight) -> MotionReader:
    """Raises InputError: it began with another motion adapter than the one that is there."""
    from assistant.model.motion import load_motion_reader

    reader = load_motion_reader(sight.encoder)
    if reader.fingerprint != config.motion:
        raise InputError(
            f"head {folder} begins with the motion adapter {config.motion}, and the one here is "
            f"{reader.fingerprint}; train it again, or use the version that it was trained with"
        )
    return reader


def _own_video(folder: Path, config: ActionHeadConfig) -> VideoEncoder:
    """The head's own video encoder, without its weights. Raises WeightsError: it is another's."""
    from assistant.actions.video import empty_video_encoder  # takes seconds to import

    video = empty_video_encoder(folder / VIDEO, config.encoder)
    if video.digest != config.video:
        raise WeightsError(
            f"{folder / VIDEO}: is not what {CONFIG} beside it was written with; give a whole "
            "folder"
        )
    return video
