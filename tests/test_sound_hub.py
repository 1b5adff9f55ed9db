"""Models of a hub that name sounds: probabilities as in `transformers`, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest
import torch
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    AutoFeatureExtractor,
    AutoTokenizer,
    BertConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    HubertConfig,
    HubertForSequenceClassification,
    RobertaTokenizer,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    WavLMConfig,
    WavLMForSequenceClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from assistant.cli.main import main
from assistant.errors import InputError, WeightsError
from assistant.model import sound_hub
from assistant.model.sound_naming import SoundNaming
from assistant.model.sound_pieces import piece_of
from assistant.sources.heard import hear, sound_words

RATE = 16000
SOUND = np.random.default_rng(0).normal(size=7 * RATE).astype(np.float32) / 5
LABELS = {0: "Speech", 1: "Bark", 2: "Male singing, man singing", 3: "car_horn"}
TOWER = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
WAVE = TOWER | {
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
}
ONE = {"id2label": LABELS}
MANY = ONE | {"problem_type": "multi_label_classification"}


def write_ast(folder: Path, **options) -> None:
    shape = {"num_mel_bins": 16, "max_length": 64}
    config = ASTConfig(**TOWER, **shape, patch_size=8, frequency_stride=8, time_stride=8, **options)
    ASTForAudioClassification(config).save_pretrained(folder)
    ASTFeatureExtractor(**shape).save_pretrained(folder)


def write_whisper(folder: Path, **options) -> None:
    size = {"d_model": 16, "num_mel_bins": 20, "vocab_size": 30, "classifier_proj_size": 8}
    size |= {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    size |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 0}
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = WhisperConfig(**size, **tokens, **options)
    WhisperForAudioClassification(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=20).save_pretrained(folder)


def write_wave(network, config, folder: Path, **options) -> None:
    network(config(**WAVE, **options)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(folder)


def write_clap(folder: Path, **options) -> None:
    letters = [*ascii_lowercase, "Ġ", ".", "T"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(f"Ġ{one}" for one in ascii_lowercase)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    RobertaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    audio = {"hidden_size": 64, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1, 1]}
    audio |= {"num_attention_heads": [1, 1, 1, 1], "num_mel_bins": 64, "num_hidden_layers": 4}
    text = TOWER | {"vocab_size": len(tokens), "max_position_embeddings": 80}
    text |= {"projection_hidden_act": "relu", "pad_token_id": 1}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad").save_pretrained(folder)


WRITERS = {
    "ast": write_ast,
    "whisper": write_whisper,
    "wav2vec2": lambda *a, **o: write_wave(
        Wav2Vec2ForSequenceClassification, Wav2Vec2Config, *a, **o
    ),
    "hubert": lambda *a, **o: write_wave(HubertForSequenceClassification, HubertConfig, *a, **o),
    "wavlm": lambda *a, **o: write_wave(WavLMForSequenceClassification, WavLMConfig, *a, **o),
}


def checkpoint(folder: Path, kind: str, **options) -> str:
    torch.manual_seed(0)
    (write_clap if kind == "clap" else WRITERS[kind])(folder, **options)
    return str(folder)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("several", [False, True])
def test_an_audio_classifier_names_what_transformers_does(
    kind: str, several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_hub, "SURE", 0.0)
    source = checkpoint(tmp_path / kind, kind, **(MANY if several else ONE))
    naming = SoundNaming(source)
    model = naming.model()
    features = model.features(SOUND)
    found = list(model.sounds(features, begin=60.0))
    prepare = AutoFeatureExtractor.from_pretrained(source)
    for number, part in enumerate((SOUND[: 5 * RATE], SOUND[5 * RATE :])):
        given = prepare(part, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            logits = model.network(**given).logits[0]
        wanted = logits.sigmoid() if several else logits.softmax(-1)
        own = {one.name: one.probability for one in found if one.start == 60.0 + 5 * number}
        names = ["speech", "bark", "male singing", "car horn"]
        told = dict(zip(names, wanted.tolist(), strict=True))
        if not several:
            told = {max(told, key=told.__getitem__): max(told.values())}
        told.pop("speech", None)  # that is told by another
        assert own == pytest.approx(told, abs=1e-4)
    assert sound_words(naming)["car horn"] == ((), ("car", "horn"))


def test_a_clap_names_what_of_the_labels_is_likest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_hub, "SURE", 0.0)
    source = checkpoint(tmp_path / "clap", "clap")
    labels = ("a dog barking", "rain", "a siren")
    naming = SoundNaming(source, labels)
    model = naming.model()
    assert model.rate == 48000
    heard = np.repeat(SOUND[: 5 * RATE], 3)
    (found,) = model.sounds(model.features(heard))
    given = AutoFeatureExtractor.from_pretrained(source)(
        heard, sampling_rate=48000, return_tensors="pt"
    )
    texts = [f"This is a sound of {label}." for label in labels]
    words = AutoTokenizer.from_pretrained(source)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        chances = model.network(**given, **words).logits_per_audio.softmax(-1)[0]
    assert found.name == labels[int(chances.argmax())]
    assert found.probability == pytest.approx(float(chances.max()), abs=1e-4)
    assert naming.fingerprint != SoundNaming(source, labels[:2]).fingerprint
    assert len(SoundNaming(source).words) > 20  # of everyday, where nobody names any


def test_what_is_heard_ends_with_its_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_hub, "SURE", 0.0)
    monkeypatch.setattr(
        "assistant.dialogue.voices.chances", lambda samples: np.zeros((len(samples) // 160, 3))
    )
    naming = SoundNaming(checkpoint(tmp_path / "a", "ast", **ONE | {"id2label": {0: "a", 1: "b"}}))
    rates = []

    def read(rate: int) -> np.ndarray:
        rates.append(rate)
        return SOUND

    items = hear([piece_of(read, naming)], naming)
    ends = [one.end for one in items if one.name in ("a", "b")]
    assert max(ends) == 7.0 and rates == [RATE]


def test_what_names_no_sounds_is_one_line(tmp_path: Path, capsys) -> None:
    with pytest.raises(InputError, match=r"sounds 'nowhere': there is no such folder; give auto"):
        SoundNaming("nowhere").check()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        SoundNaming(str(tmp_path / "file")).check()
    with pytest.raises(WeightsError, match=r"holds no config\.json"):
        SoundNaming(str(tmp_path)).check()
    BertConfig(architectures=["BertModel"]).save_pretrained(tmp_path / "bert")
    with pytest.raises(WeightsError, match="is a checkpoint of bert as BertModel"):
        SoundNaming(str(tmp_path / "bert")).check()
    source = checkpoint(tmp_path / "ast", "ast", **ONE)
    with pytest.raises(InputError, match="labels of its own"):
        SoundNaming(source, ("rain", "wind")).check()
    with pytest.raises(InputError, match="are for a CLAP"):
        SoundNaming(labels=("rain", "wind")).check()
    (tmp_path / "ast" / "preprocessor_config.json").unlink()
    assert main(["look", "none.mp4", "--sounds", source]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "holds no feature extractor" in told


def test_a_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    folder = Path(checkpoint(tmp_path / "ast", "ast", **ONE))
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="holds no usable AutoModelForAudioClassification"):
        SoundNaming(str(folder)).model()
    (folder / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    with pytest.raises(WeightsError, match="is a checkpoint of wav2vec2; wanted an audio"):
        SoundNaming(str(folder)).check()
