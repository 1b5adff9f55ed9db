"""Video encoders of a model hub as recognisers of actions: tiny and random, of three families."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import TimesformerModel, VideoMAEModel, VivitModel
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil
from transformers.models.vivit.image_processing_vivit import VivitImageProcessor
from video_checkpoints import FRAMES, GRID, KINDS, SIDE, WIDTH, write_video_encoder

from assistant.actions.video import VideoRecogniser, load_video_encoder, stretched
from assistant.errors import InputError, WeightsError

CLASSES = {
    "videomae": (VideoMAEModel, VideoMAEImageProcessorPil),
    "timesformer": (TimesformerModel, VideoMAEImageProcessorPil),
    "vivit": (VivitModel, VivitImageProcessor),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("video")
    return {kind: write_video_encoder(root / kind, kind) for kind in KINDS}


def frames_of(count: int, height: int = 45, width: int = 70) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


class TestEncoder:
    @pytest.mark.parametrize("kind", KINDS)
    def test_its_tokens_are_those_of_transformers(self, checkpoints, kind):
        """Network and image processor of the checkpoint, by transformers' own classes."""
        video = load_video_encoder(str(checkpoints[kind])).eval()
        network, processor = (part.from_pretrained(checkpoints[kind]) for part in CLASSES[kind])
        frames = frames_of(FRAMES)
        pixels = processor(list(frames), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            wanted = network.eval()(pixel_values=pixels).last_hidden_state
            found = video(torch.from_numpy(video.pictures(frames))[None])
        assert found.shape == (1, video.raster.times, GRID**2, WIDTH)
        tokens = found.transpose(1, 2) if kind == "timesformer" else found  # a patch's frames a row
        wanted = wanted if kind == "videomae" else wanted[:, 1:]
        assert torch.allclose(tokens.flatten(1, 2), wanted, atol=1e-5)

    @pytest.mark.parametrize("kind", KINDS)
    def test_patches_lie_where_and_when_they_are(self, checkpoints, kind):
        """With attention shut off, a change of one patch at one time is seen there alone."""
        video = load_video_encoder(str(checkpoints[kind])).eval()
        for name, value in video.network.named_parameters():
            if name.endswith(("output.dense.weight", "o_proj.weight", "temporal_dense.weight")):
                torch.nn.init.zeros_(value)
        pictures = torch.from_numpy(video.pictures(frames_of(FRAMES)))
        other = pictures.clone()
        row, column, frame = 2, 1, 3
        side = SIDE // GRID
        other[frame, row * side : (row + 1) * side, column * side : (column + 1) * side] ^= 255
        with torch.no_grad():
            apart = (video(pictures[None]) - video(other[None])).abs().sum(-1)[0]  # (T', K)
        moved = [frame // video.raster.tubelet, row * GRID + column]
        assert (apart > 1e-6).nonzero().tolist() == [moved]

    def test_a_frame_alone_is_seen_by_one_that_knows_space_alone(self, tmp_path):
        folder = write_video_encoder(tmp_path, "timesformer", attention_type="space_only")
        video = load_video_encoder(str(folder)).eval()
        pictures = torch.from_numpy(video.pictures(frames_of(FRAMES)))
        other = pictures.clone()
        other[2] ^= 255
        with torch.no_grad():
            found = video(torch.stack([pictures, other]))
        assert found.shape == (2, FRAMES, GRID**2, WIDTH)
        assert (found[0] - found[1]).abs().amax((1, 2)).gt(1e-6).tolist() == [0, 0, 1, 0]

    def test_a_short_clip_is_stretched(self, checkpoints):
        assert stretched(3, 4) == [0, 0, 1, 2] and stretched(4, 4) == [0, 1, 2, 3]
        video = load_video_encoder(str(checkpoints["videomae"]))
        frames = frames_of(2)
        found = video.pictures(frames)
        assert (found == video.squares(frames)[[0, 0, 1, 1]]).all()
        assert (video.middle(found) == video.squares(frames)).all()

    def test_gradients_are_the_same_with_checkpointing(self, checkpoints):
        found = []
        for again in (False, True):
            torch.manual_seed(0)
            video = load_video_encoder(str(checkpoints["videomae"]))
            network = VideoRecogniser(video, 3, 5, 0.0).train()
            if again:
                network.checkpoint()
            passes = []
            norm = video.network.encoder.layer[1].layernorm_before
            norm.register_forward_hook(lambda *_, passes=passes: passes.append(1))
            pictures = torch.from_numpy(video.pictures(frames_of(FRAMES)))[None]
            there = torch.ones(1, network.times)
            states = network.states(pictures, there)
            network.logits(network.summary(states, there))[0, 1].backward()
            assert len(passes) == 1 + again  # computed once more
            found.append({n: p.grad for n, p in video.named_parameters()})
        assert found[0].keys() == found[1].keys() and len(found[0]) > 30
        for name, slope in found[0].items():
            assert slope.abs().sum() > 0 or "key" in name, name
            assert torch.allclose(slope, found[1][name], atol=1e-6), name

    def test_maps_are_not_pixels(self, checkpoints):
        video = load_video_encoder(str(checkpoints["vivit"]))
        network = VideoRecogniser(video, 3, 5, 0.0)
        with pytest.raises(InputError, match="reads 4 frames of 32 x 32 pixels, not"):
            network.states(torch.zeros(1, 8, 49, 112), torch.ones(1, 8))


class TestCheckpoints:
    """What is no video encoder is named in one line."""

    def test_a_name_that_is_none(self, tmp_path):
        with pytest.raises(InputError, match="there is no such folder; give a hub id"):
            load_video_encoder("no-such-folder")
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="is a file"):
            load_video_encoder(str(tmp_path / "file"))

    def test_a_hub_id_without_a_network(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ASSISTANT_OFFLINE", "1")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(WeightsError, match="hub was not reached"):
            load_video_encoder("MCG-NJU/no-such-videomae")

    @pytest.mark.parametrize(
        ("file", "change", "told"),
        [
            ("config.json", {"model_type": "clip"}, "a checkpoint of clip, no video encoder"),
            ("config.json", None, "holds no config.json"),
            ("preprocessor_config.json", None, "holds no image processor"),
            ("model.safetensors", None, "holds no weights"),
            ("preprocessor_config.json", {"crop_size": {"height": 24, "width": 24}}, "24 x 24"),
            ("preprocessor_config.json", {"size": "wide"}, "no usable image processor"),
            ("config.json", {"num_frames": 5}, "5 frames in tubelets of 2"),
            ("config.json", {"image_size": [32, 48]}, "wanted whole tubelets and a square grid"),
            ("config.json", {"hidden_size": 32}, "no usable VideoMAEModel"),
            ("config.json", {"num_hidden_layers": 3}, "lacks encoder.layer.2"),
        ],
    )
    def test_what_cannot_be_used(self, tmp_path, file, change, told):
        folder = write_video_encoder(tmp_path, "videomae")
        path = folder / file
        if change is None:
            path.unlink()
        else:
            path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(WeightsError) as found:
            load_video_encoder(str(folder))
        assert told in str(found.value) and "\n" not in str(found.value)
