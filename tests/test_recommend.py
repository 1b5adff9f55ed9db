"""The model for a machine: what fits, what can be had, and that it is said before it is fetched."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from fakes import ScriptedModel, install
from test_cli import one_line, run
from test_docs import idle  # noqa: F401, a fixture

import assistant
from assistant.cli import main as command_line
from assistant.errors import WeightsError
from assistant.model import machine, recommend
from assistant.model.large.instructblip import sizes_of_preset
from assistant.model.machine import Estimate, Place, Speed, estimate
from assistant.model.memory import Plan
from assistant.weights import downloads
from assistant.weights.downloads import hub_sizes
from assistant.weights.presets import read_presets

FLAN, VICUNA = "instructblip-flan-t5-xl", "instructblip-vicuna-7b"
FILES = {  # as a hub lists them: of both kinds of weights, only the first are fetched
    "config.json": 2000,
    "model-00001-of-00002.safetensors": 9 * 10**9,
    "model-00002-of-00002.safetensors": 7 * 10**9,
    "pytorch_model.bin": 16 * 10**9,
    "README.md": 5 * 10**9,
}


class Hub:
    """What the hub and its cache answer, and what they were asked."""

    def __init__(self) -> None:
        self.refusal = ""
        self.cached: dict[str, Path] = {}
        self.asked: list[str] = []
        self.room = 10**12

    def sizes(self, hub: str, within: float) -> dict[str, int]:
        assert 0 < within <= recommend.HUB_SECONDS
        self.asked.append(hub)
        if self.refusal:
            raise WeightsError(self.refusal)
        return FILES

    def kept(self, hub: str, *, local: bool, **_: object) -> Path:
        assert local, "nothing is fetched to make a choice"
        if hub not in self.cached:
            raise WeightsError("not there")
        return self.cached[hub]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub that answers, a quick machine with a GPU's library, and no server on it."""
    hub = Hub()
    monkeypatch.setattr(recommend, "hub_sizes", hub.sizes)
    monkeypatch.setattr(recommend, "fetch_hub", hub.kept)
    monkeypatch.setattr(recommend, "hub_room", lambda: hub.room)
    monkeypatch.setattr(recommend, "local_servers", lambda: iter(()))
    monkeypatch.setattr(machine, "measure", lambda *_: Speed(1e12, 1e11))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    return hub


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch):
    """Sets what this machine has free, GB."""

    def put(cpu: float, gpu: float | None = None, quantizes: bool = True) -> tuple[Place, ...]:
        where = [Place("cuda", round(gpu * 1e9), quantizes)] if gpu is not None else []
        where.append(Place("cpu", round(cpu * 1e9), quantizes))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
        monkeypatch.setattr(
            recommend,
            "places",
            lambda device: tuple(place for place in where if device in ("auto", place.device)),
        )
        return tuple(where)

    return put


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A whole checkpoint, as far as its files tell."""
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    for name in shards.values():
        (tmp_path / name).touch()
    return tmp_path


def chosen(tell: bool = True, device: str = "auto", **wanted: object) -> recommend.Choice:
    told: list[str] = []
    choice = recommend.choose_model(
        recommend.Wanted(**wanted), device, told.append if tell else None
    )
    assert len(told) == tell
    return choice


@pytest.mark.parametrize(
    ("cpu", "gpu", "model", "quantize", "device", "bits"),
    [
        (4, None, "mini", "auto", "auto", None),
        (5, None, "mini", "auto", "auto", None),
        (6, None, FLAN, "4bit", "auto", 4),
        (64, None, FLAN, "4bit", "auto", 4),
        (64, 40, VICUNA, "auto", "auto", 0),
        (64, 12, VICUNA, "auto", "auto", 8),
        (64, 8, VICUNA, "auto", "auto", 4),
        (4, 6.5, FLAN, "auto", "auto", 8),
        (4, 5.5, FLAN, "auto", "auto", 4),
        (64, 2, FLAN, "4bit", "cpu", 4),
        (4, 2, "mini", "auto", "auto", None),
    ],
)
def test_the_memory_decides(hub, put, cpu, gpu, model, quantize, device, bits):
    put(cpu, gpu)
    choice = chosen()
    assert (choice.model, choice.quantize, choice.device) == (model, quantize, device)
    assert (choice.plan.llm_bits if choice.plan else None) == bits


def test_what_a_person_has_chosen_holds(hub, put):
    put(cpu=6, gpu=40)
    assert chosen(device="cpu").model == FLAN and chosen(device="cpu").device == "cpu"
    assert chosen(quantize="8bit").plan.llm_bits == 8
    assert chosen(precision="fp16", device="cpu").model == "mini"  # Flan-T5 overflows in it
    put(cpu=4)
    mini = chosen(quantize="4bit", device="cpu")
    assert (mini.model, mini.quantize, mini.device) == ("mini", "4bit", "cpu")
    put(cpu=8, quantizes=False)
    assert chosen().model == "mini"  # 16 bit are 9.4 GB
    put(cpu=12, quantizes=False)
    assert (chosen().model, chosen().quantize) == (FLAN, "none")


def test_the_line_says_what_is_downloaded_on_which_terms_and_how_to_decline(hub, put):
    put(cpu=20, gpu=12)
    line = recommend.auto_line(chosen())
    assert line.startswith(f"auto: {VICUNA} (LLM 8 bit, image encoder 8 bit); needs 9.9 GB")
    assert "16.0 GB from the hub" in line  # one kind of weights, and the small files
    assert "research only" in line and "--model mini" in line and "Ctrl-C" in line
    assert "\n" not in line


@pytest.mark.parametrize("refusal", ["the hub was not reached (ConnectError)", "X forbids it"])
def test_without_the_hub_it_is_mini_and_that_is_said(hub, put, refusal):
    put(cpu=20)
    hub.refusal = refusal
    choice = chosen()
    assert choice.model == "mini"
    assert recommend.auto_line(choice) == (
        f"auto: mini; {FLAN} (LLM 4 bit, image encoder 16 bit) fits, but {refusal}"
    )


def test_little_memory_is_told_and_asks_no_hub(hub, put):
    put(cpu=3)
    line = recommend.auto_line(chosen())
    assert line.startswith("auto: mini; ") and FLAN in line and "3.0 GB are free" in line
    assert hub.asked == []


def test_what_is_in_the_cache_needs_no_hub(hub, put, kept):
    put(cpu=20)
    hub.cached["Salesforce/instructblip-flan-t5-xl"] = kept
    choice = chosen(tell=False)
    assert (choice.model, choice.fetch, hub.asked) == (FLAN, 0, [])
    assert recommend.auto_line(choice).endswith("it is in the hub's cache")
    (kept / "model-2.safetensors").unlink()  # of a download that was broken off
    assert chosen().fetch == 16 * 10**9 + 2000


def test_nothing_is_downloaded_unsaid(hub, put):
    put(cpu=20)
    choice = chosen(tell=False)
    assert choice.model == "mini" and hub.asked == []


def test_a_better_one_that_is_not_to_be_had_gives_way(hub, put, kept):
    put(cpu=4, gpu=40)
    hub.refusal = "the hub was not reached (ConnectError)"
    hub.cached["Salesforce/instructblip-flan-t5-xl"] = kept
    assert chosen().model == FLAN


def test_a_small_disk_and_a_slow_machine_leave_mini(hub, put, monkeypatch):
    put(cpu=20)
    hub.room = 16 * 10**9
    assert "free on the disk" in recommend.auto_line(chosen())
    hub.room = 10**12
    monkeypatch.setattr(machine, "measure", lambda *_: Speed(1e9, 1e8))
    line = recommend.auto_line(chosen())
    assert line.startswith("auto: mini; ") and "would take about" in line


def test_a_slow_hub_is_asked_no_longer_than_in_all(hub, put, monkeypatch):
    put(cpu=64, gpu=40)
    moment = iter((0.0, 2.5, 7.0, 8.0))
    monkeypatch.setattr(recommend.time, "monotonic", lambda: next(moment))
    left: list[float] = []

    def slow(name: str, within: float) -> dict[str, int]:
        left.append(within)
        raise WeightsError("the hub was not reached (TimeoutError)")

    monkeypatch.setattr(recommend, "hub_sizes", slow)
    assert chosen().model == "mini"
    assert left == [3.0, 0.5]  # the third is not asked for


def test_a_hub_that_never_answers_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(downloads, "offline", lambda: False)
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    never = threading.Event()
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: never.wait())
    with pytest.raises(WeightsError, match="not reached"):
        hub_sizes("someone/something", 0.05)
    never.set()


class Scripted(BaseHTTPRequestHandler):
    """A hub, and a server that speaks like OpenAI's."""

    def do_GET(self) -> None:
        found: dict | None = {
            "/api/models/someone/something?blobs=true": {
                "id": "someone/something",
                "siblings": [{"rfilename": "model.safetensors", "size": 7}],
            },
            "/v1/models": {"data": [{"id": "nomic-embed-text"}, {"id": "small-talk:3b"}]},
        }.get(self.path)
        self.send_response(200 if found else 404)
        if found is None:
            self.send_header("X-Error-Code", "RepoNotFound")
        body = json.dumps(found or {}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def asked_as_a_person_would(name: str, tmp_path: Path, **environment: str) -> str:
    script = (
        "import sys\nfrom assistant.errors import WeightsError\n"
        "from assistant.weights.downloads import hub_sizes\n"
        "try:\n    print(hub_sizes(sys.argv[1], 30))\nexcept WeightsError as error:\n"
        "    print(error)\n"
    )
    own = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "ASSISTANT_OFFLINE": ""}
    command = [sys.executable, "-c", script, name]
    done = subprocess.run(
        command, env=os.environ | own | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_hub_tells_the_sizes(port, tmp_path):
    there = {"HF_ENDPOINT": f"http://127.0.0.1:{port}"}
    known, unknown = "someone/something", "someone/else"
    assert asked_as_a_person_would(known, tmp_path, **there) == "{'model.safetensors': 7}"
    told = asked_as_a_person_would(unknown, tmp_path, **there)
    assert told == "the hub shows no someone/else"
    told = asked_as_a_person_would(known, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert told.startswith("the hub was not reached (")
    for name in ("HF_HUB_OFFLINE", "ASSISTANT_OFFLINE"):
        told = asked_as_a_person_would(known, tmp_path, **there, **{name: "1"})
        assert told == f"{name} forbids asking the hub"


def test_python_is_told_before_anything_is_loaded(hub, put, monkeypatch):
    put(cpu=20)
    events: list[str] = []
    loads = install(monkeypatch, ScriptedModel())
    assistant.load("auto", tell=lambda line: events.append(f"{line} ({len(loads)} loads)"))
    (line,) = events
    assert "downloads 16.0 GB" in line and line.endswith("(0 loads)")
    assert (loads[0]["name"], loads[0]["quantize"]) == (FLAN, "4bit")
    assistant.load("auto")
    assert loads[1]["name"] == "mini"  # nobody would have been told
    with pytest.raises(assistant.errors.InputError, match="leave one out"):
        assistant.load("auto", base=Path("here"))


@pytest.mark.usefixtures("idle")
def test_every_command_with_a_model_takes_auto(hub, put, capsys, monkeypatch):
    put(cpu=20)
    seen: list[argparse.Namespace] = []
    parser = command_line.build_parser()
    tried = 0
    for words in commands_with_a_model(parser):
        monkeypatch.setattr(command_line, "build_parser", lambda: parser)
        for leaf in leaves(parser):
            leaf.set_defaults(run=lambda args: seen.append(args) or 0)
        code, _, err = run(capsys, *words, "--model", "auto")
        assert code == 0, (words, err)
        assert (seen[-1].model, seen[-1].quantize) == (FLAN, "4bit"), words
        assert err.startswith(f"auto: {FLAN}") and err.count("\n") == 1
        tried += 1
    assert tried >= 11


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for child in action.choices.values():
            yield from leaves(child)


def commands_with_a_model(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Words that each of them takes, with something for all that it must have."""
    for leaf in leaves(parser):
        if not any("--model" in action.option_strings for action in leaf._actions):
            continue
        words = leaf.prog.split()[1:]
        for action in leaf._actions:
            if action.required and action.nargs not in ("?", "*"):
                words += [*action.option_strings[:1], "x"]
        for group in leaf._mutually_exclusive_groups:
            words += [group._group_actions[0].option_strings[0], "x"] if group.required else []
        yield words


@pytest.mark.parametrize(
    ("words", "message"), [(["--base", "here"], "leave one out"), ([], "name the model")]
)
def test_what_auto_cannot_be_beside(hub, put, capsys, monkeypatch, words, message):
    put(cpu=20)
    if not words:
        monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = run(capsys, "ask", "clip.mp4", "Who?", "--model", "auto", *words)
    assert code == 2 and message in one_line(err)


def test_quiet_downloads_nothing(hub, put, capsys, monkeypatch, tmp_path):
    put(cpu=20)
    code, _, err = run(capsys, "ask", tmp_path / "no.mp4", "Who?", "--model", "auto", "--quiet")
    assert code == 2 and "no.mp4" in one_line(err) and hub.asked == []


class TestDoctor:
    def test_it_ends_with_one_recommendation_and_its_command(self, hub, put, capsys, monkeypatch):
        from assistant.model import doctor

        put(cpu=20)
        monkeypatch.setattr(doctor, "examine", lambda: (doctor.Check("a", "ok", "fine"),))
        monkeypatch.setattr(machine, "places", recommend.places)
        code, out, _ = run(capsys, "doctor")
        last = out.splitlines()[-1]
        assert (code, out.count("For this machine:")) == (0, 1)
        assert last == f"  -> assistant chat CLIP --model {FLAN} --quantize 4bit"
        assert "16.0 GB to download" in out and "MIT" in out and "estimated" in out

    @pytest.mark.parametrize(
        ("cpu", "gpu", "options"),
        [
            (1, None, ""),
            (3.5, None, " --llm Qwen/Qwen2.5-0.5B-Instruct"),
            (5.1, None, " --llm Qwen/Qwen2.5-1.5B-Instruct"),
            (8, None, f" --model {FLAN} --quantize 4bit"),
            (8, 24, f" --model {VICUNA}"),
            (3.5, 2, " --llm Qwen/Qwen2.5-0.5B-Instruct"),
        ],
    )
    def test_by_memory(self, hub, put, cpu, gpu, options):
        assert recommend.recommend(put(cpu, gpu)).options == options

    def test_without_bf16_four_bits_are_too_slow_and_a_language_model_reads(
        self, hub, put, monkeypatch
    ):
        def measured(device: str, dtype: torch.dtype, bits: int) -> Speed:
            assert dtype == torch.float32
            return Speed(6e8, 1.4e7) if bits else Speed(4.5e10, 4e9)  # on one core

        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        monkeypatch.setattr(machine, "measure", measured)
        choice = recommend.recommend(put(16))
        assert choice.options == " --llm Qwen/Qwen2.5-1.5B-Instruct"
        assert any(FLAN in line and "would take about" in line for line in choice.against)
        assert chosen().model == "mini"

    def test_the_readme_has_the_same(self):
        readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
        for name, plans in ((VICUNA, (Plan(4), Plan(8, 8), Plan())), (FLAN, (Plan(4),))):
            sizes = sizes_of_preset(read_presets().presets[name].llm)
            needs = " / ".join(f"{plan.need(sizes).total / 1e9:.1f}" for plan in plans)
            (row,) = (line for line in readme.splitlines() if f"`--model {name}" in line)
            assert f"| {needs} GB |" in row
        assert all(reader.hub.split("/")[1] in readme for reader in read_presets().readers)

    def test_what_it_recommends_is_a_command(self, hub, put, monkeypatch, capsys):
        parser = command_line.build_parser()
        takes_llm = "--llm" in parser.format_help() or any(
            "--llm" in leaf.format_help() for leaf in leaves(parser)
        )
        for cpu, gpu in ((1, None), (8, None), (8, 24), (64, 2), (3.5, None)):
            words = recommend.recommend(put(cpu, gpu)).options
            if takes_llm or "--llm" not in words:
                parser.parse_args(["chat", "clip.mp4", *shlex.split(words)])

    def test_without_the_hub_it_says_what_would_be_better(self, hub, put):
        hub.refusal = "the hub was not reached (ConnectError)"
        text = recommend.recommendation(recommend.recommend(put(8)))
        assert text.startswith("For this machine: mini\n")
        assert text.endswith("\n  -> assistant chat CLIP")
        assert f"mended: assistant chat CLIP --model {FLAN} --quantize 4bit (" in text
        assert text.count("not reached") == 1

    def test_a_server_of_this_machine_is_found(self, port, put, monkeypatch, hub):
        monkeypatch.undo()
        ports = (port, 9)
        monkeypatch.setattr(machine, "read_presets", lambda: SimplePorts(ports))
        address = f"http://localhost:{port}/v1"
        assert list(machine.local_servers()) == [(address, "small-talk:3b")]
        (choice,) = list(recommend._ladder([], recommend.Wanted()))
        assert choice.options == f" --llm {address} --llm-name small-talk:3b"


class SimplePorts:
    """The presets, as far as ports go."""

    def __init__(self, ports: tuple[int, ...]) -> None:
        self.server_ports = ports


class TestEstimate:
    def seconds(self, monkeypatch, frames=8, kind="llama", speed=1.0) -> Estimate:
        monkeypatch.setattr(machine, "measure", lambda *_: Speed(speed * 1e11, speed * 1e10))
        sizes = sizes_of_preset(read_presets().presets[FLAN].llm)
        return estimate(sizes, Plan(4, frames=frames), "cpu", torch.bfloat16, kind)

    def test_it_follows_frames_speed_and_kind(self, monkeypatch):
        one = self.seconds(monkeypatch)
        assert self.seconds(monkeypatch, frames=16).clip == pytest.approx(2 * one.clip)
        assert self.seconds(monkeypatch, speed=0.5).first == pytest.approx(2 * one.first)
        assert self.seconds(monkeypatch, kind="t5").question < one.question
        assert self.seconds(monkeypatch, kind="t5").clip == one.clip

    def test_it_promises_no_more_than_it_knows(self):
        assert Estimate(0.0, 0.2).as_text() == "about a second a question"
        assert Estimate(31.0, 8.6).as_text() == "about 40 s for a clip's first question, then 9 s"
        assert Estimate(80.0, 8.6).as_text().startswith("about 90 s for")

    @pytest.mark.parametrize("bits", [0, 4])
    def test_a_speed_is_measured(self, monkeypatch, bits):
        monkeypatch.setattr(machine, "SIDE", 64)
        speed = machine.measure.__wrapped__("cpu", torch.float32, bits)
        assert speed.many > 0 and speed.one > 0
