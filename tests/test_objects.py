"""The object head and the source that speaks for it: boxes, numbers, colors, tracks, words."""

import pytest
import torch

from assistant import sources
from assistant.core.config import ModelConfig, from_yaml
from assistant.core.resources import adapters_dir
from assistant.errors import ConfigError, WeightsError
from assistant.model.encoders.loading import encoder_class
from assistant.model.objects.config import NamingConfig, ObjectsConfig, StoredConfig
from assistant.model.objects.decoding import decode, iou, numbers
from assistant.model.objects.head import ObjectHead, Thing
from assistant.model.objects.loading import CONFIG, load_objects, save_objects
from assistant.model.objects.network import Maps, ObjectNet, at_least
from assistant.sources import Look, Perceived
from assistant.sources import objects as source
from assistant.sources.tracking import Track, giou, link
from assistant.tasks.prompts import load_prompt
from assistant.training.objects.config import ObjectsRecipe

SIDE, FINE, DEEP = 2, 3, 5
SHAPE = {"fine": FINE, "deep": DEEP, "side": SIDE, "width": 8, "blocks": 1, "hidden": 8}
CLASSES = {"person": ("persons", "man"), "dog": ("dogs", "puppy"), "car": ("cars",)}
COLORS = {"red": (), "gray": ("grey",), "blue": ()}
TINY = ObjectsConfig(
    "tiny-64", CLASSES, COLORS, parts={"person": ("shirt",)}, color_hidden=4, levels=3, **SHAPE
)
LEFT, RIGHT = (0.0, 0.2, 0.4, 0.8), (0.6, 0.2, 1.0, 0.8)
SURE, NONE = 6.0, -6.0  # logits


def tiny_net() -> ObjectNet:
    torch.manual_seed(0)
    return ObjectNet(TINY).eval()


def maps_of(*frames: dict[str, list[tuple[float, ...]]]) -> Maps:
    """Maps in which each frame's boxes stand out, and their numbers are sure."""
    names, grid = list(CLASSES), 4 * SIDE
    heat = torch.full((len(frames), len(names), grid, grid), NONE)
    boxes = torch.zeros(len(frames), 4, grid, grid)
    counts = torch.full((len(frames), len(names), TINY.levels), NONE)
    for i, frame in enumerate(frames):
        for name, found in frame.items():
            counts[i, names.index(name), : len(found)] = SURE
            for box in found:
                x, y = (int(sum(box[axis::2]) / 2 * grid) for axis in (0, 1))
                heat[i, names.index(name), y, x] = SURE
                boxes[i, :, y, x] = torch.tensor(box)
    cells = torch.zeros(len(frames), grid * grid // 4, TINY.color_hidden)
    return Maps(heat, boxes, counts, cells)


class ScriptedNet:
    """Says what a test wrote down, a frame after the other; the first color."""

    def __init__(self, *frames: dict[str, list[tuple[float, ...]]]) -> None:
        self.maps = maps_of(*frames)

    def __call__(self, patches: torch.Tensor) -> Maps:
        first = int(patches[0, 0, 0])
        return Maps(*(value[first : first + len(patches)] for value in vars(self.maps).values()))

    def colors(self, cells, boxes, kinds):
        return torch.tensor([[0.8, 0.1, 0.1]]).expand(len(kinds), -1)


def scripted_head(*frames: dict[str, list[tuple[float, ...]]]) -> ObjectHead:
    every = dict.fromkeys(CLASSES, 0.5)
    return ObjectHead(ScriptedNet(*frames), StoredConfig(TINY, NamingConfig(every, every, 0.6)))


def look_of(frames: int, encoder: str = "tiny-64-torch.float32") -> Look:
    """Its first number tells a frame's place."""
    patches = torch.zeros(frames, SIDE * SIDE, 4 * FINE + DEEP)
    patches[:, 0, 0] = torch.arange(frames)
    seconds = [0.5 * i for i in range(frames)]
    return Look(patches, torch.zeros(frames, 0), (), seconds, encoder, _no_pictures, _no_space)


def _no_pictures(count, side):
    raise AssertionError("objects are found without decoding again")


def _no_space():
    raise AssertionError("objects need no joint space")


def test_maps_have_the_shapes_that_they_tell():
    maps = tiny_net()(torch.randn(2, SIDE * SIDE, 4 * FINE + DEEP))
    assert maps.heat.shape == (2, 3, 8, 8)
    assert maps.boxes.shape == (2, 4, 8, 8)
    assert maps.counts.shape == (2, 3, 3)
    assert maps.cells.shape == (2, 16, 4)
    left, top, right, bottom = maps.boxes.unbind(1)
    place = (torch.arange(8) + 0.5) / 8
    assert (left < place).all() and (right > place).all()
    assert (top < place[:, None]).all() and (bottom > place[:, None]).all()


def test_the_fine_map_is_laid_out_as_the_encoder_unshuffled_it():
    """A mark in one fine cell changes the cells of that place, and no far one's color."""
    net = tiny_net()
    mid = torch.zeros(1, FINE, 4, 4)
    mid[0, :, 0, 3] = 1.0  # at the top, on the right
    fine = torch.nn.functional.pixel_unshuffle(mid, 2).flatten(2).transpose(1, 2)
    blank = torch.zeros(1, 4, 4 * FINE + DEEP)
    marked = blank.clone()
    marked[..., : 4 * FINE] = fine
    changed = (net(marked).cells != net(blank).cells).any(-1)[0].view(4, 4)
    assert changed.nonzero().tolist() == [[0, 3]]


def test_colors_are_those_of_the_boxs_place():
    net = tiny_net()
    torch.nn.init.zeros_(net.kind.weight)
    net.color.weight.data[-1] = 0.0  # all cells count alike
    cells = torch.randn(1, 4, 4, 1).expand(1, 4, 4, 4).clone()
    cells[:, :, :2], cells[:, :, 2:] = 4.0, -4.0  # left and right halves
    boxes = torch.tensor([(0.0, 0.0, 0.3, 1.0), (0.7, 0.0, 1.0, 1.0)])
    kinds = torch.zeros(2, dtype=torch.long)
    left, right = net.colors(cells.view(1, 16, 4).expand(2, -1, -1), boxes, kinds)
    whole = net.colors(torch.full((1, 16, 4), 4.0), boxes[:1], kinds[:1])[0]
    assert torch.allclose(left, whole, atol=0.02)
    assert not torch.allclose(right, whole, atol=0.02)
    assert torch.allclose(left.sum(), torch.tensor(1.0))


def test_boxes_are_the_peaks_and_two_of_one_thing_are_one():
    near = (0.05, 0.2, 0.45, 0.8)
    maps = maps_of({"dog": [LEFT, near, RIGHT], "car": [LEFT]})
    (boxes,) = decode(maps, most=4)
    found = sorted(zip(boxes.classes.tolist(), boxes.corners.tolist(), strict=True))
    assert [kind for kind, _ in found] == [1, 1, 2]  # near is left out: it is LEFT's neighbour
    assert found[1][1] == pytest.approx(RIGHT)


def test_iou_and_its_generalisation():
    one, far = torch.tensor([LEFT]), torch.tensor([RIGHT])
    assert iou(one, one).item() == pytest.approx(1.0)
    assert iou(one, far).item() == 0.0
    half = (0.0, 0.2, 0.2, 0.8)
    assert iou(one, torch.tensor([half])).item() == pytest.approx(0.5)
    assert giou(LEFT, half) == pytest.approx(0.5)
    assert giou(LEFT, RIGHT) == pytest.approx(-0.2)


def test_more_are_never_likelier_than_fewer():
    more = at_least(torch.tensor([0.0, 2.0, -1.0]))
    assert more.tolist() == pytest.approx([0.5, 0.5, 0.2689], abs=1e-3)


def test_numbers_are_the_mean_of_what_is_expected_and_of_sure_boxes():
    more = torch.zeros(2, 3, 4)
    more[0, 1, :3], more[1, 2, 0] = 1.0, 0.9  # three dogs; a car
    (three,) = decode(maps_of({"dog": [LEFT]}), most=1)
    (none,) = decode(maps_of({}), most=1)
    assert numbers(more, [three, none]).tolist() == [[0, 2, 0], [0, 0, 0]]
    assert numbers(more[:, :, :0], [three, none])[0].tolist() == [0, 1, 0]


def test_a_head_is_stored_and_read_again(tmp_path):
    net, stored = tiny_net(), StoredConfig(TINY, NamingConfig({"dog": 0.7}, {"dog": 0.4}))
    save_objects(tmp_path, stored, net.state_dict())
    again, told = load_objects(tmp_path)
    assert told == stored
    patches = torch.randn(1, SIDE * SIDE, 4 * FINE + DEEP)
    assert torch.allclose(again(patches).heat, net(patches).heat, atol=0.05)  # fp16


def test_a_folder_of_another_shape_is_refused_in_one_line(tmp_path):
    save_objects(tmp_path, StoredConfig(TINY, NamingConfig()), tiny_net().state_dict())
    path = tmp_path / CONFIG
    path.write_text(path.read_text().replace("width: 8", "width: 16"))
    with pytest.raises(WeightsError, match="another shape"):
        load_objects(tmp_path)
    path.write_text(path.read_text().replace("width: 16", "breadth: 16"))
    with pytest.raises(ConfigError, match="breadth"):
        load_objects(tmp_path)
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_objects(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"classes": {}}, "classes is empty"),
        ({"classes": {"dog": ()}}, "plural"),
        ({"side": 0}, "side"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change, told):
    with pytest.raises(ConfigError, match=told):
        ObjectsConfig(**{**vars(TINY), **change})


def thing(frame: int, x: float, name: str = "dog", score: float = 0.9) -> Thing:
    return Thing(frame, name, (x, 0.4, x + 0.2, 0.6), score, (1.0, 0.0, 0.0))


def test_things_are_linked_by_name_and_nearness():
    walks = [thing(i, 0.1 * i) for i in range(5)]
    stands = [thing(i, 0.75) for i in range(5)]
    other = [thing(2, 0.2, name="car")]
    tracks = link([*stands, *other, *walks])
    assert sorted(len(track.seen) for track in tracks) == [1, 5, 5]
    assert {track.direction for track in tracks if len(track.seen) == 5} == {"right", ""}


def test_a_thing_may_be_out_of_sight_for_a_while_and_no_longer():
    assert len(link([thing(0, 0.1), thing(3, 0.1)])) == 1
    assert len(link([thing(0, 0.1), thing(4, 0.1)])) == 2
    assert len(link([thing(0, 0.0), thing(1, 0.8)])) == 2  # too far


@pytest.mark.parametrize(
    ("boxes", "way"),
    [
        ([(0.6, 0.4), (0.4, 0.4), (0.2, 0.4)], "left"),
        ([(0.4, 0.6), (0.4, 0.4), (0.4, 0.2)], "up"),
        ([(0.4, 0.1), (0.4, 0.3), (0.4, 0.5)], "down"),
        ([(0.1, 0.4), (0.5, 0.4)], ""),  # two frames tell too little
        ([(0.1, 0.4), (0.6, 0.4), (0.05, 0.4), (0.3, 0.4)], ""),  # there and back
        ([(0.1, 0.4, 0.2), (0.1, 0.4, 0.4), (0.1, 0.4, 0.6)], ""),  # it grows
    ],
)
def test_which_way_a_track_moves(boxes, way):
    seen = [
        Thing(i, "dog", (x, y, x + (side or [0.2])[0], y + 0.2), 0.9, ())
        for i, (x, y, *side) in enumerate(boxes)
    ]
    assert Track(seen).direction == way


def test_a_tracks_colors_are_weighed_by_how_well_it_is_seen():
    seen = [
        Thing(0, "dog", LEFT, 0.9, (1.0, 0.0)),
        Thing(1, "dog", LEFT, 0.1, (0.0, 1.0)),
    ]
    assert Track(seen).colors == pytest.approx([0.9, 0.1])


def test_what_is_there_is_named_with_number_place_times_and_color():
    moving = [{"dog": [LEFT], "car": [(0.2 * i, 0.7, 0.2 * i + 0.2, 0.9)]} for i in range(4)]
    moving[1]["dog"] = moving[2]["dog"] = moving[3]["dog"] = [LEFT, RIGHT]
    items = source.find_objects(scripted_head(*moving), look_of(4))
    cars = [item for item in items if item.name == "car"]
    dogs = [item for item in items if item.name == "dog"]
    assert len(cars) == 1 and len(dogs) == 2
    (car,) = cars
    assert (car.start, car.end, car.direction, car.color, car.count) == (
        0.0,
        1.5,
        "right",
        "red",
        1,
    )
    assert car.probability > 0.9
    assert dogs[0].box == pytest.approx(LEFT)
    assert (dogs[0].start, dogs[0].end) == (0.0, 1.5)
    assert (dogs[1].start, dogs[1].end) == (0.5, 1.5)
    assert car.as_dict()["direction"] == "right"
    assert "count" not in Perceived("dog", 0.5).as_dict()


def test_a_persons_color_is_told_of_the_clothes():
    person, dog = source.find_objects(scripted_head({"person": [LEFT], "dog": [RIGHT]}), look_of(1))
    assert (person.told, dog.told) == ("person (in red)", "dog (red)")


def test_how_many_is_told_of_a_quarter_of_the_frames():
    frames = [{"dog": [LEFT, RIGHT]}] * 2 + [{"dog": [LEFT]}] * 6
    items = source.find_objects(scripted_head(*frames), look_of(8))
    assert [item.count for item in items] == [2, 2]
    items = source.find_objects(scripted_head(*frames[1:]), look_of(7))
    assert [item.count for item in items] == [1]


def test_of_a_crowd_more_are_told_than_numbers_are_told_apart():
    crowd = [(x / 8, y / 4, (x + 1) / 8, (y + 1) / 4) for x in range(8) for y in range(4)]
    found = source.find_objects(scripted_head({"person": crowd}), look_of(1))
    assert len(found) == found[0].count > TINY.levels
    assert len({item.probability for item in found}) == 1


def test_what_is_in_too_few_frames_is_not_named():
    frames = [{"dog": [LEFT]}] + [{"car": [RIGHT]}] * 7
    items = source.find_objects(scripted_head(*frames), look_of(8))
    assert {item.name for item in items} == {"car"}
    assert source.find_objects(scripted_head({}, {}), look_of(2)) == ()


def test_a_class_without_a_threshold_is_never_named():
    head = scripted_head({"dog": [LEFT]})
    blind = ObjectHead(head.net, StoredConfig(TINY, NamingConfig({}, {}, 0.6)))
    assert source.find_objects(head, look_of(1)) != ()
    assert source.find_objects(blind, look_of(1)) == ()
    blind.net.maps.counts.fill_(50.0)  # a probability of 1
    assert source.find_objects(blind, look_of(1)) == ()


@pytest.fixture
def tiny_source(monkeypatch):
    head = scripted_head({"dog": [LEFT]})
    monkeypatch.setattr(source, "_head", lambda: head)
    source._words.cache_clear()
    yield source.PERCEIVER
    source._words.cache_clear()


def test_frames_of_another_encoder_say_nothing_and_that(tiny_source):
    found = tiny_source.look_at("objects", look_of(1, "dinov2-64-torch.float32"))
    assert (found.items, found.text) == ((), "")
    assert "another image encoder" in found.warning
    for precision in ("float32", "bfloat16"):
        mine = tiny_source.look_at("objects", look_of(1, f"tiny-64-torch.{precision}"))
        assert (mine.text, mine.warning) == ("red dog", "")


def test_the_line_that_models_read(tiny_source):
    items = [
        Perceived("person", 0.9, count=2, color="red"),
        Perceived("person", 0.8, count=2),
        Perceived("dog", 0.8, count=1, direction="left"),
        Perceived("car", 0.7, count=1, color="blue"),
    ]
    assert tiny_source.as_text(items) == "2 persons, dog moving left, blue car"
    alone = [Perceived("person", 0.9, count=1, color="red")]
    assert tiny_source.as_text(alone) == "person in red"
    assert tiny_source.as_text(()) == ""


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("How many dogs are there?", ("two",)),
        ("How many puppies are in the picture?", None),
        ("how many cars are there", ()),
        ("What color is the dog?", ("gray", "red")),
        ("What is the color of the man's shirt?", ("blue",)),
        ("What color is the man?", None),  # what a person wears has a color
        ("What color is the shirt of the man?", ("blue",)),
        ("Is there a dog?", ("yes",)),
        ("Do you see any cars?", ("no", "yes")),
        ("How many shirts are there?", None),
        ("What is the dog doing?", None),
        ("What color is the sky?", None),
        ("How many big brown dogs are there?", ("two",)),
        ("How many dogs chase cars?", ("two",)),
        ("How many legs does the dog have?", None),
        ("What color is the sky behind the dog?", None),
    ],
)
def test_what_a_question_is_answered_with(tiny_source, question, answers):
    items = (
        Perceived("dog", 0.9, count=2, color="gray"),
        Perceived("dog", 0.8, count=2, color="red"),
        Perceived("person", 0.8, count=1, color="blue"),
    )
    assert tiny_source.answers(question) is (answers is not None)
    assert tiny_source.propose(items, question) == (answers or ())


def test_prompts_of_today_do_not_read_it():
    """Their models never learned to."""
    assert "objects" in sources.SOURCES
    for name in ("chat", "describe"):
        assert load_prompt(name).takes_sources() == ("attributes", "read")


def test_a_prompt_may_name_it(tmp_path):
    path = tmp_path / "look.yaml"
    path.write_text(
        "name: look\ndescription: d\nfusion: '{question}'\nprompt: '{objects}'\n"
        "examples: [a]\nmax_new_tokens: 4\n"
    )
    assert load_prompt(path).takes_sources() == ("objects",)


def test_the_shipped_head_is_for_minis_encoder_and_as_its_recipe_says():
    net, stored = load_objects(source.HEAD)
    recipe = from_yaml(ObjectsRecipe, source.HEAD / "pretrain.yaml")
    assert stored.model == recipe.model
    assert len(stored.model.classes) == 80
    assert set(stored.naming.present) <= set(stored.model.classes)
    base = from_yaml(ModelConfig, adapters_dir() / "mini" / "base" / "model.yaml")
    assert recipe.encoder == base.encoder
    assert stored.model.encoder == "efficientnet-lite0-224-head-16"
    width = encoder_class(base.encoder.kind).width_of(base.encoder)
    assert width == 4 * stored.model.fine + stored.model.deep
    assert net.config == stored.model


def test_a_persons_color_is_told_as_that_of_the_clothes():
    assert Perceived("person", 0.9, color="black").told == "person (in black)"
    assert Perceived("car", 0.9, color="red", direction="left").told == "car (red, moving left)"
    assert Perceived("dog", 0.9).told == "dog"


def test_a_head_that_cannot_be_read_is_told(monkeypatch):
    def damaged():
        raise WeightsError("objects.safetensors: is damaged; get the folder again")

    monkeypatch.setattr(source, "_head", damaged)
    found = source.PERCEIVER.look_at("objects", None)
    assert found.items == () and "is damaged" in found.warning


def test_what_settles_a_question_is_told(tiny_source):
    dogs = [Perceived("dog", 0.9, count=3, total=5), Perceived("car", 0.8, color="red")]
    assert tiny_source.settled(dogs, "How many dogs are there?") == "3 dogs at once, 5 in all"
    assert tiny_source.settled(dogs, "What color is the car?") == "car: red"
    assert tiny_source.settled(dogs, "Is there a cat?") == ""  # none found settles nothing
    assert tiny_source.settled(dogs, "Where is it?") == ""
