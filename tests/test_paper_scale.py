"""Paper-scale backends through the front door: from a folder to answers, adapters and figures; and
the one line of everything that a person will meet."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import huggingface_hub
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from checkpoints import write_checkpoint
from clips import make_clip
from huggingface_hub import errors
from test_cli import one_line, run
from tiny import tiny_assistant

from assistant import load
from assistant.errors import InputError, ModelError
from assistant.model import memory
from assistant.model.large import loading as paper_scale
from assistant.model.loading import shape_of
from assistant.model.lora import adapter_size
from assistant.tasks.recipes import load_recipe
from assistant.tasks.store import user_adapters
from assistant.weights.presets import model_name, preset_of, read_presets, terms_once

PROMPT = {
    "name": "mine",
    "description": "Odd or even.",
    "fusion": "{question}",
    "prompt": "{question}",
    "examples": ["is it 3?"],
    "max_new_tokens": 4,
}
VICUNA = "instructblip-vicuna-7b"
CONFIGS = Path(__file__).resolve().parent.parent / "configs"
TOGETHER = str(CONFIGS / "accelerate/machines.yaml")


@pytest.fixture(scope="module", params=["llama", "t5"])
def folder(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / request.param, request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny-llama")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, fresh_cache):
    """Adapters, shown terms and features of this test alone."""
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    return tmp_path


def written(path, *, batch=4, clips=(), shard=False):
    """A task of one's own: prompt, recipe and examples in ``path``."""
    path.mkdir(exist_ok=True)
    (path / "mine.yaml").write_text(yaml.safe_dump(PROMPT))
    recipe = {
        "task": "mine",
        "frames": 2,
        "lora": {"rank": 2},
        "transfer": {"layers": 0},
        "training": {
            "epochs": 2,
            "batch": batch,
            "lr": 0.02,
            "checkpointing": True,
            "shard": shard,
        },
    }
    (path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    lines = [
        {
            "id": n,
            "video": str(clips[n % len(clips)]) if clips else None,
            "question": f"is it {n}?",
            "answer": "yes" if n % 2 else "no",
            "choices": ["yes", "no"],
            "split": "train" if n < 8 else "dev" if n < 10 else "test",
        }
        for n in range(12)
    ]
    (path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def finetune_arguments(task, model, out, *options):
    return (
        *("finetune", "mine", "--model", model, "--prompt", task / "mine.yaml"),
        *("--data", task / "data.jsonl", "--config", task / "recipe.yaml", "--out", out),
        *options,
    )


@pytest.mark.parametrize("quantize", ["none", "4bit", "8bit"])
def test_a_question_about_a_clip(folder, clip, capsys, quantize):
    options = ("--model", folder, "--quantize", quantize, "--frames", 3, "--choices", "yes", "no")
    code, out, err = run(capsys, "ask", clip, "is the man in this video", *options, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["choice"] in ("yes", "no") and found["model"] == folder.name
    assert len(found["frames"]) == 3 and found["attributes"] == []
    bits = {"none": "LLM 16 bit", "4bit": "LLM 4 bit", "8bit": "LLM 8 bit"}[quantize]
    plan = err.splitlines()[0]
    assert plan.startswith(f"{folder.name} on cpu, ") and "free" in plan
    assert bits in plan or ("LLM 32 bit" in plan and quantize == "none")


def test_the_features_of_a_clip_are_kept_and_found_again(folder, clip):
    first, second = (load(str(folder)).open(clip, frames=3).look() for _ in range(2))
    assert first.classes.shape == second.classes.shape == (3, 0)
    assert torch.equal(first.patches, second.patches)


def test_looking_loads_the_encoder_alone_which_sees_the_same(folder, clip, monkeypatch):
    whole = load(str(folder)).open(clip, frames=3).look()
    monkeypatch.setattr("assistant.model.large.loading.build", pytest.fail)
    later = load(str(folder), now=False)
    session = later.open(clip, frames=3, without=["read"])
    monkeypatch.setattr(later.store, "get", lambda key: None)  # it looks for itself
    seen = session.look()
    assert (seen.encoder, seen.seconds) == (whole.encoder, whole.seconds)
    assert torch.equal(seen.patches, whole.patches)
    with pytest.raises(InputError, match="quantize is '2bit'"):
        load(str(folder), quantize="2bit", now=False).open(clip).perceive()


@pytest.mark.parametrize("quantize", ["none", "4bit"])
def test_a_task_is_learned_through_a_quantized_llm(folder, clip, home, capsys, quantize):
    task = written(home / "task", clips=[clip])
    options = ("--quantize", quantize)
    code, out, _ = run(capsys, *finetune_arguments(task, folder, home / "run", *options))
    assert code == 0 and "parameters, kept: epoch" in out
    log = [json.loads(line) for line in (home / "run/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0]  # after dev questions in between

    code, out, _ = run(capsys, "adapters", "check", "mine", "--model", folder)
    assert (code, out.split(",")[0]) == (0, "mine: whole")
    code, out, _ = run(
        capsys, "ask", clip, "is it 3?", "--task", "mine", "--model", folder, "--json", *options
    )
    assert code == 0 and json.loads(out)["adapter"] == "mine"
    code, out, _ = run(
        capsys,
        *("evaluate", "mine", "--model", folder, "--data", task / "data.jsonl", *options),
        *("--out", home / "report", "--compare", "mine", "none"),
    )
    assert code == 0 and "2 questions of the split test" in out


@pytest.mark.parametrize(("shard", "machines"), [(False, 1), (True, 2)])
def test_two_processes_learn_what_one_does(llama, clip, home, capsys, shard, machines):
    """One process with batches of four, and two with batches of two, on equal examples; with
    ``shard`` each of the two holds one half of every layer of the LLM. Two machines are two
    launchers here, which meet at a port."""
    clips = [clip, make_clip(home / "other.mp4", 200)]
    exact = ("--precision", "fp32", "--quantize", "none", "--no-install")
    one, two = (written(home / f"of-{n}", batch=4 // n, clips=clips, shard=shard) for n in (1, 2))
    assert run(capsys, *finetune_arguments(one, llama, home / "one", *exact))[0] == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = 0 if machines == 1 else free.getsockname()[1]
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", TOGETHER),
                *("--num_processes=2", f"--num_machines={machines}", f"--machine_rank={rank}"),
                *("--main_process_ip=127.0.0.1", f"--main_process_port={port}", "-m", "assistant"),
                *map(str, finetune_arguments(two, llama, home / "two", *exact)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(machines)
    ]
    told = [process.communicate(timeout=300) for process in started]
    for process, (_, err) in zip(started, told, strict=True):
        assert process.returncode == 0, err[-2000:]
    assert "".join(out for out, _ in told).count("parameters, kept") == 1
    alone, together = (
        [json.loads(line) for line in (home / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert len(alone) == len(together) == 4
    for line, other in zip(alone, together, strict=True):
        for figure in line.keys() - {"time"}:
            assert other[figure] == pytest.approx(line[figure], rel=1e-4), figure


def test_what_cannot_be_spread_out_is_one_line(llama, clip, home, capsys):
    task = written(home / "task", clips=[clip], shard=True)
    lines = [json.loads(line) for line in (task / "data.jsonl").read_text().splitlines()]
    lines[0]["video"] = None
    (task / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = run(capsys, *finetune_arguments(task, llama, home / "run"))
    assert code == 2 and "leave shard out of the recipe" in err.splitlines()[-1]
    quantized = load(str(llama), quantize="4bit").model.llm
    with pytest.raises(ModelError, match="--quantize none"):
        quantized.shard(torch.device("cpu"))


def test_the_shipped_configs_are_usable():
    recipe = load_recipe(CONFIGS / "paper.yaml")
    paper = recipe.paper
    for name in ("epochs", "batch", "lr", "betas", "weight_decay"):
        assert getattr(recipe.training, name) == getattr(paper, name), name
    assert recipe.frames == recipe.transfer.frames == paper.frames
    shape, patch_width = shape_of(VICUNA)
    for heard in (0, 1280):  # Whisper large's width
        transfer = replace(recipe.transfer, sound=heard)
        assert adapter_size(shape, patch_width, recipe.lora, transfer) <= 2_500_000
    config = load_config_from_file(str(CONFIGS / "accelerate/gpus.yaml"))
    assert config.num_processes == 2
    config = load_config_from_file(TOGETHER)
    assert (config.num_machines, config.num_processes) == (2, 16)


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ("mini", "mini"),
        (VICUNA, VICUNA),
        (f"Salesforce/{VICUNA}", VICUNA),
        (f"/models/{VICUNA}", VICUNA),
        ("someone/other", "other"),
    ],
)
def test_a_model_has_one_name_however_it_is_named(named, name):
    assert model_name(named) == name
    assert user_adapters(named).name == name


def test_a_folder_in_the_hubs_cache_is_called_as_its_model(home):
    folder = home / "models--Salesforce--instructblip-flan-t5-xl/snapshots/0a1b"
    folder.mkdir(parents=True)
    assert model_name(str(folder)) == "instructblip-flan-t5-xl"


def test_terms_are_told_once():
    presets = read_presets().presets
    assert {preset.licence for preset in presets.values()} == {"research only", "MIT"}
    told = terms_once(f"Salesforce/{VICUNA}")
    assert told is not None and "research only" in told and "LLaMA" in told
    assert terms_once(VICUNA) is None
    assert terms_once("instructblip-flan-t5-xl") is not None
    assert terms_once("mini") is None and terms_once("someone/other") is None
    assert preset_of("someone/other") is None


def ask_of(capsys, clip, *options):
    code, _, err = run(capsys, "ask", clip, "What is it?", "--quiet", *options)
    assert code == 2
    return one_line(err)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--model", "maxi"), "known are mini, instructblip-vicuna-7b"),
        (("--model", "./nowhere"), "there is no such folder"),
        (("--model", VICUNA), "hub was not reached"),
        (("--model", "someone/other"), "give a local folder"),
        (("--quantize", "2bit", "--model", VICUNA), "choose from 'auto', 'none', '8bit', '4bit'"),
        (("--quantize", "2bit"), "choose from 'auto', 'none', '8bit', '4bit'"),
        (("--device", "tpu"), "choose from 'auto', 'cpu', 'cuda'"),
        (("--device", "tpu", "--model", VICUNA), "choose from 'auto', 'cpu', 'cuda'"),
    ],
)
def test_a_wrong_name_is_one_line(clip, capsys, options, told):
    assert told in ask_of(capsys, clip, *options)


def test_a_folder_of_something_else_is_one_line(clip, capsys, home):
    (home / "empty").mkdir()
    assert "holds no config.json" in ask_of(capsys, clip, "--model", home / "empty")
    (home / "empty/config.json").write_text('{"model_type": "llava"}')
    assert "checkpoint of llava" in ask_of(capsys, clip, "--model", home / "empty")


def test_without_cuda_a_gpu_is_not_taken(llama, clip, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = ask_of(capsys, clip, "--model", llama, "--device", "cuda")
    assert "CUDA is not" in line and "--device cpu" in line


def test_too_little_memory_is_one_line_with_figures(llama, clip, capsys, monkeypatch):
    monkeypatch.setattr(paper_scale, "free_memory", lambda device: 10_000)
    line = ask_of(capsys, clip, "--model", llama)
    assert "not enough memory" in line and "fewer --frames" in line


def test_bitsandbytes_that_cannot_work_here_is_one_line(llama, clip, capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no kernel for this device")

    monkeypatch.setattr("assistant.model.quantization.quantized_linear", fail)
    line = ask_of(capsys, clip, "--model", llama, "--quantize", "4bit")
    assert "bitsandbytes cannot quantize to 4 bit on cpu" in line
    assert "bitsandbytes cannot" in ask_of(capsys, clip, "--quantize", "8bit")  # mini


def test_flan_t5_is_not_run_where_it_overflows(tmp_path, clip, capsys):
    folder = write_checkpoint(tmp_path / "t5", "t5")
    assert "overflows" in ask_of(capsys, clip, "--model", folder, "--precision", "fp16")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.GatedRepoError, "asks for its terms to be accepted"),
        (errors.RepositoryNotFoundError, "the hub shows no someone/other"),
    ],
)
def test_what_the_hub_refuses_is_one_line(clip, capsys, monkeypatch, error, told):
    def refuse(*_, **__):
        response = httpx.Response(403, request=httpx.Request("GET", "http://hub"))
        raise error("refused\nat length", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    assert told in ask_of(capsys, clip, "--model", "someone/other")


def test_only_the_files_that_are_needed_come_from_the_hub(llama, monkeypatch, home):
    """Safetensors where there are some, else the older files."""
    asked = []

    def fetch(source, *, patterns):
        asked.append((source, patterns[-1]))
        return home if patterns[-1] == "*.safetensors" else llama

    monkeypatch.setattr(paper_scale.weights_store, "ensure_hub", fetch)
    assert paper_scale.checkpoint_folder(VICUNA) == llama
    hub = f"Salesforce/{VICUNA}"
    assert asked == [(hub, "*.safetensors"), (hub, "*.bin")]


def test_a_checkpoint_is_fetched_before_it_is_needed(llama, capsys, monkeypatch):
    monkeypatch.setattr(paper_scale.weights_store, "ensure_hub", lambda *_, **__: llama)
    code, out, err = run(capsys, "fetch", VICUNA)
    assert (code, out) == (0, f"{VICUNA} is ready: {llama}\n")
    assert "research only" in err
    code, _, err = run(capsys, "fetch", "maxi")
    assert code == 2 and "is unknown" in one_line(err)


def test_a_plan_that_does_not_hold_goes_one_step_down_and_says_so(llama, monkeypatch):
    tried = []

    def full_at_first(model, frames, context):
        tried.append(type(model.llm.network.model.layers[0].mlp.up_proj).__name__)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return model

    monkeypatch.setattr(paper_scale, "_tried", full_at_first)
    told = []
    assert load(str(llama), tell=told.append).model.name == "tiny-llama"
    assert tried == ["Linear", "Linear4bit"]
    assert "one step down: LLM 4 bit" in told[-1]

    monkeypatch.setattr(paper_scale, "_tried", always_full)
    with pytest.raises(ModelError, match="not for LLM 4 bit"):
        load(str(llama))
    with pytest.raises(ModelError, match="--quantize auto"):
        load(str(llama), quantize="none")


def always_full(model, frames, context):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_gpu_that_fills_up_takes_frames_in_smaller_chunks(llama, monkeypatch):
    model = load(str(llama)).model
    sizes = []
    encode = model.encoder.encode

    def tight(pictures):
        sizes.append(len(pictures))
        if len(pictures) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(pictures)

    monkeypatch.setattr(model.encoder, "encode", tight)
    frames = torch.zeros(5, 20, 20, 3, dtype=torch.uint8).numpy()
    model.encoder.chunk = 8
    assert model.encoder(frames).patches.shape[0] == 5
    assert sizes == [5, 4, 2, 2, 1]
    monkeypatch.setattr(model.encoder, "encode", lambda _: always_full(None, 0, 0))
    with pytest.raises(ModelError, match="one frame is too many"):
        model.encoder(frames)


def test_mini_is_quantized_on_the_same_way(monkeypatch):
    from assistant.model import loading

    monkeypatch.setattr(loading, "build_model", lambda *_, **__: tiny_assistant())
    monkeypatch.setattr(loading, "load_trained", lambda *_: None)
    model = loading.load_model("mini", quantize="4bit", precision="fp32")
    assert type(model.llm.network.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"
    plain = loading.load_model("mini", reading=False)  # what it learned fits no tiny one
    assert type(plain.llm.network.model.layers[0].mlp.up_proj) is torch.nn.Linear


def test_the_doctor_says_what_every_preset_needs(capsys, monkeypatch):
    free = SimpleNamespace(available=int(8e9), total=int(16e9))
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    from assistant.model.doctor import examine

    rows = {check.name: check for check in examine()}
    vicuna = rows[VICUNA]
    assert "7.9 B parameters, research only" in vicuna.found
    assert f"4 bit {memory.gigabytes(7.6e9)}" in vicuna.found
    assert vicuna.found.endswith("LLM 4 bit, image encoder 16 bit")
    assert rows["instructblip-vicuna-13b"].found.endswith("it does not fit")


def test_the_size_of_an_adapter_is_printed(capsys):
    code, out, _ = run(capsys, "adapters", "size", "--model", VICUNA)
    assert code == 0
    first, *rows = out.splitlines()
    assert "12 layers, 768 wide" in first
    counts = [int(row.split()[0].replace(",", "")) for row in rows]
    assert len(counts) == 2 and max(counts) <= 2_500_000
