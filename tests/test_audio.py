"""Audio encoders: features at their rate, of checkpoints of `transformers`, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from assistant.errors import InputError, WeightsError
from assistant.model.audio import RATE, audio_encoder

SOUND = np.sin(np.arange(2 * RATE) / 7).astype(np.float32)


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    size = {"d_model": 16, "num_mel_bins": 20, "vocab_size": 30}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = WhisperConfig(**size, **heads, **layers, **tokens, decoder_ffn_dim=16)
    WhisperModel(config).save_pretrained(tmp_path / "w")
    WhisperFeatureExtractor(feature_size=20).save_pretrained(tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture
def wav2vec(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(tmp_path / "v")
    Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(tmp_path / "v")
    return tmp_path / "v"


@pytest.mark.parametrize("kind", ["whisper", "wav2vec"])
def test_a_checkpoint_hears_fifty_times_a_second_whatever_the_length(kind, request):
    encoder = audio_encoder(str(request.getfixturevalue(kind)))
    assert (encoder.width, encoder.rate) == (16, 50.0)
    features = encoder.encode(SOUND)
    assert features.shape == (100, 16) and features.isfinite().all()
    assert not torch.allclose(features, encoder.encode(SOUND[::-1].copy()), atol=1e-3)
    assert torch.equal(features, encoder.encode(SOUND))
    assert encoder.encode(SOUND[:5]).shape == (0, 16)


def test_whisper_is_that_of_transformers(whisper):
    network = WhisperModel.from_pretrained(whisper).get_encoder().eval()
    mels = WhisperFeatureExtractor(feature_size=20)(
        SOUND, sampling_rate=RATE, return_tensors="pt"
    ).input_features
    with torch.no_grad():
        theirs = network(mels).last_hidden_state[0, :100]
    assert torch.allclose(audio_encoder(str(whisper)).encode(SOUND), theirs, atol=1e-6)


def test_other_weights_have_another_fingerprint(whisper):
    one = audio_encoder(str(whisper)).fingerprint
    network = WhisperModel.from_pretrained(whisper)
    network.encoder.layers[0].fc1.weight.data += 0.1
    network.save_pretrained(whisper)
    audio_encoder.cache_clear()
    assert audio_encoder(str(whisper)).fingerprint != one


def test_what_does_not_hear_is_refused_by_name(tmp_path):
    BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(WeightsError, match="is a bert"):
        audio_encoder(str(tmp_path / "bert"))
    with pytest.raises(InputError, match="no such folder"):
        audio_encoder("no-such-ear")


def test_minis_own_hears_fifty_times_a_second():
    pytest.importorskip("faster_whisper", reason="needs the extra speech")
    from assistant.errors import AssistantError

    try:
        encoder = audio_encoder("whisper-tiny.en")
    except AssistantError as error:
        pytest.skip(f"its weights are not there: {error}")
    features = encoder.encode(SOUND)
    assert features.shape == (100, encoder.width) and encoder.rate == 50.0
    assert encoder.encode(np.tile(SOUND, 16)).shape[0] == 1600, "longer than its window"
    assert not torch.allclose(features, encoder.encode(SOUND * 0), atol=0.1)
