"""Teaching a language model to read notes: what is asked, what the notes hold, what is learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny import tiny_assistant

from assistant.core.config import LoraSettings, from_yaml
from assistant.core.resources import adapters_dir
from assistant.errors import ConfigError, InputError, WeightsError
from assistant.model.llm_weights import merge_language_model
from assistant.model.lora import tune_language_model
from assistant.sources import SOURCES
from assistant.training.reading.config import AskedSet, ReadingConfig
from assistant.training.reading.notes import mixed, shown
from assistant.training.reading.questions import (
    Asking,
    box_questions,
    by_split,
    read_set,
    split_of,
)
from assistant.training.reading.trainer import Data, ReadingTrainer, ask
from assistant.training.reading.weighing import Weighed, fit_kind, right
from assistant.vqa import forms
from assistant.vqa.weighing import Candidate, weigh


def test_the_shipped_recipe_is_one():
    config = from_yaml(ReadingConfig, adapters_dir() / "mini" / "reading" / "pretrain.yaml")
    assert set(config.reads) <= set(SOURCES) and sum(config.mix.values()) == pytest.approx(1, 0.05)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    captions = ("A man rides a brown horse on the beach .", "a man on a horse")
    lines = [f"{i}.jpg#{k}\t{text}\n" for i in range(40) for k, text in enumerate(captions)]
    (folder / "captions.tsv").write_text("".join(lines))
    (folder / "qa.tsv").write_text("1.jpg\thow many dogs\t2\tnumber\n2.jpg\twhat is it\tred_box\n")
    (folder / "labels.tsv").write_text("3.jpg\tshine\n4.jpg\towl\n")
    return folder


def asked_of(folder: Path, **config) -> list[Asking]:
    return read_set(folder, AskedSet(**config), ("What happens?",), seed=1)


def test_captions_are_described_and_asked_about(photos):
    found = asked_of(photos, captions=("captions.tsv",))
    kinds = {one.kind for one in found}
    assert kinds == {"caption", "list", "question"}
    described = next(one for one in found if one.kind == "caption")
    assert described.photo == "set/0.jpg" and described.question == "What happens?"
    assert described.answers == ("A man rides a brown horse on the beach.", "A man on a horse.")


def test_questions_of_a_file_are_written_as_questions(photos):
    number, thing = asked_of(photos, questions="qa.tsv")
    assert (number.question, number.answer) == ("How many dogs?", "two")
    assert (thing.question, thing.answer) == ("What is it?", "red box")
    (photos / "qa.tsv").write_text("1.jpg\thow many dogs\n")
    with pytest.raises(InputError, match=r"qa.tsv:1 reads '1.jpg.*wanted"):
        asked_of(photos, questions="qa.tsv")


def test_labels_answer_questions_and_describe(photos):
    config = {"labels": "labels.tsv", "asked": ("What is it?",), "told": ("there is {a}",)}
    found = asked_of(photos, **config, renamed={"shine": "sunshine"})
    assert [one.answer for one in found] == [
        *("sunshine", "There is a sunshine."),
        *("owl", "There is an owl."),
    ]


def test_a_set_needs_something_to_ask(photos):
    with pytest.raises(ConfigError, match="captions, questions or labels"):
        AskedSet()
    with pytest.raises(ConfigError, match="has no "):
        AskedSet(labels="labels.tsv", told=("there it is",))


def test_boxes_ask_what_is_there_and_what_is_not(tmp_path):
    boxes = tmp_path / "boxes.jsonl"
    left, right_side = [0.0, 0.0, 0.2, 0.5], [0.8, 0.0, 1.0, 0.5]
    rows = [
        {"set": "a", "name": "1.jpg", "boxes": [["dog", 0.9, *left]]},
        {"set": "a", "name": "2.jpg", "boxes": [["cat", 0.9, *left], ["cat", 0.8, *right_side]]},
        {"set": "a", "name": "3.jpg", "boxes": [["cat", 0.9, *left], ["cat", 0.3, *left]]},
        {"set": "b", "name": "4.jpg", "boxes": [["cow", 0.9, *left]]},
    ]
    boxes.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = box_questions(boxes, {"cat": ("cats",)}, ["a"], seed=0)
    assert {one.photo for one in found} == {"a/1.jpg", "a/2.jpg", "a/3.jpg"}
    places = {(one.photo, one.answer) for one in found if one.kind == "where"}
    assert places == {("a/1.jpg", "on the left")}  # of one thing, surely alone
    counted = {(one.photo, one.answer) for one in found if one.kind == "count"}
    assert counted == {("a/1.jpg", "one"), ("a/2.jpg", "two")}
    for one in found:
        if one.kind == "yes/no":
            there = "dog" if one.photo == "a/1.jpg" else "cat"
            assert (one.answer == "yes") == (there in one.question)
        if one.kind == "untold":
            assert one.answer == "I cannot tell."


def test_photos_of_a_split_are_its_own(tmp_path):
    names = [f"{i}.jpg" for i in range(1000)]
    parts = {split: {n for n in names if split_of(n, {}) == split} for split in ("dev", "test")}
    assert all(25 < len(some) < 80 for some in parts.values())
    found = [Asking(f"set/{name}", "?", ("x",), "caption") for name in names]
    found.append(Asking("set/0.jpg", "?", ("x",), "other", split="test"))
    told = by_split(tmp_path, found)
    assert {a.photo for a in told["test"]} >= {"set/0.jpg"}
    photos = [{one.photo for one in told[split]} for split in ("train", "dev", "test")]
    assert sum(map(len, photos)) == len(set.union(*photos)) == 1000


NOTES = {"attributes": "banjo?, stage", "phrases": "doing singing, sitting?; where stage??"}
OTHERS = {"attributes": "lion", "phrases": "doing running"}


def test_notes_lose_sources_and_get_words_of_another_photo():
    rng = np.random.default_rng(0)
    all_kept = shown(NOTES, dict, rng, kept=1.0, unread=0.0, wrong=0.0)
    assert all_kept == NOTES
    assert shown(NOTES, dict, rng, kept=1.0, unread=1.0, wrong=0.0) == {}
    assert shown(NOTES, dict, rng, kept=0.0, unread=0.0, wrong=0.0) == {}
    seen = {mixed(NOTES["phrases"], OTHERS["phrases"], rng) for _ in range(40)}
    assert seen == {
        "doing singing, sitting?; where stage??",
        "doing running, sitting?; where stage??",
        "doing singing, running; where stage??",
    }
    assert mixed("banjo?", "", rng) == "banjo?"
    strange = {shown(NOTES, lambda: OTHERS, rng, kept=1, unread=0, wrong=1)["attributes"]}
    assert strange <= {"banjo?, stage", "lion, stage", "banjo?, lion"}


def test_what_is_learned_is_what_is_merged():
    learner, merged = tiny_assistant().llm, tiny_assistant().llm
    lora = LoraSettings(rank=2, alpha=4.0)
    learned = tune_language_model(learner.network, lora, seed=1)
    assert len(learned) == 2 * 2 * 7  # two layers of seven Linears, the head is not tuned
    with torch.no_grad():
        for parameter in learned.values():
            parameter.normal_()
    ids = torch.tensor([[5, 6, 7]])
    wanted = learner.network(input_ids=ids).logits
    before = merged.network(input_ids=ids).logits
    merge_language_model(merged.network, learned, lora)
    assert not torch.allclose(before, wanted, atol=0.1)
    torch.testing.assert_close(merged.network(input_ids=ids).logits, wanted, atol=1e-3, rtol=1e-3)


def test_weights_of_another_language_model_are_refused():
    network, lora = tiny_assistant().llm.network, LoraSettings(rank=2)
    learned = dict(tune_language_model(tiny_assistant().llm.network, lora, seed=1))
    name = next(iter(learned))
    with pytest.raises(WeightsError, match="is of another language model"):
        merge_language_model(network, {"elsewhere.lora_A": learned[name]}, lora)
    with pytest.raises(WeightsError, match="is of another language model"):
        merge_language_model(network, learned, LoraSettings(rank=3))


class Table:
    """Features of one set."""

    def stills(self, names):
        numbers = [float(name.partition(".")[0]) for name in names]
        return torch.stack([torch.full((1, 5, 1744), n / 10) for n in numbers])


class Notes:
    def of(self, photo):
        return {"attributes": "owl", "objects": "", "phrases": "doing singing"}


def test_training_lowers_the_loss_and_moves_nothing_else():
    torch.manual_seed(0)
    model = tiny_assistant()
    asked = [Asking(f"s/{i}.jpg", "who?", (("man", "dog")[i % 2],), "question") for i in range(8)]
    data = Data({"s": Table()}, Notes(), {"question": asked}, {"question": asked})
    config = ReadingConfig(
        sets={"s": AskedSet(captions=("x",))},
        prompts=("?",),
        mix={"question": 1.0},
        lora=LoraSettings(rank=2),
        samples=80,
        batch=8,
        parts=2,
        lr=0.02,
    )
    before = {n: p.clone() for n, p in model.named_parameters()}
    trainer = ReadingTrainer(config, model, data, Accelerator(cpu=True))
    first = trainer.dev_figures(0)["dev question"]
    optimizer = torch.optim.AdamW(trainer.trained.values(), lr=config.lr)
    rng = np.random.default_rng(0)
    for step, batch in enumerate(trainer.batches(0, 0)):
        for loss in trainer.losses(batch, 0, rng):
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        trainer.moved(step)
    assert trainer.dev_figures(0)["dev question"] < first - 0.2
    after = {n.replace(".base_layer", ""): p for n, p in model.named_parameters()}
    assert all(torch.equal(before[n], after[n]) for n in before)


def test_the_same_step_sees_the_same_examples():
    asked = [Asking(f"s/{i}.jpg", "who?", ("man",), "question") for i in range(8)]
    data = Data({"s": Table()}, Notes(), {"question": asked}, {})
    config = ReadingConfig({"s": AskedSet(captions=("x",))}, ("?",), {"question": 1.0}, samples=160)
    trainer = ReadingTrainer(config, tiny_assistant(), data, Accelerator(cpu=True))
    whole = list(trainer.batches(0, 0))
    assert list(trainer.batches(0, 3)) == whole[3:] and whole[0] != whole[1]


def test_an_example_reads_as_chat_would_have_it():
    one = ask("s/1.jpg", "Who?", ("man",), Notes().of(""), (("What?", "a dog"),))
    assert one.qformer_text == "Who?\nWhat? a dog\nSeen: owl"  # it never learned the others
    assert one.prompt == "Seen: owl\nLooks like: doing singing\nWho?"


@pytest.mark.parametrize(
    ("kind", "answers", "said", "good"),
    [
        (forms.DESCRIBE, ("A man rides a horse.",), "A man riding a horse.", True),
        (forms.DESCRIBE, ("A man rides a horse.",), "A dog swims in a lake.", False),
        (forms.YES_NO, ("yes",), "yes", True),
        (forms.YES_NO, ("yes",), "no", False),
        (forms.OTHER, ("riding a horse",), "riding", True),
        (forms.OTHER, ("guitar",), "a guitar", True),
        (forms.OTHER, ("dog",), "puppy", True),
        (forms.OTHER, ("guitar",), "drums", False),
    ],
)
def test_which_answers_are_right(kind, answers, said, good):
    assert right(Asking("s/1.jpg", "?", answers, "x"), kind, said) == good


def test_weights_are_fitted_to_what_is_right():
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        truth = int(rng.integers(3))
        like = [float(place == truth) + rng.normal() * 0.4 for place in range(3)]
        some = tuple(Candidate("x", rng.normal(), rng.normal(), one, 0.0) for one in like)
        asking = Asking("s/1.jpg", "?", ("x",), "x")
        rows.append(Weighed(asking, "x", some, tuple(place == truth for place in range(3))))
    weights = fit_kind(rows)
    assert weights.score[2] > 5 * max(abs(weights.score[0]), abs(weights.score[1]))
    told = [(weigh(row.candidates, weights), row.right) for row in rows]
    assert sum(good[verdict.place] for verdict, good in told) >= 50
