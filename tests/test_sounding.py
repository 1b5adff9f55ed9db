"""Generated clips with sound: what is heard, when and from which object, and who must listen."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from scene_words import the_one

from assistant.cli.main import main
from assistant.data.scenes import HELD_OUT_PAIRS, SPLITS, write_dataset
from assistant.data.scenes.clips import ClipExample, sounding_example
from assistant.data.scenes.sound_questions import BY_BOTH, BY_SOUND, ask_sounding
from assistant.data.scenes.sounding import SoundingScene
from assistant.data.scenes.timbres import KINDS, RATE, SAID, TIMBRES
from assistant.media.video import read_audio
from assistant.model.spatiotemporal import States
from assistant.training.losses.base import Seen
from assistant.training.losses.cells import in_cells
from assistant.training.losses.sounding import SILENT, SoundSupervision, sounding_of

Drawn = dict[str, list[ClipExample[SoundingScene]]]
COUNT = 10


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return {
        split: [sounding_example(index, 5, number, split) for index in range(COUNT)]
        for number, split in enumerate(SPLITS)
    }


def every(drawn: Drawn) -> list[ClipExample[SoundingScene]]:
    return [item for items in drawn.values() for item in items]


def levels(track: np.ndarray, step: float = 0.02) -> np.ndarray:
    """Loudness of each ``step`` seconds."""
    whole = len(track) // round(step * RATE) * round(step * RATE)
    return np.sqrt(np.square(track[:whole]).reshape(-1, round(step * RATE)).mean(1))


def answer_again(clip: SoundingScene, question: str) -> str:
    """From the words of the question, the sounds' times and the objects' moves."""
    when = [(start, s.kind) for s in clip.sounds for start in s.onsets]
    if found := re.fullmatch(r"How many (\w+)s (?:were heard|are there to be heard)\?", question):
        return str(sum(kind == found[1] for _, kind in when))
    if found := re.fullmatch(r"What was heard (first|last), the (\w+) or the (\w+)\?", question):
        ends = min if found[1] == "first" else max
        return ends((start, kind) for start, kind in when if kind in found.groups()[1:])[1]
    if found := re.fullmatch(r"(?:What was heard,|Was it) a (\w+) or a (\w+).*\?", question):
        (answer,) = {kind for _, kind in when if kind in found.groups()}
        return answer
    if found := re.fullmatch(r"Which one (\w+), the (.+) or the (.+)\?", question):
        heard = {name: kinds_of(clip, name) for name in found.groups()[1:]}
        (answer,) = [name for name, kinds in heard.items() if found[1] in map(SAID.get, kinds)]
        return answer
    if found := re.fullmatch(r"What was heard when the (.+) (?:moved|stopped|hit .+)\?", question):
        (answer,) = kinds_of(clip, found[1])
        return answer
    found = re.fullmatch(r"(?:Did|Was) the (.+) (?:make a sound|heard)\?", question)
    return "yes" if kinds_of(clip, found[1]) else "no"


def kinds_of(clip: SoundingScene, words: str) -> set[str]:
    """What is heard from when an object moves to just after it stops."""
    (move,) = [move for move in clip.moving.moves if move.index == the_one(clip.moving, words)]
    return {sound.kind for sound in clip.sounds if move.start <= sound.start <= move.stop + 1e-6}


def test_answers_are_right_and_every_type_is_asked(drawn: Drawn) -> None:
    found: Counter[str] = Counter()
    for item in every(drawn):
        for q in item.questions:
            if q.type in BY_SOUND | BY_BOTH:
                assert q.answer in q.choices
                assert answer_again(item.clip, q.question) == q.answer, q.question
                found[q.type] += 1
    assert min(found[name] for name in BY_SOUND | BY_BOTH) >= 2


def test_what_sounds_is_in_the_track_at_its_time_and_elsewhere_it_is_quiet(drawn: Drawn) -> None:
    for item in every(drawn):
        level = levels(item.sound())
        heard = np.zeros(len(level), bool)
        for sound in item.clip.sounds:
            for onset in sound.onsets:
                span = slice(int(onset / 0.02), int((onset + sound.length) / 0.02) + 1)
                heard[span] = True
                assert level[span].max() > 0.02
        assert level[~heard].max() < 0.006


def test_timbres_and_pairs_of_a_split_are_its_own(drawn: Drawn) -> None:
    names = [timbre.name for timbres in TIMBRES.values() for timbre in timbres]
    assert len(set(names)) == len(names)
    for split in SPLITS:
        assert {timbre.kind for timbre in TIMBRES[split]} == set(KINDS)
        for item in drawn[split]:
            assert all(sound.timbre in TIMBRES[split] for sound in item.clip.sounds)
            shown = {thing.pair for thing in item.clip.scene.objects}
            others = [HELD_OUT_PAIRS[other] for other in SPLITS if other != split]
            assert not any(shown & pairs for pairs in others)


def test_no_wording_gives_its_answer_away(drawn: Drawn) -> None:
    """Answers are balanced by the place of the right one among those that a question names."""
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for item in every(drawn):
        for q in item.questions:
            named = sorted(q.choices, key=q.question.find)
            found[q.type][named.index(q.answer)] += 1
    for name in ("heard", "heard_order", "sounding_object", "makes_sound"):
        counts = found[name]
        spread = 3 * 0.5 / counts.total() ** 0.5
        assert max(counts.values()) / counts.total() < 0.5 + spread, name


def test_a_clip_asks_the_same_twice(drawn: Drawn) -> None:
    one, again = drawn["dev"][3], sounding_example(3, 5, 1, "dev")
    assert one.questions == again.questions
    assert np.array_equal(one.sound(), again.sound())
    assert ask_sounding(one.clip, np.random.default_rng(0)) != one.questions


def test_a_written_clip_has_its_sound_and_the_same_seed_writes_the_same_bytes(tmp_path) -> None:
    for name in "ab":
        write_dataset(tmp_path / name, "sounding", 1, 1, "test", progress=False)
    one, same = (tmp_path / name / "clips/test-000000.mp4" for name in "ab")
    assert one.read_bytes() == same.read_bytes()
    track, _ = read_audio(one, rate=RATE)
    wanted = sounding_example(0, 1, SPLITS.index("test"), "test").sound()
    assert wanted.std() > 0.01
    assert np.corrcoef(track[: len(wanted)], wanted[: len(track)])[0, 1] > 0.95, "at its time"


def test_sound_is_of_clips_alone(tmp_path, capsys) -> None:
    assert main(["scenes", str(tmp_path / "out"), "--kind", "ego", "--sound"]) == 2
    assert "--kind clips" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("index", range(3))
def test_what_is_heard_beside_half_the_frames_is_heard_in_windows_twice_as_long(index) -> None:
    video = Path("generated/sounding/5/train", str(index))
    fine, coarse = sounding_of(video, 8), sounding_of(video, 4)
    assert fine and fine.keys() == coarse.keys()
    for question, one in fine.items():
        some = one.beside([1, 2, 5, 6])
        assert (some.heard, some.sources) == (coarse[question].heard, coarse[question].sources)
        assert some.places == [one.places[frame] for frame in (1, 2, 5, 6)]


def test_the_loss_is_least_where_each_cell_says_what_its_object_lets_be_heard() -> None:
    known = next(iter(sounding_of(Path("generated/sounding/5/train/0"), 8).values()))
    assert any(map(any, known.heard))
    width = SILENT + 2  # a channel of each kind, of silence, and of moving
    loss = SoundSupervision(queries=8, width=width)  # four cells, queries 4 to 7
    with torch.no_grad():
        for head in (*loss.heard, *loss.cells):
            head.weight.copy_(10 * torch.eye(width)[: len(head.weight)])
            head.bias.zero_()
    told = torch.zeros(1, 8, 8, width)
    told[0, :, 0, :SILENT] = 2 * torch.tensor(known.heard) - 1
    for frame, (places, sources) in enumerate(zip(known.places, known.sources, strict=True)):
        for cell, thing in in_cells(places, 2).items():
            told[0, frame, 4 + cell, sources[thing]] = 1
            told[0, frame, 4 + cell, -1] = 2 * known.moving[frame][thing] - 1

    def lost(framed: torch.Tensor) -> float:
        states = States([framed, framed], [framed.mean(1)], [])
        return loss(Seen(states, framed.mean(1), [range(8)]), [known]).item()

    cells, first = told.clone(), told.clone()
    cells[:, :, 4:] = cells[:, :, 4:].flip(-1)
    first[:, :, 0] = -first[:, :, 0]
    assert lost(told) + 1 < min(lost(cells), lost(first))
