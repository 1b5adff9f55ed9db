"""`assistant events`: tables, formats that read back, a picture, and one line for what is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from retrieval_sight import RULES, tiny_sight
from space_checkpoints import write_space
from test_index import color_clip

from assistant.cli.main import main
from assistant.dialogue.subtitles import read_dialogue
from assistant.model.features import FeatureStore
from assistant.model.space.hub_loading import load_hub_space
from assistant.timeline import Heard, Moment, Query, Segment, Timeline, timeline_of
from assistant.timeline.events import zero_shot
from assistant.timeline.formats import COLUMNS, as_csv, as_srt, as_vtt
from assistant.timeline.making import maker_of
from assistant.timeline.plot import draw_timeline
from assistant.timeline.saliency import saliency

TESTS = Path(__file__).parent


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch, fresh_cache: Path, tmp_path: Path) -> None:
    """What the command line looks with; its space has rules of when something appears."""
    sight = tiny_sight()
    sight.space.folder = tmp_path / "space"
    sight.space.folder.mkdir()
    (sight.space.folder / "moments.yaml").write_text(RULES)
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return color_clip(tmp_path_factory.mktemp("films") / "film.mp4", "red", "blue")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("red\n\nblue\ngreen\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["events", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


class TestCommand:
    def test_a_table_of_scenes_and_answers(self, mini, film, labels, capsys):
        code, out, err = run(
            capsys,
            film,
            "--labels",
            labels,
            *("--query", "something red", "--query", "green grass"),
        )
        lines = out.splitlines()
        assert code == 0 and "went wrong" not in err
        assert lines[0].split() == ["from", "to", "score", "event", "shows"]
        assert lines[1].split()[:2] == ["0:00", "0:06"] and "red" in lines[1].split()
        assert lines[2].split()[:2] == ["0:06", "0:12"] and "blue" in lines[2].split()
        assert lines[4].startswith("something red  (cosine over usual, from 0.7 on, sure from 0.8)")
        assert lines[5].split()[0] == "0:00-0:06"
        assert lines[7].startswith("green grass")
        assert lines[8].strip().startswith("does not appear (likeliest 0:")

    def test_json_of_several_clips(self, mini, film, labels, capsys, tmp_path):
        other = color_clip(tmp_path / "other.mp4", "green")
        code, out, _ = run(capsys, film, other, "--labels", labels, "--json", "--query", "red")
        first, second = map(json.loads, out.splitlines())
        assert code == 0 and first["video"] == str(film) and first["duration"] == 12
        assert [one["label"] for one in first["segments"]] == ["red", "blue"]
        assert {*first["segments"][0]} == {
            *("start", "end", "label", "score", "description", "saliency", "labels", "knowledge")
        }
        (query,) = first["queries"]
        assert query["appears"] and query["moments"][0]["end"] == pytest.approx(6, abs=0.11)
        assert len(query["saliency"]) == len(first["seconds"])
        assert second["queries"][0]["appears"] is False and second["queries"][0]["moments"] == []

    def test_one_of_several_that_cannot_be_looked_at(self, mini, film, labels, capsys, tmp_path):
        bad = tmp_path / "bad.mp4"
        bad.write_text("no clip")
        words = (bad, film, "--labels", labels)
        code, out, err = run(capsys, *words, "--json", "--quiet")
        first, second = map(json.loads, out.splitlines())
        assert code == 2 and set(first) == {"video", "error"} and second["duration"] == 12
        assert first["video"] == str(bad) and err.startswith(f"warning: {bad}: {first['error']}\n")
        assert err.splitlines()[1] == "assistant: 1 of 2 clips could not be looked at"
        code, out, _ = run(capsys, *words, "--csv", "--quiet")
        assert code == 2 and {row["video"] for row in csv.DictReader(io.StringIO(out))} == {
            str(film)
        }

    def test_examples_teach_labels(self, mini, film, capsys, tmp_path):
        for name, color in (("alarm", "red"), ("calm", "blue")):
            (tmp_path / "examples" / name).mkdir(parents=True)
            color_clip(tmp_path / "examples" / name / "1.mp4", color, seconds=2)
        code, out, _ = run(capsys, film, "--few-shot", tmp_path / "examples", "--csv")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert code == 0 and [row["label"] for row in rows] == ["alarm", "calm"]

    def test_the_lexicons_lists(self, mini, film, capsys):
        code, out, _ = run(capsys, film, "--labels", "weather", "--json")
        told = json.loads(out)["segments"][0]["labels"]
        assert code == 0 and all("weather" in name or " " not in name for name, _ in told[:1])

    @pytest.mark.parametrize("form", ["srt", "vtt"])
    def test_subtitles_are_read_back(self, mini, film, labels, capsys, tmp_path, form):
        _, out, _ = run(capsys, film, "--labels", labels, f"--{form}")
        path = tmp_path / f"film.{form}"
        path.write_text(out)
        first, second = read_dialogue(path).lines
        assert (first.start, first.end) == pytest.approx((0, 6), abs=0.11)
        assert (second.start, second.end) == pytest.approx((6, 12), abs=0.11)
        assert "red" in first.as_text() and "blue" in second.as_text()
        _, out, _ = run(capsys, "--query", "something blue", film, f"--{form}")
        path.write_text(out)
        (only,) = read_dialogue(path).lines
        assert only.text == "something blue" and only.start == pytest.approx(6, abs=0.11)

    def test_a_plot(self, mini, film, capsys, tmp_path):
        code, _, err = run(capsys, film, "--query", "red", "--plot", tmp_path / "film.png")
        assert code == 0 and f"[plot: {tmp_path / 'film.png'}]" in err
        assert Image.open(tmp_path / "film.png").width > 1000

    def test_the_model_describes_where_it_is_asked_to(self, mini, film, capsys, monkeypatch):
        asked = []

        class Told:
            text = "A wall."

        def ask(self, question=None, **options):
            asked.append((options["task"], round(options["start"]), round(options["end"])))
            return Told

        monkeypatch.setattr("assistant.vqa.session.Session.ask", ask)
        code, out, _ = run(capsys, film, "--describe")
        assert code == 0 and out.count("A wall.") == 2
        assert asked == [("describe", 0, 6), ("describe", 6, 12)]

    def test_a_second_run_looks_at_nothing(self, mini, film, capsys, monkeypatch):
        first = run(capsys, film, "--json")
        monkeypatch.setattr("assistant.timeline.track._block", None)
        assert run(capsys, film, "--json")[:2] == first[:2]

    def test_help_teaches(self, capsys):
        assert main(["events", "--help"]) == 0
        told = capsys.readouterr().out
        assert "does not appear" in told and "assistant events film.mp4 --query" in told


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["gone.mp4"], "gone.mp4: is not there; give the path of a video"),
            (["FILM", "--labels", "gone.txt"], "labels 'gone.txt': no such file; give one with"),
            (["FILM", "--labels", "one.txt"], "one.txt: holds 1 labels; give 2 to 2000"),
            (["FILM", "--labels", "twice.txt"], "twice.txt: holds 'red' twice; leave one out"),
            (["FILM", "--labels", "bytes.txt"], "cannot be read (it is no UTF-8 text)"),
            (["FILM", "--labels", "."], "labels '.': cannot be read (Is a directory)"),
            (["FILM", "--query", " "], "a query is empty; say in words what is looked for"),
            (["FILM", "FILM", "--srt"], "--srt is for one clip, and 2 are given"),
            (["FILM", "FILM", "--plot", "a.png"], "--plot is for one clip, and 2 are given"),
            (["FILM", "--plot", "a.txt"], "a.txt: is no picture's name; let it end in"),
            (["FILM", "--json", "--csv"], "not allowed with argument"),
            (["FILM", "--few-shot", "gone"], "gone: is no folder; give one that holds LABEL/"),
            (["FILM", "--few-shot", "alone"], "holds 1 labels; give 2 to"),
            (["FILM", "--few-shot", "hollow"], "holds no clip; put examples of 'a' into it"),
            (["FILM", "--few-shot", "wrong"], "note.mp4"),
            (["photo.png"], "photo.png: is a picture, and events happen in clips"),
            (["note.mp4"], "note.mp4"),
        ],
    )
    def test_one_line_says_what_to_do(
        self, mini, film, capsys, tmp_path, monkeypatch, arguments, message
    ):
        monkeypatch.chdir(tmp_path)
        Path("one.txt").write_text("red\n")
        Path("twice.txt").write_text("red\nblue\nred\n")
        Path("bytes.txt").write_bytes(b"\xff\xfe\x00\xd8")
        Path("note.mp4").write_text("no clip")
        Image.new("RGB", (32, 32)).save("photo.png")
        for folder in ("alone/a", "hollow/a", "hollow/b", "wrong/a", "wrong/b"):
            Path(folder).mkdir(parents=True)
        Path("alone/a/1.mp4").write_text("")
        for label in "ab":
            shutil.copy("note.mp4", f"wrong/{label}/note.mp4")
        code, out, err = run(capsys, *(film if a == "FILM" else a for a in arguments), "--quiet")
        assert code == 2 and out == ""
        assert len(err.splitlines()) == 1 and message in err


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from retrieval_sight import tiny_sight
from assistant.model.features import FeatureStore
from assistant.timeline import track
track.BLOCK, whole = 2, track._block
def slow(path, key, sight):
    found = whole(path, key, sight)
    print(key.start, flush=True)
    time.sleep({pause})
    return found
track._block = slow
from pathlib import Path
found = track.track_of(Path({film!r}), tiny_sight(), FeatureStore(Path({store!r})))
print("frames", len(found.frames))
"""


def test_a_killed_run_goes_on(film, tmp_path):
    def start(pause: float) -> subprocess.Popen[str]:
        code = SCRIPT.format(
            tests=str(TESTS), film=str(film), store=str(tmp_path / "store"), pause=pause
        )
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    first = start(0.5)
    assert first.stdout is not None
    seen = [first.stdout.readline(), first.stdout.readline()]  # the second one began: one is kept
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    time.sleep(0.1)
    again = start(0.0).communicate()[0].splitlines()
    assert seen == ["0.0\n", "2.5\n"] and again == ["2.5", "5.0", "7.5", "10.0", "frames 10"]


class TestFormats:
    told = Timeline(
        path="a, b.mp4",
        duration=4000.0,
        segments=(
            Segment(0.0, 3661.5, "a <b> & c", 0.5, 'says "x" --> y', 0.25),
            Segment(3661.5, 4000.0, "d", 0.75, "two\nlines", 0.5),
        ),
        windows=(),
        queries=(),
        seconds=(1.0,),
        frames=torch.ones(1, 2),
    )

    @pytest.mark.parametrize(("form", "write"), [("srt", as_srt), ("vtt", as_vtt)])
    def test_what_looks_like_marks_does_no_harm(self, tmp_path, form, write):
        path = tmp_path / f"a.{form}"
        path.write_text(write(self.told))
        first, second = read_dialogue(path).lines
        assert (first.start, first.end, second.end) == (0, 3661.5, 4000)
        assert "& c" in first.as_text() and "y" in first.as_text()
        assert second.as_text().endswith("two lines")

    def test_csv_reads_back(self):
        query = Query(
            'a "dog"',
            (Moment(1, 2, 0.5),),
            Moment(1, 2, 0.5),
            0.2,
            0.3,
            True,
            "cosine",
            (1.0,),
            (0.5,),
        )
        rows = list(csv.DictReader(io.StringIO(as_csv([replace(self.told, queries=(query,))]))))
        assert tuple(rows[0]) == COLUMNS and len(rows) == 3
        assert rows[0]["video"] == "a, b.mp4" and rows[0]["label"] == "a <b> & c"
        assert rows[1]["description"] == "two\nlines" and float(rows[1]["start"]) == 3661.5
        assert (rows[2]["kind"], rows[2]["label"], rows[2]["score"]) == (
            "moment",
            *('a "dog"', "0.5000"),
        )

    def test_what_is_heard_stands_beside_the_scenes(self, tmp_path):
        sounds = (Heard("dog barking", 1.5, 2.0, 0.9), Heard("speech", 3.0, 9.0, 0.8))
        told = replace(self.told, heard=sounds)
        rows = list(csv.DictReader(io.StringIO(as_csv([told]))))
        assert [row["label"] for row in rows if row["kind"] == "heard"] == ["dog barking", "speech"]
        assert (rows[2]["start"], rows[2]["end"], rows[2]["score"]) == ("1.500", "2.000", "0.9000")
        (tmp_path / "a.vtt").write_text(as_vtt(told))
        lines = read_dialogue(tmp_path / "a.vtt").lines
        assert (lines[1].text, lines[1].start, lines[1].end) == ("[dog barking]", 1.5, 2.0)
        assert told.as_dict()["heard"][1] == {
            "name": "speech",
            "start": 3.0,
            "end": 9.0,
            "score": 0.8,
        }
        _, lanes = draw_timeline(told).axes
        assert [text.get_text() for text in lanes.get_yticklabels()] == ["dog barking", "speech"]

    def test_numbers_that_are_none_are_told_as_such(self):
        broken = replace(self.told, duration=float("nan"))
        assert json.loads(json.dumps(broken.as_dict(), allow_nan=False))["duration"] is None

    def test_a_plot_has_a_band_marks_and_curves(self):
        query = Query("$a$", (), Moment(1, 2, 0.1), 0.2, 0.3, True, "cosine", (1.0,), (0.1,))
        figure = draw_timeline(replace(self.told, queries=(query, query)))
        band, marks, curves = figure.axes
        assert len(band.patches) == 2 and len(curves.lines) == 2
        assert [text.get_text() for text in marks.texts] == ["does not appear"] * 2
        assert len({line.get_color() for line in curves.lines}) == 2
        assert len(draw_timeline(self.told).axes) == 1


def test_a_space_of_the_hub(film, tmp_path, fresh_cache):
    """The same with a CLIP checkpoint in the hub's format; saliency as NumPy computes it."""

    class Eyes:
        sight, store = tiny_sight(), FeatureStore(tmp_path / "features")

    Eyes.sight.space = space = load_hub_space(str(write_space(tmp_path / "clip", "clip")))
    head = zero_shot(space, ["a red wall", "a blue wall"])
    found = timeline_of(film, Eyes(), head=head, queries=["a red wall"])
    assert found.segments[0].label in head.names and not found.queries[0].calibrated
    maker = maker_of(film, Eyes(), head)
    words, there = space.embed_words(["a red wall"])
    x, w = maker.track.frames.numpy(), words[0][there[0]].numpy()
    e = np.exp((x @ w.T) * space.scale - ((x @ w.T) * space.scale).max(0))
    wanted = (e / e.sum(0)).mean(1)
    shares = saliency(maker.track.frames, words[0], there[0], 1 / space.scale)
    np.testing.assert_allclose(shares.numpy(), wanted, atol=1e-5)
    np.testing.assert_allclose(found.queries[0].saliency, wanted, atol=1e-5)
