"""Several clips in one question: what is asked, of which, and what is answered in whose name."""

from __future__ import annotations

import io
import json
import math
import sys
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import pytest
import torch
import yaml
from clips import ffmpeg, make_clip
from fakes import ScriptedModel, install, leave_sources, numbers_in

from assistant.cli.main import main
from assistant.errors import InputError, VideoError
from assistant.model.features import FeatureStore
from assistant.model.space.base import JointSpace
from assistant.sources import Perceived, Source, heard
from assistant.vqa.assistants import Assistant
from assistant.vqa.clip import SessionClip
from assistant.vqa.conversation import Conversation
from assistant.vqa.session import ONE_ALONE
from assistant.vqa.several import judging, shown
from assistant.vqa.several.asking import ALL, ANY, COUNT, WHICH, compared_by, put_to_one
from assistant.vqa.several.comparing import judge
from assistant.vqa.several.naming import called_by, names_of, referring
from assistant.vqa.several.shown import Line, Shown, ShownConfig
from assistant.vqa.several.telling import tell_values

QUESTIONS = yaml.safe_load((Path(__file__).parent / "several_questions.yaml").read_text("utf-8"))
PLAIN = Line(1.0, 0.0, 0.0)


class NumberSpace(JointSpace):
    """Likeness to "N" is high where the frames' number is N or more."""

    width, scale, fingerprint = 4, 1.0, "numbers"

    def embed_frames(self, look):
        return torch.zeros(len(look.patches), self.width)

    def embed_texts(self, texts):
        return torch.zeros(len(texts), self.width)

    def embed_words(self, texts):
        raise AssertionError("nobody asks for words")

    def compare(self, look, texts):
        wanted = torch.tensor([float(text.split()[-1]) for text in texts])
        return torch.tensor(numbers_in(look.patches))[:, None] - wanted - 0.5


@dataclass
class SeeingModel(ScriptedModel):
    """A scripted model with a joint space."""

    own_space: NumberSpace = field(default_factory=NumberSpace)

    @property
    def space(self) -> NumberSpace:
        return self.own_space


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose pictures carry numbers around 10, 20 and 30; the second is longer."""
    root = tmp_path_factory.mktemp("clips")
    for name, first, count in (("a", 10, 4), ("b", 20, 8), ("c", 30, 4)):
        make_clip(root / f"{name}.mp4", range(first, first + count), fps=4)
    return root


@pytest.fixture
def clips(folder: Path) -> list[Path]:
    return [folder / f"{name}.mp4" for name in "abc"]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> SeeingModel:
    leave_sources(monkeypatch, "heard")
    config = ShownConfig("numbers", PLAIN, PLAIN)
    monkeypatch.setattr(shown, "calibration", lambda space: config)
    monkeypatch.setattr(
        shown,
        "see",
        lambda space, look, text: Shown(space.compare(look, [text])[:, 0].numpy(), None),
    )
    return SeeingModel(scores={"yes": -0.1, "no": -2.0})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return FeatureStore(tmp_path_factory.mktemp("features"))


@pytest.fixture
def mini(model: SeeingModel, store: FeatureStore) -> Assistant:
    return Assistant(model, store)


@pytest.mark.parametrize(
    ("kind", "text", "question"),
    [(kind, text, question) for kind, text, some in QUESTIONS for question in some],
)
def test_what_is_asked(kind, text, question):
    asks = compared_by(question)
    if kind == "each":
        assert asks is None
        return
    assert asks is not None and asks.kind == kind
    assert (asks.sought.text if asks.sought else "") == text


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Which doesn't show a dog?", "a dog"),
        ("Which of them has no dog?", "a dog"),
        ("Which one isn't outdoors?", "outdoors"),
        ("Which one is not in a kitchen?", "a kitchen"),
        ("In which clip is nobody dancing?", "somebody dancing"),
    ],
)
def test_what_is_lacking_may_be_asked_for(question, text):
    sought = compared_by(question).sought
    assert sought.denied and sought.text == text


@pytest.mark.parametrize(
    ("question", "put"),
    [
        ("What happens in each of them?", "What happens in the clip?"),
        ("Describe both clips.", "Describe the clip"),
        ("What are they about?", "What is the clip about?"),
        ("Who is there?", "Who is there?"),
    ],
)
def test_a_question_to_all_is_put_to_each(question, put):
    assert put_to_one(question) == put


@pytest.mark.parametrize(
    ("question", "places", "put"),
    [
        ("What is the first one about?", (0,), "What is the clip about?"),
        ("What happens in clip 2?", (1,), "What happens in the clip?"),
        ("Who is in b.mp4?", (1,), "Who is in the clip?"),
        ('Who is in "c"?', (2,), "Who is in the clip?"),
        ("Describe the last one", (2,), "Describe the clip"),
        ("What happens in the first and in the third?", (0, 2), "What happens in the clip?"),
        ("What does the left one show?", (0,), "What does the clip show?"),
        ("What happens in the first 5 seconds?", (), "What happens in the first 5 seconds?"),
        ("What is the first thing that happens?", (), "What is the first thing that happens?"),
        ("What color is the second car?", (), "What color is the second car?"),
        ("What happens in the last second?", (), "What happens in the last second?"),
        ("Is it on the left?", (), "Is it on the left?"),
        ("What is in the eighth clip?", (), "What is in the eighth clip?"),
    ],
)
def test_which_clip_a_question_names(question, places, put):
    refers = referring(question, called_by(["a.mp4", "b.mp4", "c.mp4"]))
    assert (refers.places, refers.question, refers.again) == (places, put, False)


@pytest.mark.parametrize("text", ["And in the second?", "What about the second one?", "b.mp4?"])
def test_the_last_question_to_another_clip(text):
    refers = referring(text, called_by(["a.mp4", "b.mp4"]))
    assert refers.again and refers.places == (1,)


def test_clips_are_called_by_what_tells_them_apart():
    told = [str(name) for name in names_of([Path("x/a.mp4"), Path("y/a.mp4"), Path("y/b.mp4")])]
    assert told == ["the first (x/a.mp4)", "the second (y/a.mp4)", "the third (y/b.mp4)"]
    assert str(names_of([Path("a.mp4"), Path("b.mp4")])[1]) == "the second (b.mp4)"
    same = names_of([Path("a.mp4"), Path("a.mp4"), Path("b.mp4")])
    assert [name.title for name in same] == ["First", "Second", "Third (b.mp4)"]


def test_the_order_of_the_clips_changes_nothing():
    odds = [2.0, -1.0, 0.3, -4.0]
    for kind in (WHICH, ALL, ANY, COUNT):
        first = judge(kind, odds)
        for order in permutations(range(4)):
            other = judge(kind, [odds[place] for place in order])
            assert {order[place] for place in other.places} == set(first.places)
            assert other.chance == pytest.approx(first.chance)


@pytest.mark.parametrize(
    ("kind", "odds", "places", "sure"),
    [
        (WHICH, [-3.0, 3.0], (1,), True),
        (WHICH, [0.1, 0.0], (0,), False),
        (WHICH, [-6.0, -7.0], (0,), True),  # none does; the likeliest is told
        (WHICH, [7.0, 7.0], (0, 1), True),  # both do
        (ALL, [3.0, 3.0], (0, 1), True),
        (ALL, [3.0, -3.0], (0,), True),
        (ANY, [-3.0, -4.0], (), True),
        (ANY, [0.5, -1.0], (0,), False),
        (COUNT, [3.0, 4.0, -3.0], (0, 1), True),
    ],
)
def test_verdicts(kind, odds, places, sure):
    verdict = judge(kind, odds)
    assert (verdict.places, verdict.sure) == (places, sure)
    assert verdict.shares == () or sum(verdict.shares) == pytest.approx(1.0)


def test_extreme_odds_are_no_accident():
    verdict = judge(WHICH, [900.0, -900.0])
    assert verdict.places == (0,) and math.isfinite(verdict.chance)


def test_the_clip_that_shows_it_is_named(mini, clips):
    session = mini.open(clips)
    answer = session.ask("Which of them shows 25?")
    assert answer.text == "The third (c.mp4) shows 25." and answer.reason is None
    told = answer.as_dict()
    assert [one["clip"] for one in told["clips"]] == ["a.mp4", "b.mp4", "c.mp4"]
    assert told["clips"][2]["chance"] > 0.9 > 0.1 > told["clips"][0]["chance"]
    assert all(len(one["scores"]) == len(one["frames"]) > 1 for one in told["clips"])
    assert max(told["probabilities"], key=told["probabilities"].get) == "the third (c.mp4)"
    json.dumps(told)
    turned = mini.open([clips[2], clips[0]]).ask("Which of them shows 25?")
    assert turned.text == "The first (c.mp4) shows 25."


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Which of them doesn't show 15?", "The first (a.mp4) does not show 15."),
        ("Is there 5 in all of them?", "Yes, all three of them."),
        ("Is there 15 in all of them?", "No, only the second (b.mp4) and the third (c.mp4)."),
        ("Is there 90 in any of them?", "No, in none of them."),
        ("How many of them show 15?", "Two: the second (b.mp4) and the third (c.mp4)."),
        ("Is there 25 in the first or in the third?", "In the third (c.mp4)."),
        ("Which is longer?", "The second (b.mp4), 2.0 s; the first, 1.0 s; the third, 1.0 s."),
        ("Which is longer, the first or the second?", "The second (b.mp4), 2.0 s; the first, 1.0"),
        ("Which is longer, c.mp4 or b.mp4?", "The second (b.mp4), 2.0 s; the third, 1.0 s."),
        ("Which of them shows 15, the first or the last?", "The third (c.mp4) shows 15."),
        (
            "Which is louder?",
            "They are alike: the first, no sound; the second, no sound; the third, no sound.",
        ),
        ("Hello!", "Hello! Ask me about the clips"),
    ],
)
def test_answers(mini, clips, question, said):
    assert mini.open(clips).ask(question).text.startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([3.0, math.inf], "The first (a.mp4), at 0:03; the second, not seen."),
        ([9.0, 3.0], "The second (b.mp4), at 0:03; the first, at 0:09."),
        ([math.inf] * 2, "They are alike: the first, not seen; the second, not seen."),
        ([3.0, 3.4], "They are alike: the first, at 0:03; the second, at 0:03.4."),
    ],
)
def test_what_comes_first(values, said):
    asks = compared_by("In which clip does the dog appear first?")
    assert tell_values(asks, values, called_by(["a.mp4", "b.mp4"])) == said


@pytest.mark.parametrize("question", ["What is in the third one?", "Clip 7?", "Who is in z.mp4?"])
def test_a_clip_that_is_not_among_them_is_not_made_up(mini, model, clips, question):
    with pytest.raises(
        InputError, match=r"is not there: 2 clips are open; ask about the first \(a"
    ):
        mini.open(clips[:2]).ask(question)
    assert model.asked == []


@pytest.mark.parametrize(
    ("question", "warns"),
    [
        ("Which of the two is outdoors?", True),
        ("What differs?", True),
        ("Are both clips in a kitchen?", True),
        ("Which of the two men is taller?", False),
        ("Which one is red?", False),
        ("What happens?", False),
    ],
)
def test_one_clip_cannot_be_compared(mini, clips, question, warns):
    told = mini.open(clips[0]).ask(question).warnings
    assert [one for one in told if "one clip is given" in one] == [ONE_ALONE] * warns


def test_doubt_is_told_with_a_guess(mini, clips):
    answer = mini.open(clips[:2]).ask("Which of them shows 50?")
    assert answer.text.startswith("Neither of them; the likelier is the second (b.mp4)")


def test_each_clip_answers_in_its_own_name(mini, model, clips):
    session = mini.open(clips[:2])
    answer = session.ask("What is there?")
    pieces = list(answer)
    assert "".join(pieces) == answer.text and len(pieces) > 4
    first, second = answer.text.splitlines()
    assert first.startswith("First (a.mp4): I see 10") and second.startswith(
        "Second (b.mp4): I see 2"
    )
    session.ask("What is in the second?").finish()
    assert all(number >= 20 for number in model.asked[-1].numbers)
    again = session.ask("And in the first?")
    assert again.text.startswith("First (a.mp4): I see 10")
    assert "What is in the clip?" in model.asked[-1].prompt
    assert [turn.question for turn in session.conversation.turns][-1] == "And in the first?"


def test_after_a_comparison_the_others_are_asked_for_the_same(mini, model, clips):
    session = mini.open(clips[:2])
    session.ask("Which of them shows 15?").finish()
    session.ask("And the first?").finish()
    assert "Is there 15?" in model.asked[-1].prompt


def test_a_conversation_is_taken_up(mini, model, clips):
    session = mini.open(clips[:2])
    said = "First (a.mp4): Ann.\nSecond (b.mp4): Bob."
    session.take_up(Conversation().add("Who is there?", said))
    own = [one.conversation.turns[0].answer for one in session.sessions.values()]
    assert own == ["Ann.", "Bob."]
    session.ask("And in the second?").finish()
    assert "Who is there?" in model.asked[-1].prompt


def test_choices_are_weighed_for_each(mini, clips):
    answer = mini.open(clips[:2]).ask("Is it open?", choices=["yes", "no"])
    assert answer.text == "First (a.mp4): yes\nSecond (b.mp4): yes"
    assert all(one["choice"] == "yes" for one in answer.as_dict()["clips"])


def test_a_time_is_where_all_are_looked_at(mini, clips):
    answer = mini.open(clips[:2]).ask("Which of them shows 5 in the first 0.5 seconds?")
    assert all(max(part.frames) <= 0.5 for part in answer.basis.clips)


def test_a_time_behind_the_end_of_one_names_it(mini, clips):
    with pytest.raises(InputError, match=r"a\.mp4: the question names 0:05, the clip lasts"):
        mini.open(clips).ask("Which of them shows 25 at 0:05?")


def test_without_calibration_only_differences_count(mini, clips, monkeypatch):
    monkeypatch.setattr(shown, "calibration", lambda space: None)
    session = mini.open(clips[:2])
    which = session.ask("Which of them shows 15?")
    assert which.text == "The second (b.mp4) shows 15." and shown.UNCALIBRATED in which.warnings
    assert "chance" not in which.as_dict()["clips"][0]
    both = session.ask("Do both show 15?")
    assert both.text.splitlines()[0].startswith("First (a.mp4): I see")


def test_without_a_space_each_is_asked_alone(folder, tmp_path, monkeypatch):
    leave_sources(monkeypatch)
    model = ScriptedModel(scores={"yes": -0.1, "no": -3.0})
    session = Assistant(model, FeatureStore(tmp_path)).open([folder / "a.mp4", folder / "b.mp4"])
    answer = session.ask("Do both show a dog?")
    assert answer.text == "Yes, both."
    assert answer.basis.clips[0].by == judging.MODEL
    assert session.conversation.turns[0].question == "Do both show a dog?"
    assert all(not one.conversation.turns for one in session.sessions.values())


def test_a_clip_that_cannot_be_read_is_left_out(mini, clips, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no clip")
    session = mini.open([*clips[:2], broken, tmp_path / "gone.mp4"])
    answer = session.ask("Which of them shows 15?")
    assert answer.text == "The second (b.mp4) shows 15."
    left_out = {one.split(" is left out: ")[0] for one in answer.warnings}
    assert left_out == {"the third (broken.mp4)", "the fourth (gone.mp4)"}
    assert str(tmp_path) not in " ".join(answer.warnings)
    with pytest.raises(InputError, match=r"the third \(broken.mp4\) cannot be asked about"):
        session.ask("What is in the third?")
    left = mini.open([clips[0], broken])
    with pytest.raises(InputError, match="two clips are wanted"):
        left.ask("Which is longer?")
    with pytest.raises(VideoError):
        mini.open([tmp_path / "gone.mp4", tmp_path / "lost.mp4"])


def test_there_is_room_for_eight(mini, clips):
    with pytest.raises(InputError, match="9 clips are given; 1 to 8"):
        mini.open([clips[0]] * 9)
    with pytest.raises(InputError, match="0 clips"):
        mini.open([])
    with pytest.raises(InputError, match="belongs to one clip"):
        mini.open(clips, dialogue="ANN: Hi.")


def test_sound_is_measured(mini, folder, tmp_path):
    loud, quiet = tmp_path / "loud.mp4", tmp_path / "quiet.mp4"
    for path, volume in ((loud, 0.9), (quiet, 0.02)):
        tone = ("-f", "lavfi", "-i", f"sine=frequency=440:duration=1,volume={volume}")
        ffmpeg("-i", folder / "a.mp4", *tone, "-shortest", "-c:v", "copy", path)
    session = mini.open([quiet, loud])
    assert session.ask("Which is louder?").text.startswith("The second (loud.mp4), -")
    assert session.ask("Which one is quieter?").text.startswith("The first (quiet.mp4), -")


def test_a_sound_is_judged_by_what_is_heard(mini, clips, monkeypatch):
    def perceive(self, where, names):
        assert names == ["heard"]
        there = self.path is not None and self.path.name == "b.mp4"
        return (Source("heard", (Perceived("music", 0.9, 0.0, 1.0),) if there else ()),)

    monkeypatch.setattr(SessionClip, "perceive", perceive)
    monkeypatch.setattr(heard.PERCEIVER, "missing", lambda: "", raising=False)
    answer = mini.open(clips[:2]).ask("In which clip is there music?")
    assert answer.text == "In the second (b.mp4)."
    assert [part.by for part in answer.basis.clips] == [judging.SOUND] * 2
    monkeypatch.setattr(heard.PERCEIVER, "missing", lambda: "install the ears")
    with pytest.raises(InputError, match="install the ears"):
        mini.open(clips[:2]).ask("In which clip can you hear music?")


def test_the_evidence_of_each_is_drawn(mini, clips, tmp_path):
    from assistant.vqa.several.picture import draw_parts

    session = mini.open(clips[:2])
    figure = draw_parts(session.ask("Which of them shows 15?"), session.pictures)
    assert len(figure.subfigs) == 2
    first, second = ([len(axes.patches) for axes in row.axes][-1] for row in figure.subfigs)
    assert (first, second) == (4, 8)  # bars
    figure.savefig(tmp_path / "why.png")


def test_from_the_command_line(model, clips, capsys, monkeypatch, fresh_cache):
    install(monkeypatch, model)
    code = main(["ask", *map(str, clips), "Which of them shows 25?", "--json"])
    out, err = capsys.readouterr()
    assert code == 0 and json.loads(out)["answer"] == "The third (c.mp4) shows 25."
    assert err.splitlines()[0].startswith("[First (a.mp4): frames at 0.")
    assert "likely by joint space" in err


def test_a_folder_among_the_clips_is_told(clips, capsys):
    folder = str(clips[0].parent)
    assert main(["ask", str(clips[0]), folder, "Which of them shows 25?"]) == 2
    assert capsys.readouterr().err == f"assistant: {folder!r} is a folder; name the clips in it\n"


def test_a_clip_that_is_left_out_is_told_once_in_a_chat(
    model, clips, capsys, monkeypatch, fresh_cache
):
    install(monkeypatch, model)
    monkeypatch.setattr(sys, "stdin", io.StringIO("What is there?\nWho is there?\n"))
    assert main(["chat", str(clips[0]), str(clips[0].with_name("none.mp4"))]) == 0
    assert capsys.readouterr().err.count("none.mp4) is left out") == 1


def test_in_a_chat(model, clips, capsys, monkeypatch, fresh_cache):
    install(monkeypatch, model)
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("Which of them shows 15?\n/frames\nAnd the first?\n")
    )
    assert main(["chat", *map(str, clips[:2])]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "The second (b.mp4) shows 15." and lines[1].startswith("[First (a.mp4): ")
    assert lines[3].startswith("First (a.mp4): I see") and "a.mp4: 1.0 s; b.mp4: 2.0 s" in err
