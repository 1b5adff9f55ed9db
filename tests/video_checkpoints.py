"""Tiny random video encoders in the hub's format: VideoMAE, TimeSformer and ViViT.

transformers' own classes write config and weights, under the names that the hub has them by; how
pictures are prepared is as the hub's checkpoints say it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PreTrainedModel,
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VivitConfig,
    VivitForVideoClassification,
)
from transformers.utils.logging import disable_progress_bar

SIDE, PATCH, FRAMES, WIDTH = 32, 8, 4, 16
GRID = SIDE // PATCH
SHAPE = {
    "image_size": SIDE,
    "num_frames": FRAMES,
    "hidden_size": WIDTH,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
SQUARE = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
DO = {f"do_{what}": True for what in ("resize", "center_crop", "rescale", "normalize")}
KINDS = ("videomae", "timesformer", "vivit")


def _network(kind: str, **changes: Any) -> PreTrainedModel:
    if kind == "videomae":  # a decoder beside it, as MCG-NJU/videomae-base
        own = {"patch_size": PATCH, "use_mean_pooling": False, "decoder_num_hidden_layers": 1}
        return VideoMAEForPreTraining(VideoMAEConfig(**SHAPE | own | changes))
    if kind == "timesformer":
        return TimesformerForVideoClassification(
            TimesformerConfig(**SHAPE | {"patch_size": PATCH} | changes)
        )
    tubelet = {"tubelet_size": [2, PATCH, PATCH]}
    return VivitForVideoClassification(VivitConfig(**SHAPE | tubelet | changes))


def _prepared(kind: str) -> dict[str, Any]:
    if kind == "videomae":
        told = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
        return told | {"feature_extractor_type": "VideoMAEFeatureExtractor"} | SQUARE
    if kind == "timesformer":
        told = {"image_mean": [0.45] * 3, "image_std": [0.225] * 3}
        return told | {"image_processor_type": "VideoMAEImageProcessor"} | SQUARE
    told = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "offset": True}
    told |= {"image_processor_type": "VivitImageProcessor", "rescale_factor": 1 / 127.5}
    return told | SQUARE | {"size": {"shortest_edge": SIDE + 8}}


def write_video_encoder(folder: Path, kind: str, seed: int = 0, **changes: Any) -> Path:
    """A whole checkpoint in ``folder``; ``changes``: of its config."""
    disable_progress_bar()
    torch.manual_seed(seed)
    network = _network(kind, **changes)
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim > 1:  # class token and places, too
                value.normal_(0.0, 0.2)
    network.save_pretrained(folder)
    told = _prepared(kind) | DO | {"resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder
