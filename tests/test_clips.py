"""Generated clips: what moves, what is asked about it, and that one picture does not tell it."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scene_words import meant, the_one

from assistant.data.scenes import HELD_OUT_PAIRS, SPLITS, write_dataset
from assistant.data.scenes.clip_questions import TYPES, ask_clip
from assistant.data.scenes.clips import ClipExample, clip_example
from assistant.data.scenes.layout import radius_of
from assistant.data.scenes.motion import Move, MovingScene
from assistant.data.scenes.world import COLORS, MATERIALS, SHAPES
from assistant.media.video import read_clip

COUNT = 160
PATTERN = r"(?:the moving|(?:color|shape) of the) (.+?)(?: made of| that moves)?\?"


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[ClipExample]]:
    return {
        split: [clip_example(index, 5, number, split) for index in range(COUNT if number else 80)]
        for number, split in enumerate(SPLITS)
    }


def every(drawn: dict[str, list[ClipExample]]) -> list[ClipExample]:
    return [item for items in drawn.values() for item in items]


def places(clip: MovingScene, seconds: float) -> np.ndarray:
    """Where objects are on the ground, (N, 2), by integrating small steps."""
    found = np.array([(thing.x, thing.y) for thing in clip.scene.objects])
    step = 0.001
    for now in np.arange(0.0, seconds, step):
        for move in clip.moves:
            if move.start <= now < move.stop:
                found[move.index] += step * np.array(move.velocity)
    return found


def check(clip: MovingScene, question: str, answer: str, kind: str) -> None:
    """The answer again, from the words of the question and integrated paths."""
    first, last = places(clip, 0.0), places(clip, clip.seconds)
    moved = {i for i in range(len(first)) if np.linalg.norm(last[i] - first[i]) > 0.5}
    if kind == "direction":
        words = re.search(r"the (.+?) move", question)[1]
        across, away = (last - first)[the_one(clip, words)]
        sideways = "right" if across > 0 else "left"
        assert answer == (sideways if abs(across) > abs(away) else "away" if away > 0 else "closer")
    elif kind == "moving_count":
        words = re.search(r"How many (.+) (?:move|are moving)\?", question)[1]
        assert answer == str(len(moved & set(meant(clip, words))))
    elif kind == "moving_attribute":
        words = re.search(PATTERN, question)
        (index,) = moved & set(meant(clip, words[1]))
        thing = clip.scene.objects[index]
        assert answer in (thing.color, thing.material, thing.shape)
    elif kind == "moving_existence":
        words = re.search(r"(?:Does a|a moving) (.+?)(?: move)?\?", question)[1]
        assert meant(clip, words), "what is denied has to be there"
        assert answer == ("yes" if moved & set(meant(clip, words)) else "no")
    elif kind == "order":
        asked, *pair = re.search(r"(first|last), the (.+) or the (.+)\?", question).groups()
        begun = starts(clip, pair)
        assert answer == {"first": min, "last": max}[asked](begun, key=begun.get)
    else:
        assert kind == "collision"
        one, two = re.search(r"the (.+) (?:hit|collide with) the (.+)\?", question).groups()
        pair = (the_one(clip, one), the_one(clip, two))
        assert answer == ("yes" if pair in met(clip) else "no")


def starts(clip: MovingScene, pair: Sequence[str]) -> dict[str, float]:
    """When each of two objects moves first; clearly apart."""
    begun = {}
    for words in pair:
        index = the_one(clip, words)
        moments = np.arange(0.0, clip.seconds, 0.1)
        path = clip.places(moments)[:, index]
        begun[words] = moments[np.linalg.norm(path - path[0], axis=1) > 0.01][0]
    assert abs(np.subtract(*begun.values())) > 0.5
    return begun


def met(clip: MovingScene) -> set[tuple[int, int]]:
    """Pairs of which the first comes up to the second, which goes on from there."""
    found = set()
    for one in clip.moves:
        for two in clip.moves:
            if one is not two and abs(one.stop - two.start) < 1e-6:
                at = places(clip, one.stop)
                reach = sum(radius_of(clip.scene.objects[m.index]) for m in (one, two))
                if np.linalg.norm(at[one.index] - at[two.index]) < reach + 0.1:
                    found.add((one.index, two.index))
    return found


def test_answers_follow_from_the_paths(drawn: dict[str, list[ClipExample]]) -> None:
    for item in every(drawn)[::3]:
        for q in item.questions:
            check(item.clip, q.question, q.answer, q.type)
            assert q.answer in q.choices


def test_five_movers_that_look_alike_are_not_counted() -> None:
    drawn_clip = clip_example(0, 3, 0, "train").clip
    thing = drawn_clip.scene.objects[0]
    objects = tuple(replace(thing, x=float(x)) for x in range(5))
    moves = tuple(Move(index, 0.5, 1.5, (0.0, 1.0)) for index in range(5))
    clip = MovingScene(replace(drawn_clip.scene, objects=objects), 4.0, moves)
    asked = ask_clip(clip, np.random.default_rng(0))
    assert "moving_count" not in {question.type for question in asked}


def test_objects_never_run_into_each_other(drawn: dict[str, list[ClipExample]]) -> None:
    moments = np.linspace(0.0, 4.0, 60)
    for item in every(drawn):
        radii = np.array([radius_of(thing) for thing in item.clip.scene.objects])
        for at in item.clip.places(moments):
            gap = np.linalg.norm(at[:, None] - at, axis=-1) - radii[:, None] - radii
            np.fill_diagonal(gap, 1.0)
            assert gap.min() > -1e-6


def test_objects_enter_leave_collide_and_stay(drawn: dict[str, list[ClipExample]]) -> None:
    happened: Counter[str] = Counter()
    for item in every(drawn):
        first, last = (item.clip.at(seconds).places for seconds in (0.0, item.clip.seconds))
        inside = [((each > 0) & (each < 1)).all(axis=1) for each in (first, last)]
        happened["enter"] += int((~inside[0] & inside[1]).sum())
        happened["leave"] += int((inside[0] & ~inside[1]).sum())
        happened["collide"] += len(met(item.clip))
        happened["stand"] += len(item.clip.scene.objects) - len(item.clip.moves)
        happened["still"] += not item.clip.moves
        assert 3 <= len(item.clip.scene.objects) <= 6
    assert all(happened[name] > 10 for name in ("enter", "leave", "collide", "stand", "still"))


def test_answers_are_balanced_and_no_wording_gives_them_away(
    drawn: dict[str, list[ClipExample]],
) -> None:
    """The blind baseline: the best answer per type, and per wording of the question."""
    found = defaultdict(Counter)
    for item in every(drawn):
        for q in item.questions:
            known = "|".join((*COLORS, *MATERIALS, *SHAPES, "object"))
            form = re.sub(rf"\b({known})s?\b", "", q.question)
            found[q.type, re.sub(" +", " ", form)][q.choices.index(q.answer)] += 1
    assert {kind for kind, _ in found} == set(TYPES)
    for (kind, form), counts in found.items():
        if counts.total() >= 60:
            chance = {"direction": 0.25, "moving_count": 0.3}.get(kind, 0.5)
            spread = 3 * (chance * (1 - chance) / counts.total()) ** 0.5
            assert max(counts.values()) / counts.total() < chance + 0.04 + spread, (kind, form)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_one_picture_does_not_tell_the_direction(
    drawn: dict[str, list[ClipExample]], share: float
) -> None:
    """The nearest-centroid rule on where the object stands, left out one by one."""
    where, way = [], []
    for item in every(drawn):
        at = item.clip.at(share * item.clip.seconds).places
        for q in item.questions:
            if q.type == "direction":
                where.append(at[q.about[0][0]])
                way.append(q.answer)
    place, answers = np.array(where), np.array(way)
    right = 0
    for row in range(len(place)):
        rest = np.arange(len(place)) != row
        names = np.unique(answers)
        centers = [place[rest & (answers == name)].mean(axis=0) for name in names]
        right += names[np.linalg.norm(centers - place[row], axis=1).argmin()] == answers[row]
    assert len(place) > 150
    assert right / len(place) < 0.5, "chance is 0.25; edges of the picture leave a little"


def test_a_pair_stays_with_its_split(drawn: dict[str, list[ClipExample]]) -> None:
    for split in SPLITS:
        for item in drawn[split]:
            shown = {thing.pair for thing in item.clip.scene.objects}
            for other in SPLITS:
                assert other == split or not shown & HELD_OUT_PAIRS[other]
            assert split == "train" or shown & HELD_OUT_PAIRS[split]


def test_a_written_clip_reads_back_and_the_same_seed_writes_the_same_bytes(tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_dataset(tmp_path / name, "clips", 1, seed, "test", progress=False)
    one, same, other = ((tmp_path / n / "clips/test-000000.mp4").read_bytes() for n in "abc")
    assert one == same != other
    lines = (tmp_path / "a/data.jsonl").read_text().splitlines()
    assert lines and all(
        set(json.loads(line))
        == {"id", "video", "question", "answer", "choices", "type", "held_out", "split"}
        for line in lines
    )
    clip = read_clip(tmp_path / "a/clips/test-000000.mp4", frames=8)
    assert clip.frames.shape == (8, 224, 224, 3)
    wanted = clip_example(0, 1, SPLITS.index("test"), "test")
    shown = list(wanted.frames(224))
    nearest = [np.abs(np.array(shown, int) - frame).mean((1, 2, 3)).min() for frame in clip.frames]
    assert max(nearest) < 4
