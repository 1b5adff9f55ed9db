"""`assistant watch`: each clip once, whatever stops it; half-written ones wait."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from retrieval_sight import RULES, TinySight, tiny_sight
from test_index import color_clip

from assistant.cli.main import main
from assistant.core.results import Results
from assistant.model.features import FeatureStore
from assistant.timeline.watching import Watch


class Eyes:
    """What looks, with a store of its own."""

    def __init__(self, sight: TinySight, folder: Path) -> None:
        self.sight, self.store = sight, FeatureStore(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return color_clip(tmp_path_factory.mktemp("made") / "made.mp4", "red", "blue")


@pytest.fixture
def sight(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> TinySight:
    found = tiny_sight()
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "moments.yaml").write_text(RULES)
    found.space.folder = tmp_path / "space"
    monkeypatch.setattr("assistant.model.sight_loading.load_sight", lambda name, **options: found)
    return found


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    found = tmp_path / "recordings"
    (found / "yard").mkdir(parents=True)
    shutil.copy(clip, found / "yard" / "one.mp4")
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["watch", *map(str, arguments), "--once"])
    out, err = capsys.readouterr()
    return code, out, err


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_line_for_each_moment_and_a_record_for_each_query(sight, folder, tmp_path, capsys):
    out = tmp_path / "alerts.jsonl"
    arguments = (folder, "--query", "red", "--query", "green", "--out", out)
    code, told, _ = run(capsys, *arguments)
    one = str(folder / "yard" / "one.mp4")
    assert code == 0 and told.startswith(f"{one}  0:00-0:06  red  ") and told.count("\n") == 1
    red, green = lines(out)
    assert (red["query"], red["appears"], red["answer"]) == ("red", True, "0.0-6.0 s")
    assert red["moments"][0]["end"] == pytest.approx(6, abs=0.3)
    assert (green["appears"], green["moments"], green["answer"]) == (False, [], "does not appear")
    assert green["likeliest"]["score"] < green["threshold"] and red["video"] == one
    assert run(capsys, *arguments)[:2] == (0, "") and len(lines(out)) == 2


def test_only_what_is_new_or_has_changed_is_looked_through(sight, folder, clip, tmp_path, capsys):
    out = tmp_path / "alerts.jsonl"
    run(capsys, folder, "--query", "red", "--out", out)
    shutil.copy(clip, folder / "two.mp4")
    run(capsys, folder, "--query", "red", "--query", "blue", "--out", out)
    found = [(Path(one["video"]).name, one["query"]) for one in lines(out)]
    assert found == [
        ("one.mp4", "red"),
        ("two.mp4", "red"),
        ("two.mp4", "blue"),
        ("one.mp4", "blue"),
    ]
    color_clip(folder / "two.mp4", "green", "blue")
    run(capsys, folder, "--query", "red", "--out", out)
    assert [one["appears"] for one in lines(out)[4:]] == [False]


def test_a_clip_that_is_being_written_waits(sight, folder, tmp_path):
    with Results(tmp_path / "alerts.jsonl") as results:
        watch = Watch(Eyes(sight, tmp_path / "f"), [folder], ["red"], results)
        rounds = [list(watch.round(pytest.fail)) for _ in range(2)]
        assert [len(one) for one in rounds] == [0, 1]
        growing = folder / "growing.mp4"
        for size in (10, 20):
            growing.write_bytes(b"x" * size)
            assert not list(watch.round(pytest.fail))
        (failed,) = watch.round(pytest.fail)
        assert failed["video"] == str(growing) and "cannot be read" in failed["error"]
        assert not list(watch.round(pytest.fail))  # until it changes


def test_a_damaged_clip_is_told_and_the_others_go_on(sight, folder, tmp_path, capsys):
    (folder / "a.mp4").write_text("no clip")
    (folder / "note.txt").write_text("red")  # no clip, and passed over
    out = tmp_path / "alerts.jsonl"
    code, told, err = run(capsys, folder, "--query", "red", "--out", out, "--json")
    bad, good = map(json.loads, told.splitlines())
    assert code == 0 and "error" in bad and good["appears"]
    assert err.count(str(folder / "a.mp4")) == 1


def test_what_a_killed_run_left_is_gone_on_with(sight, folder, clip, tmp_path, capsys):
    out = tmp_path / "alerts.jsonl"
    run(capsys, folder, "--query", "red", "--out", out)
    out.write_bytes(out.read_bytes() + b'{"id": "half of a rec')
    shutil.copy(clip, folder / "two.mp4")
    run(capsys, folder, "--query", "red", "--out", out)
    assert [Path(one["video"]).name for one in lines(out)] == ["one.mp4", "two.mp4"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["."], "nothing to look for"),
        ([".", "--query", " "], "a query is empty"),
        (["nowhere", "--query", "red"], "nowhere: is no folder"),
        ([".", "--query", "red", "--every", "0"], "--every"),
    ],
)
def test_mistakes_are_one_line(sight, arguments, told, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and not out and told in err and "Traceback" not in err


def test_another_file_is_not_written_into(sight, folder, tmp_path, capsys):
    other = tmp_path / "notes.jsonl"
    other.write_text('{"my": "notes"}\n')
    code, _, err = run(capsys, folder, "--query", "red", "--out", other)
    assert code == 2 and "choose another file" in err and other.read_text() == '{"my": "notes"}\n'


def test_it_runs_until_it_is_stopped(folder, tmp_path):
    """The command itself, whose model is not needed: the folder is empty but for a broken clip."""
    shutil.rmtree(folder / "yard")
    (folder / "broken.mp4").write_text("no clip")
    out = tmp_path / "alerts.jsonl"
    command = [sys.executable, "-m", "assistant", "watch", str(folder), "--query", "a dog"]
    process = subprocess.Popen(
        [*command, "--every", "1", "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    ended = time.monotonic() + 120
    while not (out.exists() and out.stat().st_size) and time.monotonic() < ended:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)  # Ctrl-C may be ignored where tests run in the background
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and "Ctrl-C ends it" in err and "stopped" in err
    assert [one["query"] for one in lines(out)] == ["a dog"]
