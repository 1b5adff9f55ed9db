"""Files spread over workers of Ray: what one process writes, whatever dies meanwhile."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from clips import make_clip
from fakes import ScriptedModel
from retrieval_sight import tiny_sight
from spread_work import ALWAYS, ONCE, answering, doing, encoding
from test_index import color_clip, color_photo, held

from assistant.cli.main import main
from assistant.core.results import Results
from assistant.core.worker import TRIES, Done, Surroundings, Tries, Work, Worker
from assistant.core.workers import LOCAL, Workers, in_order, joined
from assistant.errors import InputError, ResourceError
from assistant.model.features import FeatureStore
from assistant.retrieval import Index
from assistant.retrieval.embedding import Embedder
from assistant.retrieval.encoding import Encoded, Encoding, Spread, Task
from assistant.vqa.assistants import Assistant
from assistant.vqa.batch import Options, Part, Records, answer_all, read_questions

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the 'ray' extra is not installed")


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """On this machine; whoever spreads joins what runs already."""
    if find_spec("ray") is None:
        pytest.skip("the 'ray' extra is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # of its processes
        with joined(LOCAL):
            yield


@pytest.fixture
def two(ray: None) -> Workers:
    return Workers(LOCAL, cores=1)


class TestSpread:
    def test_each_item_comes_once_and_what_kills_its_worker_is_told(
        self, two, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("ASSISTANT_OF_TEST", "told")
        items = [f"{n}" for n in range(8)]
        items[1], items[4] = ONCE, ALWAYS
        found = list(in_order(two.spread(items, partial(doing, tmp_path))))
        assert [done.place for done in found] == [*range(8)]
        (lost,) = [done for done in found if done.fault]
        assert (items[lost.place], lost.value) == (ALWAYS, None)
        assert lost.fault == f"the process that worked on it died, {TRIES} times"
        kept = [done.value for done in found if not done.fault]
        assert kept == [(item, "told", 1) for item in items if item != ALWAYS]
        begun = Counter((tmp_path / "begun").read_text().splitlines())
        assert begun == dict.fromkeys(items, 1) | {ALWAYS: TRIES, ONCE: 2}

    def test_more_cores_than_there_are(self, ray):
        with pytest.raises(InputError, match=r"wants 9999 cores and 0 GPUs, and the .* give less"):
            list(Workers(LOCAL, cores=9999).spread(["one"], str))

    def test_a_gpu_that_is_not_there(self, ray):
        with pytest.raises(InputError, match="knows no GPU; leave out --device cuda"):
            list(Workers(LOCAL, gpu=True).spread(["one"], str))

    @needs_ray
    def test_nothing_to_do_starts_nothing(self):
        assert list(Workers("127.0.0.1:1").spread([], str)) == []


class TestWorker:
    """Without Ray around it."""

    @pytest.fixture(autouse=True)
    def named(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setattr("assistant.core.worker._name_of_this_worker", lambda: "me")
        monkeypatch.setattr("os.environ", {})  # which it changes
        monkeypatch.chdir(tmp_path)

    @staticmethod
    def told(work: Work, tries: Tries, surroundings: Surroundings | None = None) -> object:
        worker = Worker(lambda: work, tries, surroundings or Surroundings.here(1))
        return pickle.loads(worker({"place": 3, "item": pickle.dumps("x")})["told"])

    def test_a_typed_error_stays_and_another_says_where(self):
        def mistaken(item: str) -> None:
            raise InputError(f"no {item}")

        def broken(item: str) -> None:
            raise KeyError(item)

        error = self.told(mistaken, Tries())
        assert type(error) is InputError and str(error) == "no x"
        error = self.told(broken, Tries())
        assert type(error) is RuntimeError and str(error) == "KeyError: 'x'"
        assert "in broken" in error.__notes__[0]

    def test_an_item_is_given_up(self):
        tries = Tries()
        assert self.told(str, tries) == Done(3, "x")
        assert all(tries.begin(3) for _ in range(TRIES))  # and died each time
        assert self.told(str, tries).fault.startswith("the process that worked on it died")

    def test_a_worker_whose_model_does_not_fit_ends_the_run(self):
        tries = Tries()
        assert all(tries.begin("me") for _ in range(TRIES))
        error = self.told(str, tries)
        assert type(error) is ResourceError and "--ray-cores" in str(error)

    def test_another_version_is_refused(self):
        error = self.told(str, Tries(), replace(Surroundings.here(1), version="0.0.1"))
        assert type(error) is InputError and "was begun with 0.0.1; install the same" in str(error)


@needs_ray
class TestShare:
    """Of machines that are only told of."""

    @pytest.mark.parametrize(
        ("wanted", "machines", "share"),
        [
            ({}, [(16, 0), (6, 0)], (5, 4, 0)),
            ({}, [(2, 0)], (1, 2, 0)),
            ({"cores": 1}, [(2, 0), (3, 0)], (5, 1, 0)),
            ({"gpu": None}, [(2, 0)], (1, 2, 0)),
            ({"gpu": None}, [(16, 2), (8, 0)], (2, 8, 1)),
            ({"gpu": True}, [(16, 2), (4, 1)], (3, 4, 1)),
            ({"gpu": True, "cores": 1}, [(1, 4)], (1, 1, 1)),
            ({}, [(16, 2)], (4, 4, 0)),
            ({"cores": 1}, [(64, 0)], (9, 1, 0)),  # no more than there are items
        ],
    )
    def test_one_a_gpu_or_for_some_cores(self, wanted, machines, share):
        nodes = [
            {"Alive": True, "Resources": {"CPU": float(cores), "GPU": float(gpus)}}
            for cores, gpus in machines
        ]
        ray = SimpleNamespace(nodes=lambda: [*nodes, {"Alive": False, "Resources": {"CPU": 99.0}}])
        assert Workers(**wanted)._share(ray, 9) == share


def test_the_order_of_the_items():
    came = map(Done, (2, 0, 3, 1))
    assert [done.place for done in in_order(came)] == [0, 1, 2, 3]
    first = in_order(iter([Done(0), Done(2)]))
    assert next(first).place == 0  # it waits for nothing after it


class TestIndex:
    def test_an_index_is_what_one_process_writes(self, two, tmp_path):
        folder = tmp_path / "files"
        folder.mkdir()
        color_clip(folder / "film.mp4", "red", "blue")
        color_photo(folder / "green.png", "green")
        (folder / "note.txt").write_text("A red boat.\n")
        (folder / "bad.mp4").write_text("no clip")
        sight, uri = tiny_sight(), str(tmp_path / "index")
        found, whole = (Index(name, uri=uri, assistant=sight) for name in ("found", "whole"))

        def spread(space: str) -> Spread:
            def over(tasks: Sequence[Task]) -> Iterator[Encoded]:
                make = partial(encoding, tmp_path / "killed", space)
                return (done.value for done in two.spread(tasks, make))

            return over

        added, alone = found.add([folder], spread=spread), whole.add([folder])
        assert (tmp_path / "killed").exists() and added == alone
        assert held(found) == held(whole) and len(alone.failed) == 1
        assert found.verify().damaged == ()
        again = found.add([folder])  # the bad one alone
        assert (again.files, again.unchanged, held(found)) == (0, 3, held(whole))

    def test_another_joint_space_on_a_machine_is_refused(self):
        with pytest.raises(InputError, match=r"space is colors-1, .* is colors-2; give all"):
            Encoding(Embedder(tiny_sight()), None, "colors-2")


def test_batch_writes_the_same_records(two, tmp_path):
    for name, numbers in (("a", range(20)), ("b", range(100, 120))):
        make_clip(tmp_path / f"{name}.mp4", numbers, fps=10)
    asked = [
        {"id": n, "video": f"{'ab'[n % 2]}.mp4", "question": f"What is at {n}?"} for n in range(20)
    ]
    asked.append({"id": "bad", "video": "no-such.mp4", "question": "What?"})
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in asked))
    questions = read_questions(path)

    def over(parts: Sequence[Part]) -> Iterator[Records]:
        found = two.spread(parts, partial(answering, tmp_path))
        return (done.value for done in found)

    def records(name: str, spread) -> list[dict]:
        mini = Assistant(ScriptedModel(), FeatureStore(tmp_path / "own"))
        with Results(tmp_path / name) as results:
            list(answer_all(mini, questions, results, Options(2), spread))
        return sorted(
            (json.loads(line) | {"seconds": 0} for line in (tmp_path / name).open()),
            key=lambda record: str(record["id"]),
        )

    found = records("spread.jsonl", over)
    assert found == records("alone.jsonl", None) and len(found) == 21
    assert records("spread.jsonl", over) == found  # all are there: nobody is asked


def test_events_in_the_order_of_the_clips(two, tmp_path, capsys):
    """The real thing from the command line, and mini's own joint space."""
    paths = [tmp_path / f"{n}.mp4" for n in range(3)]
    for path, *colors in zip(paths, ("red", "red", "blue"), ("blue", "green", "red"), strict=True):
        color_clip(path, *colors, seconds=2.5)
    paths[1].write_text("no clip")
    words = ["events", *map(str, paths), "--json", "--quiet"]
    codes, told, warned = [], [], []
    for more in ([], ["--ray", LOCAL, "--ray-cores", "1"]):
        codes.append(main([*words, *more]))
        out, err = capsys.readouterr()
        told.append(list(map(json.loads, out.splitlines())))
        warned.append(err.splitlines())
    assert codes == [2, 2] and warned[0] == warned[1] and len(warned[0]) == 2
    assert "1.mp4: " in warned[0][0] and "1 of 3 clips could not be looked at" in warned[0][1]
    assert told[0] == told[1] and [one["video"] for one in told[0]] == [*map(str, paths)]
    assert set(told[0][1]) == {"video", "error"}


@needs_ray
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--ray-cores", "2"], "--ray-cores is of the workers that --ray spreads"),
        (["--ray", "ray://head:10001"], "run the command on a machine of the cluster"),
        (["--ray", LOCAL, "--ray-cores", "0"], "out of range; choose 1 to"),
        (["--ray", "127.0.0.1:1"], "does not answer at 127.0.0.1:1"),
    ],
)
def test_one_line_says_what_to_do(tmp_path, capsys, more, message):
    (tmp_path / "a.txt").write_text("A red boat.\n")
    place = ["--index", str(tmp_path / "index"), "--quiet"]
    assert main(["index", "add", str(tmp_path / "a.txt"), *place, *more]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and message in err


@needs_ray
def test_a_cluster_that_has_ended_is_not_waited_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    (tmp_path / "a.txt").write_text("A red boat.\n")
    place = ["--index", str(tmp_path / "index"), "--quiet"]
    assert main(["index", "add", str(tmp_path / "a.txt"), *place, "--ray", "auto"]) == 2
    assert ":1 (" in capsys.readouterr().err  # the address behind "auto"


def test_without_the_extra_one_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("assistant.core.workers.util.find_spec", lambda name: None)
    (tmp_path / "in.jsonl").write_text('{"id": 1, "video": null, "question": "?"}\n')
    assert main(["batch", str(tmp_path / "in.jsonl"), str(tmp_path / "out"), "--ray", "auto"]) == 2
    assert "pip install 'video-assistant[ray]'" in capsys.readouterr().err
