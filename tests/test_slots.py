"""Visual tokens as words: the loss is small exactly where the tokens are the right words."""

from __future__ import annotations

import pytest
import torch
from tiny import tiny_llm

from assistant.training.losses.slots import WordSlots

ANSWER, WORD = "ab", "xyz"


@pytest.fixture(scope="module")
def llm():
    return tiny_llm()


@pytest.fixture(scope="module")
def slots(llm):
    return WordSlots(llm, [ANSWER, "q"], [WORD])


def spelled_out(llm, slots, answer, word):
    """Visual tokens that are the LLM's own embeddings: the answer, its end, then the word."""
    embed = llm.network.get_input_embeddings()
    first = torch.tensor([*slots.ids(answer), slots.end])
    rest = torch.tensor(slots.ids(word))
    half = max(len(first), len(rest))
    tokens = torch.zeros(1, 2 * half, embed.weight.shape[1])
    tokens[0, : len(first)] = embed(first)
    tokens[0, half : half + len(rest)] = embed(rest)
    return tokens


def test_words_in_their_places_lose_little(llm, slots):
    right = slots(spelled_out(llm, slots, ANSWER, WORD), [ANSWER], [[WORD]])
    swapped = slots(spelled_out(llm, slots, ANSWER[::-1], WORD), [ANSWER], [[WORD]])
    other = slots(spelled_out(llm, slots, ANSWER, "qqq"), [ANSWER], [[WORD]])
    assert right < swapped
    assert right < other


def test_training_the_tokens_directly_spells_the_answer(llm, slots):
    torch.manual_seed(0)
    tokens = torch.nn.Parameter(torch.randn(1, 8, 24) * 0.3)
    optimizer = torch.optim.Adam([tokens], 0.05)
    first = slots(tokens, [ANSWER], [[WORD]])
    for _ in range(300):
        optimizer.zero_grad()
        slots(tokens, [ANSWER], [[WORD]]).backward()
        optimizer.step()
    assert slots(tokens, [ANSWER], [[WORD]]) < 0.2 * first
    centred = torch.nn.functional.normalize(tokens - slots.centre, dim=-1)[0]
    nearest = (centred @ slots.table.T).argmax(-1)
    said = [slots.vocabulary[place] for place in nearest[:4]]
    wanted = [*slots.ids(ANSWER), slots.end]
    assert said[: len(wanted)] == wanted[:4]


def test_samples_without_words_only_count_their_answer(llm, slots):
    tokens = spelled_out(llm, slots, ANSWER, "qqq")
    none = slots(tokens, [ANSWER], [[]])
    assert torch.isfinite(none)
    assert none < slots(tokens, [ANSWER], [[WORD]])


def test_every_answer_weighs_the_same(llm, slots):
    one = spelled_out(llm, slots, ANSWER, WORD)
    batch = torch.cat([one, one])
    together = slots(batch, [ANSWER, "q"], [[], []])
    alone = [slots(one, [answer], [[]]) for answer in (ANSWER, "q")]
    assert torch.allclose(together, torch.stack(alone).mean(), atol=1e-5)


def test_a_weight_counts_its_own_answer_only(llm, slots):
    one = spelled_out(llm, slots, "ba", WORD)
    batch = torch.cat([one, one])
    plain = slots(batch, [ANSWER, "q"], [[], []])
    weighed = slots(batch, [ANSWER, "q"], [[], []], [1.0, 3.0])
    second = slots.spelled(slots._directions(batch)[0][:, : batch.shape[1] // 2], [ANSWER, "q"])[1]
    assert torch.allclose(weighed - plain, second, atol=1e-5)


def test_the_choice_that_is_spelled_best_is_chosen(llm, slots):
    one = spelled_out(llm, slots, ANSWER, WORD)
    choices = [("q", ANSWER), (ANSWER, "q", "x")]
    assert slots.choose(torch.cat([one, one]), choices) == [1, 0]


def test_repeated_answers_fill_all_tokens_and_are_chosen_by(llm):
    slots = WordSlots(llm, [ANSWER, "q"], [], repeated=True)
    embed = llm.network.get_input_embeddings()

    def written(answer, length=8):
        ids = ([*slots.ids(answer), *slots.stop] * length)[:length]
        return embed(torch.tensor(ids))[None].detach()

    right, other = written(ANSWER), written("q")
    assert slots(right, [ANSWER], [()]) < slots(other, [ANSWER], [()])
    late = right.clone()
    late[:, 5:] = other[:, 5:]  # what is wrong in the last tokens counts, too
    assert slots(right, [ANSWER], [()]) < slots(late, [ANSWER], [()])
    assert slots.choose(torch.cat([right, other]), [(ANSWER, "q")] * 2) == [0, 1]
