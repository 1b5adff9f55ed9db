"""Questions about times: which there are, and their answers from a clip's timeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import ScriptedModel, install, leave_sources
from retrieval_sight import RULES, TinySight, tiny_sight
from test_index import color_clip
from test_llm_answers import ScriptedChat

from assistant.cli.main import main
from assistant.core.mentions import mentions
from assistant.model.features import FeatureStore
from assistant.sources.lexicon import load_lexicon
from assistant.sources.wording import caption_of, classes_of, gerund, phrases_of
from assistant.vqa.assistants import Assistant
from assistant.vqa.by_timeline import NO_SPACE, NO_WORDS
from assistant.vqa.when import asked_of_timeline

SRT = "1\n00:00:07,000 --> 00:00:08,500\nANN: What a green day!\n"
PHRASES = load_lexicon().phrases


class TestQuestions:
    @pytest.mark.parametrize(
        ("question", "kind", "thing"),
        [
            ("When does the dog appear?", "when", "the dog"),
            ("And at what time does a car drive by in the video?", "when", "a car drive by"),
            ("Show me the moment when he jumps.", "when", "he jumps"),
            ("Can you find the scene with the elephant", "when", "the elephant"),
            ("Where in the video is the owl?", "when", "the owl"),
            ("When are vegetables cut?", "when", "vegetables cut"),
            ("How many times does he hit the ball?", "how often", "he hit the ball"),
            ("What happens right after the dancing?", "after", "the dancing"),
            ("What does he do before the man opens the door?", "before", "the man opens the door"),
            ("Is there ever a camel in the film?", "whether", "a camel"),
            ("Does a train appear?", "whether", "a train"),
            ("What happens first?", "first", ""),
            ("How does the video end?", "last", ""),
            ("Summarize the clip.", "summary", ""),
            ("Give me a short overview of the film", "summary", ""),
            ("What comes first, the dog or the cake?", "which first", "the dog"),
        ],
    )
    def test_what_is_asked(self, question, kind, thing):
        asks = asked_of_timeline(question)
        assert asks is not None and (asks.kind, asks.thing) == (kind, thing)

    @pytest.mark.parametrize(
        "question",
        [
            "When was this filmed?",
            "When is his birthday?",
            "What color is the car?",
            "Where is the dog?",
            "What time is it?",
            "How often did I come past a table?",  # of somebody who wears the camera
            "Where was the yellow cylinder when I last saw it?",
            "Is it sarcastic when <CHANDLER: Oh, that is a great idea.>?",
            "Is the man old?",
            "When is it?",
            "When?",
            "What time does the clock show?",
            "What time is it on the wall?",
            "Tell me where the dog is.",  # a place
            "When does the movie end?",
            "",
        ],
    )
    def test_what_is_no_question_about_times(self, question):
        assert asked_of_timeline(question) is None

    def test_parts_of_what_is_asked(self):
        ends = asked_of_timeline("When does the dancing stop?")
        first = asked_of_timeline("When do we first see the whale?")
        said = asked_of_timeline('When does he say "Good morning"?')
        during = asked_of_timeline("What is the man doing when the dog appears?")
        assert ends and first and said and during
        assert (ends.edge, ends.thing) == ("end", "the dancing")
        assert (first.pick, first.thing) == ("first", "the whale")
        assert (said.kind, said.said) == ("when", "good morning")
        assert (during.kind, during.rest) == ("during", "what is the man doing")


class TestWording:
    @pytest.mark.parametrize(
        ("question", "names"),
        [
            ("When does the elephant come?", ["elephant"]),
            ("Does the fire truck appear in the video?", ["fire truck"]),
            ("When does the elephant chase the dog?", ["elephant", "dog"]),
            ("Does the big dog have a ball?", ["big dog", "ball"]),
            ("Where is the fire truck?", ["fire truck"]),
        ],
    )
    def test_what_follows_does_ends_in_a_verb(self, question, names):
        assert [one.words for one in mentions(question)] == names

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("The dogs", ["dog"]),
            ("somebody plays the drums", ["playing the drums"]),
            ("the man play the guitar", ["playing the guitar"]),
            ("the flute is played", ["playing the flute"]),
            ("vegetables cut", ["cutting vegetables"]),
            ("the dog runs", ["dog", "running"]),
            ("he do yoga", ["doing yoga"]),
            ("the music box", []),  # nobody boxes
            ("a red car", []),
            ("smoke", []),
            ("a dog that runs away", []),
        ],
    )
    def test_phrases_of_the_lexicon(self, text, names):
        assert [PHRASES[place][1] for place in phrases_of(text)] == names

    def test_captions_and_verbs(self):
        assert caption_of("he washes his hands") == "a person washing his hands"
        assert caption_of("the woman opens the door") == "the woman opening the door"
        assert caption_of("a clear sky") == "a clear sky"
        forms = {"does": "do", "washes": "wash", "lies": "ly", "danced": "danc", "hits": "hitt"}
        assert all(gerund(verb) == f"{stem}ing" for verb, stem in forms.items())
        assert gerund("sing") == "singing" and gerund("opens") == "opening"

    def test_classes_of_the_encoder(self):
        names = ("tree frog", "bullfrog", "sea lion", "lion", "harp", "flying")
        assert classes_of("the frogs", names) == [0]
        assert classes_of("a lion", names) == [3]  # the same name before its kinds
        assert classes_of("playing the harp", names) == [4]
        assert classes_of("a frog jumps", names) == classes_of("a", names) == []


class Watching(Assistant):
    """What looks tells colors; what answers is scripted."""

    def __init__(self, model: ScriptedModel, store: FeatureStore, sight: TinySight) -> None:
        super().__init__(model, store)
        self._sight = sight

    @property
    def sight(self) -> TinySight:
        return self._sight


@pytest.fixture
def sight(tmp_path: Path) -> TinySight:
    found = tiny_sight()
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "moments.yaml").write_text(RULES)
    found.space.folder = tmp_path / "space"
    return found


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def watching(sight, model, tmp_path, fresh_cache) -> Watching:
    return Watching(model, FeatureStore(tmp_path / "features"), sight)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    color_clip(path, "red", "blue", "red", "blue")
    path.with_suffix(".srt").write_text(SRT)
    return path


def spans(answer) -> list[tuple[float, float]]:
    return [(round(one.start), round(one.end)) for one in answer.basis.moments]


class TestAnswers:
    def test_when_and_how_often(self, watching, model, film):
        session = watching.open(film)
        answer = session.ask("When does the red appear?")
        assert answer.text == "From 0:00 to 0:06 and from 0:12 to 0:18."
        assert spans(answer) == [(0, 6), (12, 18)] and answer.basis.task == "timeline"
        assert session.ask("How often does red appear?").text.startswith("Twice: from 0:00")
        assert session.ask("When does the red last appear?").text == "From 0:12 to 0:18."
        assert session.ask("When does the blue disappear?").text == "At 0:24."
        assert not model.asked and not model.encoded  # nothing but the joint space

    def test_what_does_not_appear_is_said_so(self, watching, film):
        answer = watching.open(film).ask("When is the green visible?")
        assert 'nothing like "the green"' in answer.text and "does not appear" in answer.text
        assert answer.basis.moments == () and "moments" not in answer.as_dict()

    def test_what_is_not_sure_is_told_as_a_guess(self, watching, sight, film):
        rules = sight.space.folder / "moments.yaml"
        rules.write_text(RULES.replace("sure: 0.5", "sure: 1.1"))
        session = watching.open(film)
        answer = session.ask("When does the blue appear?")
        told = "I am not sure; perhaps from 0:06 to 0:12 and from 0:18 to 0:24."
        assert answer.text == told and "is told for sure from 1.1 on" in (answer.reason or "")
        assert spans(answer) == [(6, 12), (18, 24)] and answer.as_dict()["unsure"]
        assert session.ask("How often does it appear?").text.startswith("I am not sure; perhaps tw")

    def test_of_two_what_is_not_sure_is_a_guess(self, watching, sight, film):
        rules = sight.space.folder / "moments.yaml"
        rules.write_text(RULES.replace("sure: 0.5", "sure: 1.1"))
        answer = watching.open(film).ask("What comes first, the blue or the red?")
        assert answer.text.startswith("I am not sure; perhaps the red: from 0:00") and answer.reason

    def test_what_comes_after_before_first_and_in_all(self, watching, film):
        session = watching.open(film)
        after, before = (session.ask(f"What happens {s} the blue?") for s in ("after", "before"))
        assert (
            after.text.startswith("From 0:12 to 0:18") and '"the blue" is from 0:06' in after.text
        )
        assert before.text.startswith("From 0:00 to 0:06")
        first = session.ask("What happens first?")
        assert spans(first) == [(0, 6)]
        lines = session.ask("Summarize the video.").text.splitlines()
        assert lines[0] == "4 scenes:" and [line[:9] for line in lines[1:3]] == [
            "0:00-0:06",
            "0:06-0:12",
        ]
        which = session.ask("What comes first, the blue or the red?")
        assert which.text.startswith("The red: from 0:00 to 0:06; the blue: from 0:06")

    def test_a_range_holds(self, watching, film):
        session = watching.open(film)
        assert spans(session.ask("When does red appear?", start=8.0, end=20.0)) == [(12, 18)]
        assert spans(session.ask("When does red appear after 0:10?")) == [(12, 18)]

    def test_and_then_goes_on_from_the_moment(self, watching, film):
        session = watching.open(film)
        session.ask("When does the blue first appear?").finish()
        later = session.ask("And then?")
        assert spans(later) == [(12, 18)] and later.text  # it is remembered once it is read
        assert spans(session.ask("And before that?")) == [(6, 12)]

    def test_what_is_said(self, watching, film, tmp_path):
        answer = watching.open(film).ask('When does she say "green day"?')
        assert spans(answer) == [(7, 8)] and answer.basis.dialogue_source == "sidecar:film.srt"
        where = watching.open(film).ask('What is seen when she says "goodbye"?')
        assert where.text.startswith('Nobody says "goodbye"')
        mute = color_clip(tmp_path / "mute.mp4", "red", "blue")
        assert watching.open(mute).ask("When do they talk about money?").text == NO_WORDS

    def test_a_model_is_asked_about_the_moment(self, watching, model, film):
        answer = watching.open(film).ask("Who is there when the blue appears?")
        answer.finish()
        assert answer.basis.range_source == "timeline" and answer.basis.task == "chat"
        assert [round(second) for second in answer.basis.window] == [6, 12]
        assert "Who is there?" in model.asked[-1].prompt

    def test_a_question_about_a_long_clip_looks_where_the_thing_is(
        self, watching, film, monkeypatch
    ):
        monkeypatch.setattr("assistant.sources.wording.phrases_of", lambda text: (0,))
        session = watching.open(film)

        def window(question: str, **options: float) -> list[int]:
            answer = session.ask(question, **options)
            answer.finish()
            return [round(second) for second in answer.basis.window if second is not None]

        assert window("What size is the blue?") == [6, 12]
        assert window("What size is the green?") == []  # it is nowhere
        assert window("What size is the blue?", start=1.0, end=20.0) == [1, 20]
        assert window("What size is the man?") == []

    def test_a_language_model_of_ones_own_reads_the_scenes(self, watching, film, monkeypatch):
        watching.llm = chat = ScriptedChat(["A wall."])
        leave_sources(monkeypatch)
        session = watching.open(film)
        session.ask("What is this about?").finish()
        notes = chat.read[-1][-1][1]
        assert "Scenes:\n0:00-0:06 " in notes and "\n0:18-0:24 " in notes
        session.ask("What is this about?", start=0.0, end=6.0).finish()
        assert "Scenes:" not in chat.read[-1][-1][1]
        chat.room = sum(len(text) for _, text in chat.read[-1]) + 60
        session.clear()
        session.ask("What is this about?").finish()  # without room for them, it is asked without
        assert "Scenes:" not in chat.read[-1][-1][1]

    def test_a_short_clip_is_summed_up_by_the_model(self, watching, model, tmp_path):
        short = color_clip(tmp_path / "short.mp4", "red", "blue")
        answer = watching.open(short).ask("Summarize the video.")
        answer.finish()
        assert answer.basis.task == "chat" and len(model.asked) == 1

    def test_a_picture_has_no_times(self, watching, model, tmp_path):
        from test_index import color_photo

        answer = watching.open(color_photo(tmp_path / "red.png", "red")).ask("When is red seen?")
        answer.finish()
        assert answer.basis.task == "chat"

    def test_without_a_joint_space_the_model_answers_and_the_person_is_told(
        self, model, tmp_path, film
    ):
        answer = Assistant(model, FeatureStore(tmp_path / "f")).open(film).ask("When is red seen?")
        answer.finish()
        assert answer.basis.task == "chat" and NO_SPACE in answer.warnings
        said = Assistant(model, FeatureStore(tmp_path / "f")).open(film)
        assert spans(said.ask('When does she say "green day"?')) == [(7, 8)]  # needs no sight
        short = color_clip(tmp_path / "short.mp4", "red")
        told = (
            Assistant(model, FeatureStore(tmp_path / "f")).open(short).ask("Summarize the video.")
        )
        told.finish()
        assert NO_SPACE not in told.warnings

    def test_choices_are_chosen_by_the_model(self, watching, model, film):
        model.scores = {"yes": -1.0, "no": -2.0}
        answer = watching.open(film).ask("When does the red appear?", choices=["yes", "no"])
        assert answer.text == "yes"

    def test_a_timeline_with_queries(self, watching, film):
        found = watching.open(film).timeline(["red", "green"])
        assert [one.appears for one in found.queries] == [True, False]
        assert len(found.segments) == 4


def test_the_command_prints_times_and_draws_them(sight, model, film, tmp_path, capsys, monkeypatch):
    install(monkeypatch, model)
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **_: sight)
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    drawn = tmp_path / "when.png"
    code = main(["ask", str(film), "When is red seen?", "--json", "--evidence", str(drawn)])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert code == 0 and [one["start"] for one in found["moments"]] == [0.0, 12.0]
    assert (found["sought"], found["task"], found["frames"]) == ("red", "timeline", [])
    assert "the clip's timeline" in err and drawn.stat().st_size > 1000
