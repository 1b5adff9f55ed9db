"""A video encoder of a model hub, from pixels to patches: VideoMAE, TimeSformer or ViViT.

Whatever order its tokens have, they come out on the raster of its tubelets: ``T' = T / tubelet``
times a square grid. A class token is left out: Z_v^cls is the patches' mean for every encoder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    TimesformerConfig,
    TimesformerModel,
    VideoMAEConfig,
    VideoMAEModel,
    VivitConfig,
    VivitModel,
)
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

from assistant.actions.recogniser import ActionNetwork
from assistant.core.progress import report
from assistant.errors import InputError, WeightsError
from assistant.model.hub_files import errors_alone, fetched, read_network, unusable
from assistant.model.space.seeing import look_at
from assistant.weights.checkpoints import CONFIG, read_json
from assistant.weights.downloads import file_sha256
from assistant.weights.spaces import WEIGHTS
from assistant.weights.video_encoders import (
    PICTURES,
    check_small_files,
    find_video_encoder,
    pictures_file,
    video_config,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assistant.model.sight import Sight
    from assistant.sources import Look

FINER = 2  # times the network's own side is the longer one of a frame: enough for both
CLASSES: Mapping[str, tuple[Any, Any, dict[str, Any]]] = {  # by model_type
    "videomae": (VideoMAEConfig, VideoMAEModel, {}),
    "timesformer": (TimesformerConfig, TimesformerModel, {}),
    "vivit": (VivitConfig, VivitModel, {"add_pooling_layer": False}),
}
PREPARED: Mapping[str, dict[str, Any]] = {  # what a family's image processor does unless told
    "vivit": {"size": {"shortest_edge": 256}, "rescale_factor": 1 / 127.5, "offset": True},
}
Shown = TypeVar("Shown", np.ndarray, "tuple[float, ...]")  # of T frames


@dataclass(frozen=True)
class Raster:
    """What a network takes, and what it gives."""

    frames: int  # T that it takes
    tubelet: int  # of them that are one time of its patches
    side: int  # pixels of a frame
    grid: int  # patches of a side
    width: int  # D

    @property
    def times(self) -> int:
        """T'."""
        return self.frames // self.tubelet


class VideoEncoder(nn.Module):
    """A network with the way its pictures are prepared."""

    def __init__(self, network: Any, folder: Path, fingerprint: str) -> None:
        """``folder``: that its config and the image processor's lie in.

        Raises:
            WeightsError: the two do not fit, or the patches lie on no square grid.
        """
        super().__init__()
        self.network, self.fingerprint = network, fingerprint
        self.files = {
            path.name: path.read_bytes() for path in (folder / CONFIG, pictures_file(folder))
        }
        self.raster = _raster(network.config, folder)
        told = read_json(pictures_file(folder))
        try:
            self.images = VideoMAEImageProcessorPil.from_dict(
                PREPARED.get(network.config.model_type, {}) | told
            )
            made = self.squares(np.zeros((1, 64, 64, 3), np.uint8)).shape[1:]
            scale, shift = _scale_and_shift(self.images)
        except Exception as error:  # wrong settings make the library raise anything
            raise unusable(folder, "image processor", error) from error
        if made != (self.raster.side, self.raster.side, 3):
            raise WeightsError(
                f"{folder}: its image processor makes pictures of {made[0]} x {made[1]}, its "
                f"network wants {self.raster.side} x {self.raster.side}; get the files of one "
                "revision"
            )
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    @property
    def digest(self) -> str:
        """sha256 of the files that say what it is."""
        told = sorted(self.files.items())
        return hashlib.sha256(b"".join(name.encode() + data for name, data in told)).hexdigest()

    @property
    def side(self) -> int:
        """The longer side that frames should have, in pixels."""
        return FINER * self.raster.side

    def squares(self, frames: np.ndarray) -> np.ndarray:
        """``(n, H, W, 3)`` uint8 RGB -> ``(n, S, S, 3)``, resized and cropped as the checkpoint
        wants it."""
        made = self.images(
            list(frames), do_rescale=False, do_normalize=False, return_tensors="np"
        ).pixel_values[0]
        return np.ascontiguousarray(made.transpose(0, 2, 3, 1))  # (n, S, S, 3)

    def pictures(self, frames: np.ndarray) -> np.ndarray:
        """Frames of a clip, ``(n, H, W, 3)`` -> ``(T, S, S, 3)``: those of a short one are shown
        for longer."""
        return self.squares(frames)[stretched(len(frames), self.raster.frames)]

    def middle(self, frames: Shown) -> Shown:
        """``(T, ...)`` -> ``(T', ...)``: of each tubelet the middle frame (of two, the second)."""
        return frames[self.raster.tubelet // 2 :: self.raster.tubelet]

    def look(self, pictures: np.ndarray, sight: Sight) -> Look:
        """What a joint space looks at of ``(T, S, S, 3)``: each tubelet's middle frame, cropped as
        here, so that patches of both show the same."""
        frames = np.ascontiguousarray(self.middle(pictures))
        return look_at(sight, frames, tuple(map(float, range(len(frames)))))

    def forward(self, pictures: Tensor) -> Tensor:
        """``(N, T, S, S, 3)`` uint8 RGB -> ``(N, T', g g, D)``."""
        pixels = (pictures.to(self.scale.dtype) * self.scale + self.shift).permute(0, 1, 4, 2, 3)
        tokens = self.network(pixel_values=pixels).last_hidden_state
        raster = self.raster
        times, cells = raster.times, raster.grid**2
        if self.network.config.model_type == "videomae":  # no class token
            return tokens.unflatten(1, (times, cells))
        if getattr(self.network.config, "attention_type", None) == "space_only":
            return tokens[:, 1:].unflatten(0, (-1, times))  # (N T, 1 + g g, D): a frame a row
        if self.network.config.model_type == "timesformer":  # the frames of a patch in a row
            return tokens[:, 1:].unflatten(1, (cells, times)).transpose(1, 2)
        return tokens[:, 1:].unflatten(1, (times, cells))


class VideoRecogniser(ActionNetwork):
    """Pixels in; a video encoder that learns with the rest."""

    def __init__(self, video: VideoEncoder, classes: int, text_width: int, dropout: float) -> None:
        super().__init__()
        self.video, raster = video, video.raster
        self.frames, self.times, self.grid = raster.frames, raster.times, raster.grid
        self.add_outputs(raster.width, classes, text_width, dropout)

    def checkpoint(self) -> None:
        self.video.network.activation_checkpointing_enable({"use_reentrant": False})

    def states(self, seen: Tensor, there: Tensor, motion: Tensor | None = None) -> Tensor:
        side = self.video.raster.side
        if seen.shape[1:] != (self.frames, side, side, 3):
            raise InputError(
                f"this recogniser has a video encoder of its own and reads {self.frames} frames of "
                f"{side} x {side} pixels, not {tuple(seen.shape[1:])}; use it with "
                "assistant actions --head"
            )
        return self.norm(self.video(seen))


def stretched(count: int, wanted: int) -> list[int]:
    """Which of ``count`` frames, evenly in time, each of ``wanted`` ones shows."""
    return [place * count // wanted for place in range(wanted)]


def load_video_encoder(name: str) -> VideoEncoder:
    """The video encoder of the checkpoint ``name``, a hub id or a folder; fetched where absent.

    Raises:
        InputError: no such folder or id. WeightsError: the checkpoint is not there, damaged, of
            another architecture, or its parts do not fit.
    """
    folder = fetched(find_video_encoder(name), check_small_files)
    report(f"Loading the video encoder {name}", 0.0)
    kind = video_config(folder)["model_type"]
    _, architecture, options = CLASSES[kind]
    with errors_alone():
        network = read_network(folder, architecture, torch.float32, **options)
        return VideoEncoder(network, folder, _fingerprint(kind, folder))


def empty_video_encoder(folder: Path, fingerprint: str) -> VideoEncoder:
    """One whose weights are to be assigned, of the files that `VideoEncoder.files` were.

    Raises:
        WeightsError: they are missing or damaged.
    """
    check_small_files(folder)
    config, architecture, options = CLASSES[video_config(folder)["model_type"]]
    with errors_alone():
        try:
            with torch.device("meta"):
                network = architecture(config.from_dict(read_json(folder / CONFIG)), **options)
        except Exception as error:  # wrong settings make the library raise anything
            raise unusable(folder, "config", error) from error
        return VideoEncoder(network, folder, fingerprint)


def _raster(config: Any, folder: Path) -> Raster:
    """Raises WeightsError: frames or patches are no whole number, or no square."""
    tubelet, patch = getattr(config, "tubelet_size", 1), getattr(config, "patch_size", 1)
    if isinstance(tubelet, list | tuple):  # ViViT has a patch's sides there, too
        tubelet, patch = tubelet[0], tubelet[1:]
    sides = {*np.ravel(config.image_size).tolist()}
    patches = {*np.ravel(patch).tolist()}
    if len(sides) > 1 or len(patches) > 1 or config.num_frames % tubelet:
        raise WeightsError(
            f"{folder}: {config.num_frames} frames in tubelets of {tubelet}, {config.image_size} "
            f"pixels in patches of {patch}; wanted whole tubelets and a square grid of patches"
        )
    side, cell = sides.pop(), patches.pop()
    return Raster(config.num_frames, int(tubelet), side, side // cell, config.hidden_size)


def _scale_and_shift(images: Any) -> tuple[Tensor, Tensor]:
    """``(3,)`` each: what makes of a number from 0 to 255 what the network reads."""
    scale, shift = torch.ones(3), torch.zeros(3)
    if images.do_rescale:
        scale = scale * images.rescale_factor
        shift = shift - float(getattr(images, "offset", False))
    if images.do_normalize:
        mean, std = torch.tensor(images.image_mean), torch.tensor(images.image_std)
        scale, shift = scale / std, (shift - mean) / std
    return scale, shift


def _fingerprint(kind: str, folder: Path) -> str:
    """All that decides what it sees."""
    total = hashlib.sha256()
    read = {path for like in (CONFIG, *PICTURES, *WEIGHTS) for path in folder.glob(like)}
    for path in sorted(read):
        total.update(f"{path.name} {file_sha256(path)}\n".encode())
    return f"{kind}-{total.hexdigest()[:16]}"
