"""Phrases and sentences by a joint space: what is said, when, and why nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import yaml
from torch.nn import functional as F

from assistant.core.config import from_mapping
from assistant.errors import ConfigError, InputError
from assistant.model.space.base import JointSpace
from assistant.sources import SOURCES, Look, bank, captions, perceiver, phrases
from assistant.sources.bank import Bank, PhraseConfig, bank_of
from assistant.sources.lexicon import Lexicon, load_lexicon
from assistant.tasks.prompts import TaskPrompt

WORDS = {
    "groups": {
        "activities": {
            "templates": ["{}"],
            "phrases": {"running": [], "barking": [], "cooking": []},
        },
        "scenes": {"templates": ["{}", "a {}"], "phrases": {"beach": ["shore"], "kitchen": []}},
        "weather": {"templates": ["{}"], "phrases": {"fog": []}, "seldom_said": True},
        "things": {"templates": ["{}"], "phrases": {"dog": [], "hot dog": [], "pan": []}},
        "who": {"templates": ["{}"], "phrases": {"a man": [], "a dog": []}},
    },
    "sentences": {
        "animals": ["a dog"],
        "vehicles": [],
        "animal_activities": ["running", "barking"],
        "vehicle_activities": [],
        "never_people": ["barking"],
        "where": {"beach": "on a beach"},
    },
}
NAMES = [name for _, name in from_mapping(Lexicon, WORDS, "here").phrases]
SURE = dict.fromkeys(WORDS["groups"], 0.8)


class LetterSpace(JointSpace):
    """A text is the direction of its first word that is a phrase; frames are given."""

    width, scale = len(NAMES) + 1, 20.0

    def __init__(self, frames=None, name: str = "letters-1") -> None:
        self.frames, self.name, self.embedded = frames, name, 0

    @property
    def fingerprint(self) -> str:
        return self.name

    def embed_frames(self, look):
        return self.frames

    def embed_texts(self, texts):
        self.embedded += len(texts)
        found = torch.zeros(len(texts), self.width)
        for row, text in enumerate(texts):
            found[row, NAMES.index(text) if text in NAMES else -1] = 1.0
        return found

    def embed_words(self, texts):
        raise NotImplementedError

    def compare(self, look, texts):
        """A sentence is as similar as the phrases in it."""
        parts = torch.tensor([[float(name in text) for name in NAMES] for text in texts])
        return F.normalize(self.frames[:, :-1] @ parts.T, dim=1)


@pytest.fixture(autouse=True)
def words(monkeypatch, tmp_path):
    lexicon = from_mapping(Lexicon, WORDS, "here")
    monkeypatch.setattr(bank, "load_lexicon", lambda: lexicon)
    monkeypatch.setattr(captions, "load_lexicon", lambda: lexicon)
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    bank._bank.cache_clear()
    return lexicon


def frames_of(*shown: dict[str, float]) -> torch.Tensor:
    """Frames whose logit for a phrase is as told; for the others -6."""
    found = torch.full((len(shown), len(NAMES) + 1), -6.0)
    for row, one in enumerate(shown):
        for name, logit in one.items():
            found[row, NAMES.index(name)] = logit
    return found


def sure_bank(lexicon, **thresholds: float) -> Bank:
    config = PhraseConfig(
        "letters-1", lexicon.digest, SURE | thresholds, (0.0, 1.0, 1.0), 10.0, 0.5
    )
    eye = torch.eye(len(NAMES), len(NAMES) + 1)
    return Bank(lexicon.phrases, eye, torch.zeros(len(NAMES)), config)


def look_of(space, count: int = 3, classes=(), names=()) -> Look:
    def give():
        if isinstance(space, Exception):
            raise space
        return space

    shares = torch.tensor([list(classes)] * count) if classes else torch.zeros(count, 0)
    return Look(torch.zeros(0), shares, names, range(count), "none", None, give)


def said(*args, **options) -> list[str]:
    return [item.name for item in phrases.fitting(*args, **options)]


def test_a_phrase_is_said_from_its_groups_threshold(words):
    frames = frames_of({"running": 2.0, "kitchen": 1.0}, {"running": 2.0, "kitchen": 1.0})
    assert said(sure_bank(words), frames, (0, 1)) == ["running"]
    assert said(sure_bank(words, scenes=0.7), frames, (0, 1)) == ["running", "kitchen"]
    assert said(sure_bank(words, activities=2.0), frames, (0, 1)) == []
    (item,) = phrases.fitting(sure_bank(words), frames, (0, 1))
    assert item.probability == pytest.approx(torch.tensor(2.0).sigmoid().item())
    assert item.start is None and item.end is None


def test_what_may_be_there_is_likelier_than_in_most_photos(words):
    frames = frames_of({"running": 5.0, "cooking": 6.0, "kitchen": 5.5, "pan": 4.0, "a man": 9.0})
    known = replace(sure_bank(words), usual=torch.zeros(len(NAMES)))
    told = (
        ("activities", "cooking", 6.0),
        ("scenes", "kitchen", 5.5),
        ("activities", "running", 5.0),
    )
    assert phrases.lifted(known, frames) == told
    often = replace(known, usual=torch.tensor([3.0 * (name == "cooking") for name in NAMES]))
    assert phrases.lifted(often, frames) == told[1:]
    assert phrases.lifted(sure_bank(words), frames) == ()


def test_what_holds_in_a_part_has_its_times(words):
    shown = {"running": 4.0}
    frames = frames_of({}, {}, {}, shown, shown, shown, {}, {})
    (item,) = phrases.fitting(sure_bank(words), frames, range(10, 18))
    assert (item.name, item.start, item.end) == ("running", 13, 15)


def test_one_frame_alone_does_not_carry_a_phrase(words):
    frames = frames_of({}, {}, {"running": 9.0}, {}, {})
    assert said(sure_bank(words), frames, range(5)) == []
    assert said(sure_bank(words), frames[2:3], (0,)) == ["running"]  # a picture is whole


def test_times_are_those_around_the_surest_frame():
    chances = torch.tensor([0.9, 0.1, 0.6, 0.95, 0.5, 0.3, 0.9])
    assert phrases.while_above(chances, 0.4) == (2, 4)
    assert phrases.while_above(chances, 0.05) == (0, 6)


def test_of_phrases_that_say_the_same_the_likelier_is_said(words):
    frames = frames_of({"dog": 3.0, "hot dog": 2.0, "pan": 1.8})
    assert said(sure_bank(words), frames, (0,)) == ["dog", "pan"]  # by their words
    near = sure_bank(words)
    near.weights[NAMES.index("pan")] += near.weights[NAMES.index("dog")]
    assert said(near, frames, (0,)) == ["pan", "hot dog"]  # by their vectors


def test_what_the_classifier_names_is_not_said_again(words):
    frames = frames_of({"pan": 3.0, "running": 3.0})
    assert said(sure_bank(words), frames, (0,), ["frying pan"]) == ["running"]
    space = LetterSpace(frames)
    look = look_of(space, 1, (*[0.02] * 5, 0.9), (*"abcde", "Frying pan"))
    found = phrases.PERCEIVER.look_at("phrases", look)
    assert "pan" not in [item.name for item in found.items]


def test_sentences_hold_what_goes_together(words):
    frames = frames_of({"a man": 2.0, "a dog": 2.0, "running": 2.0, "barking": 2.0, "beach": 2.0})
    composed = [one.text for one in captions.compose(sure_bank(words), frames, words)]
    assert {"a man running on a beach", "a dog barking on a beach", "a dog running"} <= set(
        composed
    )
    assert not any(text.startswith("a man barking") for text in composed)
    assert not any(text.startswith("a dog cooking") for text in composed)
    assert not any("kitchen" in text for text in composed)  # no preposition is known
    assert composed.index("a man running on a beach") < composed.index("a man cooking on a beach")


def test_sentences_below_the_floor_are_not_said(words, monkeypatch):
    sure = {"a dog": 5.0, "dog": 5.0, "running": 5.0, "beach": 4.0, "a man": 1.0}
    for logits, expected in ((sure, ["a dog running on a beach"]), ({}, [])):
        space = LetterSpace(frames_of(logits))
        monkeypatch.setattr(captions, "bank_of", lambda space: sure_bank(words))
        found = captions.PERCEIVER.look_at("captions", look_of(space, 1))
        assert [item.name for item in found.items][:1] == expected
        assert found.text == "; ".join(item.name for item in found.items)
        assert all(0.5 <= item.probability <= 1 for item in found.items)


def test_nothing_is_composed_where_no_sentence_can_be_sure_enough(words, monkeypatch):
    space = LetterSpace(frames_of({"dog": 5.0}))
    never = replace(sure_bank(words), config=replace(sure_bank(words).config, sentence_floor=2.0))
    monkeypatch.setattr(captions, "bank_of", lambda space: never)
    monkeypatch.setattr(captions, "compose", None)
    assert captions.PERCEIVER.look_at("captions", look_of(space, 1)).items == ()


def test_sentences_that_are_told_differ(words):
    def one(text, *parts):
        return captions.Composed(text, parts, 0.0)

    told = [one("abc", 1, 2, 3), one("ab", 1, 2), one("xbc", 9, 2, 3), one("abd", 1, 2, 4)]
    told += [one("ae", 1, 5), one("af", 1, 6)]
    assert [kept.text for kept in captions.differing(told)] == ["abc", "abd", "ae"]


def test_looking_embeds_the_frames_once(words, monkeypatch):
    space, frames = LetterSpace(), F.normalize(frames_of({"running": 6.0}), dim=-1)
    embedded = []
    monkeypatch.setattr(space, "embed_frames", lambda look: embedded.append(1) or frames)
    look = look_of(space, 1)
    found = phrases.PERCEIVER.look_at("phrases", look)
    assert len(embedded) == 1 and found.text and not found.warning
    assert found.items == phrases.PERCEIVER.perceive(look)


def test_another_spaces_phrases_are_embedded_once_and_kept(words):
    frames = F.normalize(frames_of({"beach": 9.0}, {"beach": 9.0}), dim=1)
    space = LetterSpace(frames)
    found = phrases.PERCEIVER.look_at("phrases", look_of(space, 2))
    assert "beach" in [item.name for item in found.items] and not found.warning
    embedded = space.embedded
    assert embedded == sum(len(g.templates) * len(g.phrases) for g in words.groups.values())
    bank._bank.cache_clear()
    again = LetterSpace(frames)
    assert phrases.PERCEIVER.look_at("phrases", look_of(again, 2)) == found
    assert again.embedded == 0
    other = LetterSpace(frames, "letters-2")
    bank_of(other)
    assert other.embedded == embedded


def test_kept_vectors_that_are_damaged_are_made_anew(words, tmp_path):
    before = bank_of(LetterSpace()).weights
    (path,) = (tmp_path / "cache" / "features").glob("phrases-*.safetensors")
    path.write_bytes(b"half")
    bank._bank.cache_clear()
    torch.testing.assert_close(bank_of(LetterSpace()).weights, before, rtol=0, atol=0.01)
    assert path.stat().st_size > 4


def test_without_a_place_to_keep_vectors_phrases_are_said_all_the_same(
    words, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "file"))
    space = LetterSpace(F.normalize(frames_of({"beach": 9.0}), dim=1))
    found = phrases.PERCEIVER.look_at("phrases", look_of(space, 1))
    assert "beach" in [item.name for item in found.items] and not found.warning


def test_chances_without_calibration_share_a_group(words):
    bank_ = bank_of(LetterSpace())
    chances = bank_.probabilities(torch.randn(2, len(NAMES) + 1))
    for group in words.groups:
        own = bank_.within(group)
        torch.testing.assert_close(chances[:, own].sum(1), torch.ones(2))


@pytest.mark.parametrize("name", ["phrases", "captions"])
def test_without_a_space_a_source_says_why(name):
    why = "no joint space; name one with --space"
    found = perceiver(name).look_at(name, look_of(InputError(why)))
    assert (found.items, found.text, found.warning) == ((), "", why)
    assert perceiver(name).fingerprint(look_of(InputError(why)))


def test_phrases_of_other_weights_are_refused(words, tmp_path):
    space = LetterSpace(frames_of({}))
    space.folder = tmp_path
    told = {
        "space": "letters-0",
        "lexicon": words.digest,
        "thresholds": SURE,
        "sentence": [0.0],
        "sentence_weight": 0.0,
        "sentence_floor": 1.0,
    }
    (tmp_path / bank.CONFIG).write_text(yaml.safe_dump(told))
    found = phrases.PERCEIVER.look_at("phrases", look_of(space, 1))
    assert "another joint space or lexicon" in found.warning and found.items == ()
    (tmp_path / bank.CONFIG).write_text(yaml.safe_dump(told | {"space": "letters-1"}))
    bank._bank.cache_clear()
    found = phrases.PERCEIVER.look_at("phrases", look_of(space, 1))
    assert "phrases.safetensors: is not there" in found.warning


@pytest.mark.parametrize("name", ["phrases", "captions"])
@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("What is happening?", True),
        ("Where are they?", True),
        ("What is the man doing?", True),
        ("Is it raining?", True),
        ("Which sport is this?", True),
        ("What color is the car?", False),
        ("How many dogs are there?", False),
        ("What does the sign say?", False),
    ],
)
def test_questions_about_the_whole_want_it(name, question, wanted):
    assert perceiver(name).wanted(question) is wanted


def test_models_that_never_read_them_are_not_told():
    prompt = TaskPrompt("x", "x", "{question}\n{sources}", "{sources}", (), 8)
    assert prompt.takes_sources() == ("attributes", "read")
    named = TaskPrompt("x", "x", "{question}", "{phrases}", (), 8)
    assert named.takes_sources() == ("phrases",)
    assert SOURCES["phrases"].label == "Looks like" and SOURCES["captions"].label == "Like"


def test_a_lexicon_says_what_is_wrong():
    def wrong(**sentences):
        return WORDS | {"sentences": WORDS["sentences"] | sentences}

    with pytest.raises(ConfigError, match="'a cat' is no phrase of who"):
        from_mapping(Lexicon, wrong(animals=["a cat"]), "here")
    with pytest.raises(ConfigError, match="'sea' is no phrase of scenes"):
        from_mapping(Lexicon, wrong(where={"sea": "at sea"}), "here")
    group = {"templates": ["a photo"], "phrases": {"x": []}}
    with pytest.raises(ConfigError, match="for the phrase"):
        from_mapping(Lexicon, WORDS | {"groups": WORDS["groups"] | {"things": group}}, "here")


def test_the_shipped_lexicon_is_whole():
    lexicon = load_lexicon()
    names = [name for _, name in lexicon.phrases]
    assert {"activities", "scenes", "weather", "sky", "things", "who"} == lexicon.groups.keys()
    for group in lexicon.groups.values():
        assert len(group.phrases) == len({name.lower() for name in group.phrases})
    assert len(names) > 900


@pytest.mark.parametrize("frames", [8, 64])
def test_a_moment_of_one_frame_says_the_same_of_few_frames_and_of_many(frames):
    chances = torch.full((frames, 1), 0.1)
    chances[frames // 2] = 0.9
    short = float(phrases.smoothed(chances).max())
    assert short < (0.4 if frames == 8 else 0.15)
    chances[: frames * 3 // 8] = 0.9  # as long as it takes
    assert float(phrases.smoothed(chances).max()) == pytest.approx(0.9)
    assert phrases.smoothed(torch.tensor([[0.5]])).tolist() == [[0.5]]
