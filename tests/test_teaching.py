"""Teaching sets on disk, and their training with a scripted program in `assistant`'s place."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from assistant.cli.main import main
from assistant.errors import InputError
from assistant.tasks.prompts import load_prompt
from assistant.tasks.recipes import load_recipe
from assistant.training.teaching import runs, sets
from assistant.training.teaching.corrections import unpack_corrections
from assistant.training.teaching.progress import read_progress
from assistant.training.teaching.runs import DONE, FAILED, NEW, RUNNING, STOPPED, Trainer
from assistant.training.teaching.sets import ANSWERS, LABELS, WHICH, TeachingSet, create_set

PATIENCE = 20.0  # seconds
# Trains for as long as the file "hold" is in the set's folder; learns nothing.
SCRIPT = """
import json, os, signal, sys, time
from pathlib import Path

args = sys.argv[1:]
run = Path(args[args.index("--out") + 1])
run.mkdir(exist_ok=True)

def stop(*_):
    print("assistant: stopped; the same command with --resume goes on", file=sys.stderr)
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
if (run.parent / "wrong").exists():
    print("assistant: the clips cannot be read; mend them", file=sys.stderr)
    sys.exit(2)
first = 3 if "--resume" in args else 1
for epoch in (first, first + 1):
    print(f"\\repoch {epoch} of 4:  50%|#####     | 1/2", end="", file=sys.stderr, flush=True)
    line = {"epoch": epoch, "step": epoch, "time": time.time(), "loss": 4 - epoch, "top-1": 50.0}
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\\n")
(run / "checkpoint.pt").touch()
while (run.parent / "hold").exists():
    time.sleep(0.02)
place = Path(os.environ["ASSISTANT_HOME"]) / "actions" / args[args.index("--name") + 1]
place.mkdir(parents=True)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., None]:
    """Adds a picture to a set."""

    def add(taught: TeachingSet, answer: str, question: str = WHICH, **more: object) -> None:
        name = f"{len(taught.examples())}.png"
        Image.new("RGB", (32, 32)).save(tmp_path / name)
        taught.add(tmp_path / name, name, question, answer, **more)

    return add


@pytest.fixture
def tidy(add: Callable[..., None]) -> TeachingSet:
    taught = create_set("tidy", LABELS)
    for answer in ("yes", "no") * 3:
        add(taught, answer)
    return taught


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    script = tmp_path / "trains.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(runs, "PROGRAM", (sys.executable, str(script)))
    trainer = Trainer(["--seed", "1"])
    yield trainer
    trainer.close()


def wait_for(held: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not held():
        assert time.monotonic() < until
        time.sleep(0.02)


def hold(taught: TeachingSet, trainer: Trainer) -> None:
    """It trains, and goes on until the file is removed."""
    (taught.folder / "hold").touch()
    trainer.start(taught)
    wait_for((taught.run / "checkpoint.pt").exists)


def ended(trainer: Trainer, taught: TeachingSet) -> str:
    wait_for(lambda: trainer.state(taught) != RUNNING)
    return trainer.state(taught)


class TestSets:
    @pytest.mark.parametrize("name", ["", "my task", "../up", "ünder", "1st", "a" * 41])
    def test_a_name_that_cannot_be_is_refused(self, name, home):
        with pytest.raises(InputError, match="cannot be called"):
            create_set(name, LABELS)
        assert not home.exists()

    @pytest.mark.parametrize("name", ["motion", "retrieval", "auto", "tidy"])
    def test_a_name_that_is_taken_is_refused(self, name, tidy):
        with pytest.raises(InputError, match=r"is called \w+ already"):
            create_set(name, ANSWERS)

    def test_what_is_written_is_what_data_check_reads(self, tidy, capsys):
        assert main(["data", "check", str(tidy.folder)]) == 0
        told = capsys.readouterr().out
        assert "6 examples, 6 clips" in told and "(yes 3, no 3)" in told
        assert all(line in told for line in tidy.check())

    def test_an_unfinished_example_is_named_by_its_clip(self, tidy, add):
        add(tidy, "")
        assert tidy.check()[0] == "6.png: answer is ''; give a text"
        with pytest.raises(InputError, match=r"6\.png has no label"):
            tidy.check_enough()

    def test_a_change_keeps_order_and_other_ends_of_lines(self, tidy):
        first, *others = tidy.examples()
        tidy.change(first.id, answer="a\u2028b")
        assert [one.answer for one in tidy.examples()] == ["a\u2028b", *(o.answer for o in others)]

    def test_a_clip_goes_with_its_last_example(self, tidy):
        first, second, *_ = tidy.examples()
        tidy.add(tidy.clip(first.clip), first.clip, WHICH, "no")
        tidy.remove(first.id)
        assert tidy.clip(first.clip).is_file()
        tidy.remove(second.id)
        assert not tidy.clip(second.clip).exists()
        tidy.remove(tidy.examples()[-1].id)
        assert not tidy.clip(first.clip).exists()

    def test_a_clip_never_takes_the_place_of_another(self, tidy, tmp_path):
        other = tmp_path / "other.png"
        other.write_bytes(b"other")
        with pytest.raises(InputError, match=r"has a clip 0\.png by now"):
            tidy.add(other, "0.png", WHICH, "no")
        assert tidy.clip("0.png").read_bytes() != b"other"

    def test_a_full_disk_leaves_nothing_in_the_way(self, tidy, tmp_path, monkeypatch):
        clip = tmp_path / "new.png"
        clip.write_bytes(b"new")

        def half(clip: Path, place: Path) -> None:
            place.write_bytes(b"n")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(sets.shutil, "move", half)
        with pytest.raises(OSError, match="No space"):
            tidy.add(clip, "new.png", WHICH, "no")
        monkeypatch.undo()
        assert sorted(path.name for path in tidy.clip("x").parent.iterdir()) == [
            f"{number}.png" for number in range(6)
        ]

    def test_what_a_killed_server_began_can_be_begun_again(self, home):
        create_set("half", LABELS)
        (home / "teaching" / "half" / "kind").unlink()
        assert sets.list_sets() == ()
        assert create_set("half", ANSWERS).kind == ANSWERS

    def test_it_has_room_for_so_many(self, tidy, add, monkeypatch):
        monkeypatch.setattr(sets, "MOST_EXAMPLES", 6)
        with pytest.raises(InputError, match="the most that the page teaches"):
            add(tidy, "yes")


class TestEnough:
    def test_one_label_is_too_little(self, add):
        taught = create_set("one", LABELS)
        for _ in range(4):
            add(taught, "yes")
        with pytest.raises(InputError, match="two different labels are wanted, and all are 'yes'"):
            taught.check_enough()

    def test_a_label_with_two_clips_is_too_little(self, tidy, add):
        for _ in range(2):
            add(tidy, "half")
        with pytest.raises(InputError, match="3 clips or more, and half has 2"):
            tidy.check_enough()
        add(tidy, "half")
        tidy.check_enough()

    def test_three_answers_are_too_little(self, add):
        taught = create_set("asked", ANSWERS)
        for answer in ("red", "green", "blue"):
            add(taught, answer, "Which color?")
        with pytest.raises(InputError, match="3 answers are too few"):
            taught.check_enough()
        add(taught, "red", "")
        with pytest.raises(InputError, match="has no question"):
            taught.check_enough()


class TestWhatIsLearned:
    def test_of_few_clips_all_are_learned(self, tidy):
        rows = [json.loads(line) for line in tidy.write_segments().read_text().splitlines()]
        assert [row["split"] for row in rows] == ["train", "dev"] * 6
        assert not tidy.sets_aside()

    def test_of_more_the_command_sets_some_aside(self, tidy, add):
        for answer in ("yes", "no") * 7:
            add(tidy, answer)
        rows = [json.loads(line) for line in tidy.write_segments().read_text().splitlines()]
        assert len(rows) == 20 and not any("split" in row for row in rows)
        assert tidy.sets_aside()

    def test_answers_that_come_again_are_choices_and_one_in_five_is_set_aside(self, add):
        taught = create_set("asked", ANSWERS)
        for answer in ("red", "blue") * 5:
            add(taught, answer, "Which color?")
        add(taught, "a bench", "What is there?")
        rows = [json.loads(line) for line in taught.data.read_text().splitlines()]
        assert [row["answer"] for row in rows if row["split"] == "dev"] == ["red", "blue"]
        assert rows[0]["choices"] == ["blue", "red"] and "choices" not in rows[-1]
        assert taught.aside() == 2

    def test_the_prompt_of_one_question_offers_its_answers(self, add):
        taught = create_set("asked", ANSWERS)
        for answer in ("red", "blue") * 2:
            add(taught, answer, "Which color?", dialogue="ANN: Look.")
        prompt = load_prompt(taught.prompt().save(taught.folder))
        assert (prompt.question, prompt.choices) == ("Which color?", ("blue", "red"))
        assert prompt.takes_dialogue
        add(taught, "a bench", "What is there?")
        prompt = load_prompt(taught.prompt().save(taught.folder))
        assert prompt.question is None and prompt.examples == ("Which color?", "What is there?")

    def test_the_commands_parse_as_they_are(self, tidy, add):
        from assistant.cli.main import build_parser

        asked = create_set("asked", ANSWERS)
        add(asked, "red", "Which color?")
        for taught, task in ((tidy, "actions"), (asked, "asked")):
            args = build_parser().parse_args(Trainer().command(taught, resume=True))
            assert args.task == task and args.out == taught.run and args.resume
        assert load_recipe(args.config).training.silent_epochs > 0


class TestTraining:
    def test_it_runs_to_its_end_and_the_task_is_there(self, tidy, trainer):
        assert trainer.state(tidy) == NEW
        hold(tidy, trainer)
        assert trainer.state(tidy) == RUNNING and trainer.running() == "tidy"
        progress = read_progress(tidy)
        assert progress.doing == "epoch 2 of 4" and progress.share == 0.5
        assert progress.curve.learned == ((1, 3), (2, 2)) and progress.left is not None
        assert progress.right is None  # nothing is set aside
        (tidy.folder / "hold").unlink()
        assert ended(trainer, tidy) == DONE
        assert sets.installed(tidy) is not None and trainer.running() is None

    def test_it_is_milder_than_whoever_asks(self, tidy, trainer):
        hold(tidy, trainer)
        run = runs.read_run(tidy)
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, run.pid) > own or own == 19

    def test_one_at_a_time_whoever_asks_for_it(self, tidy, trainer, add):
        other = create_set("other", LABELS)
        for answer in ("a", "b") * 3:
            add(other, answer)
        hold(tidy, trainer)
        for somebody in (trainer, Trainer()):
            assert somebody.running() == "tidy"
            with pytest.raises(InputError, match="tidy is being trained"):
                somebody.start(other)

    def test_it_is_stopped_and_goes_on_by_another_server(self, tidy, trainer):
        hold(tidy, trainer)
        trainer.close()
        assert trainer.state(tidy) == STOPPED
        (tidy.folder / "hold").unlink()
        later = Trainer()
        assert later.state(tidy) == STOPPED
        later.start(tidy, resume=True)
        assert ended(later, tidy) == DONE
        assert [epoch for epoch, _ in read_progress(tidy).curve.learned] == [1, 2, 3, 4]

    def test_what_was_changed_since_is_trained_anew(self, tidy, trainer, add):
        hold(tidy, trainer)
        trainer.close()
        add(tidy, "yes")
        assert trainer.state(tidy) == NEW
        with pytest.raises(InputError, match="train it anew"):
            trainer.start(tidy, resume=True)

    def test_a_finished_one_is_trained_again_under_its_name(self, tidy, trainer, add):
        for _ in range(2):
            trainer.start(tidy)
            assert ended(trainer, tidy) == DONE
        add(tidy, "yes")
        assert trainer.state(tidy) == NEW  # it has not learned the last one

    def test_a_failure_is_told_in_its_own_line(self, tidy, trainer):
        (tidy.folder / "wrong").touch()
        trainer.start(tidy)
        assert ended(trainer, tidy) == FAILED
        assert runs.failure(tidy) == "the clips cannot be read; mend them"

    def test_a_killed_one_says_so_and_can_go_on(self, tidy, trainer):
        hold(tidy, trainer)
        os.kill(runs.read_run(tidy).pid, signal.SIGKILL)
        assert ended(trainer, tidy) == FAILED
        assert "SIGKILL" in runs.failure(tidy) and runs.can_resume(tidy)

    def test_another_process_with_its_number_is_not_it(self, tidy, trainer):
        run = runs.Run(os.getpid(), born=1.0, began=time.time(), digest=tidy.digest())
        runs._write(tidy, run)
        assert trainer.running() is None
        trainer.stop(tidy)  # or this test ends here

    def test_a_failure_that_no_server_saw_is_told_too(self, tidy, trainer):
        (tidy.folder / "wrong").touch()
        trainer.start(tidy)
        assert ended(trainer, tidy) == FAILED
        runs._write(tidy, replace(runs.read_run(tidy), code=None))
        later = Trainer()
        assert later.state(tidy) == FAILED
        assert runs.failure(tidy) == "the clips cannot be read; mend them"

    def test_it_is_removed_once_and_not_while_it_is_trained(self, tidy, trainer):
        hold(tidy, trainer)
        with pytest.raises(InputError, match="tidy is being trained"):
            Trainer().remove(tidy)
        trainer.close()
        trainer.remove(tidy)
        assert not tidy.folder.exists()
        with pytest.raises(InputError, match="no task 'tidy'"):
            trainer.remove(tidy)

    def test_too_little_starts_nothing(self, tidy, trainer):
        tidy.remove(tidy.examples()[0].id)
        with pytest.raises(InputError, match="yes has 2"):
            trainer.start(tidy)
        assert trainer.state(tidy) == NEW and not tidy.run.exists()


class TestProgress:
    def test_epochs_through_the_language_model_have_their_own_pace(self, add):
        taught = create_set("asked", ANSWERS)
        taught.run.mkdir()
        silent = load_recipe(runs.answers_recipe()).training.silent_epochs
        runs._write(taught, runs.Run(0, 0.0, 1000.0, taught.digest(), 0))
        (taught.folder / runs.LOG).write_text("\repoch 5 of 30:  10%|#")
        lines = [{"epoch": n, "step": n, "time": 1000 + 2 * n, "loss": 1.0} for n in range(1, 6)]
        log = taught.run / "log.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epo')
        assert read_progress(taught).left == 2 * (silent - 5) + 20 * (30 - silent)

    def test_of_what_was_set_aside_the_kept_epoch_counts(self, add):
        taught = create_set("asked", ANSWERS)
        for answer in ("red", "blue") * 2:
            add(taught, answer, "Which color?")
        taught.run.mkdir()
        silent = load_recipe(runs.answers_recipe()).training.silent_epochs
        shares = {silent: 1.0, silent + 1: 0.75, silent + 2: 0.5}  # the first is none to be kept
        lines = [{"epoch": n, "time": n, "accuracy": share} for n, share in shares.items()]
        (taught.run / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        assert read_progress(taught).right == 0.75

    def test_a_line_that_a_full_disk_tore_is_passed_over(self, tidy):
        tidy.run.mkdir()
        good = [json.dumps({"epoch": n, "time": n, "loss": 1.0}) for n in (1, 3)]
        torn = '{"epoch": 2, "ti'
        (tidy.run / "log.jsonl").write_text("\n".join([good[0], torn + good[1], good[1]]) + "\n")
        assert read_progress(tidy).curve.learned == ((1, 1.0), (3, 1.0))

    def test_before_the_first_epoch_it_says_what_is_done(self, tidy):
        (tidy.folder / runs.LOG).write_text("encoding clips:  25%|##   | 3/12\r")
        progress = read_progress(tidy)
        assert (progress.doing, progress.share) == ("encoding clips: 25 %", 0.0)


class TestCorrections:
    @pytest.fixture
    def archive(self, tmp_path: Path) -> Path:
        row = {"id": "c", "video": "clips/a.png", "question": "Is it?", "answer": "yes", "start": 1}
        Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
        with zipfile.ZipFile(tmp_path / "corrections.zip", "w") as packed:
            packed.writestr("corrections/data.jsonl", json.dumps(row) + "\n")
            packed.write(tmp_path / "a.png", "corrections/clips/a.png")
        return tmp_path / "corrections.zip"

    def test_they_are_read_as_they_were_saved(self, archive, tmp_path):
        (one,) = unpack_corrections(archive, tmp_path / "out", 10**6)
        assert (one.question, one.answer, one.more) == ("Is it?", "yes", {"start": 1})
        assert one.clip.is_file()

    def test_too_much_is_not_unpacked(self, archive, tmp_path):
        with pytest.raises(InputError, match="are taken"):
            list(unpack_corrections(archive, tmp_path / "out", 10))
        assert not (tmp_path / "out").exists()

    def test_a_clip_outside_is_not_taken(self, tmp_path):
        secret = tmp_path / "secret.png"
        Image.new("RGB", (8, 8)).save(secret)
        row = {"id": "c", "video": str(secret), "question": "Is it?", "answer": "yes"}
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
            packed.writestr("x/data.jsonl", json.dumps(row) + "\n")
        assert list(unpack_corrections(tmp_path / "bad.zip", tmp_path / "out", 10**6)) == []

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no zip", b"These are notes."])
    def test_what_is_no_zip_is_refused_in_a_line(self, data, tmp_path):
        (tmp_path / "no.zip").write_bytes(data)
        with pytest.raises(InputError, match="no whole zip") as told:
            list(unpack_corrections(tmp_path / "no.zip", tmp_path / "out", 10**6))
        assert "\n" not in str(told.value)

    def test_bytes_that_went_wrong_on_the_way_are_refused_in_a_line(self, tmp_path):
        path = tmp_path / "spoilt.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("x/data.jsonl", "notes " * 999)
        spoilt = bytearray(path.read_bytes())
        begin = 30 + len("x/data.jsonl")  # behind the entry's head
        spoilt[begin : begin + 8] = b"\xff" * 8
        path.write_bytes(spoilt)
        with pytest.raises(InputError, match="no whole zip") as told:
            list(unpack_corrections(path, tmp_path / "out", 10**6))
        assert "\n" not in str(told.value)
