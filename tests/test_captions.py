"""Questions made from captions: what is asked, what is not, and how answers are balanced."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from assistant.errors import InputError
from assistant.training.pretraining.captions.questions import (
    QUESTION_TYPES,
    CaptionQuestion,
    flip_safe,
    make_questions,
    read_captions,
    read_split,
)

RIDER = (
    "A man in a red helmet is riding a bike down a dirt path .",
    "A man rides his bicycle on a trail .",
    "A cyclist wearing a red helmet rides through the woods .",
    "The man is riding a mountain bike .",
    "A person on a bicycle on a dirt path .",
)
DOGS = (
    "Two brown dogs run through the snow .",
    "Two dogs are running in the snow .",
    "Two brown dogs running across a snowy field .",
    "A couple of dogs run in deep snow .",
    "two puppies play in the snow",
)
GIRL = (
    "A little girl in a pink dress is sitting on a bench .",
    "A young girl wearing a pink dress sits on a wooden bench .",
    "A girl in a dress sits outside eating an apple .",
    "A child sits on a bench and eats an apple .",
    "The girl in the pink dress is eating an apple .",
)
SWIMMER = (
    "A black and white dog swims in a pool with a ball in its mouth .",
    "A dog is swimming in the pool .",
    "The dog is carrying a yellow ball through the water .",
    "A black and white dog carries a tennis ball in a swimming pool .",
    "A dog swims with a yellow ball .",
)
QUARREL = (
    "A black dog stands on the beach .",
    "A brown dog stands on the sand .",
    "Two dogs are on the beach .",
    "A dog with another dog at the shore .",
    "Three dogs play near the ocean .",
)
PHOTOS = {
    "rider.jpg": RIDER,
    "dogs.jpg": DOGS,
    "girl.jpg": GIRL,
    "swimmer.jpg": SWIMMER,
    "quarrel.jpg": QUARREL,
}


def many_photos() -> dict[str, tuple[str, ...]]:
    """126 photos of five captions, most of them of dogs and of running, as in real sets."""
    who = ("dog", "dog", "dog", "man", "man", "woman", "horse")
    deeds = ("is running", "is running", "is running", "is sitting", "is swimming", "is sleeping")
    where = ("on the beach", "in the snow", "on the street")
    photos = {}
    for index, (one, deed, place) in enumerate(product(who, deeds, where)):
        color = ("red", "blue", "white")[index % 3]
        worn = f" wearing a {color} hat" if one in ("man", "woman") and index % 2 else ""
        photos[f"{index:03d}.jpg"] = (
            f"A {one}{worn} {deed} {place} .",
            f"The {one} {deed} {place} .",
            f"A {one}{worn} {place} .",
            f"There is a {one} {place} .",
            f"A {one} {deed} with a {color} ball .",
        )
    return photos


@pytest.fixture(scope="module")
def many() -> list[CaptionQuestion]:
    return make_questions(many_photos(), seed=3)


def asked_about(photo: str) -> dict[str, str]:
    return {q.question: q.answer for q in make_questions(PHOTOS, seed=0) if q.photo == photo}


def test_a_ride_is_asked_about_in_every_way() -> None:
    asked = asked_about("rider.jpg")
    assert asked["What is the man doing?"] == "riding a bike"
    assert asked["What is the man riding?"] == "bike"
    assert asked["What vehicle is in the picture?"] == "bike"
    assert asked["Who is riding a bike?"] == "man"
    assert asked["What color is the man's helmet?"] == "red"
    assert asked["Where is the man?"] == "on the path"
    assert asked["How many men are there?"] == "1"


def test_a_pair_of_animals_is_counted_and_named_in_the_plural() -> None:
    asked = asked_about("dogs.jpg")
    assert asked["How many dogs are there?"] == "2"
    assert asked["What are the dogs doing?"] == "running"
    assert asked["Where are the dogs?"] == "in the snow"
    assert asked["What color are the dogs?"] == "brown"


def test_clothes_food_and_seat_belong_to_the_girl() -> None:
    asked = asked_about("girl.jpg")
    assert asked["What is the girl wearing?"] == "dress"
    assert asked["What color is the girl's dress?"] == "pink"
    assert asked["What is the girl eating?"] == "apple"
    assert asked["What is the girl sitting on?"] == "bench"


def test_two_colors_and_the_thing_carried() -> None:
    asked = asked_about("swimmer.jpg")
    assert asked["What color is the dog?"] == "black and white"
    assert asked["What color is the ball?"] == "yellow"
    assert asked["What is the dog carrying?"] == "ball"
    assert asked["Where is the dog?"] == "in the pool"


def test_what_captions_dispute_is_not_asked() -> None:
    asked = asked_about("quarrel.jpg")
    assert not [q for q in asked if q.startswith(("How many", "What color", "Is the dog"))]
    assert asked["What place is this?"] == "beach"


def test_a_passive_and_an_unclear_doer_make_no_deed() -> None:
    captions = [
        "A baby is being held by a man .",
        "A man is holding a baby .",
        "A baby and a man .",
    ]
    asked = {q.question: q.answer for q in make_questions({"a.jpg": captions}, seed=0)}
    assert asked["What is the man doing?"] == "holding a baby"
    assert "What is the baby doing?" not in asked


def test_support_counts_captions() -> None:
    questions = {q.question: q for q in make_questions(PHOTOS, seed=0) if q.photo == "girl.jpg"}
    assert questions["What color is the girl's dress?"].support == 3
    assert questions["What is the girl eating?"].support == 3


def test_every_question_has_fair_choices(many: list[CaptionQuestion]) -> None:
    for question in [*many, *make_questions(PHOTOS, seed=0)]:
        assert question.type in QUESTION_TYPES
        assert question.answer in question.choices
        assert len(set(question.choices)) == len(question.choices)
        assert len(question.choices) == (2 if question.type == "yes/no" else 4)
        assert question.answer == question.answer.lower() == question.answer.strip()
        assert question.question[0].isupper() and question.question.endswith("?")
        assert question.support >= 1


def test_wrong_choices_are_not_in_any_caption() -> None:
    for question in make_questions(PHOTOS, seed=0):
        if question.type in ("object", "color"):
            told = " ".join(PHOTOS[question.photo]).lower().split()
            wrong = set(question.choices) - {question.answer}
            assert not [choice for choice in wrong if set(choice.split()) <= set(told)], question


def test_yes_and_no_are_balanced_for_every_question_text(many: list[CaptionQuestion]) -> None:
    answers = Counter((q.question, q.answer) for q in many if q.type == "yes/no")
    texts = {text for text, _ in answers}
    assert len(texts) > 20
    assert all(answers[text, "yes"] == answers[text, "no"] > 0 for text in texts)


def test_no_is_never_said_of_what_a_caption_tells(many: list[CaptionQuestion]) -> None:
    photos = many_photos()
    checkable = {"running", "sitting", "swimming", "sleeping", "beach", "snow", "street", "field"}
    checked = 0
    for question in many:
        if question.answer == "no":
            words = question.question.rstrip("?").split()
            claimed = words[3] if words[1] == "there" else words[-1]
            told = " ".join(photos[question.photo]).split()
            if claimed in checkable or words[1] == "there":
                assert claimed not in told
                checked += 1
    assert checked > 50


@pytest.mark.parametrize(
    ("told", "denied"),
    [
        ("puppy", "Is there a dog in the picture?"),
        ("bicycle", "Is there a bike in the picture?"),
        ("guy", "Is there a man in the picture?"),
        ("animal", "Is there a dog in the picture?"),
        ("vehicle", "Is there a bike in the picture?"),
        ("toddler", "Is there a boy in the picture?"),
        ("person", "Is there a woman in the picture?"),
    ],
)
def test_synonyms_and_wider_words_are_never_denied(told: str, denied: str) -> None:
    thing = denied.split()[3]
    photos = {f"yes{i}.jpg": [f"A {thing} on the street ."] * 5 for i in range(3)}
    photos |= {f"told{i}.jpg": [f"A {told} on the street ."] * 5 for i in range(3)}
    photos |= {"far.jpg": ["Snow on a mountain ."] * 5}
    no = {q.photo for q in make_questions(photos, 0) if q.question == denied and q.answer == "no"}
    assert no == {"far.jpg"}


def test_frequent_answers_are_thinned(many: list[CaptionQuestion]) -> None:
    raw = Counter(caption.split()[1] for captions in many_photos().values() for caption in captions)
    assert raw["dog"] / sum(raw.values()) > 0.3
    animals = Counter(q.answer for q in many if q.question.startswith("What animal"))
    assert 0 < animals["dog"] <= 0.6 * sum(animals.values())
    actions = Counter(q.answer for q in many if q.type == "action")
    assert max(actions.values()) <= 0.4 * sum(actions.values())


def test_same_seed_same_questions_in_any_order(many: list[CaptionQuestion]) -> None:
    shuffled = dict(reversed(many_photos().items()))
    assert make_questions(shuffled, seed=3) == many
    assert make_questions(shuffled, seed=4) != many


def test_nothing_to_ask_is_no_error() -> None:
    assert make_questions({}, seed=0) == []
    assert make_questions({"a.jpg": ["", "???", "Lorem ipsum dolor"]}, seed=0) == []


def test_sided_words_are_not_flip_safe() -> None:
    assert flip_safe("A dog runs on the bright beach .")
    assert not flip_safe("A dog on the LEFT looks away .")
    question = CaptionQuestion("a.jpg", "Where is it?", "on the right", "place", 1, ("a",))
    assert not flip_safe(question)
    assert all(flip_safe(q) for q in make_questions(PHOTOS, seed=0))


def test_captions_and_splits_are_read(tmp_path: Path) -> None:
    table = tmp_path / "captions.tsv"
    table.write_text("a.jpg#0\tA dog .\na.jpg#1\tThe dog\truns .\n\nb#c.jpg#0\tA cat .\n")
    assert read_captions(table) == {
        "a.jpg": ("A dog .", "The dog\truns ."),
        "b#c.jpg": ("A cat .",),
    }
    split = tmp_path / "train.txt"
    split.write_text("a.jpg\nb#c.jpg\n")
    assert read_split(split) == ("a.jpg", "b#c.jpg")


@pytest.mark.parametrize("text", ["", "a.jpg A dog .\n", "a.jpg\tA dog .\n", "a.jpg#0\t \n"])
def test_faulty_captions_are_one_clear_line(tmp_path: Path, text: str) -> None:
    table = tmp_path / "captions.tsv"
    table.write_text(text)
    with pytest.raises(InputError, match=r"captions\.tsv.*wanted") as raised:
        read_captions(table)
    assert "\n" not in str(raised.value)


def test_faulty_splits_and_missing_files_are_one_clear_line(tmp_path: Path) -> None:
    split = tmp_path / "dev.txt"
    split.write_text("a.jpg\na.jpg\n")
    with pytest.raises(InputError, match=r"'a\.jpg' more than once"):
        read_split(split)
    split.write_text("\n")
    with pytest.raises(InputError, match="names no photos"):
        read_split(split)
    with pytest.raises(InputError, match="cannot be read"):
        read_captions(tmp_path / "none.tsv")
    split.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_split(split)
