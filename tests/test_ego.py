"""Generated first-person clips: what is asked follows from what is seen, and frames alone or
without their order do not tell it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scene_words import meant, the_one

from assistant.data.scenes import HELD_OUT_PAIRS, SPLITS, write_dataset
from assistant.data.scenes.clips import ClipExample
from assistant.data.scenes.ego import ego_example
from assistant.data.scenes.ego_layout import LAYOUTS, PLANS, SECONDS
from assistant.data.scenes.ego_questions import TYPES
from assistant.data.scenes.furniture import SURFACES
from assistant.data.scenes.questions import Question
from assistant.data.scenes.render import render, visibility
from assistant.data.scenes.walk import Walk
from assistant.data.scenes.world import COLORS, MATERIALS, SHAPES
from assistant.errors import InputError
from assistant.media.sampling import centres
from assistant.media.video import read_clip
from assistant.training.generated import draw_clip, generated_items, is_generated
from assistant.training.losses.walked import walked_of

COUNT = 160
FRAMES = centres(0.0, SECONDS, 8)


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[ClipExample[Walk]]]:
    return {
        split: [ego_example(index, 5, number, split) for index in range(COUNT)]
        for number, split in enumerate(SPLITS)
    }


def every(drawn: dict[str, list[ClipExample[Walk]]]) -> list[ClipExample[Walk]]:
    return [item for items in drawn.values() for item in items]


# Answers again, from the words of the question and the scene at many moments


def paths(walk: Walk) -> np.ndarray:
    """Where every object's foot is at many moments, (N, M, 3)."""
    scenes = (walk.at(seconds) for seconds in np.arange(0.0, walk.seconds, 0.1))
    return np.array([[(o.x, o.y, o.z) for o in scene.objects] for scene in scenes])


def surface_under(walk: Walk, place: np.ndarray) -> int:
    """The surface on which something stands."""
    number = int(np.abs([surface.x - place[0] for surface in walk.surfaces]).argmin())
    assert place[2] == pytest.approx(walk.surfaces[number].height)
    return number


def lifted(path: np.ndarray) -> np.ndarray:
    """Numbers of the moments at which an object is not where it was at first or is in the end."""
    away = [np.linalg.norm(path - path[end], axis=1) > 1e-6 for end in (0, -1)]
    return np.flatnonzero(away[0] & away[1])


def right(walk: Walk, path: np.ndarray, q: Question) -> bool:
    """Whether the answer is right."""
    if q.type in ("last_seen", "first_seen"):
        words = re.search(r"(?:see|was) the (.+?)(?: at first| in the end)?\?", q.question)[1]
        end = -1 if q.type == "last_seen" else 0
        surface = surface_under(walk, path[end, the_one(walk, words)])
        return q.answer == f"on the {walk.surfaces[surface].kind}"
    if q.type == "beside":
        side, words = re.search(r"just (left|right) of the (.+)\?", q.question).groups()
        anchor, way = the_one(walk, words), {"left": -1, "right": 1}[side]
        ahead = way * (path[0, :, 0] - path[0, anchor, 0])
        nearest = min((a, index) for index, a in enumerate(ahead) if a > 0)[1]
        assert ahead[nearest] < 3.0, "on the same surface"
        return q.answer == " ".join(walk.scene.objects[nearest].pair)
    if q.type == "order":
        pair = re.search(r"up the (.+) before or after the (.+)\?", q.question).groups()
        first, second = (lifted(path[:, the_one(walk, words)])[0] for words in pair)
        return q.answer == ("before" if first < second else "after")
    if q.type == "picked":
        end = {"first": 0, "last": -1}[re.search(r"up (first|last)\?", q.question)[1]]
        begun = {
            int(lifted(path[:, i])[0]): i for i in range(path.shape[1]) if len(lifted(path[:, i]))
        }
        index = begun[sorted(begun)[end]]
        return q.answer == " ".join(walk.scene.objects[index].pair)
    if q.type == "first":
        pair = re.search(r"first, the (.+) or the (.+)\?", q.question).groups()
        return q.answer == min(pair, key=lambda words: first_sight(walk, the_one(walk, words)))
    if q.type == "count":
        words = re.search(r"How many (.+) did I", q.question)[1]
        return q.answer == str(len(meant(walk, words)))
    if q.type == "touched":
        words = re.search(r"(?:up|touch) the (.+)\?", q.question)[1]
        return q.answer == ("yes" if len(lifted(path[:, the_one(walk, words)])) else "no")
    words = re.search(r"a (.+)\?", q.question)[1]
    return q.answer == ("yes" if meant(walk, words) else "no")


def first_sight(walk: Walk, index: int) -> float:
    """The first moment at which an object's middle is in the picture."""
    for seconds in np.arange(0.0, walk.seconds, 0.2):
        if (np.abs(walk.at(seconds).places[index] - 0.5) < 0.5).all():
            return seconds
    raise AssertionError("never seen")


def test_answers_follow_from_the_walk(drawn: dict[str, list[ClipExample[Walk]]]) -> None:
    seen: Counter[str] = Counter()
    for item in every(drawn)[::8]:
        path = paths(item.clip)
        for q in item.questions:
            assert right(item.clip, path, q), q
            assert q.answer in q.choices
            wrong = next(choice for choice in q.choices if choice != q.answer)
            assert not right(item.clip, path, replace(q, answer=wrong))
            seen[q.type] += 1
    assert {*seen} == {*TYPES}


# What can be seen


def test_eight_frames_show_every_object_where_it_stood_and_in_the_hand(
    drawn: dict[str, list[ClipExample[Walk]]],
) -> None:
    small = whole = 0
    for item in every(drawn)[::12]:
        walk = item.clip
        scenes = [walk.at(seconds) for seconds in FRAMES]
        found = [visibility(scene, 112) for scene in scenes]
        count = len(walk.scene.objects)
        shown = np.array([each.seen[:count] for each in found])  # (T, M)
        whole += (shown > 60).sum(axis=1).max() == count
        for index in range(count):
            stays = [(0.0, walk.seconds)]
            pick = walk.pick_of(index)
            if pick is not None:
                held = [n for n, at in enumerate(FRAMES) if pick.lift < at < pick.drop]
                hand = len(scenes[held[0]].objects) + len(walk.at(0.0).fixtures)
                assert any(shown[n, index] > 60 for n in held)
                assert any((found[n].owner >= hand - 7).sum() > 100 for n in held)
                stays = [(0.0, pick.lift), (pick.drop, walk.seconds)] if pick.moves else stays
            for start, stop in stays:
                inside = [n for n, at in enumerate(FRAMES) if start <= at <= stop]
                small += max(shown[n, index] for n in inside) < 60
    assert small < 4, "an arm may hide one"
    assert whole < 4, "all in one frame"


def test_walks_differ(drawn: dict[str, list[ClipExample[Walk]]]) -> None:
    walks = [item.clip for item in every(drawn)]
    plans = Counter(tuple(pick.moves for pick in walk.picks) for walk in walks)
    assert {len(plan) for plan in plans} == {0, 1, 2}
    assert sum(any(plan) * number for plan, number in plans.items()) > 0.6 * len(walks)
    back = sum(walk.visits[0].surface == walk.visits[-1].surface for walk in walks)
    assert 0.3 < back / len(walks) < 0.5
    assert {len(walk.scene.objects) for walk in walks} >= {4, 5, 6, 7}


# Shortcuts


def test_answers_are_balanced_and_no_wording_gives_them_away(
    drawn: dict[str, list[ClipExample[Walk]]],
) -> None:
    """The blind baseline: the best answer per type, and per wording of the question."""
    found = defaultdict(Counter)
    for item in every(drawn):
        for q in item.questions:
            form = q.question
            for group, name in ((COLORS, "C"), (MATERIALS, "M"), (SHAPES, "S"), (("object",), "O")):
                form = re.sub(rf"\b({'|'.join(group)})(?=s?\b)", name, form)
            if q.type != "count":
                form = re.sub(r"\b[CMSO ]+\b", "", form)
            found[q.type, form][q.choices.index(q.answer)] += 1
    assert {kind for kind, _ in found} == set(TYPES)
    for (kind, form), counts in found.items():
        if counts.total() >= 60:
            chance = {"last_seen": 1 / 3, "first_seen": 1 / 3, "beside": 0.25, "picked": 0.25}
            chance = chance.get(kind, 0.27 if kind == "count" else 0.5)
            spread = 3 * (chance * (1 - chance) / counts.total()) ** 0.5
            assert max(counts.values()) / counts.total() < chance + 0.04 + spread, (kind, form)


def surface_answers(walk: Walk) -> dict[str, str]:
    """What looking at one frame says to any question for a place: the surface that is there."""
    names = [f"on the {walk.surfaces[visit.surface].kind}" for visit in walk.visits]
    return dict(zip(("first", "middle", "last"), names, strict=True))


@pytest.mark.parametrize("frame", ["first", "middle", "last"])
@pytest.mark.parametrize("kind", ["last_seen", "first_seen"])
def test_the_surface_in_one_frame_is_not_the_answer(
    drawn: dict[str, list[ClipExample[Walk]]], kind: str, frame: str
) -> None:
    asked = [(i.clip, q) for i in every(drawn) for q in i.questions if q.type == kind]
    hits = [q.answer == surface_answers(walk)[frame] for walk, q in asked]
    assert len(hits) > 250
    assert np.mean(hits) < 0.5, "chance is 0.33"


def test_frames_without_their_order_do_not_tell_the_last_place(
    drawn: dict[str, list[ClipExample[Walk]]],
) -> None:
    """Of both places of a carried object the one that more frames show, or that is more left."""
    more, left = [], []
    for item in every(drawn):
        walk = item.clip
        for q in item.questions:
            moved = q.type == "last_seen" and walk.pick_of(q.about[0][0])
            if moved and moved.moves:
                before, after = (
                    sum(start <= at < stop for at in FRAMES)
                    for start, stop in ((0, moved.lift), (moved.drop, walk.seconds))
                )
                more.append((before < after) + 0.5 * (before == after))
                left.append(moved.target.surface < moved.source.surface)
    assert len(more) > 250
    assert np.mean(more) == pytest.approx(0.5, abs=0.09)
    assert np.mean(left) == pytest.approx(0.5, abs=0.09)


def test_frames_without_their_order_do_not_tell_what_came_first(
    drawn: dict[str, list[ClipExample[Walk]]],
) -> None:
    """Of two objects that which is held in more frames, or is more left."""
    more, left, sights = [], [], []
    for item in every(drawn):
        walk = item.clip
        for q in item.questions:
            if q.type == "order":
                one, two = (walk.pick_of(indices[0]) for indices in q.about)
                held = [sum(p.lift < at < p.drop for at in FRAMES) for p in (one, two)]
                before = q.answer == "before"
                more.append(0.5 if held[0] == held[1] else (held[0] > held[1]) == before)
                left.append((one.source.place[0] < two.source.place[0]) == before)
            if q.type == "first":
                words = re.search(r"first, the (.+) or the (.+)\?", q.question).groups()
                one, two = (walk.spots[indices[0]].place[0] for indices in q.about)
                sights.append((one < two) == (q.answer == words[0]))
    for hits in (more, left, sights):
        assert len(hits) > 150
        assert np.mean(hits) == pytest.approx(0.5, abs=0.11)


def test_one_frame_does_not_count(drawn: dict[str, list[ClipExample[Walk]]]) -> None:
    """How many of a kind the frame shows that shows most of it."""
    hits = []
    for item in every(drawn)[::3]:
        scenes = [item.clip.at(seconds) for seconds in FRAMES]
        inside = [(np.abs(scene.places - 0.5) < 0.5).all(axis=1) for scene in scenes]
        for q in item.questions:
            if q.type == "count":
                which = meant(item.clip, re.search(r"How many (.+) did I", q.question)[1])
                hits.append(q.answer == str(max(int(each[which].sum()) for each in inside)))
    assert np.mean(hits) < 0.62, "the best of eight frames; zero and one need no more"


# Splits


def test_layouts_and_pairs_stay_with_their_split(
    drawn: dict[str, list[ClipExample[Walk]]],
) -> None:
    assert sum(len(set(orders)) for orders in LAYOUTS.values()) == len(
        {order for orders in LAYOUTS.values() for order in orders}
    )
    for orders in LAYOUTS.values():
        for place in range(3):
            assert len(set(Counter(order[place] for order in orders).values())) == 1
        assert {kind for order in orders for kind in order} == set(SURFACES)
    for split in SPLITS:
        assert {tuple(s.kind for s in item.clip.surfaces) for item in drawn[split]} == set(
            LAYOUTS[split]
        )
        for item in drawn[split]:
            shown = {thing.pair for thing in item.clip.scene.objects}
            text = json.dumps([(q.question, q.choices) for q in item.questions])
            for other in SPLITS:
                assert other == split or not shown & HELD_OUT_PAIRS[other]
                pairs = () if other == split else HELD_OUT_PAIRS[other]
                assert not any(re.search(rf"\b{c} (\w+ )?{s}", text) for c, s in pairs)
            assert split == "train" or shown & HELD_OUT_PAIRS[split]
            assert split != "train" or not any(q.held_out for q in item.questions)


def test_plans_come_with_their_reverse() -> None:
    for plan, share in PLANS.items():
        backwards = tuple(replace(d, lift=2 - d.drop, drop=2 - d.lift) for d in reversed(plan))
        assert PLANS[backwards] == share
    assert sum(PLANS.values()) == pytest.approx(1.0)


# Files and training


def test_a_written_walk_reads_back(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_dataset(tmp_path / name, "ego", 1, seed, "test", progress=False)
    one, same, other = ((tmp_path / name / "data.jsonl").read_bytes() for name in "abc")
    assert one == same != other
    item = ego_example(0, 1, SPLITS.index("test"), "test")
    told = [json.loads(line)["question"] for line in one.decode().splitlines()]
    assert told == [q.question for q in item.questions]
    clip = read_clip(tmp_path / "a/clips/test-000000.mp4", frames=8)
    shown = np.stack(list(item.frames(224))).astype(int)
    nearest = [np.abs(shown - frame).mean((1, 2, 3)).min() for frame in clip.frames]
    assert clip.frames.shape == (8, 224, 224, 3)
    assert max(nearest) < 4


def test_the_same_seed_draws_the_same_bytes() -> None:
    one, same, other = (
        b"".join(frame.tobytes() for frame in ego_example(0, seed, 0, "train").frames(32, 1))
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_training_draws_the_kind_that_is_wanted() -> None:
    plain = list(generated_items(1, 3, "train"))
    ego = list(generated_items(1, 3, "train", kind="ego"))
    assert {item.video for item in plain} == {Path("generated/3/train/0")}
    assert {item.video for item in ego} == {Path("generated/ego/3/train/0")}
    assert {item.type for item in ego} <= set(TYPES)
    assert all(is_generated(item.video) for item in plain + ego)
    assert not any(is_generated(Path(p)) for p in ("generated/a/3/train/0", "a.mp4", "", "/"))
    frames = draw_clip(ego[0].video, 2)
    walk = ego_example(0, 3, 0, "train").clip
    assert np.array_equal(frames[1], render(walk.at(6.0)))
    assert set(walked_of(ego[0].video, 2)) == {item.question for item in ego}
    with pytest.raises(InputError, match="films"):
        list(generated_items(1, 3, "train", kind="films"))
