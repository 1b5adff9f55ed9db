"""Generated scenes: what the pictures show, what is asked about them, how they are written."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from assistant.data.scenes import HELD_OUT_PAIRS, SPLITS, example, generate, write_dataset
from assistant.data.scenes import dataset as dataset_module
from assistant.data.scenes.render import render, visibility
from assistant.data.scenes.world import (
    COLORS,
    MATERIALS,
    SHAPES,
    TEST_COLORS,
    TEST_SHAPES,
    Camera,
    Light,
    Scene,
    SceneObject,
    Surroundings,
)
from assistant.errors import InputError

CAMERA = Camera(position=(0.0, -6.5, 4.2), target=(0.0, 0.0, 0.6))
EMPTY = Scene((), CAMERA, Light((-0.4, -0.5, 0.77)), Surroundings((0.7,) * 3, (0.8,) * 3))


@pytest.fixture(scope="module")
def drawn() -> dict[str, list]:
    """300 small pictures with their questions for each split."""
    return {split: list(generate(300, 5, split, size=32)) for split in SPLITS}


def scene_of(*objects: SceneObject) -> Scene:
    return replace(EMPTY, objects=objects)


def changed(scene: Scene, size: int = 224) -> np.ndarray:
    """Where the picture differs from the empty ground by more than a shadow's gray can."""
    bare, full = (render(each, size).astype(int) for each in (EMPTY, scene))
    difference = full - bare
    return difference.max(axis=2) - difference.min(axis=2) > 40


# What the pictures show


@pytest.mark.parametrize("shape", TEST_SHAPES)
@pytest.mark.parametrize("x, y", [(-1.6, 0.0), (0.0, 1.8), (1.3, -1.4)])
def test_an_object_is_drawn_where_it_projects(shape: str, x: float, y: float) -> None:
    scene = scene_of(SceneObject(shape, "red", "rubber", 0.5, x, y, yaw=0.6))
    rows, columns = np.nonzero(changed(scene))
    across, down = by_hand(scene, 0)
    assert columns.mean() == pytest.approx(224 * across, abs=4)
    assert rows.mean() == pytest.approx(224 * down, abs=4)


@pytest.mark.parametrize("shape", ["cone", "pyramid"])
def test_a_cone_and_a_pyramid_narrow_evenly_to_their_tip(shape: str) -> None:
    scene = scene_of(SceneObject(shape, "red", "rubber", 0.8, 0.0, 0.0))
    inside = visibility(scene, 448).owner == 0
    rows = np.flatnonzero(inside.any(axis=1))
    widths = inside.sum(axis=1)[rows]
    middle = len(rows) // 2
    tip, foot = by_hand(scene, 0, 2.0)[1], by_hand(scene, 0, 0.0)[1]
    assert rows[0] == pytest.approx(448 * tip, abs=2)
    assert rows[0] < 448 * foot < rows[-1]
    assert widths[: middle // 8].max() < 0.2 * widths.max()
    assert widths[middle] == pytest.approx(2 * widths[middle // 2], rel=0.1)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_color_is_nearest_to_itself(shape: str) -> None:
    for color in TEST_COLORS:
        for material in MATERIALS:
            scene = scene_of(SceneObject(shape, color, material, 0.8, 0.0, 0.0, yaw=0.5))
            owner = visibility(scene).owner
            seen = np.median(render(scene)[owner == 0], axis=0)
            assert nearest_color(seen) == color, (color, material, seen)


def nearest_color(seen: np.ndarray) -> str:
    """The vocabulary's color of the nearest direction, whatever the brightness."""

    def angle(name: str) -> float:
        wanted = np.array(COLORS[name])
        return float(seen @ wanted / np.linalg.norm(seen) / np.linalg.norm(wanted))

    return max(TEST_COLORS, key=angle)


def test_tones_differ_and_leave_a_color_its_name(drawn: dict[str, list]) -> None:
    things = [thing for item in drawn["train"] for thing in item.scene.objects]
    names, paints = list(COLORS), np.array(list(COLORS.values()))
    nearest = [names[np.linalg.norm(paints - thing.paint, axis=1).argmin()] for thing in things]
    assert (
        np.mean([name == thing.color for name, thing in zip(nearest, things, strict=True)]) > 0.97
    )
    assert len({thing.tone for thing in things}) == len(things)
    assert all(thing.tone == (1, 1, 1) for item in drawn["test"] for thing in item.scene.objects)


@pytest.mark.parametrize("shape", TEST_SHAPES)
def test_metal_glints_and_rubber_does_not(shape: str) -> None:
    for color in TEST_COLORS:
        whitest = {}
        for material in MATERIALS:
            scene = scene_of(SceneObject(shape, color, material, 0.8, 0.0, 0.0, yaw=0.5))
            pixels = render(scene)[visibility(scene).owner == 0]
            whitest[material] = np.percentile(pixels.min(axis=1), 98)
        assert whitest["metal"] > whitest["rubber"] + 45


def test_the_nearer_object_hides_the_farther() -> None:
    near = SceneObject("sphere", "red", "rubber", 0.7, 0.0, -1.5)
    far = SceneObject("sphere", "green", "rubber", 0.7, 0.0, 0.2)
    found = [visibility(scene_of(*pair)) for pair in ((near, far), (far, near))]
    assert found[0].seen == found[1].seen[::-1]
    assert found[0].seen[0] == found[0].alone[0]
    assert found[0].seen[1] < found[0].alone[1]
    both = render(scene_of(far, near))
    front = visibility(scene_of(near)).owner == 0
    assert (both[front].argmax(axis=1) == 0).mean() > 0.95


def test_a_shadow_falls_away_from_the_light() -> None:
    scene = scene_of(SceneObject("cube", "red", "rubber", 0.7, 0.0, 0.0))
    darkness = {}
    for side in (-1, 1):
        light = Light((side * 0.7, -0.1, 0.7))
        lit = replace(scene, light=light)
        drop = render(replace(EMPTY, light=light)).astype(int) - render(lit)
        ground = np.where(visibility(lit, 224).owner == -1, drop.min(axis=2), 0)
        darkness[side] = ground[:, :112].sum(), ground[:, 112:].sum()
    assert darkness[-1][1] > 4 * darkness[-1][0] > -1
    assert darkness[1][0] > 4 * darkness[1][1] > -1


def test_every_object_can_be_seen(drawn: dict[str, list]) -> None:
    for item in drawn["train"][:100] + drawn["test"][:50]:
        found = visibility(item.scene)
        for seen, alone in zip(found.seen, found.alone, strict=True):
            assert seen >= 0.35 * alone
            assert seen >= 200


def test_scenes_vary(drawn: dict[str, list]) -> None:
    counts = Counter(len(item.scene.objects) for item in drawn["train"])
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert sum(counts[n] for n in (3, 4, 5, 6)) > 0.7 * counts.total()
    hidden = [
        any(seen < 0.9 * alone for seen, alone in zip(found.seen, found.alone, strict=True))
        for found in (visibility(item.scene, 112) for item in drawn["train"][:100])
    ]
    assert sum(hidden) > 20


# What is asked. Answers are worked out again here, from the words of the question.


HEIGHTS = {"cube": 0.8, "sphere": 1.0, "cylinder": 0.85, "cone": 1.0, "pyramid": 0.95}


def by_hand(scene: Scene, index: int, share: float = 1.0) -> tuple[float, float]:
    """Where in the picture an object's center (share 0: foot, 2: top) is: the pinhole formula."""
    thing, camera = scene.objects[index], scene.camera
    height = share * thing.size * HEIGHTS[thing.shape]
    away, up = thing.y - camera.position[1], height - camera.position[2]
    dip = math.atan2(
        camera.position[2] - camera.target[2], camera.target[1] - camera.position[1]
    )  # the camera looks along y, tilted down by this
    depth = away * math.cos(dip) - up * math.sin(dip)
    rise = away * math.sin(dip) + up * math.cos(dip)
    reach = depth * math.tan(math.radians(camera.field_of_view / 2))
    return 0.5 + thing.x / reach / 2, 0.5 - rise / reach / 2


def meant(scene: Scene, words: str) -> list[int]:
    """Objects that the words ("red metal cubes") fit."""
    words = [
        re.sub(r"(cube|sphere|cylinder|cone|pyramid|object)s$", r"\1", word)
        for word in words.split()
    ]
    assert all(word in (*COLORS, *MATERIALS, *SHAPES, "object") for word in words), words
    return [
        index
        for index, thing in enumerate(scene.objects)
        if {*words} - {"object"} <= {thing.color, thing.material, thing.shape}
    ]


def the_one(scene: Scene, words: str) -> int:
    (index,) = meant(scene, words)  # a name that fits two objects fails here
    return index


RELATIONS = "left of|right of|above|below|behind|in front of"


def side(scene: Scene, first: int, relation: str, second: int) -> bool:
    """Whether the relation holds; fails where the picture leaves it in doubt."""
    a, b = by_hand(scene, first), by_hand(scene, second)
    axis = 0 if relation in ("left of", "right of") else 1
    assert abs(a[axis] - b[axis]) > 0.099, "too close to call"
    if relation in ("behind", "in front of"):
        nearer = scene.objects[first].y < scene.objects[second].y
        assert nearer == (a[1] > b[1]), "depth and picture disagree"
    return (a[axis] < b[axis]) == (relation in ("left of", "above", "behind"))


def check(scene: Scene, record: dict) -> None:
    question, answer, kind = record["question"], record["answer"], record["type"]
    if kind == "count":
        words = re.fullmatch(r"How many (.+) (?:are there|do you see)\?", question)[1]
        assert answer == str(len(meant(scene, words)))
    elif kind in ("color", "shape", "material"):
        words = re.fullmatch(
            r"(?:What (?:color|shape) is|What is the (?:color|shape) of|What is|Is) the (.+?)"
            r"(?: made of(?: rubber or metal)?)?\?",
            question,
        )[1]
        assert answer == getattr(scene.objects[the_one(scene, words)], kind)
        assert answer not in words
    elif kind == "existence":
        words = re.fullmatch(r"(?:Is there|Do you see) a (.+?)(?: in the picture)?\?", question)[1]
        assert answer == ("yes" if meant(scene, words) else "no")
    elif kind == "relation":
        first, relation, second = re.fullmatch(
            rf"Is the (.+) ({RELATIONS}) the (.+)\?", question
        ).groups()
        true = side(scene, the_one(scene, first), relation, the_one(scene, second))
        assert answer == ("yes" if true else "no")
    elif kind == "relation_object":
        relation, words = re.fullmatch(
            rf"(?:What|Which object) is ({RELATIONS}) the (.+)\?", question
        ).groups()
        anchor = the_one(scene, words)
        others = [index for index in range(len(scene.objects)) if index != anchor]
        (found,) = [index for index in others if side(scene, index, relation, anchor)]
        assert answer == f"{scene.objects[found].color} {scene.objects[found].shape}"
    elif kind == "position":
        words = re.fullmatch(r"(?:Where is|Is) the (.+?)(?: (?:on|in) the .+)?\?", question)[1]
        across, down = by_hand(scene, the_one(scene, words))
        low, high = {
            "left": (0, 0.421),
            "middle": (0.39, 0.61),
            "right": (0.579, 1),
            "upper": (0, 0.431),
            "lower": (0.569, 1),
        }[answer]
        assert low <= (down if answer in ("upper", "lower") else across) <= high
        if question.startswith("Where") and answer != "middle":
            assert abs(across - 0.5) > 0.18
    else:
        assert kind == "caption"
        numbers = {"a": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
        parts = [part.split(" ", 1) for part in re.split(", | and ", answer)]
        told = {words.removesuffix("s"): numbers[number] for number, words in parts}
        assert told == Counter(f"{thing.color} {thing.shape}" for thing in scene.objects)


@pytest.mark.parametrize("split", SPLITS)
def test_answers_follow_from_the_scene_and_names_fit_one_object(
    drawn: dict[str, list], split: str
) -> None:
    for item in drawn[split]:
        for record in item.records:
            check(item.scene, record)


def test_the_checker_notices_a_wrong_answer(drawn: dict[str, list]) -> None:
    for item in drawn["train"][:50]:
        for record in item.records:
            wrong = next((c for c in record.get("choices", ()) if c != record["answer"]), None)
            if wrong:
                with pytest.raises(AssertionError):
                    check(item.scene, {**record, "answer": wrong})


def answers(items: list) -> dict[str, Counter]:
    found: dict[str, Counter] = defaultdict(Counter)
    for item in items:
        for record in item.records:
            found[record["type"]][record["answer"]] += 1
    return found


MOST_COMMON = {
    "count": 0.30,
    "color": 0.20,
    "shape": 0.42,
    "material": 0.55,
    "existence": 0.55,
    "relation": 0.6,
    "relation_object": 0.12,
    "position": 0.36,
    "caption": 0.05,
}


def test_answers_are_balanced(drawn: dict[str, list]) -> None:
    found = answers(drawn["train"])
    assert set(found) == set(MOST_COMMON)
    for kind, counts in found.items():
        top, number = counts.most_common(1)[0]
        assert number <= MOST_COMMON[kind] * counts.total(), (kind, top, number, counts.total())
        assert counts.total() > 130, kind
    for kind in ("existence", "relation"):
        assert 0.4 < found[kind]["yes"] / found[kind].total() < 0.6
    assert set(found["color"]) == set(COLORS)
    assert set(found["count"]) == {str(n) for n in range(7)}


def test_the_words_of_a_relation_do_not_tell_its_answer(drawn: dict[str, list]) -> None:
    items = drawn["train"] + drawn["dev"] + drawn["test"]
    found = defaultdict(Counter)
    for item in items:
        for record in item.records:
            if record["type"] == "relation":
                found[re.search(RELATIONS, record["question"])[0]][record["answer"]] += 1
    assert len(found) == 6
    for counts in found.values():
        assert 0.37 < counts["yes"] / counts.total() < 0.63


# Held-out pairs


def names_held_out(text: str, split: str) -> bool:
    pairs = HELD_OUT_PAIRS[split]
    return any(re.search(rf"\b{color} (\w+ )?{shape}", text) for color, shape in pairs)


@pytest.mark.parametrize("held_for", ["dev", "test"])
@pytest.mark.parametrize("split", SPLITS)
def test_held_out_pairs_are_neither_shown_nor_named_in_other_splits(
    drawn: dict[str, list], split: str, held_for: str
) -> None:
    for item in drawn[split] if split != held_for else ():
        assert not any(o.pair in HELD_OUT_PAIRS[held_for] for o in item.scene.objects)
        for record in item.records:
            text = json.dumps([record["question"], record["answer"], record.get("choices")])
            assert not names_held_out(text, held_for)
            assert split != "train" or record["held_out"] is False


@pytest.mark.parametrize("split", ["dev", "test"])
def test_each_picture_to_be_scored_shows_a_held_out_pair_and_its_questions_are_marked(
    drawn: dict[str, list], split: str
) -> None:
    marked = 0
    for item in drawn[split]:
        assert any(o.pair in HELD_OUT_PAIRS[split] for o in item.scene.objects)
        for record in item.records:
            marked += record["held_out"]
            if names_held_out(record["question"], split):
                assert record["held_out"]
    assert marked > 0.35 * sum(len(item.records) for item in drawn[split])


def test_the_test_split_has_its_own_colors_and_shapes_alone(drawn: dict[str, list]) -> None:
    text = json.dumps([item.records for item in drawn["test"]])
    others = {*COLORS, *SHAPES} - {*TEST_COLORS, *TEST_SHAPES}
    assert others and not any(re.search(rf"\b{word}", text) for word in others)


def test_naming_a_held_out_pair_does_not_mean_yes(drawn: dict[str, list]) -> None:
    found = Counter(
        record["answer"]
        for item in drawn["test"]
        for record in item.records
        if record["type"] == "existence" and names_held_out(record["question"], "test")
    )
    assert found.total() > 60
    assert 0.38 < found["yes"] / found.total() < 0.62


def test_every_color_and_shape_stays_common_in_training(drawn: dict[str, list]) -> None:
    objects = [thing for item in drawn["train"] for thing in item.scene.objects]
    for color in COLORS:
        least = 0.06 if color in TEST_COLORS else 0.03
        assert sum(thing.color == color for thing in objects) > least * len(objects)
    for shape in SHAPES:
        least = 0.18 if shape in TEST_SHAPES else 0.08
        assert sum(thing.shape == shape for thing in objects) > least * len(objects)


# Files


def test_a_picture_depends_only_on_seed_split_and_number() -> None:
    whole = list(generate(4, 3, "train"))
    tail = list(generate(2, 3, "train", start=2))
    for one, other in zip(whole[2:], tail, strict=True):
        assert np.array_equal(one.image, other.image)
        assert one.records == other.records
    assert example(2, 3).records == whole[2].records
    for differs in (example(2, 4), example(2, 3, "dev"), example(1, 3)):
        assert not np.array_equal(differs.image, whole[2].image)


def test_the_same_seed_writes_the_same_bytes(tmp_path) -> None:
    written = [
        write_dataset(tmp_path / name, count=3, seed=seed, progress=False)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    first, same, other = (
        {file.relative_to(tmp_path / name): file.read_bytes() for file in files(tmp_path / name)}
        for name in "abc"
    )
    assert len(first) == 4
    assert first == same
    assert first != other
    assert written[0].media == 3


def files(folder) -> list:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_lines_of_the_data_file(tmp_path) -> None:
    out = tmp_path / "deep" / "scenes"
    written = write_dataset(out, "images", 6, 0, "test", progress=False)
    lines = [json.loads(line) for line in written.path.read_text(encoding="utf-8").splitlines()]
    assert written.path == out / "data.jsonl"
    assert written.questions == len(lines)
    assert len({line["id"] for line in lines}) == len(lines)
    assert len({line["image"] for line in lines}) == written.media == 6
    for line in lines:
        fields = {"id", "image", "question", "answer", "type", "held_out", "split"}
        assert set(line) == fields | (set() if line["type"] == "caption" else {"choices"})
        assert line["split"] == "test"
        if line["type"] != "caption":
            assert line["answer"] in line["choices"]
            assert line["answer"] == line["answer"].lower()
            assert 1 <= len(line["answer"].split()) <= 3
    with Image.open(out / lines[0]["image"]) as picture:
        assert (picture.size, picture.mode) == ((224, 224), "RGB")
        assert np.array_equal(picture, example(0, 0, "test").image)


def test_a_taken_folder_is_left_alone(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not an empty folder"):
        write_dataset(tmp_path, count=1, progress=False)
    with pytest.raises(InputError, match=r"mine\.txt"):
        write_dataset(tmp_path / "mine.txt", count=1, progress=False)
    with pytest.raises(InputError, match="cannot write"):
        write_dataset(tmp_path / "mine.txt" / "below", count=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    assert write_dataset(tmp_path / "out", count=1, progress=False).path.exists()


def test_nothing_is_left_of_a_run_that_breaks(tmp_path, monkeypatch) -> None:
    calls = iter(range(100))

    def render_two(scene: Scene, size: int) -> np.ndarray:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return render(scene, size)

    monkeypatch.setattr(dataset_module, "render", render_two)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "out", count=5, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options, named",
    [
        ({"kind": "films"}, "films"),
        ({"split": "valid"}, "valid"),
        ({"seed": -1}, "seed"),
        ({"count": 0}, "count"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        write_dataset(tmp_path / "out", progress=False, **options)
    assert not (tmp_path / "out").exists()
