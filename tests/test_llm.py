"""The frozen LLM: likelihoods, batches, streaming."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import tiny_llm

from assistant.model.rules import SENTENCE_END, _starts_over, list_once


def test_answer_losses_equal_transformers_one_by_one():
    llm = tiny_llm()
    visual = torch.randn(3, 4, 24)
    prompts = [llm.prompt_ids(text) for text in ("ab", "a longer prompt", "c")]
    answers = [llm.answer_ids(text) for text in ("yes", "no", "maybe so")]
    with torch.no_grad():
        together = torch.cat(llm.answer_losses(visual, prompts, [[answer] for answer in answers]))
        for i in range(3):
            embed = llm.network.get_input_embeddings()
            x = torch.cat([visual[i], embed(prompts[i]), embed(answers[i])])[None]
            labels = torch.full((1, x.shape[1]), -100)
            labels[0, -len(answers[i]) :] = answers[i]
            alone = llm.network(inputs_embeds=x, labels=labels).loss
            assert torch.allclose(together[i], alone, atol=1e-5)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_choices_in_one_sequence_weigh_what_each_weighs_alone(attention):
    llm = tiny_llm()
    llm.network.set_attn_implementation(attention)
    visual = torch.randn(2, 4, 24)
    prompts = [llm.prompt_ids(text) for text in ("ab", "a longer prompt")]
    texts = [("yes", "no", "maybe so"), ("a", "rather long an answer")]
    choices = [[llm.answer_ids(text) for text in some] for some in texts]
    together = llm.answer_losses(visual, prompts, choices)
    for row, some in enumerate(choices):
        count = len(some)
        expanded = visual[row : row + 1].expand(count, -1, -1)
        alone = llm.answer_losses(expanded, prompts[row : row + 1] * count, [[a] for a in some])
        assert torch.allclose(together[row], torch.cat(alone), atol=1e-5)


def test_stream_joins_to_the_batched_answer():
    llm = tiny_llm()
    visual = torch.randn(2, 4, 24)
    prompts = [llm.prompt_ids("short"), llm.prompt_ids("rather longer than that")]
    batched = llm.complete(visual, prompts, 8)
    streamed = [
        "".join(llm.generate_batch(visual[i : i + 1], [prompts[i]], 8)[0]).strip() for i in range(2)
    ]
    assert batched == streamed
    assert any(batched)


@pytest.mark.parametrize("said", ["\n", ".", "!"])
def test_an_answer_ends_with_its_first_sentence(said):
    llm = tiny_llm()
    end = llm.tokenizer.convert_tokens_to_ids(said)
    llm.network.lm_head.weight.data[end] *= 2  # said now and then
    visual = torch.randn(40, 4, 24)
    prompts = [llm.prompt_ids("tell me")] * 40
    llm.config = replace(llm.config, one_sentence=False)
    whole = llm.complete(visual, prompts, 16)
    llm.config = replace(llm.config, one_sentence=True)
    told = llm.complete(visual, prompts, 16)
    assert all(text.startswith(short) for text, short in zip(whole, told, strict=True))
    cut = [row for row in range(40) if len(told[row]) < len(whole[row])]
    assert cut
    for row in cut:
        assert (
            told[row].endswith((".", "!", "?"))
            or whole[row][len(told[row]) :].lstrip(" ")[0] == "\n"
        )
    streamed = "".join(llm.generate_batch(visual[cut[0] : cut[0] + 1], [prompts[cut[0]]], 16)[0])
    assert streamed.strip() == told[cut[0]]


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("A dog runs.", True),
        ("A dog runs", False),
        ("It is Dr.", False),
        ("Mrs.", False),
        ("It costs 2.", False),
        ("No!", True),
        ("a\nb", True),
        ("J.", False),
        ("at the U.S.", False),
    ],
)
def test_what_ends_a_sentence(text, ended):
    assert bool(SENTENCE_END.search(text)) is ended


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("dog, ball, dog, ", True),
        ("dog, ball, dog", False),  # perhaps "dogs"
        ("dog, ball, dogs, ", False),
        ("A dog, a ball", False),
        ("", False),
    ],
)
def test_a_list_starts_over_with_its_first_item_said_twice(text, over):
    assert _starts_over(text) is over


def test_beam_search_finds_other_answers_than_greedy_and_tells_them_whole():
    llm = tiny_llm()
    visual = torch.randn(12, 4, 24)
    prompts = [llm.prompt_ids("tell me")] * 12
    greedy = llm.complete(visual, prompts, 5)
    llm.config = replace(llm.config, beams=4)
    found = llm.complete(visual, prompts, 5)
    assert [list(llm.generate_batch(visual[i : i + 1], [prompts[i]], 5)[0]) for i in range(12)] == [
        [text] if text else [] for text in found
    ]
    assert found != greedy


def test_leaving_a_stream_early_stops_the_work():
    llm = tiny_llm()
    calls = []
    forward = llm.network.forward
    llm.network.forward = lambda *a, **k: calls.append(1) or forward(*a, **k)
    (stream,) = llm.generate_batch(torch.randn(1, 4, 24), [llm.prompt_ids("go on")], 2000)
    next(stream)
    stream.close()
    done = len(calls)
    assert done < 2000
    assert len(calls) == done  # the worker has ended


def test_history_comes_before_the_question():
    llm = tiny_llm()
    ids = llm.prompt_ids("then", [("first", "one")])
    text = llm.tokenizer.decode(ids).replace(" ", "")
    assert text.index("first") < text.index("one") < text.index("then")


def test_bf16_does_not_tie_answers_that_fp32_tells_apart():
    """At the size of real logits bf16 steps by 0.125: ties would fall to the first choice."""
    llm = tiny_llm()
    llm.network.lm_head.weight.data.mul_(20)
    llm.network.to(torch.bfloat16)
    words = [torch.tensor([token]) for token in range(4, 80)]
    (losses,) = llm.answer_losses(torch.randn(1, 4, 24), [llm.prompt_ids("which")], [words])
    scores = (-losses).tolist()
    assert len(set(scores)) == len(words)


def test_frozen():
    assert not any(p.requires_grad for p in tiny_llm().parameters())


@pytest.mark.parametrize(
    "said, told",
    [
        ("dog, ball, dog, ball, dog", "dog, ball"),
        ("boy, girl, girl, girl, gi", "boy, girl"),
        ("dog, dog.", "dog"),
        ("A man, a dog and a man.", "A man, a dog and a man."),
        ("dog", "dog"),
        ("", ""),
    ],
)
def test_a_list_ends_where_it_starts_over(said, told):
    assert list_once(said) == told
