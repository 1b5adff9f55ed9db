"""What is heard: detectors on sounds made here, and answers to questions about sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clips import make_clip

from assistant.dialogue.speech import RATE
from assistant.errors import WeightsError
from assistant.media.sound import read_pieces
from assistant.model.sounds import SoundHead, SoundNet, SoundsConfig, blocks_of
from assistant.sources import Look, Perceived, heard
from assistant.sources.heard import LOUD, NO_SOUND, QUIET, SILENCE
from assistant.vqa.by_sound import WHAT, WHEN, WHETHER, AsksSound, asked_of_sound, tell

SECONDS = np.arange(4 * RATE) / RATE
TONE = np.sin(2 * np.pi * 440 * SECONDS).astype(np.float32)
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
    return SoundHead(net, config)


def test_a_sound_is_told_where_it_is_and_not_in_the_rest_of_its_window(head: SoundHead) -> None:
    samples = TONE * ((SECONDS >= 1.0) & (SECONDS < 2.0))
    (sound,) = head.hear(np.concatenate([0 * TONE, samples]), Encoder())
    assert (sound.name, sound.start, sound.end) == ("beep", 5.0, 6.0)
    assert sound.probability > 0.9
    assert list(head.hear(0 * TONE, Encoder())) == []


def test_what_is_shorter_than_a_block_has_no_sound() -> None:
    assert blocks_of(torch.rand(4, 7), 5).shape == (0, 7)
    assert torch.equal(blocks_of(torch.arange(7.0)[:, None], 3), torch.tensor([[1.0], [4.0]]))


def test_a_head_is_the_same_when_it_was_saved_and_refuses_another_encoder(
    head: SoundHead, tmp_path: Path
) -> None:
    head.net.norm = torch.nn.LayerNorm(2)
    head.save(tmp_path)
    again = SoundHead.load(tmp_path)
    blocks = torch.rand(3, 8, 2)
    assert again.config == head.config
    assert torch.allclose(again.net(blocks)[0], head.net(blocks)[0], atol=1e-2)
    other = Encoder()
    other.fingerprint = "another"
    with pytest.raises(WeightsError, match=r"by hand.*another"):
        list(again.hear(TONE, other))
    (tmp_path / "sounds.safetensors").unlink()
    with pytest.raises(WeightsError, match="is not there"):
        SoundHead.load(tmp_path)


def test_loudness_is_that_of_each_half_second() -> None:
    loud, faint = TONE[:RATE] * 0.9, TONE[:RATE] * 0.005
    found = heard.loudness(
        heard.decibels(np.concatenate([loud, faint, 0 * faint, TONE[:8000] / 9]))
    )
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


def test_pieces_have_their_times_and_a_silent_clip_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.media.sound.LONGEST", 1.5)
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=4")
    clip = make_clip(tmp_path / "tone.mp4", 100, inputs=tone, output=("-c:a", "aac"))
    pieces = list(read_pieces(clip, 0.5, rate=RATE))
    assert [start for start, _ in pieces] == [0.5, 2.0, 3.5]
    assert sum(len(samples) for _, samples in pieces) == pytest.approx(3.5 * RATE, abs=800)
    silent = make_clip(tmp_path / "silent.mp4", 25)
    assert list(read_pieces(silent, rate=RATE)) == []


def look(*pieces: tuple[float, np.ndarray]) -> Look:
    none = torch.zeros(1)
    return Look(none, none, (), (0.0,), "", lambda *_: ((), ()), lambda: None, lambda rate: pieces)


def test_the_source_says_that_there_is_no_sound_or_only_silence() -> None:
    (item,) = heard.PERCEIVER.perceive(look())
    assert item.name == NO_SOUND
    items = heard.PERCEIVER.perceive(look((2.0, 0 * TONE)))
    assert [(one.name, one.start, one.end) for one in items] == [(SILENCE, 2.0, 6.0)]


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard.voices, "available", lambda: False)
    assert heard.PERCEIVER.look_at("heard", look()).warning.endswith(heard.INSTALL)


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
    found = asked_of_sound(question)
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
    assert asked_of_sound(question) is None


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
