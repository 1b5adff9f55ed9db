"""A Llama of our own and its decoding: what `transformers` computes and answers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny import letter_tokenizer, llama_pair

from assistant.core.config import LLMConfig
from assistant.model import decoding
from assistant.model.llama import plain_config, read_config
from assistant.model.llm import LanguageModel
from assistant.model.llm_weights import load_language_model
from assistant.model.rules import NoLoops
from assistant.model.tokens import Tokens

PROMPTS = ("tell me", "a rather longer prompt", "c")
PLAIN = LLMConfig(turn="Q {prompt} A ", end="\n", one_sentence=False)


def both(config: LLMConfig, seed: int = 0) -> tuple[LanguageModel, LanguageModel]:
    """`transformers`' own and ours, with equal weights."""
    theirs, ours = llama_pair(seed)
    tokenizer = letter_tokenizer()
    for network in (theirs, ours):
        network.lm_head.weight.data[tokenizer.eos_token_id] *= 1.5  # ends now and then
    return LanguageModel(theirs, tokenizer, config), LanguageModel(ours, tokenizer, config)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"one_sentence": True},
        {"no_repeat": 2},
        {"repetition_penalty": 1.4},
        {"no_repeat": 3, "repetition_penalty": 0.8, "one_sentence": True},
    ],
    ids=str,
)
def test_answers_are_those_of_transformers(asked, beams):
    theirs, ours = both(replace(PLAIN, **asked))
    said = []
    for seed in range(4):
        torch.manual_seed(seed)
        visual = torch.randn(3, 4, 64)
        prompts = [theirs.prompt_ids(text) for text in PROMPTS]
        wanted = [  # alone: in a padded batch its penalty spares the first tokens
            theirs.complete(visual[row : row + 1], [prompt], 24, beams)[0]
            for row, prompt in enumerate(prompts)
        ]
        assert ours.complete(visual, prompts, 24, beams) == wanted
        (told,) = ours.generate_batch(visual[:1], prompts[:1], 24, beams)
        # A stream leaves out the ends of lines.
        assert "".join("".join(told).split()) == "".join(wanted[0].split())
        said += wanted
    lengths = {len(text) for text in said}
    assert len(lengths) > 3  # some end by themselves, each elsewhere
    assert len(set(said)) > 6


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_losses_are_those_of_transformers(attention):
    theirs, ours = both(PLAIN)
    visual = torch.randn(2, 4, 64)
    prompts = [theirs.prompt_ids(text) for text in PROMPTS[:2]]
    answers = [[theirs.answer_ids(text) for text in ("yes", "no", "maybe")] for _ in prompts]
    ours.network.set_attn_implementation(attention)
    for wanted, found in zip(
        theirs.answer_losses(visual, prompts, answers),
        ours.answer_losses(visual, prompts, answers),
        strict=True,
    ):
        assert torch.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_the_visual_tokens_as_in_transformers(checkpointing):
    found = []
    for llm in both(PLAIN):
        llm.let_learn(checkpointing=checkpointing)
        llm.train()
        torch.manual_seed(1)
        visual = torch.randn(1, 4, 64, requires_grad=True)
        (losses,) = llm.answer_losses(visual, [llm.prompt_ids("a")], [[llm.answer_ids("yes")]])
        losses.sum().backward()
        found.append(visual.grad)
    assert found[0].abs().max() > 1e-4
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize("right", [True, False], ids=["a copy guesses", "another network guesses"])
def test_a_guess_decides_nothing(right):
    """In bf16, where a copy of the weights in 4 bit guesses ahead."""
    _, ours = both(PLAIN)
    guesser = ours.network.bfloat16() if right else llama_pair(seed=5)[1].bfloat16()
    ours.network.bfloat16()
    guess = decoding.guessing(guesser)
    assert guess is not None
    end = ours.tokenizer.eos_token_id
    passes = []
    for seed in range(6):
        torch.manual_seed(seed)
        rows = ours._embedded(torch.randn(1, 4, 64), [ours.prompt_ids("tell me")])
        told = []
        for help_ in (None, guess):
            steps = decoding.Steps(ours.network, rows, 24)
            whole, go_on = [], steps.go_on

            def counted(*args, go_on=go_on, whole=whole, **options):
                whole.append(not options.get("weights"))
                return go_on(*args, **options)

            steps.go_on = counted
            tokens = decoding.greedy(steps, 24, ours._rule, ours._ended, end, help_)
            told.append([int(token) for token in tokens])
            passes.append(sum(whole))
        assert told[0] == told[1]
    assert (sum(passes[1::2]) < 0.7 * sum(passes[::2])) is right  # passes of the whole weights


def test_changed_weights_are_guessed_with_anew():
    _, ours = both(PLAIN)
    ours.network.bfloat16()
    visual, prompts = torch.randn(1, 4, 64), [ours.prompt_ids("go")]

    def answer() -> str:
        return "".join(ours.generate_batch(visual, prompts, 16)[0])

    before = answer()
    assert ours._guess is None  # one answer does not pay for a copy
    assert answer() == before
    kept = ours._guess
    assert kept is not None
    for layer in ours.network.model.layers:
        layer.mlp.up_proj.weight.data.neg_()
    after = answer()  # right, although what guesses knows nothing of it
    assert before != after
    assert ours._guess is kept
    ours.weights_changed()
    assert answer() == after
    assert ours._guess is not kept


def test_leaving_a_stream_early_stops_the_work():
    _, ours = both(PLAIN)
    ours.network.lm_head.weight.data[ours.tokenizer.eos_token_id] = 0.0  # it goes on for ever
    passes = []
    ours.network.model.layers[0].register_forward_hook(lambda *_: passes.append(1))
    (stream,) = ours.generate_batch(torch.randn(1, 4, 64), [ours.prompt_ids("go on")], 2000)
    next(stream)
    stream.close()
    assert 0 < len(passes) < 100


def test_a_plain_llama_is_read_without_transformers_and_no_other(tmp_path):
    theirs, _ = llama_pair()
    theirs.save_pretrained(tmp_path)
    letter_tokenizer().save_pretrained(tmp_path)
    ours = load_language_model(tmp_path, PLAIN, torch.float32)
    assert type(ours.network).__name__ == "Llama"
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.network.state_dict()[name], value)
    known = theirs.config.to_dict()
    assert plain_config(known) == read_config(tmp_path)
    for change in (
        {"model_type": "mistral"},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"quantization_config": {}},
        {"head_dim": None},
    ):
        assert plain_config(known | change) is None
    (tmp_path / "tokenizer.json").unlink()
    assert read_config(tmp_path) is None


def test_tokens_are_those_of_transformers(tmp_path):
    for bert in (False, True):
        theirs = letter_tokenizer(bert)
        theirs.save_pretrained(tmp_path)
        ours = Tokens(tmp_path)
        assert len(ours) == len(theirs)
        assert ours.eos_token_id == (-1 if theirs.eos_token_id is None else theirs.eos_token_id)
        for text in ("", "A dog, a ball.", "two\nlines <end>"):
            for special in (True, False):
                ids = theirs(text, add_special_tokens=special)["input_ids"]
                assert ours(text, add_special_tokens=special)["input_ids"] == ids
            for skip in (True, False):
                wanted = theirs.decode(ids, skip_special_tokens=skip)
                assert ours.decode(torch.tensor(ids), skip_special_tokens=skip) == wanted
        pieces = theirs.convert_ids_to_tokens(range(len(theirs)))
        assert ours.convert_ids_to_tokens(range(len(theirs))) == pieces


class Words:
    """A tokenizer of whole words."""

    def __init__(self) -> None:
        self.known = [""]

    def ids(self, text: str) -> list[int]:
        pieces = [f"Ġ{word}" if word.isalpha() else word for word in text.split()]
        pieces[0] = pieces[0].removeprefix("Ġ")
        self.known += [piece for piece in pieces if piece not in self.known]
        return [self.known.index(piece) for piece in pieces]

    def convert_ids_to_tokens(self, ids):
        return [self.known[one] for one in ids]


@pytest.mark.parametrize(
    ("said", "word", "may"),
    [
        ("It is a material that is made from a", "material", False),
        ("A man and a man and a", "man", False),
        ("A man and a", "man", True),
        ("A man in a red shirt and a", "man", True),
        ("A red bike on a", "red", True),
        ("A dog , a cat and a", "dog", True),
        ("A red car , a blue car and a white", "car", True),
        ("on the left of the left of the", "left", False),
        ("on the left of the", "left", True),
        ("a man and a man and a", "woman", True),
    ],
)
def test_what_goes_round_is_not_said(said, word, may):
    words = Words()
    ids, (token,) = words.ids(said), words.ids(f"x {word}")[1:]
    scores = NoLoops(words)(torch.tensor([ids, ids[:1] * len(ids)]), torch.zeros(2, 40))
    assert (scores[0, token].item() == 0.0) is may
    assert (scores[0] == 0.0).sum() == (40 if may else 39)
    assert not scores[1].any()


def test_no_mode_goes_round():
    """The network would say for ever what it said first."""
    theirs, ours = both(replace(PLAIN, one_sentence=True))
    words = Words()
    loop = words.ids("x man and a")[1:]
    words.known += [f"Ġother{number}" for number in range(120 - len(words.known))]
    theirs.network.generation_config.eos_token_id = NeverEnds.eos_token_id
    for llm in (theirs, ours):
        llm.tokenizer = NeverEnds(words)
        llm._loops = NoLoops(words)
        following = dict(zip(loop, loop[1:] + loop[:1], strict=True))
        with torch.no_grad():
            for part in llm.network.parameters():
                part.zero_()
            embed = llm.network.get_input_embeddings().weight
            head = llm.network.get_output_embeddings().weight
            llm.network.model.norm.weight.fill_(1.0)
            for place, token in enumerate(loop):
                embed[token, place] = 1.0
                head[following[token], place] = 5.0
        man, joint, article = loop
        visual, prompt = embed[joint][None, None], torch.tensor([joint])
        for beams in (1, 3):
            (row,) = llm._answer_ids(visual, [prompt], 20, beams).tolist()
            assert row[:5] == [article, man, joint, article, man]
            assert list(pairwise(row)).count((article, man)) == 2


class NeverEnds:
    """Says nothing, so that no answer is whole."""

    eos_token_id = 119

    def __init__(self, words: Words) -> None:
        self.words = words

    def batch_decode(self, rows, skip_special_tokens=False):
        return ["" for _ in rows]
