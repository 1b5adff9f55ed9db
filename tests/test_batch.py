"""Many questions from a file: checked first, clip by clip, resumable, stopped by no bad clip."""

import json
import os
import threading
from pathlib import Path

import pytest
from clips import make_clip
from fakes import ScriptedModel

import assistant.media.video
from assistant.core.results import Results
from assistant.data.items import read_items
from assistant.errors import ConfigError, InputError, VideoLimitError
from assistant.model.features import FeatureStore
from assistant.vqa.answer import AT_ONCE
from assistant.vqa.assistants import Assistant
from assistant.vqa.batch import Options, answer_all, read_questions


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``a.mp4`` (numbers from 0), ``b.mp4`` (numbers from 100) and ``bad.mp4``."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "a.mp4", 20, fps=10)
    make_clip(folder / "b.mp4", range(100, 120), fps=10)
    (folder / "bad.mp4").write_text("no clip at all")
    return folder


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def mini(model: ScriptedModel, tmp_path: Path) -> Assistant:
    return Assistant(model, FeatureStore(tmp_path / "features"))


def write(path: Path, *records: dict | str) -> Path:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in records]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ask(
    number: int | str, video: str | None, question: str = "What happens?", **more: object
) -> dict:
    return {"id": number, "video": video, "question": question, **more}


def run(mini: Assistant, questions: Path, out: Path, retry: bool = False, **options) -> list[dict]:
    with Results(out, retry=retry) as results:
        return list(answer_all(mini, read_questions(questions), results, Options(**options)))


def test_questions_of_one_clip_are_asked_together_and_separately(mini, model, clips, tmp_path):
    questions = write(
        clips / "in.jsonl",
        ask(1, "a.mp4"),
        ask(2, "b.mp4"),
        "",
        ask(3, "a.mp4", "And now?"),
    )
    records = run(mini, questions, tmp_path / "out.jsonl", frames=2)
    assert records == read(tmp_path / "out.jsonl")
    assert [record["id"] for record in records] == [1, 3, 2]
    assert len(model.encoded) == 2
    assert all(asked.history == () for asked in model.asked)  # nothing of another line
    assert records[2]["answer"] == "I see " + " ".join(map(str, model.encoded[1]))
    assert min(model.encoded[1]) >= 100


def test_a_record_says_what_the_answer_rests_on(mini, model, clips, tmp_path):
    model.scores = {"day": -1.0, "night": -2.0}
    questions = write(
        clips / "in.jsonl",
        ask(
            "q",
            "a.mp4",
            dialogue=[{"speaker": "ANN", "text": "Hello.", "start": 0.5, "end": 0.8}],
            start=0.5,
            end=1.5,
            task="chat",
            choices=["day", "night"],
        ),
    )
    (record,) = run(mini, questions, tmp_path / "out.jsonl", frames=2)
    assert record["id"] == "q"
    assert record["answer"] == record["choice"] == "day"
    assert record["probabilities"] == {"day": 0.7311, "night": 0.2689}
    assert all(0.5 <= second <= 1.5 for second in record["frames"]) and len(record["frames"]) == 2
    assert (record["task"], record["dialogue_source"]) == ("chat", "given")
    assert (record["model"], record["adapter"]) == ("scripted", None)
    assert record["seconds"] >= 0
    assert "ANN: Hello." in model.asked[0].qformer_text


def test_a_question_may_be_about_its_dialogue_alone(mini, model, clips, tmp_path):
    questions = write(
        clips / "in.jsonl",
        ask(1, None, "Who speaks?", dialogue="ANN: Hello."),
        ask(2, "a.mp4"),
        ask(3, None, "Who speaks?", dialogue=[{"speaker": "BOB", "text": "Bye."}]),
    )
    records = {record["id"]: record for record in run(mini, questions, tmp_path / "out.jsonl")}
    assert records[1]["frames"] == [] and records[1]["dialogue_source"] == "given"
    assert "I see" in records[2]["answer"] and len(model.encoded) == 1
    said = [asked.qformer_text for asked in model.asked if asked.numbers == []]
    assert "ANN: Hello." in said[0] and "Bye." not in said[0]
    assert "BOB: Bye." in said[1] and "Hello" not in said[1]


def test_a_bad_clip_is_an_error_in_its_place_and_the_rest_goes_on(mini, clips, tmp_path):
    questions = write(
        clips / "in.jsonl",
        ask(1, "bad.mp4"),
        ask(2, "no-such.mp4"),
        ask(3, "a.mp4", start=50, end=60),
        ask(4, "a.mp4", "What is at 9:00?"),
        ask(5, "a.mp4"),
    )
    records = {record["id"]: record for record in run(mini, questions, tmp_path / "out.jsonl")}
    assert "I see" in records[5]["answer"]
    for number in (1, 2, 3, 4):
        assert set(records[number]) == {"id", "error"}
        assert records[number]["error"] and "\n" not in records[number]["error"]


def test_a_fault_of_ours_stops_nothing_either(mini, model, clips, tmp_path):
    def script(asked):
        if "trap" in asked.prompt:
            raise RuntimeError("a bug")
        return "fine"

    model.script = script
    questions = write(clips / "in.jsonl", ask(1, "a.mp4", "It is a trap"), ask(2, "a.mp4"))
    first, second = run(mini, questions, tmp_path / "out.jsonl")
    assert first == {"id": 1, "error": "internal error (RuntimeError: a bug)"}
    assert second["answer"] == "fine"


def test_a_clip_that_hangs_costs_its_time_once(mini, clips, tmp_path, monkeypatch):
    calls = []

    def hang(path, **options):
        calls.append(path)
        raise VideoLimitError("a.mp4: took longer than 60 s")

    monkeypatch.setattr(assistant.media.video, "read_clip", hang)
    questions = write(clips / "in.jsonl", *(ask(number, "a.mp4") for number in range(3)))
    records = run(mini, questions, tmp_path / "out.jsonl")
    assert [record["error"] for record in records] == ["a.mp4: took longer than 60 s"] * 3
    assert len(calls) == 1


def test_a_second_run_goes_on_where_the_first_was_killed(mini, model, clips, tmp_path):
    out = tmp_path / "out.jsonl"
    count = AT_ONCE + 2
    questions = write(clips / "in.jsonl", *(ask(number, "a.mp4") for number in range(count)))
    with Results(out) as results:
        next(answer_all(mini, read_questions(questions), results))  # all that were asked at once
    with out.open("ab") as file:
        file.write(b'{"id": 8, "answer": "I s')  # torn
    assert [record["id"] for record in run(mini, questions, out)] == [AT_ONCE, AT_ONCE + 1]
    assert [record["id"] for record in read(out)] == list(range(count))
    assert len(model.asked) == count
    assert run(mini, questions, out) == []


@pytest.mark.parametrize("torn", ["", "{", '{"id": 0', '{"id": 0, "answer": "x'])
def test_wherever_the_last_line_is_torn_it_is_mended(mini, clips, tmp_path, torn):
    out = tmp_path / "out.jsonl"
    questions = write(clips / "in.jsonl", ask(0, "a.mp4"))
    out.write_text(torn)
    run(mini, questions, out)
    assert [record["id"] for record in read(out)] == [0]


def test_a_whole_last_line_without_its_end_is_kept(mini, model, clips, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text('{"id": 0, "answer": "kept"}')
    questions = write(clips / "in.jsonl", ask(0, "a.mp4"), ask(1, "a.mp4"))
    run(mini, questions, out)
    assert [record["answer"][:4] for record in read(out)] == ["kept", "I se"]
    assert len(model.asked) == 1


def test_retry_asks_again_what_had_an_error(mini, clips, tmp_path):
    out = tmp_path / "out.jsonl"
    write(out, {"id": 0, "answer": "kept"}, {"id": 1, "error": "no network"})
    questions = write(clips / "in.jsonl", ask(0, "a.mp4"), ask(1, "a.mp4"))
    assert run(mini, questions, out) == []
    assert [record["id"] for record in run(mini, questions, out, retry=True)] == [1]
    assert [record.get("error") for record in read(out)] == [None, None]


@pytest.mark.parametrize(
    "content", ["a diary\n", "a diary", '{"id": 1, "video": "a.mp4", "question": "What?"}', "{}\n"]
)
def test_a_file_that_is_no_result_of_ours_is_left_alone(tmp_path, content):
    out = tmp_path / "out.jsonl"
    out.write_text(content)
    with pytest.raises(InputError, match="line 1"), Results(out):
        pass
    assert out.read_text() == content


def test_two_batches_may_not_write_one_file(tmp_path):
    out = tmp_path / "out.jsonl"
    with Results(out), pytest.raises(InputError, match="another"), Results(out):
        pass
    with Results(out) as results:  # and the lock is gone afterwards
        results.write({"id": 1, "answer": "free"})
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("where", ["file/out.jsonl", "folder"])
def test_an_output_that_cannot_be_written_is_one_line(tmp_path, where):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), Results(tmp_path / where):
        pass


def test_every_wrong_line_is_named_and_nothing_is_asked(clips):
    good = ask(1, "a.mp4")
    wrong = [
        ("{", "JSON"),
        ("[1]", "list"),
        ("[" * 100_000, "JSON"),
        (r'{"id": "\ud800", "video": "a.mp4", "question": "?"}', "JSON"),
        ({"id": 2}, "lacks video, question"),
        ({**good, "id": 3, "colour": 1}, "unknown colour"),
        (good, "that of line 1"),
        ({**good, "id": True}, "id"),
        ({**good, "id": 4.5}, "id"),
        ({**good, "id": 5, "question": " "}, "question"),
        ({**good, "id": 6, "video": "a\0b"}, "video"),
        ({**good, "id": 7, "start": 3, "end": 2}, "start"),
        ({**good, "id": 8, "start": "3"}, "start"),
        ({**good, "id": 9, "end": 10**400}, "end"),
        ({**good, "id": 10, "choices": ["a"]}, "choices"),
        ({**good, "id": 11, "choices": "ab"}, "choices"),
        ({**good, "id": 12, "task": "no-such-task"}, "no-such-task"),
        ({**good, "id": 13, "task": 3}, "task"),
        ({**good, "id": 14, "dialogue": [{"txt": "x"}]}, "dialogue|turn"),
        ({**good, "id": 15, "dialogue": 3}, "dialogue"),
        ({**good, "id": 16, "video": None}, "no dialogue"),
        ({**good, "id": 17, "video": None, "dialogue": ""}, "says nothing"),
        ({**good, "id": 18, "video": None, "dialogue": "A: b", "start": 1}, "start"),
        ({**good, "id": 19, "video": "no-such.mp4"}, "is not there"),
        ({**good, "id": 20, "video": "."}, "is a folder"),
        ({**good, "id": 21, "choices": [1, 2]}, "a choice is 1"),
    ]
    path = write(clips / "wrong.jsonl", good, *(line for line, _ in wrong))
    with pytest.raises(InputError) as caught:
        read_questions(path)
    first, *problems = str(caught.value).splitlines()
    assert "wrong.jsonl" in first
    assert len(problems) == len(wrong)
    for number, (problem, (_, said)) in enumerate(zip(problems, wrong, strict=True), 2):
        assert problem.strip().startswith(f"line {number}: ")
        assert any(word in problem for word in said.split("|")), problem


def test_a_wrong_line_costs_no_other_its_answer(mini, model, clips, tmp_path):
    questions = write(
        clips / "in.jsonl",
        ask(1, "https://example.com/v.mp4"),
        ask(2, "a.mp4", start="0:03"),
        ask(3, "a.mp4"),
        ask(4, "no-such.mp4"),
        ask(5, "a.mp4", answer="two", type="count", split="test"),  # as training data have it
        ask(6, "x" * 5000 + ".mp4"),
    )
    out = tmp_path / "out.jsonl"
    records = {record["id"]: record for record in run(mini, questions, out)}
    assert {number for number, record in records.items() if "error" in record} == {1, 2, 4, 6}
    assert "download" in records[1]["error"] and "'0:03'" in records[2]["error"]
    assert "I see" in records[3]["answer"] and "I see" in records[5]["answer"]
    assert run(mini, questions, out) == []  # they are resumed like the others
    write(questions, ask(2, "a.mp4", start=1), ask(4, "a.mp4"))
    assert [record["id"] for record in run(mini, questions, out, retry=True)] == [2, 4]


def test_where_no_line_is_right_nothing_is_asked(clips):
    questions = write(clips / "in.jsonl", ask(1, "a.mp4", start="0:03"), ask(2, "no-such.mp4"))
    with pytest.raises(InputError, match="nothing was asked"):
        read_questions(questions)


def test_batch_and_check_refuse_the_same_lines(clips):
    lines = [
        ask(1, None, start=1),
        ask(2, "a.mp4", dialogue=""),
        ask(3, "clips"),
        ask(4, "a.mp4", "half \ud800"),
        ask(5, "a.mp4", choices=[True, False]),
        ask(6, "a.mp4", end=float("nan")),
        ask(7, "no-such.mp4"),
        ask(8, r"C:\clips\a.mp4"),
    ]
    for number, line in enumerate(lines):
        path = write(
            clips / "one.jsonl", ask("right", "a.mp4", answer="yes"), line | {"answer": "yes"}
        )
        with pytest.raises(InputError) as checked:
            read_items(path)
        try:
            wrong, *_ = read_questions(path)
        except InputError as error:  # it is not JSON, and has no id
            assert str(error).split("\n")[1:] == str(checked.value).split("\n")[1:]
        else:
            assert str(wrong) in str(checked.value), number


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_whatever_unicode_a_list_is_saved_in(clips, encoding):
    path = clips / "unicode.jsonl"
    lines = [json.dumps(ask(number, "a.mp4", "Où ?"), ensure_ascii=False) for number in (1, 2)]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    assert [question.question for question in read_questions(path)] == ["Où ?"] * 2


def test_a_list_may_come_through_a_pipe(clips):
    path = clips / "pipe.jsonl"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=[json.dumps(ask(1, "a.mp4"))])
    writer.start()
    assert [question.id for question in read_questions(path)] == [1]
    writer.join()


def test_one_list_is_as_good_as_lines(clips):
    path = clips / "list.json"
    path.write_text(json.dumps([ask(1, "a.mp4"), ask(2, "a.mp4")], indent=1))
    assert [question.id for question in read_questions(path)] == [1, 2]
    path.write_text(json.dumps([ask(1, "a.mp4"), "Who?", ask(1, "a.mp4")], indent=1))
    with pytest.raises(InputError, match=r"item 2: holds a str.*\n.*that of item 1"):
        read_questions(path)


@pytest.mark.parametrize(
    "content",
    [
        b"id,video,question\n1,a.mp4,Who?\n2,b.mp4,Who?\n",
        b'{\n "id": 1,\n "video": "a.mp4"\n}\n',
        b"\0\0\0 ftypisom\0\0\xff\xff",
        b"\xff\xfe{",
        b"[1,\n",
    ],
)
def test_a_file_that_is_no_jsonl_is_one_line(clips, content):
    path = clips / "strange.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="JSON") as caught:
        read_questions(path)
    assert "\n" not in str(caught.value)


def test_nulls_and_a_byte_order_mark_are_as_if_absent(clips):
    path = clips / "bom.jsonl"
    line = json.dumps(ask(1, "a.mp4", dialogue=None, start=None, end=None, task=None, choices=None))
    path.write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n")
    (question,) = read_questions(path)
    assert question.video == clips / "a.mp4"
    assert question.dialogue is question.start is question.task is question.choices is None


@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_an_input_without_questions_is_one_line(tmp_path, content):
    path = tmp_path / "in.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_task_for_all_is_an_error_before_the_first_question(mini, clips, tmp_path):
    questions = write(clips / "in.jsonl", ask(1, "a.mp4"))
    with pytest.raises(ConfigError):
        run(mini, questions, tmp_path / "out.jsonl", task="no-such-task")
    assert read(tmp_path / "out.jsonl") == []


def test_questions_of_one_clip_share_passes_of_the_model(mini, model, clips, tmp_path):
    lines = [ask(number, "a.mp4", f"Question {number}?") for number in range(AT_ONCE + 1)]
    alone = run(mini, write(clips / "one.jsonl", lines[0]), tmp_path / "one.jsonl")
    assert model.together == [1, 1]  # with the clip, and by the question alone
    model.together.clear()
    (first, *rest) = run(mini, write(clips / "in.jsonl", *lines), tmp_path / "out.jsonl")
    assert model.together == [AT_ONCE, AT_ONCE, 1, 1]
    assert len(rest) == AT_ONCE
    assert {**first, "seconds": 0} == {**alone[0], "seconds": 0}


class TestStreams:
    """An output that is no file: written to, never read, locked or left behind."""

    def lines(self, mini, clips, out):
        questions = write(clips / "in.jsonl", ask(0, "a.mp4"), ask(1, "a.mp4"))
        return [record["id"] for record in run(mini, questions, out)]

    def test_a_pipe(self, mini, clips, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        found: list[str] = []
        reader = threading.Thread(target=lambda: found.extend(pipe.read_text().splitlines()))
        reader.start()
        assert self.lines(mini, clips, pipe) == [0, 1]
        reader.join()
        assert [json.loads(line)["id"] for line in found] == [0, 1]
        assert list(tmp_path.glob(".*")) == []

    @pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd", "/dev/../dev/fd"])
    def test_what_this_process_has_open(self, mini, clips, tmp_path, folder):
        with (tmp_path / "out").open("wb") as file:
            file.write(b"a diary\n")  # not read, not ours
            file.flush()
            assert self.lines(mini, clips, Path(f"{folder}/{file.fileno()}")) == [0, 1]
            assert not file.closed
        assert (tmp_path / "out").read_text().startswith('a diary\n{"id": 0')
        assert list(tmp_path.glob(".*")) == []

    def test_nowhere(self, mini, clips):
        before = sorted(Path("/dev").iterdir())
        assert self.lines(mini, clips, Path("/dev/null")) == [0, 1]
        assert sorted(Path("/dev").iterdir()) == before

    def test_what_takes_no_more_is_one_line(self, mini, clips):
        with pytest.raises(InputError, match=r"/dev/full: cannot be written \(No space left"):
            self.lines(mini, clips, Path("/dev/full"))

    def test_a_number_that_is_not_open_is_one_line(self, mini, clips):
        with pytest.raises(InputError, match="Bad file descriptor"):
            self.lines(mini, clips, Path("/dev/fd/987"))

    def test_a_reader_that_has_left_is_no_mistake(self, mini, clips):
        reading, writing = os.pipe()
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            self.lines(mini, clips, Path(f"/dev/fd/{writing}"))
        os.close(writing)


def test_what_was_answered_together_is_written_at_once(mini, clips, tmp_path, monkeypatch):
    """A kill between two of them would have the rest asked in other company."""
    written: list[int] = []
    whole = Results.write
    monkeypatch.setattr(
        Results,
        "write",
        lambda self, *records: written.append(len(records)) or whole(self, *records),
    )
    questions = write(clips / "in.jsonl", *(ask(n, "a.mp4") for n in range(AT_ONCE + 2)))
    run(mini, questions, tmp_path / "out.jsonl")
    assert written == [AT_ONCE, 2]


def test_want_of_memory_is_said_as_such(mini, model, clips, tmp_path):
    def script(asked):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    model.script = script
    questions = write(clips / "in.jsonl", ask(0, "a.mp4"))
    (record,) = run(mini, questions, tmp_path / "out.jsonl")
    assert record["error"].startswith("there is not enough memory")
