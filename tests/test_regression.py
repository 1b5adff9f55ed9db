"""A regression of what is said and of how expected it was, told to the Q-Former."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tiny import tiny_assistant, tiny_llm, tiny_qformer

from assistant.core.config import LoraSettings, TransferConfig
from assistant.errors import ConfigError, InputError
from assistant.model.expectation import expectation, negation, signals, stacked
from assistant.model.lora import Adapters
from assistant.model.spatiotemporal import SpatioTemporalQFormer
from assistant.tasks.prompts import TaskPrompt, load_prompt
from assistant.tasks.recipes import Recipe, Training, load_recipe
from assistant.training.finetune import examples_from, finetune
from assistant.vqa.assistants import Assistant

TEXTS = ("that is good", "... i mean it")
LORA = LoraSettings(rank=2)
PROMPT = TaskPrompt(
    *("irony", "Is it meant?", "{target}", "is it meant when {target}?", ("is it?",), 4),
    choices=("yes", "no"),
    expects=TEXTS,
)
RECIPE = Recipe(
    task="irony",
    frames=0,
    with_=("regression",),
    lora=LORA,
    transfer=TransferConfig(frames=1, layers=1, gate=None, routing="none", contrast=0),
    training=Training(epochs=2, batch=3, silent_epochs=1, lr=1e-2),
)


def told_apart(folder):
    """Lines whose last word tells the answer."""
    lines = [
        {
            "id": str(number),
            "video": None,
            "dialogue": [{"text": "how was it"}, {"text": "it was " + "no yes"[number % 2 :]}],
            "question": "is it?",
            "answer": "no" if number % 2 else "yes",
            "choices": ["yes", "no"],
            "split": "dev" if number > 11 else "train",
        }
        for number in range(14)
    ]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return examples_from(data)


def log_likelihood(llm, before, text):
    """Mean per token, by the network itself."""
    ids = torch.cat([before, llm.answer_ids(text, ended=False)])[None]
    logits = llm.network(input_ids=ids).logits[0].float().log_softmax(-1)
    own = logits[len(before) - 1 : -1].gather(1, ids[0, len(before) :, None])
    return own.mean()


@torch.no_grad()
def test_signals_are_the_networks_own_log_likelihoods():
    llm = tiny_llm()
    company, *told = expectation(llm, ["how was it", "it was great"], TEXTS)
    assert company > 0 == expectation(llm, ["it was great"], None)
    told = torch.stack(told) * 2 - 5
    start = torch.tensor([llm.tokenizer.eos_token_id])
    before = torch.cat([start, llm.answer_ids("how was it\n", ended=False)])
    line = torch.cat([before, llm.answer_ids("it was great", ended=False)])
    assert 1 + len(told) == signals(TEXTS)
    for place, context, text in (
        (1, before, "it was great"),
        (2, start, "it was great"),
        (3, before, "it was not great"),
        (8, before, "that is good"),
        (9, line, " i mean it"),
    ):
        assert told[place] == pytest.approx(float(log_likelihood(llm, context, text)), abs=1e-4)


def test_a_very_long_line_and_one_alone_have_finite_signals():
    for lines in (["a"], ["a " * 900, "b " * 900], ["n't"], ["", "a"]):
        assert expectation(tiny_llm(), lines, TEXTS).isfinite().all()
    assert not expectation(tiny_llm(), ["a", " "], TEXTS).any(), "nothing is said"


@pytest.mark.parametrize(
    ("line", "opposite"),
    [
        ("You are late", "You are not late"),
        ("I don't care", "I do care"),
        ("Great!", "It is not true: Great!"),
        ("n't", "n't"),
    ],
)
def test_the_opposite_of_a_line(line, opposite):
    assert negation(line) == opposite


def test_lines_of_which_some_say_nothing_are_stacked():
    assert stacked([None, None]) is None
    assert stacked([None, torch.ones(2)]).tolist() == [[0, 0], [1, 1]]


def test_signals_change_the_tokens_of_an_adapter_that_takes_them_and_of_no_other():
    found = Adapters(SpatioTemporalQFormer(tiny_qformer()))
    found.add("plain", LORA, RECIPE.transfer)
    found.add("irony", LORA, replace(RECIPE.transfer, regression=1, expectation=3))
    ids = torch.randint(1, 120, (2, 6))
    seen = (None, ids, torch.ones_like(ids))
    with torch.no_grad():
        for name in ("plain", "irony"):
            for parameter in found.trainable(name).values():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        with found.using("irony") as qformer:
            qformer.parts.regression.weight.normal_()
    for name in ("plain", "irony"):
        with torch.no_grad(), found.using(name) as qformer:
            nothing, zeros, some = (
                qformer(*seen, expected=told)
                for told in (None, torch.zeros(2, 3), torch.tensor([[0.0] * 3, [1.0] * 3]))
            )
        assert torch.equal(nothing, zeros) and torch.equal(nothing[0], some[0])
        assert torch.equal(nothing[1], some[1]) is (name == "plain")


def test_the_regression_tells_what_words_tell_and_is_kept_with_the_adapter(tmp_path):
    done = finetune(RECIPE, PROMPT, tiny_assistant(), told_apart(tmp_path), tmp_path / "run")
    recipe = load_recipe(done.folder)
    assert (recipe.transfer.regression, recipe.transfer.expectation) == (1, signals(TEXTS))
    model = tiny_assistant()
    name = model.load_adapter(done.folder, recipe)
    ids, mask = model.qformer_ids(["it was no", "it was yes"])
    with model.using(name) as qformer:
        no, yes = qformer.parts.regression(model.qformer.embed(ids)[1], mask, None)
    assert no < yes


@pytest.mark.parametrize(
    ("change", "told"),
    [({"choices": ["yes", "no", "maybe"]}, "different choices"), ({"answer": "yes"}, "right in")],
)
def test_what_a_regression_cannot_be_fitted_to_is_one_line(tmp_path, change, told):
    examples = told_apart(tmp_path)
    one = change.get("choices") is None
    items = [
        replace(item, **change) if one or not n else item for n, item in enumerate(examples.items)
    ]
    with pytest.raises(InputError, match=told):
        finetune(
            RECIPE,
            PROMPT,
            tiny_assistant(),
            replace(examples, items=tuple(items)),
            tmp_path / "run",
        )


def test_each_kind_of_lines_has_its_own_regression(tmp_path):
    """What is said alone means the opposite of what is said after something."""
    examples = told_apart(tmp_path)
    alone = [
        replace(
            item,
            dialogue=replace(item.dialogue, lines=item.dialogue.lines[-1:]),
            answer="yes" if item.answer == "no" else "no",
            type="alone",
        )
        for item in examples.items
    ]
    both = replace(examples, items=(*examples.items, *alone))
    done = finetune(RECIPE, PROMPT, tiny_assistant(), both, tmp_path / "run")
    recipe = load_recipe(done.folder)
    model = tiny_assistant()
    ids, mask = model.qformer_ids(["it was no", "it was yes"])
    with model.using(model.load_adapter(done.folder, recipe)) as qformer:
        text = model.qformer.embed(ids)[1]
        signs = [
            torch.stack(
                [model.expectation([*before, line], TEXTS) for line in ("it was no", "it was yes")]
            )
            for before in (["how was it"], [])
        ]
        after, single = (qformer.parts.regression(text, mask, some) for some in signs)
    assert after[0] < after[1] and single[0] > single[1]


def test_the_shipped_prompt_of_sarcasm_says_what_is_expected():
    texts = load_prompt("sarcasm").expects
    assert texts and any(text.startswith("...") for text in texts)


def test_it_is_trained_asked_and_refuses_a_prompt_with_other_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    examples = told_apart(tmp_path)
    done = finetune(RECIPE, PROMPT, tiny_assistant(), examples, tmp_path / "run", install=True)

    asked = []

    def ask():
        model = tiny_assistant()

        def expected(lines, texts):
            asked.append(lines)
            return torch.ones(signals(texts))

        monkeypatch.setattr(model, "expectation", expected)
        session = Assistant(model).open(None, dialogue="how was it\nit was no")
        return session.ask("is it?", task="irony").probabilities

    assert ask() is not None and asked == [["how was it", "it was no"]]
    assert done.installed is not None
    replace(PROMPT, expects=("one",)).save(done.installed.folder)
    with pytest.raises(ConfigError, match="trained with"):
        ask()


def test_an_expected_text_that_is_dots_alone_is_one_line(tmp_path):
    path = replace(PROMPT, expects=("...",)).save(tmp_path)
    with pytest.raises(ConfigError, match="expects is"):
        load_prompt(path)
