"""An index: what goes in, once and whole, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from retrieval_sight import COLORS, ColorEncoder, tiny_sight

from assistant.cli.main import main
from assistant.dialogue.subtitles import Line
from assistant.errors import InputError, VideoError
from assistant.media import files
from assistant.media.writer import write_clip
from assistant.model.sound_naming import SoundNaming
from assistant.model.sound_pieces import ClipSound
from assistant.retrieval import Index, adding, listening, rows, store
from assistant.retrieval.windows import passages, spans
from assistant.sources import Perceived

TESTS = Path(__file__).parent
SRT = "1\n00:00:07,000 --> 00:00:09,000\nANN: The boat sinks.\n"


def color_clip(path: Path, *colors: str, seconds: float = 6.0, **options) -> Path:
    """Each color for some seconds, five pictures a second."""
    frames = [
        np.full((48, 64, 3), COLORS[name], np.uint8)
        for name in colors
        for _ in range(round(5 * seconds))
    ]
    write_clip(path, frames, 5, **options)
    return path


def color_photo(path: Path, color: str) -> Path:
    Image.new("RGB", (48, 48), COLORS[color]).save(path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    color_clip(folder / "film.mp4", "red", "blue")
    (folder / "film.srt").write_text(SRT)
    color_photo(folder / "green.png", "green")
    (folder / "note.txt").write_text("A red boat.\n")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "files"))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in COLORS:
        (folder / f"{name}.txt").write_text(f"Something {name}.\n")
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    return str(tmp_path / "home" / "index")


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line looks with."""
    sight = tiny_sight()
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: sight)


def new_index(place: str, version: str = "colors-1") -> Index:
    return Index(uri=place, assistant=tiny_sight(version))


def held(found: Index) -> list[tuple]:
    parts = found._store.scan("file window last kind start end text")
    return sorted(row for part in parts for row in zip(*part.values(), strict=True))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["index", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


class TestAdd:
    def test_clips_pictures_and_texts_as_windows(self, folder, place):
        found = new_index(place)
        added = found.add([folder])
        assert (added.files, added.windows, added.failed) == (3, 6, ())
        film = [row for row in held(found) if row[0].endswith("film.mp4")]
        assert [row[4:6] for row in film] == [(0, 5), (2.5, 7.5), (5, 10), (7.5, 12)]
        assert [row[2] for row in film] == [False, False, False, True]
        assert "ANN: The boat sinks." in film[3][6] and "boat" not in film[0][6]
        assert film[0][6].startswith("red")  # what the encoder's classifier names
        assert [row[3:6] for row in held(found)][4:] == [
            ("image", None, None),
            ("text", None, None),
        ]
        info = found.info()
        assert info.files == {"clip": 1, "image": 1, "text": 1} and info.seconds == 12
        assert info.space == "colors-1" and info.unfinished == 0 and info.bytes

    def test_a_window_is_the_mean_direction_of_its_frames(self, folder, place):
        found = new_index(place)
        found.add([folder / "film.mp4"])
        half = tiny_sight().space.embed_texts(["red red blue blue"])[0, [0, 2]]
        (windows,) = found._store.scan("window vector")
        mixed = np.array(windows["vector"][1])  # 2.5 to 7.5 s: three red frames, one blue
        assert np.linalg.norm(mixed) == pytest.approx(1, abs=1e-5)
        pure = [np.array(windows["vector"][number]) for number in (0, 3)]
        wanted = 3 * pure[0] + pure[1]
        assert mixed == pytest.approx(wanted / np.linalg.norm(wanted), abs=0.02) and half.all()

    def test_what_is_unchanged_is_skipped_and_what_changed_is_anew(
        self, folder, place, monkeypatch
    ):
        found = new_index(place)
        found.add([folder])
        before, encoded = held(found), []
        encode = ColorEncoder.encode
        monkeypatch.setattr(
            ColorEncoder, "encode", lambda self, some: encoded.append(1) or encode(self, some)
        )
        again = found.add([folder])
        assert (again.files, again.unchanged, encoded, held(found)) == (0, 3, [], before)
        (folder / "film.srt").write_text(SRT.replace("boat", "ship of fools"))
        color_photo(folder / "green.png", "blue")
        assert (found.add([folder]).files, len(held(found))) == (2, len(before))
        assert any("ship of fools" in row[6] for row in held(found))

    def test_a_bad_file_is_one_line_and_not_the_end(self, texts, place, mini, capsys):
        (texts / "a.mp4").write_text("no clip")
        (texts / "b.txt").write_bytes(b"\0\1\2\3" * 99)
        (texts / "empty.txt").write_text(" \n")
        os.mkfifo(texts / "pipe.png")
        code, out, err = run(capsys, "add", texts)
        assert code == 0 and out.startswith("3 files added (3 windows), 0 unchanged, 4 could not")
        warned = [line for line in err.split("\n") if "warning: " in line]
        assert len(warned) == 4 and "Traceback" not in err
        code, out, _ = run(capsys, "add", texts, "--json", "--quiet")
        told = json.loads(out)
        assert told["unchanged"] == 3 and len(told["failed"]) == 4
        assert "is empty" in next(
            one["error"] for one in told["failed"] if one["file"].endswith("empty.txt")
        )

    def test_a_file_that_became_bad_is_no_longer_found(self, texts, place):
        found = new_index(place)
        found.add([texts])
        (texts / "red.txt").write_bytes(b"\0\1\2\3" * 99)
        assert len(found.add([texts]).failed) == 1
        assert [Path(row[0]).name for row in held(found)] == ["blue.txt", "green.txt"]

    def test_what_is_hidden_or_of_another_kind_is_passed_over(self, texts, place):
        (texts / ".git").mkdir()
        (texts / ".git" / "a.txt").write_text("hidden")
        (texts / "data.json").write_text("[]")
        (texts / "code.py").write_text("")
        found = new_index(place)
        assert (found.add([texts]).files, found.add([texts / "code.py"]).failed) == (
            3,
            ((str(texts / "code.py"), "is no clip, picture or text that is known by its name; "
              "rename it"),),
        )  # fmt: skip

    def test_nothing_to_add_is_said(self, tmp_path, place):
        found = new_index(place)
        with pytest.raises(InputError, match="holds no clip, picture or text"):
            found.add([tmp_path])
        with pytest.raises(InputError, match=r"gone: is not there; give files, or folders"):
            found.add([tmp_path / "gone"])

    def test_a_long_text_and_cues_are_parted(self):
        told = passages([Line("word " * 90), Line("one"), Line("two")])
        assert [len(text.split()) for _, _, text in told] == [40, 40, 12]
        cues = [Line(str(n), None, 4.0 * n, 4.0 * n + 3) for n in range(4)]
        assert [(a, b, text) for a, b, text in passages(cues)] == [
            (0, 7, "0\n1"),
            (8, 15, "2\n3"),
        ]
        assert passages([]) == []

    def test_windows_cover_a_clip_and_the_last_ends_with_it(self):
        assert spans(0.04) == [(0, 0.04)] and spans(5) == [(0, 5)]
        assert spans(5.1) == [(0, 5), (2.5, 5.1)]
        assert spans(3600)[-1] == (3595, 3600) and len(spans(3600)) == 1439


KILLED = """
import os, signal, sys
import lancedb, pyarrow  # once, for all of them
sys.path.insert(0, {tests!r})
from retrieval_sight import tiny_sight
from assistant.retrieval import Index, adding, store, windows
adding.ROWS, windows.BLOCK = 1, 1  # a write after each window
sight = tiny_sight()
def killed(name, after):
    "Where to be killed: before or after a write."
    own = getattr(store.Store, name)
    def write(*arguments):
        if after:
            own(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(store.Store, name, write)
def add(*kill):
    if not (child := os.fork()):
        if kill:
            killed(*kill)
        Index(uri={place!r}, assistant=sight).add([{folder!r}])
        os._exit(0)
    return os.waitpid(child, 0)[1]
ends = [add("complete", False), add("append", True), add("append", False), add("tidy", False)]
ends += [add()]
for name in os.listdir({folder!r}):  # all have changed
    os.utime(os.path.join({folder!r}, name))
ends += [add("remove", True), add("append", True), add()]
print(ends)
"""


def test_kills_lose_nothing_and_add_nothing_twice(texts, place, tmp_path):
    (texts / "long.txt").write_text("red " * 200)
    script = KILLED.format(tests=str(TESTS), place=place, folder=str(texts))
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout.strip() == str([9, 9, 9, 9, 0, 9, 9, 0]), told.stderr
    found, whole = Index(uri=place), new_index(str(tmp_path / "whole"))
    whole.add([texts])
    assert held(found) == held(whole) and len(held(found)) == 8
    checked = found.verify()
    assert (checked.unfinished, checked.damaged, checked.changed) == ((), (), ())


def test_a_film_is_gone_on_with_where_it_was_stopped(folder, place, monkeypatch):
    """Ctrl-C just after a write: what was written is not written again."""
    found = new_index(place)
    monkeypatch.setattr(adding, "ROWS", 1)
    monkeypatch.setattr("assistant.retrieval.windows.BLOCK", 1)
    append = store.Store.append

    def stopped(self, some):
        append(self, some)
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(store.Store, "append", stopped)
        with pytest.raises(KeyboardInterrupt):
            found.add([folder / "film.mp4"])
    assert len(held(found)) == 1 and found.info().unfinished == 1
    assert found.verify().unfinished == (str(folder / "film.mp4"),)
    added = found.add([folder / "film.mp4"])
    assert (added.files, added.windows, len(held(found))) == (1, 3, 4)
    assert found.info().unfinished == 0


def test_the_second_of_two_adds_ends_with_one_line(texts, place, mini, capsys):
    with store.writing(place, "default"):
        code, out, err = run(capsys, "add", texts, "--quiet")
        assert (code, out) == (2, "")
        assert err.count("\n") == 1 and "another process is writing it; run this again" in err
        assert run(capsys, "add", texts, "--quiet", "--name", "other")[0] == 0
    assert run(capsys, "add", texts, "--quiet")[0] == 0


class TestOthers:
    def test_vectors_of_two_spaces_never_mix(self, texts, place):
        new_index(place).add([texts])
        other = new_index(place, "colors-2")
        for use in (lambda: other.add([texts]), lambda: other.search("red")):
            with pytest.raises(InputError, match=r"space colors-1, and this one is colors-2; name"):
                use()
        assert len(other.search("red", by="words")) == 1  # words are of no space

    def test_another_layout_is_refused(self, texts, place, monkeypatch):
        with monkeypatch.context() as later:
            later.setattr(store, "LAYOUT", 1)
            new_index(place).add([texts])
        with pytest.raises(InputError, match=r"has layout 1, and 2 is read here; .*remove --all"):
            Index(uri=place).info()
        Index(uri=place).drop()
        assert Index.names(place) == []

    def test_without_the_extra_one_line_says_what_to_install(
        self, texts, place, mini, capsys, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, "lancedb", None)
        code, out, err = run(capsys, "add", texts)
        assert (code, out) == (2, "")
        assert "pip install 'video-assistant[search]'" in err.splitlines()[-1]

    def test_an_index_that_is_not_there(self, place, texts, tmp_path, mini, capsys):
        (tmp_path / "file").write_text("")
        for words, told in (
            (["info"], "there is no index 'default'"),
            (["verify", "--name", "a b"], "index name 'a b'"),
            (["remove", "--name", "x", "--gone"], "there is no index 'x'"),
            (["remove"], "nothing is named"),
            (["remove", "a", "--all"], "--all is the whole index"),
            (["info", "--index", "nowhere://x"], "nowhere://x: the index cannot be used"),
            (["add", texts, "--index", tmp_path / "file"], "file"),
        ):
            code, out, err = run(capsys, *words)
            assert (code, out, err.count("\n")) == (2, "", 1), (words, err)
            assert told in err and "Traceback" not in err
        assert run(capsys, "list")[:2] == (
            0,
            "no index yet; assistant index --help shows how to make one\n",
        )

    def test_by_name_and_elsewhere(self, texts, folder, tmp_path, place, mini, capsys):
        there = tmp_path / "elsewhere"
        assert run(capsys, "add", texts, "--name", "one", "--index", there, "--quiet")[0] == 0
        assert run(capsys, "add", folder / "green.png", "--name", "two", "--index", there)[0] == 0
        code, out, _ = run(capsys, "list", "--index", there)
        assert (code, out.split()) == (0, ["one", "3", "texts", "two", "1", "image"])
        code, out, _ = run(capsys, "info", "--name", "one", "--index", f"file://{there}", "--json")
        assert json.loads(out)["windows"] == {"text": 3}
        assert run(capsys, "remove", "--all", "--name", "one", "--index", there)[0] == 0
        assert Index.names(str(there)) == ["two"]

    def test_importing_it_loads_neither_torch_nor_lancedb(self):
        code = "import sys, assistant.retrieval; print({'torch', 'lancedb', 'av'} & {*sys.modules})"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert told.stdout.strip() == "set()"


class TestKept:
    def test_what_is_gone_is_noted_and_forgotten_when_asked(self, texts, place, mini, capsys):
        run(capsys, "add", texts, "--quiet")
        (texts / "red.txt").unlink()
        code, out, _ = run(capsys, "add", texts, "--quiet")
        assert "1 are gone: assistant index remove --gone" in out
        assert Index(uri=place).verify().gone == (str(texts / "red.txt"),)
        code, out, _ = run(capsys, "remove", "--gone")
        assert (code, out) == (0, f"{texts}/red.txt\n1 files forgotten: index default\n")
        assert [Path(row[0]).name for row in held(Index(uri=place))] == ["blue.txt", "green.txt"]

    def test_a_folder_is_forgotten_and_not_one_that_begins_alike(self, texts, place, mini, capsys):
        other = texts.with_name("texts2")
        shutil.copytree(texts, other)
        (other / "it's.txt").write_text("A quote.")
        run(capsys, "add", texts, other, "--quiet")
        assert run(capsys, "remove", texts)[0] == 0
        assert len(held(Index(uri=place))) == 4
        assert run(capsys, "remove", other / "it's.txt")[0] == 0
        assert len(held(Index(uri=place))) == 3
        code, _, err = run(capsys, "remove", texts)
        assert code == 2 and "nothing of it is in index 'default'" in err
        assert (texts / "red.txt").is_file()

    def test_damage_is_found(self, texts, place, mini, capsys):
        run(capsys, "add", texts, "--quiet")
        assert run(capsys, "verify")[0] == 0
        kept = Index(uri=place)._store
        twice = rows.Row(str(texts / "red.txt"), "text", 0, True, None, None, "", np.zeros(8), 1, 1)
        kept.append([twice])
        code, out, err = run(capsys, "verify")
        assert code == 2 and "1 files in index 'default' are damaged" in err
        assert "red.txt: is damaged; remove it and add it again" in out


ENCODED = """
import pickle, sys
sys.path.insert(0, {tests!r})
from retrieval_sight import tiny_sight
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.encoding import Encoding, Task
encode = Encoding(Embedder(tiny_sight()), None, "colors-1")
rows = [row for file in pickle.load(sys.stdin.buffer) for row in encode(Task(file)).rows]
assert "lancedb" not in sys.modules
sys.stdout.buffer.write(pickle.dumps(rows))
"""


class Ears:
    """Hear nothing but a beep, from 8 s to 9 s of each clip; ``asked`` names these."""

    sounds, store = SoundNaming(), None

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        monkeypatch.setattr(listening, "heard_in", self.heard_in)
        monkeypatch.setattr("assistant.sources.heard.check_extra", lambda: None)
        monkeypatch.setattr("assistant.dialogue.spoken.can_listen", lambda: False)

    def heard_in(self, sound: ClipSound) -> tuple[Perceived, ...]:
        self.asked.append(sound.path.name)
        return (Perceived("quiet", 1.0, 0.0, 12.0), Perceived("beep", 0.9, 8.0, 9.0))


class TestListening:
    def test_what_is_heard_is_found_with_its_moment(self, folder, place, monkeypatch):
        found, ears = new_index(place), Ears(monkeypatch)
        assert found.add([folder], listen=ears).failed == ()
        assert ears.asked == ["film.mp4"]
        (hit,) = found.search("beep", by="words")
        assert (Path(hit.file).name, hit.words) == ("film.mp4", ("beep (heard)",))
        assert (hit.start, hit.end) == (5, 12) and "quiet" not in hit.text
        assert found.search("boat", by="words")[0].words  # what is said stays

    def test_clips_that_are_there_are_listened_to_once_somebody_asks(
        self, folder, place, monkeypatch
    ):
        found, ears = new_index(place), Ears(monkeypatch)
        found.add([folder])
        assert not found._store.keeps_heard and not found.search("beep", by="words")
        added = found.add([folder], listen=ears)
        assert (added.files, added.unchanged) == (1, 2)
        assert found.search("beep", by="words") and len(held(found)) == 6
        assert found.add([folder], listen=ears).unchanged == 3
        assert found.add([folder]).unchanged == 3 and ears.asked == ["film.mp4"]
        assert found.verify().damaged == ()

    def test_a_sound_that_cannot_be_decoded_costs_nothing_else(self, folder, place, monkeypatch):
        ears, told = Ears(monkeypatch), []
        monkeypatch.setattr(listening, "heard_in", self.broken)
        added = new_index(place).add([folder], told.append, listen=ears)
        assert (added.files, added.failed) == (3, ())
        assert [one.fault for one in told if one.fault] == ["not listened to: no sound there"]

    @staticmethod
    def broken(sound: ClipSound) -> tuple[Perceived, ...]:
        raise VideoError("no sound there")

    def test_without_the_extra_one_line_says_what_to_install(
        self, folder, place, mini, capsys, monkeypatch
    ):
        monkeypatch.setattr("assistant.dialogue.voices.available", lambda: False)
        code, _, err = run(capsys, "add", folder, "--listen")
        assert code == 2 and err.count("\n") == 1 and "video-assistant[sound]" in err


def test_files_are_encoded_elsewhere_and_appended_here(folder, place, tmp_path):
    faults: list[tuple[str, str]] = []
    told = pickle.dumps(list(files.find_files([folder], lambda *fault: faults.append(fault))))
    code = ENCODED.format(tests=str(TESTS))
    sent = subprocess.run([sys.executable, "-c", code], input=told, capture_output=True, check=True)
    apart = store.Store.create(place, "apart", "colors-1", 8)
    apart.append(pickle.loads(sent.stdout))
    found = new_index(place)
    found.add([folder])
    assert held(Index("apart", uri=place)) == held(found) and faults == []
    assert Index("apart", uri=place, assistant=tiny_sight()).add([folder]).unchanged == 3


def test_a_name_that_is_no_text_is_a_fault_of_its_file(tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/\xff.txt")
    Path(name).write_text("x")
    faults: list[tuple[str, str]] = []
    assert list(files.find_files([tmp_path], lambda *fault: faults.append(fault))) == []
    assert faults == [(name, "its name is not valid UTF-8; rename it")]
