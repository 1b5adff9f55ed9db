"""Generated clips of actions: only motion tells them; they are written as they are read."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
from test_cli import run

from assistant.actions.bank import read_bank
from assistant.data.scenes import ACTIONS, HELD_OUT_PAIRS, SPLITS, actions, write_actions
from assistant.data.scenes.act_paths import PASSING, SECONDS
from assistant.data.scenes.actions import draw_pair
from assistant.data.scenes.acts import HUES, PAIRS, Act, sample_acts
from assistant.data.scenes.layout import radius_of
from assistant.data.scenes.render import visibility
from assistant.data.scenes.world import Scene
from assistant.data.segments import labels_of, read_segments
from assistant.errors import InputError

MOMENTS = np.linspace(0.0, SECONDS, 26)


@pytest.fixture(scope="module")
def acts() -> dict[str, list[Act]]:
    """Three of each action, one of a split."""
    found: dict[str, list[Act]] = {label: [] for label in ACTIONS}
    for pair in PAIRS:
        for number, split in enumerate(SPLITS):
            for act in sample_acts(np.random.default_rng([number, 5]), pair, split):
                found[act.label].append(act)
    return found


def scenes(act: Act) -> list[Scene]:
    return [act.at(float(moment)) for moment in MOMENTS]


def track(act: Act, index: int) -> np.ndarray:
    """Place across and down, and depth of an object at each of MOMENTS, (26, 3)."""
    seen = scenes(act)
    return np.array([(*scene.places[index], scene.depths[index]) for scene in seen])


def apart(act: Act) -> np.ndarray:
    """Free ground between the first two objects at each of MOMENTS, (26,)."""
    found = []
    for scene in scenes(act):
        one, two = scene.objects[:2]
        found.append(np.hypot(one.x - two.x, one.y - two.y) - radius_of(one) - radius_of(two))
    return np.array(found)


# What an action is


def test_there_are_sixteen_and_all_are_described() -> None:
    assert len(set(ACTIONS)) == len(ACTIONS) == 16
    assert set(read_bank("motion").labels) == set(ACTIONS)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != PASSING])
def test_one_of_a_pair_is_the_other_backwards(pair: tuple[str, str]) -> None:
    drawn = draw_pair(pair, 0, 3, "train", 16)
    assert tuple(drawn) == pair
    one, other = (np.stack(frames) for frames in drawn.values())
    assert np.array_equal(one, other[::-1])
    assert not np.array_equal(one, other)


def test_what_passes_and_what_is_passed_are_at_the_same_places_halfway(acts) -> None:
    for behind, front in zip(*(acts[label] for label in PASSING), strict=True):
        halfway = [act.at(SECONDS / 2).objects for act in (behind, front)]
        assert [(o.x, o.y) for o in halfway[0]] == [(o.x, o.y) for o in halfway[1]]
        assert (behind.mover, front.mover) == (0, 1)
        for act, still in ((behind, 1), (front, 0)):
            where = track(act, act.mover)
            assert np.ptp(track(act, still), axis=0).max() < 1e-6
            assert np.ptp(where[:, 0]) > 0.15
        assert track(behind, 0)[:, 2].min() > track(front, 1)[13, 2]  # deeper
        seen = visibility(behind.at(SECONDS / 2), 64)
        assert seen.seen[0] < 0.75 * seen.alone[0]


@pytest.mark.parametrize("label, axis, sign", [("move right", 0, 1), ("go away", 2, 1)])
def test_ways_of_one(acts, label: str, axis: int, sign: int) -> None:
    for act, twin in zip(acts[label], acts[dict(PAIRS)[label]], strict=True):
        steps = np.diff(track(act, 0)[:, axis])
        assert (sign * steps > -1e-6).all() and sign * steps.sum() > (0.1, 0, 1.5)[axis]
        assert np.allclose(track(twin, 0), track(act, 0)[::-1])


def test_what_enters_is_outside_first_and_then_inside(acts) -> None:
    for act in acts["enter"]:
        shown = [visibility(scene, 64).seen[0] for scene in (act.at(0.0), act.at(SECONDS))]
        assert shown[0] == 0 < shown[1]


def test_a_hand_picks_up_what_stands_on_the_ground(acts) -> None:
    for act in acts["pick up"]:
        heights = [scene.objects[0].z for scene in scenes(act)]
        assert heights[0] == 0.0 and max(heights) > 0.8
        assert visibility(act.at(SECONDS), 64).seen[0] == 0
        assert act.grip is not None and act.at(1.0).fixtures
        lifted = int(np.argmax(np.diff(act.paths[0][:, 2]) > 0))
        reach = np.linalg.norm(act.grip - act.paths[0], axis=1)
        assert reach[lifted] < 1 < reach[0]  # it is there when it lifts, and was not at first


def test_circles_turn_as_they_are_called(acts) -> None:
    for label, sign in (("circle clockwise", -1), ("circle counterclockwise", 1)):
        for act in acts[label]:
            pairs = [scene.objects[:2] for scene in scenes(act)]
            turn = np.unwrap([np.arctan2(a.y - b.y, a.x - b.x) for a, b in pairs])
            assert 4 < sign * (turn[-1] - turn[0]) < 2 * np.pi
            assert np.ptp(apart(act)) < 0.05


def test_two_that_meet_touch_at_the_end_alone(acts) -> None:
    for act in acts["come together"]:
        gap = apart(act)
        assert gap[0] > 1 and gap[-1] == pytest.approx(0.02, abs=1e-3)
        assert np.ptp(track(act, 1), axis=0).max() < 1e-6


def test_a_push_moves_what_is_met_and_not_before(acts) -> None:
    for act in acts["push"]:
        gap, other = apart(act), track(act, 1)
        met = int(np.argmax(gap < 0.03))
        assert 0 < met < len(gap) - 1 and gap[met:].max() < 0.03
        assert np.ptp(other[:met], axis=0).max() < 0.02 < np.ptp(other[met:], axis=0).max()


# What is held out


def test_backgrounds_and_objects_of_a_split_are_its_own(acts) -> None:
    for found in acts.values():
        for act, split in zip(found, SPLITS, strict=True):
            for tone in (act.scene.surroundings.ground, act.scene.surroundings.backdrop):
                hue = colorsys.rgb_to_hsv(*tone)[0]
                assert [own for own in SPLITS if any(a <= hue <= b for a, b in HUES[own])] == [
                    split
                ]
            pairs = {thing.pair for thing in act.scene.objects}
            assert all(not pairs & HELD_OUT_PAIRS[own] for own in SPLITS if own != split)
            assert split == "train" or act.scene.objects[0].pair in HELD_OUT_PAIRS[split]


# Files


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair, of small pictures at few moments."""
    monkeypatch.setattr(actions, "SIZE", 32)
    monkeypatch.setattr(actions, "FRAME_RATE", 2)
    monkeypatch.setattr(actions, "PAIRS", (("enter", "leave"),))


def written(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.usefixtures("small")
def test_what_is_written_is_read_and_a_stopped_run_goes_on(tmp_path, monkeypatch) -> None:
    whole = write_actions(tmp_path / "whole", 2, 4, progress=False)
    clips = read_segments(whole.path)
    assert whole.media == len(clips) == 2 * (2 + 1 + 1)
    assert labels_of(clips) == ["enter", "leave"]
    assert len(read_segments(whole.path, "test")) == 2

    calls, write = [], actions.write_clip

    def three(path: Path, *more: object) -> None:
        calls.append(path)
        if len(calls) == 4:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        write(path, *more)

    monkeypatch.setattr(actions, "write_clip", three)
    with pytest.raises(KeyboardInterrupt):
        write_actions(tmp_path / "again", 2, 4, progress=False)
    assert not (tmp_path / "again" / "data.jsonl").exists()
    write_actions(tmp_path / "again", 2, 4, progress=False)
    assert written(tmp_path / "again") == written(tmp_path / "whole")
    assert len(calls) == 4 + 8 - 2  # of three clips two are a whole pair
    with pytest.raises(InputError, match="no unfinished set"):
        write_actions(tmp_path / "again", 2, 4, progress=False)


@pytest.mark.usefixtures("small")
def test_the_command(capsys, tmp_path) -> None:
    out = tmp_path / "made"
    code, told, _ = run(capsys, "scenes", out, "--kind", "actions", "--count", 1)
    assert code == 0 and told.startswith("6 clips of 16 actions")
    code, _, wrong = run(capsys, "scenes", tmp_path / "b", "--kind", "actions", "--split", "test")
    assert code == 2 and "leave --split out" in wrong


@pytest.mark.parametrize("count, seed", [(0, 0), (1, -1)])
def test_a_wrong_number_is_named(tmp_path, count: int, seed: int) -> None:
    with pytest.raises(InputError, match=f"count is {count} and seed {seed}"):
        write_actions(tmp_path / "out", count, seed, progress=False)
    assert not (tmp_path / "out").exists()
