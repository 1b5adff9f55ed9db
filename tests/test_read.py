"""Text in pictures, with the real reader where it is installed and with a scripted one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import ScriptedModel
from PIL import Image, ImageDraw, ImageFont

from assistant.errors import InputError
from assistant.model.features import FeatureStore
from assistant.sources import Perceived, read
from assistant.vqa.answer import CANNOT_TELL
from assistant.vqa.assistants import Assistant

SIZE = (180, 320)  # height, width


def picture(*texts: tuple[str, int, int], size: int = 24) -> np.ndarray:
    """Texts at their left and top on a plain picture, (H, W, 3)."""
    image = Image.new("RGB", SIZE[::-1], (40, 90, 60))
    for text, left, top in texts:
        font = ImageFont.load_default(size)
        ImageDraw.Draw(image).text((left, top), text, font=font, fill=(250, 240, 230))
    return np.asarray(image)


@pytest.fixture
def reader(capfd: pytest.CaptureFixture[str]):
    """The real one, which must stay silent."""
    pytest.importorskip("rapidocr", reason="the 'ocr' extra is not installed")
    pytest.importorskip("onnxruntime", reason="the 'ocr' extra is not installed")
    yield read.read_frames
    assert capfd.readouterr() == ("", "")


def test_a_sign_is_read_where_it_stands(reader):
    (line,) = reader(picture(("EXIT ONLY", 160, 120))[None], [2.5])
    assert line.name == "EXIT ONLY"
    assert read.MIN_SCORE <= line.probability <= 1
    assert (line.start, line.end) == (2.5, 2.5)
    left, top, right, bottom = line.box
    assert 0.45 < left < 0.52 < 0.8 < right < 1
    assert 0.62 < top < 0.72 < 0.75 < bottom < 0.9


def test_lines_come_in_reading_order_with_the_times_they_are_seen(reader):
    first = picture(("Main Street", 20, 20), ("Bakery", 200, 22), ("Open daily", 60, 120))
    second = picture(("Main Street", 20, 20), ("Closed", 60, 120))
    lines = reader(np.stack([first, first, second]), [0.0, 1.0, 2.0])
    assert [(line.name, line.start, line.end) for line in lines] == [
        ("Main Street", 0.0, 2.0),
        ("Bakery", 0.0, 1.0),
        ("Open daily", 0.0, 1.0),
        ("Closed", 2.0, 2.0),
    ]


def test_colors_are_red_green_blue(reader, monkeypatch: pytest.MonkeyPatch):
    engine, seen = read._engine(), []
    monkeypatch.setattr(read, "_engine", lambda: lambda image: seen.append(image) or engine(image))
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[..., 0] = 255
    reader(frame[None], [0.0])
    assert (seen[0][0, 0] == (0, 0, 255)).all()  # PP-OCR wants BGR


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (16, 4000), (2100, 17), SIZE])
@pytest.mark.parametrize("kind", ["black", "gray", "noise"])
def test_pictures_without_text_give_nothing(reader, shape: tuple[int, int], kind: str):
    noise = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), dtype=np.uint8)
    frames = {"black": noise * 0, "gray": noise * 0 + 127, "noise": noise}[kind]
    assert reader(frames, [0.0]) == ()


def test_no_frames_give_nothing():
    assert read.read_frames(np.zeros((0, *SIZE, 3), np.uint8), []) == ()


def scripted(monkeypatch: pytest.MonkeyPatch, *frames: list[tuple[str, float, tuple]]) -> tuple:
    """What comes of readings ``(text, score, (left, top, right, bottom))``, in pixels, a frame."""
    replies = iter(frames)

    def engine(_: np.ndarray) -> SimpleNamespace:
        found = next(replies)
        if not found:
            return SimpleNamespace(txts=None, scores=None, boxes=None)
        boxes = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for _, _, (x0, y0, x1, y1) in found]
        texts, scores, _ = zip(*found, strict=True)
        return SimpleNamespace(txts=texts, scores=scores, boxes=np.array(boxes, np.float32))

    monkeypatch.setattr(read, "_engine", lambda: engine)
    images = np.zeros((len(frames), *SIZE, 3), np.uint8)
    return read.read_frames(images, [float(second) for second in range(len(frames))])


PLACE, BELOW = (32, 18, 160, 36), (32, 90, 160, 108)


@pytest.mark.parametrize(
    ("one", "other", "texts"),
    [
        (("Seated Forward", 0.97, PLACE), ("eated Forward", 1.0, PLACE), ["Seated Forward"]),
        (("HOLE: 64 YARDS", 0.95, PLACE), ("HOKE: 64 YARIDS", 0.92, PLACE), ["HOLE: 64 YARDS"]),
        (("SHIMSTRENGTH", 0.95, PLACE), ("SWIMSTRENGTH", 0.99, PLACE), ["SWIMSTRENGTH"]),
        (("Red Bull", 0.99, PLACE), ("RedBull", 0.98, BELOW), ["Red Bull"]),
        (("Chapter 1", 0.99, PLACE), ("Chapter 2", 0.99, PLACE), ["Chapter 1", "Chapter 2"]),
        (("Mr Smith", 0.99, PLACE), ("Mrs Smith", 0.99, BELOW), ["Mr Smith", "Mrs Smith"]),
        (("PUSH", 0.99, PLACE), ("PULL", 0.99, PLACE), ["PUSH", "PULL"]),
    ],
)
def test_spellings_of_one_text_are_one_line(
    monkeypatch: pytest.MonkeyPatch, one: tuple, other: tuple, texts: list[str]
):
    lines = scripted(monkeypatch, [one], [], [other])
    assert [line.name for line in lines] == texts
    assert (lines[0].start, lines[-1].end) == (0.0, 2.0)
    places = [place for line in lines for place in line.track]
    assert [second for second, _ in places] == [0.0, 2.0]
    assert [box for _, box in places] == [
        pytest.approx(tuple(np.divide(where, (320, 180, 320, 180))), abs=1e-6)
        for _, _, where in (one, other)
    ]


def test_shapes_that_look_like_letters_are_dropped(monkeypatch: pytest.MonkeyPatch):
    number, tall, small = (100, 10, 120, 40), (10, 10, 100, 170), (10, 100, 60, 120)
    found = [("42", 0.95, number), ("11", 1.0, tall), ("A", 0.95, small), ("--", 0.95, small)]
    (line,) = scripted(monkeypatch, found)
    assert line.name == "42"
    assert line.box == pytest.approx((100 / 320, 10 / 180, 120 / 320, 40 / 180))


@pytest.mark.parametrize("package", ["rapidocr", "onnxruntime"])
def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str
):
    read._engine.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    assert not read.available()
    with pytest.raises(InputError, match=r"pip install 'video-assistant\[ocr\]'") as caught:
        read.read_frames(np.zeros((1, *SIZE, 3), np.uint8), [0.0])
    assert "\n" not in str(caught.value)


ASKING = [
    "What does the sign say?",
    "What does the red sign behind him say?",
    "What's written on the door?",
    "What text is in the picture?",
    "Read the label.",
    "Can you read the poster?",
    "Which words are on the screen?",
    "What is the text on the box?",
]
NOT_ASKING = [
    "Who says hello?",
    "What is the man doing?",
    "Is the sign red?",
    "What is his name?",
    "What did she say?",
    "What does Anna say she wants?",
    "What words are spoken?",
    "Which word is said twice?",
    "Did the man read the sign?",
    "What is the text about?",
]


@pytest.mark.parametrize(
    ("question", "proposed"), [(q, True) for q in ASKING] + [(q, False) for q in NOT_ASKING]
)
def test_lines_are_proposed_to_a_question_that_asks_for_the_text(question: str, proposed: bool):
    items = (Perceived("EXIT", 0.99, 0.0, 1.0), Perceived("Main Street", 0.95, 0.0, 1.0))
    answers = ("EXIT", "Main Street", "EXIT, Main Street")
    assert read.PERCEIVER.answers(question) is proposed
    assert read.PERCEIVER.propose(items, "What does the sign say?") == answers
    assert read.PERCEIVER.propose((), "What does the sign say?") == ()


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    Image.fromarray(picture(("EXIT", 100, 60))).resize((640, 360)).save(tmp_path / "sign.png")
    return tmp_path / "sign.png"


def test_what_the_sign_says_is_answered_shown_and_can_be_left_out(reader, sign, tmp_path):
    model = ScriptedModel(scores={"EXIT": -0.5}, blind_scores={"EXIT": -4.0})
    mini = Assistant(model, FeatureStore(tmp_path / "features"))
    answer = mini.open(sign).ask("What does the sign say?")
    assert answer.text == "EXIT" and answer.reason is None
    (item,) = answer.as_dict()["read"]
    assert item["name"] == "EXIT" and (item["start"], item["end"]) == (0.0, 0.0)
    assert 'Written: "EXIT"' in answer.request.prompt
    assert "EXIT" not in answer.request.blind_prompt + answer.request.blind_qformer_text
    other = mini.open(sign, without=["read"]).ask("What does the sign say?")
    assert other.as_dict()["read"] == [] and "EXIT" not in other.text + other.request.prompt


def test_no_text_in_the_picture_is_not_mentioned(reader, tmp_path):
    Image.fromarray(picture()).save(tmp_path / "plain.png")
    mini = Assistant(ScriptedModel(), FeatureStore(tmp_path / "features"))
    session = mini.open(tmp_path / "plain.png")
    answer = session.ask("Is there a sign?")
    assert answer.text.startswith("I see") and answer.warnings == () and answer.reason is None
    assert answer.as_dict()["read"] == [] and "Written" not in answer.request.prompt
    answer = session.ask("What does the sign say?")
    assert (answer.text, answer.reason) == (CANNOT_TELL, "no text in the picture was found")
    assert session.ask("What does the sign say?", choices=["EXIT", "BAKERY"]).choice == "EXIT"


def test_a_clip_is_read_only_for_what_asks_and_without_the_extra_it_is_said(
    sign, tmp_path, monkeypatch
):
    monkeypatch.setattr(read, "available", lambda: False)
    mini = Assistant(ScriptedModel(), FeatureStore(tmp_path / "features"))
    for question in ("What is it?", "What is on the street?", "Is the sign red?"):
        assert mini.open(sign).ask(question).warnings == ()
    (warning,) = mini.open(sign).ask("What does the sign say?").warnings
    assert "pip install 'video-assistant[ocr]'" in warning
