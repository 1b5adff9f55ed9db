"""All that is perceived of a clip: asked for at once, kept, told as table, JSON and picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import make_clip, picture
from fakes import ScriptedModel, ScriptedSource, add_source, install, leave_sources
from PIL import Image

from assistant.cli.main import main
from assistant.errors import InputError
from assistant.model import sight_loading
from assistant.model.features import FeatureKey, FeatureStore
from assistant.sources import SOURCES, Perceived, Source, seen
from assistant.vqa.assistants import Assistant, LaterAssistant
from assistant.vqa.boxes import COLORS, boxes_in, colors_of
from assistant.vqa.lanes import draw_perception

BOX, MOVED = (0.1, 0.2, 0.4, 0.6), (0.6, 0.2, 0.9, 0.6)
DOG = Perceived("dog", 0.9, 1.0, 3.0, BOX, track=((1.0, BOX), (3.0, MOVED)))
CAT = Perceived("cat", 0.7, 1.0, 3.0)
SNOW = Perceived("snow", 0.6)


@pytest.fixture(autouse=True)
def few_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside what tests add: one that is cheap, and one that costs seconds."""
    leave_sources(monkeypatch, "attributes", "read")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds; the picture at t seconds carries the number 10 t."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 40, fps=10)


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> ScriptedSource:
    source = ScriptedSource((CAT, DOG))
    add_source(monkeypatch, "things", source)
    return source


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> ScriptedSource:
    source = ScriptedSource((SNOW,), costs=True)
    add_source(monkeypatch, "costly", source)
    return source


@pytest.fixture
def looked(things, costly, clip, tmp_path):
    """A session of another process, as it were, about the same clip each time."""

    def look(**options):
        mini = Assistant(ScriptedModel(), FeatureStore(tmp_path / "features"))
        return mini.open(clip, frames=4, without=["read"], **options)

    return look


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["look", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


class TestPerceive:
    def test_every_source_is_asked_whatever_it_costs(self, looked, things, costly):
        session = looked()
        found = session.perceive()
        assert [source.name for source in found.sources] == ["attributes", "things", "costly"]
        assert found.sources[1].items == (CAT, DOG) and found.sources[2].items == (SNOW,)
        assert found.frames == session.look().seconds and found.duration == 4.0
        assert (len(things.looks), len(costly.looks)) == (1, 1)
        assert session.perceive() == found  # and not again
        assert (len(things.looks), len(costly.looks)) == (1, 1)

    def test_a_range_and_some_sources(self, looked, things, costly):
        found = looked().perceive(1.0, 2.0, sources=["costly"])
        assert (found.start, found.end) == (1.0, 2.0)
        assert [source.name for source in found.sources] == ["costly"] and things.looks == []
        assert all(1.0 <= moment <= 2.0 for moment in found.frames)
        with pytest.raises(InputError, match="source 'smell': choose some of attributes, read,"):
            looked().perceive(sources=["smell"])

    def test_a_dialogue_alone_cannot_be_looked_at(self):
        with pytest.raises(InputError, match="there is no clip to look at"):
            Assistant(ScriptedModel()).open(dialogue="ANN: Hello.").perceive()

    def test_no_model_is_loaded_for_it(self, things, clip, tmp_path):
        def load():
            raise AssertionError("the model was loaded")

        store = FeatureStore(tmp_path)
        later = LaterAssistant("later", load, store, load_sight=ScriptedModel)
        assert later.open(clip, without=["read"]).perceive().sources[1].items == (CAT, DOG)
        assert later.waits

    def test_what_is_not_installed_is_said(self, looked, things):
        things.lacks = "things were not looked for: pip install things"
        found = looked().perceive()
        assert found.warnings == (things.lacks,) and things.looks == []


class TestKept:
    def test_a_second_look_costs_nothing(self, looked, things, costly):
        first = looked().perceive()
        assert looked().perceive() == first  # tracks and texts included
        assert (len(things.looks), len(costly.looks)) == (1, 1)

    def test_another_fingerprint_range_or_clip_is_looked_at(self, looked, things):
        looked().perceive()
        things.version = "2"
        things.items = (SNOW,)
        assert looked().perceive().sources[1].items == (SNOW,)
        looked().perceive(0.0, 2.0)
        assert len(things.looks) == 3
        things.version = "1"
        assert looked().perceive().sources[1].items == (CAT, DOG)  # still there

    @pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "list", "another's"])
    def test_a_damaged_file_counts_as_absent(self, looked, things, tmp_path, damage):
        looked().perceive()
        (path,) = (tmp_path / "features").glob("*.things-*.json")
        text = path.read_text()
        (other,) = (tmp_path / "features").glob("*.costly-*.json")
        path.write_text(
            {
                "cut": text[:-9],
                "flipped": text.replace("dog", "dig"),
                "empty": "",
                "list": "[[]]",
                "another's": other.read_text(),
            }[damage]
        )
        assert looked().perceive().sources[1].items == (CAT, DOG)
        assert len(things.looks) == 2 and path.read_text() == text

    def test_what_comes_with_a_warning_is_not_kept(self, looked, things, tmp_path):
        told = Source("things", (DOG,), warning="not for this encoder")
        things.look_at = lambda name, look: told
        assert looked().perceive().warnings == ("not for this encoder",)
        assert list((tmp_path / "features").glob("*.things-*.json")) == []
        del things.look_at
        assert looked().perceive().sources[1].items == (CAT, DOG)

    def test_the_files_count_for_the_cap_and_leave_first_when_they_are_oldest(
        self, looked, tmp_path
    ):
        looked().perceive()
        folder = tmp_path / "features"
        store = FeatureStore(folder, disk_bytes=1)
        store._trim()
        assert list(folder.glob("*.json")) == [] == list(folder.glob("*.safetensors"))

    def test_what_is_larger_than_the_cap_pushes_nothing_out(self, looked, tmp_path):
        looked().perceive()
        folder = tmp_path / "features"
        before = sorted(folder.iterdir())
        key = FeatureKey("digest", None, None, 8, "auto", "encoder")
        FeatureStore(folder, disk_bytes=0).put_source(key, Source("things", (DOG,)), "1")
        assert sorted(folder.iterdir()) == before

    def test_what_two_sources_warn_of_is_told_once(self, looked, things, costly):
        for one in (things, costly):
            one.look_at = lambda name, look: Source(name, warning="no space")
        assert looked().perceive().warnings == ("no space",)

    def test_a_folder_that_cannot_be_written_is_said(self, things, clip, tmp_path):
        (tmp_path / "file").touch()
        mini = Assistant(ScriptedModel(), FeatureStore(tmp_path / "file"))
        found = mini.open(clip, without=["read"]).perceive()
        assert found.sources[1].items == (CAT, DOG)
        (warning,) = found.warnings
        assert warning.startswith("features are not kept on disk: ")

    def test_assistant_cache_counts_and_clears_them(
        self, fresh_cache, things, clip, monkeypatch, capsys
    ):
        install(monkeypatch, ScriptedModel())
        assert run(capsys, clip, "--without", "read")[0] == 0
        assert len(list((fresh_cache / "features").glob("*.json"))) == 2
        assert main(["cache"]) == 0
        told = capsys.readouterr().out
        assert "features of 1 clips and ranges" in told and "perceived in them: 2 files" in told
        assert main(["cache", "--clear"]) == 0
        assert list((fresh_cache / "features").glob("*.json")) == []

    def test_by_itself_a_source_is_known_by_its_own_file(self, tmp_path, monkeypatch):
        before = seen.PERCEIVER.fingerprint(None)
        assert before == seen.PERCEIVER.fingerprint(None)
        changed = tmp_path / "seen.py"
        changed.write_text(Path(seen.__file__).read_text().replace("FLOOR = 0.08", "FLOOR = 0.07"))
        monkeypatch.setattr(seen, "__file__", str(changed))
        assert seen.PERCEIVER.fingerprint(None) != before


class TestCommand:
    @pytest.fixture(autouse=True)
    def scripted(self, monkeypatch, fresh_cache, things, costly):
        self.loads = install(monkeypatch, ScriptedModel(found=(Perceived("street sign", 0.4),)))

    def test_the_table_is_over_time(self, clip, capsys):
        code, out, err = run(capsys, clip, "--without", "read")
        assert (code, self.loads) == (0, [])
        assert [line.split() for line in out.splitlines()] == [
            ["source", "name", "probability", "from", "to"],
            ["costly", "snow", "60%", "0:00", "0:04"],
            ["attributes", "street", "sign", "40%", "0:00", "0:04"],
            ["things", "dog", "90%", "0:01", "0:03"],
            ["things", "cat", "70%", "0:01", "0:03"],
        ]
        assert "Looking for costly of the test ..." in err.splitlines()
        _, again, err = run(capsys, clip, "--without", "read")
        assert again == out and "Looking for" not in err
        _, again, err = run(capsys, clip, "--without", "read", "--quiet")
        assert (again, err) == (out, "")

    def test_json_is_one_object_like_an_answers(self, clip, capsys):
        code, out, _ = run(capsys, clip, "--without", "read", "costly", "--json", "--frames", 2)
        found = json.loads(out)
        assert code == 0 and out.count("\n") == 1
        assert [*found] == ["video", "duration", "frames", "start", "end", *SOURCES, "warnings"]
        assert (found["video"], found["duration"]) == (str(clip), 4.0)
        assert (found["start"], found["end"], len(found["frames"])) == (0.0, 4.0, 2)
        assert found["attributes"] == [{"name": "street sign", "probability": 0.4}]
        assert found["read"] == found["costly"] == [] and found["warnings"] == []
        assert main(["ask", str(clip), "What is it?", "--json", "--without", "read"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["things"] == found["things"]
        assert found["things"][1] == {
            "name": "dog",
            "probability": 0.9,
            "start": 1.0,
            "end": 3.0,
            "box": [0.1, 0.2, 0.4, 0.6],
            "track": [[1.0, 0.1, 0.2, 0.4, 0.6], [3.0, 0.6, 0.2, 0.9, 0.6]],
        }

    def test_what_is_missing_is_one_line(self, clip, capsys, things):
        things.lacks = "things were not looked for: pip install things"
        code, out, err = run(capsys, clip, "--without", "read")
        assert code == 0 and "snow" in out and "dog" not in out
        assert f"warning: {things.lacks}" in err.splitlines()

    def test_nothing_is_said_to_be_nothing(self, clip, capsys):
        args = ("--without", "read", "attributes", "things", "costly")
        assert run(capsys, clip, *args)[1] == "nothing was perceived\n"

    def test_the_picture_is_written(self, clip, capsys, tmp_path):
        code, _, err = run(capsys, clip, "--without", "read", "--plot", tmp_path / "seen.png")
        assert code == 0 and err.endswith(f"[plot: {tmp_path / 'seen.png'}]\n")
        with Image.open(tmp_path / "seen.png") as drawn:
            assert np.asarray(drawn.convert("L")).std() > 5

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--plot", "seen.txt"], "is no picture's name"),
            (["--start", "9", "--end", "3"], "start"),
            (["--without", "smell"], "invalid choice: 'smell'"),
            (["--question", "why"], "unrecognized arguments"),
        ],
    )
    def test_a_mistake_is_one_line(self, clip, capsys, arguments, told):
        code, out, err = run(capsys, clip, *arguments)
        assert (code, out) == (2, "") and told in err and err.count("\n") == 1

    def test_a_clip_that_is_none_is_one_line(self, capsys, tmp_path):
        (tmp_path / "notes.mp4").write_text("only notes\n" * 99)
        for path in (tmp_path / "none.mp4", tmp_path / "notes.mp4"):
            code, out, err = run(capsys, path)
            assert (code, out) == (2, "") and path.name in err and err.count("\n") == 1


class TestDrawing:
    def test_there_is_a_lane_for_each_thing(self, looked):
        session = looked()
        found = session.perceive()
        *frames, lanes = draw_perception(found, session.pictures(found)).axes
        assert len(frames) == 4
        labels = [text.get_text() for text in lanes.get_yticklabels()]
        assert labels == ["THINGS", "dog", "cat", "COSTLY", "snow"]
        bars = [(bar.get_x(), round(bar.get_width(), 3)) for bar in lanes.patches]
        assert bars == [(1.0, 2.0), (1.0, 2.0), (0.0, 4.0)]
        assert {text.get_text() for text in lanes.texts} == {"90%", "70%", "60%"}
        named = [[text.get_text() for text in axes.texts] for axes in frames]
        assert named == [["dog"]] * 4  # half a second from where it was seen, at most

    def test_of_many_frames_some_are_drawn(self, things, clip, tmp_path):
        mini = Assistant(ScriptedModel(), FeatureStore(tmp_path / "f"))
        session = mini.open(clip, frames=40, without=["read"])
        found = session.perceive()
        *frames, _ = draw_perception(found, session.pictures(found)).axes
        assert len(found.frames) == 40 and len(frames) == 20

    def test_a_picture_has_no_time(self, things, tmp_path):
        things.items = (Perceived("$5 and $6", 0.5, 0.0, 0.0, BOX),)
        Image.fromarray(picture(7, (32, 16))).save(tmp_path / "still.png")
        mini = Assistant(ScriptedModel(), FeatureStore(tmp_path / "f"))
        session = mini.open(tmp_path / "still.png", without=["read"])
        found = session.perceive()
        figure = draw_perception(found, session.pictures(found))
        *_, lanes = figure.axes
        assert list(lanes.get_xticks()) == []
        figure.savefig(tmp_path / "drawn.png")  # dollars are no formula


class TestBoxes:
    def test_a_box_stands_where_the_thing_is_at_that_time(self):
        moments = (0.5, 1.5, 2.5, 3.5)
        inside = boxes_in((DOG, CAT, SNOW), moments, (0.0, 4.0))
        assert [[(one.name, one.box) for one in frame] for frame in inside] == [
            [("dog", BOX)],  # half a second away, as far as the frame reaches
            [("dog", BOX)],
            [("dog", MOVED)],
            [("dog", MOVED)],
        ]
        shown = boxes_in((DOG,), [0.25 + 0.5 * n for n in range(8)], (0.0, 4.0))
        assert [len(frame) for frame in shown] == [0, 1, 1, 0, 0, 1, 1, 0]

    def test_what_does_not_move_has_one_box_while_it_lasts(self):
        sign = Perceived("EXIT", 0.9, 1.0, 2.0, BOX)
        inside = boxes_in((sign,), (0.25, 1.25, 1.75, 3.0), (0.0, 4.0))
        assert [len(frame) for frame in inside] == [0, 1, 1, 0]
        assert boxes_in((Perceived("EXIT", 0.9, box=BOX),), (0.5,), (0.0, 1.0))[0]

    def test_a_name_has_one_color_on_which_white_is_read(self):
        items = [Perceived(name, 0.5, box=BOX) for name in ("dog", "cat", "dog")]
        assert colors_of([*items, SNOW]) == {"dog": COLORS[0], "cat": COLORS[1]}
        for color in COLORS:
            parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
            linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
            light = np.dot(linear, (0.2126, 0.7152, 0.0722))  # WCAG's relative luminance
            assert 1.05 / (light + 0.05) >= 4.5, color


def test_what_looks_compares_with_words_as_its_model_does(monkeypatch):
    asked, encoder = [], torch.nn.Identity()
    monkeypatch.setattr(sight_loading, "load_encoder", lambda config, dtype: encoder)
    monkeypatch.setattr(sight_loading, "check_space", lambda name: None)
    monkeypatch.setattr(
        "assistant.model.space.loading.load_space",
        lambda name, encoder, **options: asked.append((name, encoder, options)),
    )
    sight_loading.load_sight("mini", space="owner/name", precision="fp32").space  # noqa: B018
    options = {"device": "auto", "precision": "fp32", "quantize": "auto"}
    assert asked == [("owner/name", encoder, options)]


def test_mini_looks_without_its_language_model(clip, tmp_path):
    """The real encoder: `transformers` alone would take longer to import than all of it; only
    sentences, which are texts, need it."""
    script = (
        "import sys\nfrom assistant.cli.main import main\n"
        f"assert main(['look', {str(clip)!r}, '--json', '--without', 'read', 'captions']) == 0\n"
        "print(*{'transformers', 'peft', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told, loaded = done.stdout.splitlines()
    assert json.loads(told)["duration"] == 4.0 and loaded == ""
