"""What is heard: detectors on sounds made here, and answers to questions about sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clips import make_clip

from assistant.dialogue import voices
from assistant.dialogue.speech import RATE
from assistant.errors import WeightsError
from assistant.model import sound_pieces
from assistant.model.features import FeatureStore, content_digest
from assistant.model.sound_naming import SoundNaming
from assistant.model.sound_pieces import ClipSound, decibels
from assistant.model.sounds import SoundHead, SoundNet, SoundsConfig, blocks_of
from assistant.sources import Perceived, heard
from assistant.sources.heard import LOUD, NO_SOUND, QUIET, SILENCE
from assistant.vqa.by_sound import WHAT, WHEN, WHETHER, AsksSound, asked_of_sound, tell

SECONDS = np.arange(4 * RATE) / RATE
TONE = np.sin(2 * np.pi * 440 * SECONDS).astype(np.float32)
KNOWN = heard.sound_words(SoundNaming())
ITEMS = (
    Perceived("speech", 0.9, 2.0, 7.0),
    Perceived("dog barking", 0.8, 9.0, 9.2),
    Perceived(LOUD, 1.0, 9.0, 10.0),
)


class Encoder:
    """Two features a second: how loud it is, and one."""

    width, rate, fingerprint = 2, 2.0, "by hand"

    def encode(self, samples: np.ndarray) -> torch.Tensor:
        parts = samples.reshape(-1, RATE // 2)
        return torch.tensor([[float(np.abs(part).max()), 1.0] for part in parts])


@pytest.fixture
def head() -> SoundHead:
    """It hears "loud" in a loud block, and is untrained otherwise."""
    config = SoundsConfig("by hand", {"beep": ("beeps",)}, features=2, width=2, window=8, block=1)
    net = SoundNet(config)
    with torch.no_grad():
        net.norm = torch.nn.Identity()
        net.inner.weight.copy_(torch.tensor([[10.0, -2.0], [0.0, 1.0]]))
        net.inner.bias.zero_()
        net.scores.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        net.scores.bias.zero_()
        net.attention.weight.copy_(torch.tensor([[9.0, 0.0]]))
    return SoundHead(net, config, Encoder())


def test_a_sound_is_told_where_it_is_and_not_in_the_rest_of_its_window(head: SoundHead) -> None:
    samples = TONE * ((SECONDS >= 1.0) & (SECONDS < 2.0))
    features = head.features(np.concatenate([0 * TONE, samples]))
    (sound,) = head.sounds(features, begin=60.0)
    assert (sound.name, sound.start, sound.end) == ("beep", 65.0, 66.0)
    assert sound.probability > 0.9
    assert list(head.sounds(head.features(0 * TONE))) == []


def test_what_is_shorter_than_a_block_has_no_sound() -> None:
    assert blocks_of(torch.rand(4, 7), 5).shape == (0, 7)
    assert torch.equal(blocks_of(torch.arange(7.0)[:, None], 3), torch.tensor([[1.0], [4.0]]))


def test_a_head_is_the_same_when_it_was_saved_and_refuses_another_encoder(
    head: SoundHead, tmp_path: Path
) -> None:
    head.net.norm = torch.nn.LayerNorm(2)
    head.save(tmp_path)
    again = SoundHead.load(tmp_path, Encoder())
    blocks = torch.rand(3, 8, 2)
    assert again.config == head.config
    assert torch.allclose(again.net(blocks)[0], head.net(blocks)[0], atol=1e-2)
    other = Encoder()
    other.fingerprint = "another"
    with pytest.raises(WeightsError, match=r"by hand.*another"):
        SoundHead.load(tmp_path, other)
    (tmp_path / "sounds.safetensors").unlink()
    with pytest.raises(WeightsError, match="is not there"):
        SoundHead.load(tmp_path, Encoder())


def test_loudness_is_that_of_each_half_second() -> None:
    loud, faint = TONE[:RATE] * 0.9, TONE[:RATE] * 0.005
    found = heard.loudness(decibels(np.concatenate([loud, faint, 0 * faint, TONE[:8000] / 9])))
    assert [(one.name, one.start, one.end) for one in found] == [
        (SILENCE, 2.0, 3.0),
        (QUIET, 1.0, 2.0),
        (LOUD, 0.0, 1.0),
    ]


def test_parts_that_are_near_are_one() -> None:
    chances = np.zeros(1000)
    chances[100:200] = chances[240:300] = chances[600:605] = 0.9
    (one,) = heard.lasting("speech", chances)
    assert one.start == pytest.approx(1.0, abs=0.11) and one.end == pytest.approx(3.0, abs=0.11)


class Naming(SoundNaming):
    """By a head that is given; ``asked`` counts how often it listens."""

    fingerprint = "given"

    def __init__(self, head: SoundHead) -> None:
        vars(self)["head"], vars(self)["asked"] = head, 0

    def model(self) -> SoundHead:
        vars(self)["asked"] += 1
        return vars(self)["head"]


@pytest.fixture
def voiceless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No voice is found anywhere."""
    monkeypatch.setattr(voices, "chances", lambda samples: np.zeros((len(samples) // 160, 3)))


def clip_with(path: Path, beep: str, seconds: int) -> Path:
    """A clip whose sound is loud between two times."""
    wave = f"aevalsrc='sin(2764*t)*between(t,{beep})':d={seconds}:s=16000"
    return make_clip(path, 25 * seconds, inputs=("-f", "lavfi", "-i", wave), output=("-c:a", "aac"))


def sound_of(path: Path, naming: SoundNaming, store: FeatureStore | None, *where: float):
    return ClipSound(path, content_digest(path), naming, store, *where)


def test_a_clip_is_listened_to_once_whatever_ranges_are_asked_for(
    head: SoundHead, voiceless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_pieces, "SECONDS", 4.0)
    clip = clip_with(tmp_path / "clip.mp4", "5.1,5.9", 8)
    naming, store = Naming(head), FeatureStore(tmp_path / "store")
    whole = heard.heard_in(sound_of(clip, naming, store))
    beeps = [one for one in whole if one.name == "beep"]
    assert [(one.start, one.end) for one in beeps] == [(5.0, 6.0)]
    assert vars(naming)["asked"] == 2  # features and sounds of one piece: the other is silent
    monkeypatch.setattr(sound_pieces, "read_audio", None)  # nothing is decoded again
    (part,) = (
        one for one in heard.heard_in(sound_of(clip, naming, store, 5.5, 7.0)) if one.name == "beep"
    )
    assert (part.start, part.end) == (5.5, 6.0)
    assert all(
        one.name == SILENCE for one in heard.heard_in(sound_of(clip, naming, store, 0.0, 4.0))
    )


def test_silence_over_the_border_of_two_pieces_is_one(
    head: SoundHead, voiceless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_pieces, "SECONDS", 2.0)
    clip = clip_with(tmp_path / "clip.mp4", "0,1", 6)
    found = heard.heard_in(sound_of(clip, Naming(head), None))
    (silence,) = (one for one in found if one.name == SILENCE)
    assert silence.start <= 1.5 and silence.end == pytest.approx(6.0, abs=0.2)


def test_a_piece_that_is_cut_short_moves_nothing_behind_it(head: SoundHead, voiceless) -> None:
    naming = Naming(head)
    short = sound_pieces.piece_of(lambda rate: 0.9 * TONE[: RATE // 2], naming, 60.0)
    tiny = sound_pieces.piece_of(lambda rate: 0.9 * TONE[: RATE // 2], naming, 62.0)
    found = heard.hear([short, tiny], naming)
    (silence,) = (one for one in found if one.name == SILENCE)
    assert (silence.start, silence.end) == (60.5, 62.0)
    assert [one.start for one in found if one.name == LOUD] == [60.0, 62.0]


def test_what_is_too_short_for_the_detector_has_no_voice() -> None:
    shapes = [voices.chances(TONE[: voices.LEAST - short]).shape for short in (1, 0)]
    assert shapes == [(0, 3), (2, 3)]


def test_a_clip_without_a_track_of_sound_is_called_so(head: SoundHead, tmp_path: Path) -> None:
    silent = make_clip(tmp_path / "silent.mp4", 25)
    (item,) = heard.heard_in(sound_of(silent, Naming(head), None))
    assert item.name == NO_SOUND


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard.voices, "available", lambda: False)
    assert heard.PERCEIVER.look_at("heard", None).warning.endswith(heard.INSTALL)


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("What do you hear?", (WHAT, "")),
        ("Which sounds are there?", (WHAT, "")),
        ("Can you hear anything?", (WHAT, "")),
        ("Is there any music?", (WHETHER, "music")),
        ("Is anybody speaking?", (WHETHER, "speech")),
        ("Is it loud?", (WHETHER, LOUD)),
        ("Do you hear a dog?", (WHETHER, "dog barking")),
        ("Do you hear a violin?", (WHETHER, "")),
        ("When does the dog bark?", (WHEN, "dog barking")),
        ("When is the helicopter heard?", (WHEN, "helicopter")),
    ],
)
def test_questions_about_sound(question: str, asks: tuple[str, str]) -> None:
    found = asked_of_sound(question, KNOWN)
    assert found is not None and (found.kind, found.name) == asks


@pytest.mark.parametrize(
    "question",
    [
        "What is happening?",
        "Is there a dog?",
        "When does the dog appear?",
        "When does he talk about music?",
        "Is it raining?",
        'When does she say "music"?',
        "What is the man doing?",
    ],
)
def test_questions_about_something_else(question: str) -> None:
    assert asked_of_sound(question, KNOWN) is None


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        (AsksSound(WHAT), "Speech from 0:02 to 0:07, dog barking at 0:09; loud from 0:09 to 0:10."),
        (AsksSound(WHEN, "dog barking"), "At 0:09."),
        (AsksSound(WHETHER, "speech"), "Yes: speech from 0:02 to 0:07."),
        (AsksSound(WHETHER, QUIET), "No."),
        (
            AsksSound(WHETHER, "music"),
            "No, I hear no music. I hear speech from 0:02 to 0:07, dog barking at 0:09.",
        ),
        (
            AsksSound(WHETHER, "", "violin"),
            "I do not know violin by its sound. I hear speech from 0:02 to 0:07, "
            "dog barking at 0:09.",
        ),
    ],
)
def test_answers_from_what_is_heard(asks: AsksSound, said: str) -> None:
    assert tell(asks, ITEMS)[0] == said


def test_a_clip_without_sound_is_called_so() -> None:
    nothing = (Perceived(NO_SOUND, 1.0),)
    assert tell(AsksSound(WHAT), nothing)[0] == "Nothing: the clip has no sound."
    assert tell(AsksSound(WHETHER, "music"), nothing)[0] == "No: the clip has no sound."
    silence = (Perceived(SILENCE, 1.0, 0.0, 4.0),)
    assert tell(AsksSound(WHAT), silence)[0] == "Nothing: the sound track is silent."
