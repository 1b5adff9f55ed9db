"""Free answers: what is proposed, what is weighed, and what is said where nothing is sure."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from clips import make_clip
from tiny import tiny_assistant, tiny_llm

from assistant.errors import ConfigError
from assistant.model.features import FeatureStore
from assistant.sources import Perceived, Source
from assistant.vqa import by_model, forms
from assistant.vqa.assistants import Assistant
from assistant.vqa.candidates import COLORS, candidates, lifts_of, surely
from assistant.vqa.forms import form_of, statement
from assistant.vqa.untold import cannot_tell, is_untold
from assistant.vqa.weighing import (
    FEATURES,
    WEIGHING,
    Candidate,
    Weigher,
    Weights,
    load_weighing,
    weigh,
)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What is happening in the video?", forms.DESCRIBE),
        ("What happens?", forms.DESCRIBE),
        ("Describe the picture.", forms.DESCRIBE),
        ("What do you see?", forms.DESCRIBE),
        ("What's going on here?", forms.DESCRIBE),
        ("How many people are there?", forms.COUNT),
        ("What color is the man's shirt?", forms.COLOR),
        ("Is there a dog in the video?", forms.YES_NO),
        ("Is he doing a trick?", forms.YES_NO),
        ("Does the dog run?", forms.YES_NO),
        ("Who is in the video?", forms.WHO),
        ("Where is the man?", forms.WHERE),
        ("What place is this?", forms.WHERE),
        ("What are the people doing?", forms.DOING),
        ("What sport is it?", forms.DOING),
        ("How is the weather?", forms.WEATHER),
        ("What is the man holding?", forms.THING),
        ("What animal is in the video?", forms.THING),
        ("When does the dog appear?", forms.OTHER),
    ],
)
def test_the_form_of_a_question(question, kind):
    assert form_of(question).kind == kind


@pytest.mark.parametrize(
    ("question", "answer", "told"),
    [
        ("What is the man holding?", "a guitar", "the man holding a guitar"),
        ("What is on the table?", "a cake", "a cake on the table"),
        ("What is happening in the video?", "A man runs.", "a man runs"),
        ("How many people are there?", "two", "two people"),
        ("What color is the boat?", "green", "green boat"),
        ("Is there a dog in the video?", "yes", "a dog"),
        ("Is the man riding a bike?", "no", "the man riding a bike"),
        ("Where is the man?", "in a kitchen", "the man in a kitchen"),
        ("What are the people doing?", "sitting", "the people sitting"),
        ("What sport is it?", "tennis", "tennis"),
        ("What is this?", "lion", "lion"),
        ("Which instrument is being played?", "guitar", "guitar"),
    ],
)
def test_a_question_and_its_answer_make_a_statement(question, answer, told):
    assert statement(form_of(question), answer) == told


SEEN = (
    Source("attributes", text="banjo?, stage"),
    Source("objects", (Perceived("person", 0.9),), "person"),
    Source(
        "phrases",
        (Perceived("playing the guitar", 0.9),),
        "doing playing the guitar, singing??; where stage?, kitchen??; who a person, a man?; "
        "things guitar?, man??",
    ),
)


def test_the_form_decides_what_is_offered():
    def offered(question: str) -> list[str]:
        return candidates(form_of(question), SEEN)

    assert offered("Is there a dog?") == ["yes", "no"]
    assert offered("How many dogs are there?")[:3] == ["one", "two", "three"]
    assert offered("What color is the car?") == list(COLORS)
    assert offered("Who is there?") == ["a person", "a man"]
    assert offered("What is he doing?") == ["playing the guitar", "singing"]
    assert offered("Where is he?") == ["on a stage", "in a kitchen"]
    assert offered("What is he holding?")[:2] == ["guitar", "man"]
    assert "banjo" in offered("What is he holding?")
    sentences = offered("What happens?")
    assert sentences[0] == "A man playing the guitar."  # not "a person", who is everywhere
    assert "A man playing the guitar on a stage." in sentences
    assert candidates(form_of("When is it?"), SEEN) == []
    assert candidates(form_of("What happens?"), ()) == []


def test_a_sure_phrase_says_what_is_done():
    assert surely(form_of("What happens?"), SEEN) == ("A person playing the guitar.", 0.9)
    assert surely(form_of("What is he doing?"), SEEN) == ("playing the guitar", 0.9)
    assert surely(form_of("Who is there?"), SEEN) is None
    assert surely(form_of("What happens?"), SEEN[:2]) is None
    assert surely(form_of("What happens?"), SEEN[2:]) == ("Playing the guitar.", 0.9)
    drums = ("activities", "playing the drums", 7.5)
    out = (Source("phrases", (Perceived("sitting", 0.95),), perhaps=(drums,)),)
    assert surely(form_of("What is she doing?"), out) == ("playing the drums", 0.84)
    faint = (replace(out[0], perhaps=((*drums[:2], 5.0), ("activities", "sitting", 4.5))),)
    assert surely(form_of("What is she doing?"), faint) == ("sitting", 0.95)


def candidate(text: str, seen: float, blind: float, like: float = 0.0) -> Candidate:
    return Candidate(text, seen, blind, like, 0.0)


WEIGHTS = Weights((1.0, -1.0, 2.0, 0.0, 0.0, 1.0), (4.0, 0.0, 0.0, 0.0, -1.0))


def test_what_the_clip_makes_likelier_wins():
    often, seldom = candidate("a man", -0.5, -0.2), candidate("a cockatoo", -2.0, -6.0)
    verdict = weigh([often, seldom], WEIGHTS)
    assert verdict.place == 1 and verdict.sure and verdict.chance > 0.9


def test_what_is_like_the_clip_wins_among_equals():
    first, second = candidate("a", -1.0, -1.0, 0.1), candidate("b", -1.0, -1.0, 0.6)
    assert weigh([first, second], WEIGHTS).place == 1
    assert weigh([second, first], WEIGHTS).place == 0


def test_a_narrow_lead_is_not_sure():
    first, second = candidate("a", -1.0, -1.0), candidate("b", -1.01, -1.0)
    verdict = weigh([first, second], WEIGHTS)
    assert verdict.place == 0 and not verdict.sure and verdict.chance < 0.6


def test_to_a_question_of_few_answers_nothing_else_is_said():
    few = Weigher(form_of("Is it a dog?"), WEIGHTS, ("yes", "no"), len)
    assert few.candidates(["yesuser"]) == ["yes", "no"]
    free = Weigher(form_of("What is it?"), WEIGHTS, ("dog",), len)
    assert free.candidates(["a dog", "dog"]) == ["a dog", "dog"]


def test_a_color_alone_is_no_description():
    asked = Weigher(form_of("What happens?"), WEIGHTS, (), len)
    written = ["The sky is blue.", "The dog is black and white.", "A dog is in a blue pool."]
    assert asked.candidates(written) == written[2:]
    assert asked.candidates(written[:1]) == written[:1]


def test_what_stands_out_of_the_clip_is_proposed_and_weighed():
    out = Source("phrases", perhaps=(("activities", "playing golf", 6.0), ("things", "flag", 5.5)))
    told = candidates(form_of("What happens?"), (*SEEN[1:], out))
    assert told[:2] == ["A person playing golf.", "A flag."]
    assert candidates(form_of("What is he doing?"), (*SEEN, out))[0] == "playing golf"
    assert lifts_of((*SEEN, out)) == (("playing golf", 6.0), ("flag", 5.5))
    asked = Weigher(form_of("What happens?"), WEIGHTS, (), lambda t: [0.0] * 3, lifts_of((out,)))
    texts = ["A man playing golf beside a flag.", "A flag.", "A man."]
    found = asked.weighed(texts, [-1.0] * 3, [-1.0] * 3, [])
    assert [one.outstanding for one in found] == pytest.approx([0.6, 0.55, 0.0])
    assert weigh(found, WEIGHTS).place == 0


def test_no_is_unlike_no_clip():
    asked = Weigher(form_of("Is it a dog?"), WEIGHTS, ("yes", "no"), lambda texts: [0.4] * 2)
    yes, no = asked.weighed(["yes", "no"], [-1.0, -1.0], [-1.0, -1.0], [])
    assert (yes.likeness, yes.affirms) == (0.4, 1.0) and (no.likeness, no.affirms) == (0.0, 0.0)


def test_what_cannot_be_told_names_what_was_seen():
    asked = form_of("What is the woman doing?")
    told = cannot_tell(asked, SEEN)
    assert told == "I cannot tell what the woman is doing; I see a person, playing the guitar."
    assert cannot_tell(form_of("What happens?"), ()) == "I cannot tell what is happening."
    assert cannot_tell(form_of("How big is it?"), ()) == "I cannot tell."
    two = Source("objects", (Perceived("person", 0.9, count=2), Perceived("dog", 0.8, color="red")))
    assert cannot_tell(form_of("Why?"), (two,)) == "I cannot tell; I see two people, a dog (red)."
    one = Source("objects", (Perceived("person", 0.9), Perceived("dog", 0.8)))
    man = Source("phrases", (Perceived("man", 0.9),))
    assert cannot_tell(form_of("Why?"), (one, man)) == "I cannot tell; I see a dog, man."


def test_what_may_be_is_told_as_a_guess():
    may = (("activities", "playing golf", 5.0), ("scenes", "kitchen", 5.0), ("things", "food", 5.0))
    sources = (SEEN[1], Source("phrases", (Perceived("food", 0.9),), perhaps=may))
    told = cannot_tell(form_of("What happens?"), sources)
    assert told == "I am not sure; perhaps playing golf, in a kitchen or food. I see a person."
    told = cannot_tell(form_of("What is she doing?"), sources)
    assert told == "I am not sure; perhaps playing golf. I see a person, food."
    told = cannot_tell(form_of("Where is she?"), sources)
    assert told == "I am not sure; perhaps in a kitchen. I see a person, food."
    told = cannot_tell(form_of("What happens?"), sources, "A man playing golf.")
    assert (
        told == "I am not sure; perhaps a man playing golf, in a kitchen or food. I see a person."
    )
    told = cannot_tell(form_of("What color is it?"), sources, "red")
    assert told == "I am not sure; perhaps red. I see a person, food."
    told = cannot_tell(form_of("What is he holding?"), (), "guitar")
    assert told == "I am not sure; perhaps a guitar."
    assert is_untold(told) and is_untold("I cannot tell; I see a dog.") and not is_untold("red")


@pytest.fixture
def weighing(tmp_path: Path) -> Path:
    """A folder in which every kind of question has the same weights, and all is said."""
    folder = tmp_path / "reading"
    folder.mkdir()
    own = {"score": [1.0, -1.0, *[0.0] * 4], "chance": [0.0, 0.0, 0.0, 0.0, 5.0]}
    kinds = dict.fromkeys((forms.YES_NO, forms.DESCRIBE, forms.COUNT, forms.COLOR), own)
    told = {"kinds": {**kinds, forms.OTHER: own}}
    (folder / WEIGHING).write_text(yaml.safe_dump(told))
    return folder


@pytest.fixture
def session(tmp_path: Path, weighing: Path, monkeypatch):
    clip = make_clip(tmp_path / "clip.mp4", 12, fps=10)
    model = tiny_assistant()
    model.reads_notes((), weighing, lambda: model.llm)
    assistant = Assistant(model, FeatureStore(tmp_path / "features"))
    found = assistant.open(clip, frames=2)
    monkeypatch.setattr(found._clip, "likeness", lambda where, texts: [0.0] * len(texts))
    return found


def test_an_answer_is_one_of_its_candidates_and_says_how_sure_it_is(session):
    answer = session.ask("Is there a dog?", adapter="none")
    assert answer.text in ("yes", "no") and answer.reason is None
    assert answer.confidence == pytest.approx(answer.as_dict()["confidence"], abs=1e-4)
    assert len(answer.evidence()) == 2  # of what was said


def test_together_as_alone(session):
    questions = ["Is there a dog?", "How many are there?", "What is it?"]
    alone = []
    for question in questions:
        alone.append(session.ask(question))
        alone[-1].finish()
        session.clear()
    together = session.ask_many(questions)
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    confident = [answer.confidence for answer in alone]
    assert [answer.confidence for answer in together] == pytest.approx(confident, abs=1e-4)


def test_what_is_written_to_another_question_weighs_nothing(session, weighing, monkeypatch):
    told = yaml.safe_load((weighing / WEIGHING).read_text())
    told["kinds"][forms.YES_NO] = {
        "score": [0.0, 0.0, 0.0, 2.0, 0.0, 0.0],  # of what was written alone
        "chance": [1.0, 0.0, 0.0, 0.0, 1.0],  # by the lead
    }
    (weighing / WEIGHING).write_text(yaml.safe_dump(told))
    load_weighing.cache_clear()
    model = session._assistant.model
    monkeypatch.setattr(model, "propose", lambda visual, *_: [["yes"]] * len(visual))
    alone = session.ask("Is there a dog?").confidence
    session.clear()
    assert session.ask_many(["Is there a dog?", "What is it?"])[0].confidence == alone


def test_a_session_is_freed_with_its_last_answer(session):
    short = session._assistant.open(session.path, frames=2)
    short.ask("Is there a dog?", beams=1).finish()
    freed = weakref.ref(short)
    gc.disable()
    try:
        del short
        assert freed() is None
    finally:
        gc.enable()


def test_what_is_not_sure_is_not_said(session, weighing):
    told = yaml.safe_load((weighing / WEIGHING).read_text())
    told["kinds"][forms.YES_NO]["chance"][-1] = -5.0
    (weighing / WEIGHING).write_text(yaml.safe_dump(told))
    load_weighing.cache_clear()
    answer = session.ask("Is there a dog?")
    assert answer.text == "I cannot tell." and answer.as_dict()["unsure"]
    assert "would be right in" in answer.reason


def test_of_yes_and_no_more_is_wanted_than_of_many_answers():
    chance = (0.0, 0.0, 0.0, 0.0, 0.5)  # .62
    weights = Weights(WEIGHTS.score, chance)
    two, many = (
        weigh([Candidate(text, -1.0, -1.0, 0.2, 0.0) for text in texts], weights)
        for texts in (("yes", "no"), ("red", "blue", "green"))
    )
    assert two.chance == many.chance == pytest.approx(0.62, abs=0.01)
    assert many.sure and not two.sure


def test_what_a_source_is_sure_of_is_said_instead(session, weighing, monkeypatch):
    told = yaml.safe_load((weighing / WEIGHING).read_text())
    told["kinds"][forms.OTHER]["chance"][-1] = -5.0
    (weighing / WEIGHING).write_text(yaml.safe_dump(told))
    load_weighing.cache_clear()
    monkeypatch.setattr(by_model, "surely", lambda form, sources: ("running", 0.8))
    answer = session.ask("What is she doing?")
    assert (answer.text, answer.confidence, answer.reason) == ("running", 0.8, None)
    assert len(answer.evidence()) == 2


def test_beams_that_are_asked_for_are_not_weighed(session):
    assert session.ask("Is there a dog?", beams=1).confidence is None


def test_choices_are_scored_by_the_language_model_that_reads_no_notes(session, weighing):
    model = session._assistant.model
    read, unread = model.llm, tiny_llm(seed=3)
    found = []
    for llm, before in ((read, unread), (unread, unread), (read, read)):
        model.__dict__.pop("_unread", None)
        model.llm = llm
        model.reads_notes((), weighing, lambda before=before: before)
        session.clear()
        answer = session.ask("Is there a dog?", choices=["yes", "no"])
        assert answer.confidence is None and answer.probabilities is not None
        found.append((*answer.probabilities.values(), *answer.evidence()))
    assert found[0] == pytest.approx(found[1]) and found[0] != pytest.approx(found[2])


def test_damaged_weighing_is_refused(weighing):
    (weighing / WEIGHING).write_text("kinds: 3")
    load_weighing.cache_clear()
    with pytest.raises(ConfigError, match="kinds is 3"):
        load_weighing(weighing)
    assert load_weighing(weighing / "nothing") is None
    assert len(FEATURES) == len(WEIGHTS.score)
