"""``assistant finetune``: what learns, what stays, what a stop leaves, where adapters are found."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from clips import make_clip
from safetensors.torch import load_file
from tiny import tiny_assistant

from assistant.core.config import LoraSettings, TransferConfig
from assistant.core.shortage import shortage_of
from assistant.errors import ConfigError, InputError, ModelError, WeightsError
from assistant.model.lora import Adapters
from assistant.tasks.prompts import TaskPrompt
from assistant.tasks.recipes import RECIPE as RECIPE_FILE
from assistant.tasks.recipes import Recipe, Training, load_recipe
from assistant.tasks.store import adapter_folders, adapter_prompt, find_adapter, install_adapter
from assistant.training.examples import (
    DrawnExample,
    draw,
    make_examples,
    split_items,
    steps_per_epoch,
)
from assistant.training.finetune import (
    ADAPTER,
    ablated,
    examples_from,
    finetune,
    generated_examples,
    load_made,
    prepare,
)
from assistant.training.finetuner import Finetuner
from assistant.training.loop import CHECKPOINT, LOG, Loop
from assistant.training.losses import LOSSES
from assistant.training.losses.base import Loss
from assistant.training.run_folder import LOCK
from assistant.vqa.assistants import Assistant

PROMPT = TaskPrompt("tell", "Tells.", "{question}", "{question}", ("is it?",), 8)
RECIPE = Recipe(
    task="tell",
    frames=2,
    lora=LoraSettings(rank=2, dropout=0.1),
    transfer=TransferConfig(frames=2),
    training=Training(epochs=2, batch=3, lr=1e-2, silent_epochs=1),
)


CHOICES_ALONE = {"slots": 0.0, "llm": 0.0, "choices": 2.0}


@pytest.fixture
def data(tmp_path):
    """Two clips and a text, each asked about."""
    lines = []
    for number in range(3):
        if number < 2:
            make_clip(tmp_path / f"{number}.mp4", range(number * 9, number * 9 + 9))
        video = f"{number}.mp4" if number < 2 else None
        lines += [
            {
                "id": f"{number}-{turn}",
                "video": video,
                "question": f"is it {turn}?",
                "answer": "yes" if (turn + number) % 2 else "no",
                "choices": ["yes", "no"],
                "type": "yes/no",
                "split": "dev" if turn == 3 else "train",
            }
            for turn in range(4)
        ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_only_the_adapter_learns_and_it_is_found_by_name(data, tmp_path):
    model = tiny_assistant()
    before = {name: p.clone() for name, p in model.named_parameters()}
    done = finetune(RECIPE, PROMPT, model, examples_from(data), tmp_path / "run", install=True)
    after = dict(model.named_parameters())
    frozen = {n.replace(".base_layer", ""): p for n, p in after.items() if "lora_" not in n}
    for name, value in before.items():
        assert torch.equal(frozen[name], value), name
    assert done.installed is not None and done.installed.name == "tell"
    assert list(adapter_folders("tiny")) == ["tell"]
    stored = find_adapter("tell", "tiny")
    assert adapter_prompt(stored) == PROMPT
    assert stored.recipe.made.base == model.fingerprint
    assert stored.recipe.made.examples == 9
    assert {"accuracy", "dev loss"} <= stored.recipe.made.figures.keys()
    sure = stored.recipe.calibration
    assert sure.examples == 3 and sure == load_recipe(done.folder).calibration
    card = (done.folder / "CARD.md").read_text()
    assert card.startswith("# tell") and f"temperature {sure.temperature:g}" in card
    assert (tmp_path / "run/curves.png").stat().st_size > 1000


def test_a_session_uses_the_tasks_adapter_and_nothing_else_changes(data, tmp_path):
    finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run", install=True)
    plain = Assistant(tiny_assistant()).open(tmp_path / "0.mp4", frames=2)
    choices = ["yes", "no"]
    bare = plain.ask("is it 1?", choices=choices).probabilities
    plain.clear()
    told = plain.ask("is it 1?", task="tell", choices=choices)
    assert told.as_dict()["adapter"] == "tell"
    assert told.probabilities != bare
    plain.clear()
    again = plain.ask("is it 1?", choices=choices)
    assert again.as_dict()["adapter"] is None
    assert again.probabilities == pytest.approx(bare)
    plain.clear()
    named = plain.ask("is it 1?", task="tell", adapter=tmp_path / "run/adapter", choices=choices)
    assert named.probabilities == pytest.approx(told.probabilities)
    plain.clear()
    base = plain.ask("is it 1?", task="tell", adapter="none", choices=choices)
    assert base.as_dict()["adapter"] is None
    assert len(told.evidence()) == 2
    routes = told.as_dict()["routing"]
    assert len(routes) == 3 and len(routes[-1]["time"]) == 3
    assert sum(routes[0]["space"]) == pytest.approx(1.0, abs=1e-3)
    assert base.routing() == []


def test_a_run_goes_on_from_an_adapter(data, tmp_path):
    first = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "first")
    still = replace(RECIPE, training=replace(RECIPE.training, lr=0.0))
    examples = examples_from(data)
    run = tmp_path / "second"
    second = finetune(still, PROMPT, tiny_assistant(), examples, run, start=first.folder)
    assert weights(second.folder) == weights(first.folder)
    assert second.made.start.startswith("tell-")
    other = replace(RECIPE, lora=LoraSettings(rank=3))
    with pytest.raises(WeightsError, match="does not belong to its recipe"):
        finetune(other, PROMPT, tiny_assistant(), examples, tmp_path / "x", start=first.folder)


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_a_stopped_run_goes_on_to_the_same_weights(data, tmp_path, monkeypatch, stop_at):
    whole = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "whole")
    step, taken = Loop.step, []

    def stopping(self, batch):
        taken.append(batch)
        if len(taken) == stop_at + 1:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Loop, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "stopped")
    monkeypatch.setattr(Loop, "step", step)
    resumed = finetune(
        RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "stopped", resume=True
    )
    assert weights(resumed.folder) == weights(whole.folder)
    one, two = (
        torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "stopped")
    )
    assert one["progress"] == two["progress"]
    for name, value in one["trained"].items():
        assert torch.equal(value, two["trained"][name]), name


def test_says_what_stands_in_the_way(data, tmp_path):
    model = tiny_assistant()
    out = tmp_path / "run"
    with pytest.raises(InputError, match="no run to resume"):
        finetune(RECIPE, PROMPT, model, examples_from(data), out, resume=True)
    finetune(RECIPE, PROMPT, model, examples_from(data), out)
    with pytest.raises(InputError, match="--resume"):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out)
    other = replace(RECIPE, training=replace(RECIPE.training, lr=1e-3))
    with pytest.raises(InputError, match="another recipe"):
        finetune(other, PROMPT, tiny_assistant(), examples_from(data), out, resume=True)
    for what, prompt, base, start in (
        ("prompt", replace(PROMPT, prompt="Is it so? {question}"), "tiny-0", None),
        ("base", PROMPT, "tiny-1", None),
        ("adapter to go on from", PROMPT, "tiny-0", out / "adapter"),
    ):
        model = tiny_assistant()
        model.fingerprint = base
        examples = examples_from(data)
        with pytest.raises(InputError, match=f"another {what}; take the same"):
            finetune(RECIPE, prompt, model, examples, out, start=start, resume=True)
    half = tiny_assistant()
    half.llm.network.bfloat16()
    with pytest.raises(InputError, match="another precision"):
        finetune(RECIPE, PROMPT, half, examples_from(data), out, resume=True)
    make_clip(tmp_path / "0.mp4", range(30, 39))
    with pytest.raises(InputError, match="another state of the clips"):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out, resume=True)
    data.write_text(data.read_text().replace("is it 0?", "is it so?"))
    with pytest.raises(InputError, match="another data"):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out, resume=True)
    unknown = replace(RECIPE, training=replace(RECIPE.training, losses={"still": 1.0}))
    with pytest.raises(ConfigError, match="'still'"):
        finetune(unknown, PROMPT, model, examples_from(data), tmp_path / "unknown")


def test_two_runs_never_share_a_folder(data, tmp_path, monkeypatch):
    """Neither a fresh one, nor one that resumes; what they are refused by changes nothing."""
    out, step, refused = tmp_path / "run", Loop.step, []

    def stepping(self, batch):
        if not refused:
            for resume in (False, True):
                with pytest.raises(InputError, match="another run trains in it") as told:
                    finetune(
                        *(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out),
                        resume=resume,
                    )
                refused.append(str(told.value))
        return step(self, batch)

    monkeypatch.setattr(Loop, "step", stepping)
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out)
    whole = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "whole")
    assert len(refused) == 2 and weights(done.folder) == weights(whole.folder)
    assert finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out, resume=True)


def test_without_dev_examples_the_last_epoch_is_kept(data, tmp_path):
    (line, *_) = data.read_text().splitlines()
    data.write_text(line + "\n")
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run")
    assert done.made.epoch == RECIPE.training.epochs


def test_a_stop_while_the_best_is_written_loses_nothing(data, tmp_path, monkeypatch):
    whole = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "whole")
    save = Loop.save

    def stopping(self):
        if self.progress.phase == 2:
            raise KeyboardInterrupt
        save(self)

    monkeypatch.setattr(Loop, "save", stopping)
    with pytest.raises(KeyboardInterrupt):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "stopped")
    monkeypatch.setattr(Loop, "save", save)
    resumed = finetune(
        RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "stopped", resume=True
    )
    assert resumed.made == whole.made and weights(resumed.folder) == weights(whole.folder)


def test_what_lies_in_the_adapters_folder_is_whole(data, tmp_path, monkeypatch):
    """While the next best is written, too, and the last one stays until then."""
    out, met, write = tmp_path / "run", [], Adapters.save

    def writing(self, name, folder):
        write(self, name, folder)
        if (out / ADAPTER / RECIPE_FILE).exists():
            met.append((load_made(out / ADAPTER).epoch, weights(out / ADAPTER)))

    monkeypatch.setattr(Adapters, "save", writing)
    monkeypatch.setattr(Finetuner, "score", lambda self, phase, figures: float(phase))
    finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out)
    assert [epoch for epoch, _ in met] == list(range(1, RECIPE.training.epochs))
    assert all(one != other for (_, one), (_, other) in pairwise(met))
    assert [path.name for path in out.glob(".*")] == [LOCK]


def test_a_full_disk_is_said_and_the_last_checkpoint_stands(data, tmp_path, monkeypatch):
    out, save, kept = tmp_path / "run", torch.save, []

    def nearly_full(state, file):
        if not kept:
            kept.append(dict(state["progress"]))
            return save(state, file)
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk, pytest.raises(OSError, match="No space left") as met:
        disk.setattr(torch, "save", nearly_full)
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out)
    assert "nothing more can be written" in shortage_of(met.value)
    assert [torch.load(out / CHECKPOINT, weights_only=True)["progress"]] == kept
    finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out, resume=True)


def test_a_clip_that_cannot_be_read_is_named_and_the_rest_is_kept(data, tmp_path):
    (tmp_path / "1.mp4").write_text("no clip")
    with pytest.raises(InputError, match=r"1\.mp4"):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run")
    make_clip(tmp_path / "1.mp4", range(9))
    assert (
        finetune(
            RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run"
        ).made.examples
        == 9
    )


def test_what_learned_from_text_alone_does_not_look_at_a_clip(data, tmp_path):
    lines = [json.loads(line) for line in data.read_text().splitlines()]
    data.write_text("".join(json.dumps(line | {"video": None}) + "\n" for line in lines))
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run")
    assert load_recipe(done.folder).frames == 0
    assert "text alone" in (done.folder / "CARD.md").read_text()
    assistant = Assistant(tiny_assistant())
    told = [
        assistant.open(tmp_path / f"{number}.mp4").ask(
            "is it 1?", adapter=done.folder, choices=["yes", "no"]
        )
        for number in range(2)
    ]
    first, second = told
    assert first.probabilities == second.probabilities
    assert first.evidence() == () == first.frames
    assert any("does not see the pictures" in warning for warning in first.warnings)
    assert isinstance(first.routing(), list)
    looking = assistant.open(tmp_path / "0.mp4").ask("is it 1?", adapter="none", choices=["a", "b"])
    assert set(looking.evidence()) != {0.0} and not looking.warnings


def test_an_adapter_of_another_base_is_refused(data, tmp_path):
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run")
    other = tiny_assistant()
    other.fingerprint = "tiny-1"
    with pytest.raises(WeightsError, match="tiny-1"):
        other.load_adapter(done.folder, load_recipe(done.folder))


def test_an_own_adapter_is_replaced_whole(data, tmp_path):
    done = finetune(
        RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run", install=True
    )
    (done.installed.folder / "old").write_text("")
    (done.folder / "adapter_model.safetensors").chmod(0o600)  # the copy's rights are the umask's
    install_adapter(done.folder, "tell", "tiny")
    assert not (done.installed.folder / "old").exists()
    assert len({path.stat().st_mode for path in done.installed.folder.iterdir()}) == 1
    assert list(adapter_folders("tiny")) == ["tell"]
    with pytest.raises(InputError, match="'base'"):
        install_adapter(done.folder, "base", "tiny")


@pytest.mark.parametrize(
    ("without", "gone"),
    [("mqt", "temporal_routers"), ("dar", "routers"), ("lora", None), ("contrast", "contrasts")],
)
def test_parts_can_be_left_out(without, gone):
    recipe = ablated(RECIPE, [without])
    assert recipe.without == (without,)
    model = tiny_assistant()
    model.adapters.add("x", recipe.lora, recipe.transfer)
    names = model.adapters.trainable("x", lora=recipe.lora.train)
    if gone is None:
        assert not [name for name in names if "lora_" in name]
    else:
        assert not [name for name in names if gone in name]


def test_without_fusion_the_llm_reads_what_the_qformer_would_have(tmp_path):
    from assistant.data.items import Item

    model = tiny_assistant()
    item = Item(1, None, "is it?", "yes", choices=("yes", "no"))
    prompt = replace(PROMPT, qformer_text="Q: {question}")
    (example,) = make_examples([item], prompt, model, None, {}, ablated(RECIPE, ["fusion"]))
    assert example.shown.qformer_text == ""
    assert example.shown.prompt == "Q: is it?\nis it?"


BOTH = [(False, False), (False, True), (True, False), (True, True)]


class Pair:
    """An example of which only the type matters."""

    sources: frozenset[str] = frozenset()
    requests = {frozenset(): None}  # noqa: RUF012

    def __init__(self, kind: str = "") -> None:
        self.type = kind


def test_choices_learns_what_makes_the_right_one_likelier(data, tmp_path):
    """Its loss is the cross-entropy of what choices are taken by; the blind prior is in neither."""
    training = replace(RECIPE.training, losses=CHOICES_ALONE, silent_epochs=0)
    recipe = replace(RECIPE, frames=0, training=training)
    items = [item for item in examples_from(data).items if item.video is None]
    model = tiny_assistant()
    model.config = replace(model.config, llm=replace(model.config.llm, choice_prior=0.5))
    run = prepare(recipe, PROMPT, model, items, items, "0", tmp_path)
    asked = [DrawnExample(example, example.shown) for example in run.train_set]
    learner = run.learner.eval()
    shares = torch.tensor(learner.choice_scores(asked)).log_softmax(-1)
    right = [one.example.choices.index(one.example.answer) for one in asked]
    wanted = -2.0 * shares[range(len(asked)), right].mean()
    assert learner(asked, False).item() == pytest.approx(float(wanted), rel=1e-4)


class Still(Loss):
    """Its head reads the length of the answer off the query that begins it."""

    def __init__(self, width):
        super().__init__()
        self.length = torch.nn.Linear(width, 1)

    @classmethod
    def build(cls, setting):
        return cls(setting.model.qformer.config.width)

    @classmethod
    def known(cls, item, frames):
        return len(item.answer) if item.video else None

    def forward(self, seen, known):
        rows = [row for row, length in enumerate(known) if length is not None]
        told = self.length(seen.states.pooled[rows, 0].float())
        wanted = torch.tensor([known[row] for row in rows], dtype=torch.float32)
        return (told[:, 0] - wanted).abs().sum()


def test_a_new_loss_is_a_class_and_a_key_of_a_recipe(data, tmp_path, monkeypatch):
    monkeypatch.setitem(LOSSES, "length", Still)
    alone = {"length": 1.0, "slots": 0.0, "llm": 0.0}
    training = replace(RECIPE.training, epochs=8, silent_epochs=0, losses=alone)
    recipe = replace(RECIPE, training=training)
    done = finetune(recipe, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]
    trained = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["trained"]
    assert trained["heads.length.length.weight"].abs().sum() > 0
    assert load_recipe(done.folder).training.losses == alone
    items = [item for item in examples_from(data).items if item.video is None]
    with pytest.raises(InputError, match="length"):  # no example concerns it
        prepare(recipe, PROMPT, tiny_assistant(), items, items, "0", tmp_path)


class Diverging(Still):
    """From the second epoch on it, or its gradient alone, is no number."""

    spoil, measured = math.log, False

    def forward(self, seen, known):
        loss = super().forward(seen, known)
        Diverging.measured |= not self.training
        return self.spoil(loss) if self.training and self.measured else loss


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("loss is nan", lambda self, loss: loss * math.nan),
        ("loss is inf", lambda self, loss: loss + math.inf),
        ("gradient is nan", lambda self, loss: (loss - loss).sqrt()),
    ],
)
def test_a_run_that_diverges_stops_and_keeps_its_best_epoch(
    data, tmp_path, monkeypatch, what, spoil
):
    monkeypatch.setattr(Diverging, "spoil", spoil)
    monkeypatch.setattr(Diverging, "measured", False)
    monkeypatch.setitem(LOSSES, "length", Diverging)
    training = replace(RECIPE.training, silent_epochs=0, losses={"length": 1.0})
    recipe, out = replace(RECIPE, training=training), tmp_path / "run"
    with pytest.raises(ModelError, match=f"epoch 2, step 1: the {what}.*epoch 1") as told:
        finetune(recipe, PROMPT, tiny_assistant(), examples_from(data), out, install=True)
    assert "\n" not in str(told.value)
    assert adapter_folders("tiny") == {}
    kept = load_file(out / "adapter/adapter_model.safetensors").values()
    state = torch.load(out / CHECKPOINT, weights_only=True)["trained"].values()
    assert all(value.isfinite().all() for value in (*kept, *state))
    clip = Assistant(tiny_assistant()).open(tmp_path / "0.mp4", frames=2)
    answer = clip.ask("is it 1?", adapter=out / "adapter", choices=["yes", "no"])
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("changed", ["identity", "trained"])
def test_a_checkpoint_of_another_version_is_refused(data, tmp_path, changed):
    out = tmp_path / "run"
    finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out)
    state = torch.load(out / CHECKPOINT, weights_only=True)
    del state[changed]
    torch.save(state, out / CHECKPOINT)
    with pytest.raises(InputError, match="another version"):
        finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), out, resume=True)


@pytest.mark.parametrize(("balance", "rare"), [(0.0, 4), (0.5, 8), (1.0, 20)])
def test_rare_types_are_drawn_more_often_the_more_balance_is_asked_for(balance, rare):
    pairs = [Pair("common") for _ in range(90)] + [Pair("rare") for _ in range(10)]
    training = replace(RECIPE.training, epoch_examples=40, balance=balance)
    recipe = replace(RECIPE, training=training)
    epochs = [[a.example for batch in draw(pairs, recipe, 8, n) for a in batch] for n in range(5)]
    counts = [sum(pair.type == "rare" for pair in epoch) for epoch in epochs]
    assert all(len(epoch) == 40 for epoch in epochs)
    assert sum(counts) / 5 == pytest.approx(rare, abs=2.1)
    seen = {pair for epoch in epochs for pair in epoch if pair.type == "rare"}
    assert len(seen) == 10
    assert epochs[0] == [a.example for batch in draw(pairs, recipe, 8, 0) for a in batch]


def test_what_each_source_says_is_left_out_of_some_examples_by_itself():
    names = ("attributes", "read")
    sets = [frozenset(n for n, kept in zip(names, both, strict=True) if kept) for both in BOTH]
    example = Pair("common")
    example.sources, example.requests = frozenset(names), {some: some for some in sets}
    training = replace(RECIPE.training, sources_kept=0.5)
    recipe = replace(RECIPE, training=training)
    drawn = [one.request for batch in draw([example] * 400, recipe, 8, 0) for one in batch]
    shares = [drawn.count(some) / len(drawn) for some in sets]
    assert all(share == pytest.approx(0.25, abs=0.07) for share in shares)
    again = [one.request for batch in draw([example] * 400, recipe, 8, 0) for one in batch]
    assert drawn == again
    everything = replace(recipe, training=replace(training, sources_kept=1.0))
    assert {one.request for batch in draw([example] * 9, everything, 8, 0) for one in batch} == {
        frozenset(names)
    }


def test_a_type_is_drawn_as_many_times_as_often_as_its_weight_says():
    pairs = [Pair("common") for _ in range(90)] + [Pair("rare") for _ in range(30)]
    training = replace(RECIPE.training, epoch_examples=120, weights={"rare": 9.0})
    drawn = [
        a.example for batch in draw(pairs, replace(RECIPE, training=training), 8, 0) for a in batch
    ]
    assert sum(pair.type == "rare" for pair in drawn) == 90
    nothing = replace(training, weights={"rare": 0.0, "common": 0.0})
    with pytest.raises(InputError, match="common, rare weigh 0"):
        next(draw(pairs, replace(RECIPE, training=nothing), 8, 0))


def test_batches_take_every_example_once_and_again_the_same(tmp_path):
    examples = list(range(10))

    pairs = [Pair() for _ in examples]
    epochs = [[a.example for batch in draw(pairs, RECIPE, 4, n) for a in batch] for n in (0, 0, 1)]
    assert epochs[0] == epochs[1] != epochs[2]
    assert set(epochs[0]) == set(pairs) and len(epochs[0]) == 10
    assert steps_per_epoch(10, 4, RECIPE.training) == 3


def test_short_epochs_go_on_where_the_last_one_stopped():
    pairs = [Pair() for _ in range(10)]
    recipe = replace(RECIPE, training=replace(RECIPE.training, epoch_examples=4))
    taken = [[a.example for batch in draw(pairs, recipe, 3, n) for a in batch] for n in range(5)]
    assert [len(epoch) for epoch in taken] == [4] * 5
    flat = [example for epoch in taken for example in epoch]
    assert set(flat[:10]) == set(pairs) == set(flat[10:])
    assert flat[:10] != flat[10:]
    assert steps_per_epoch(10, 3, recipe.training) == 2


def test_clips_set_aside_for_dev_are_not_in_training(data):
    from assistant.data.items import read_items

    items = [replace(item, split=None) for item in read_items(data)]
    train, dev = split_items(items, replace(RECIPE, training=Training(seed=1)))
    assert train and dev and len(train) + len(dev) == len(items)
    assert not {i.video for i in train if i.video} & {i.video for i in dev if i.video}


def test_log_has_losses_and_dev_figures(data, tmp_path):
    finetune(RECIPE, PROMPT, tiny_assistant(), examples_from(data), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text().splitlines()]
    assert sum("dev loss" in line for line in lines) == 2
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    assert any((tmp_path / "run/tensorboard").iterdir())
    shutil.rmtree(tmp_path / "run")


def test_generated_clips_are_drawn_where_they_are_looked_at(tmp_path):
    made = generated_examples(2, seed=5)
    assert {item.split for item in made.items} == {"train", "dev"}
    short = tuple(replace(item, question="which?") for item in made.items)
    examples = replace(made, items=short)  # the tiny Q-Former reads 40 letters
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples, tmp_path / "run")
    assert done.made.data == examples.digest != generated_examples(2, seed=6).digest


def test_a_generated_clip_is_the_one_that_scenes_writes():
    from assistant.data.scenes.clips import FRAME_RATE, clip_example
    from assistant.training.generated import draw_clip, generated_items

    video = next(iter(generated_items(1, 3, "train"))).video
    drawn = draw_clip(video, 4 * FRAME_RATE)
    written = list(clip_example(0, 3, 0, "train").frames(224))
    apart = np.abs(drawn.astype(int) - np.stack(written))
    assert apart.mean() < 0.05  # the times differ in their seventh digit, edges with them


@pytest.mark.parametrize("silent", [0, 1])
def test_the_rate_rises_and_falls_without_the_llm_and_again_through_it(data, tmp_path, silent):
    model, training = tiny_assistant(), replace(RECIPE.training, epochs=3, silent_epochs=silent)
    recipe = replace(RECIPE, training=replace(training, epoch_examples=180))
    train, dev = split_items(examples_from(data).items, recipe)
    run = prepare(recipe, PROMPT, model, train, dev, "", tmp_path)
    rates = [run.lr(epoch, step) for epoch in range(3) for step in range(run.per_epoch)]
    phases = [rates[: run.per_epoch], rates[run.per_epoch :]] if silent else [rates]
    for phase, most in zip(phases, (1e-2, 0.3e-2), strict=False):
        top = phase.index(max(phase))
        assert 0 < top < len(phase) - 1 and most * 0.4 < phase[top] <= most
        assert phase[:top] == sorted(phase[:top]) and phase[top:] == sorted(phase[top:])[::-1]
        assert phase[-1] < most * 0.05
