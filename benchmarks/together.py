"""Questions on one clip at once instead of one by one, and what a static cache and torch.compile
save in writing an answer.

    python benchmarks/together.py [--threads 2] [--rounds 3] [--tokens 32] [--no-compile]

mini on the sample clip. *At once*: eight questions by ``Session.ask_many`` against eight sessions
with one question each, round robin, and how many answers are the same. *Caches*: seconds per token
of one greedy answer of mini's LLM with a growing cache, a static one, and a static one whose step
torch compiles; the compilation is told apart, and is paid again by every process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from own_loop import library_network
from torch import Tensor
from transformers import PreTrainedModel
from transformers.generation import CompileConfig

from assistant import load
from assistant.vqa.assistants import Assistant
from assistant.weights import store as weights_store

QUESTIONS = (
    "What is in the video?",
    "What color are the bikes?",
    "How many people are there?",
    "Where is it?",
    "What is on the left?",
    "Is it day or night?",
    "What is the man doing?",
    "What is parked beside the road?",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32, help="of an answer, for the caches")
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    mini = load("mini")
    print(f"torch {torch.__version__}, {args.threads} threads, medians of {args.rounds} rounds\n")
    print_together(mini, args.rounds)
    print_caches(mini, args.rounds, args.tokens, compiled=not args.no_compile)


def print_together(mini: Assistant, rounds: int) -> None:
    """Seconds of eight questions both ways."""
    clip = next(weights_store.ensure("samples").rglob("bikes.mp4"))
    mini.open(clip).look()

    def alone() -> list[str]:
        return [mini.open(clip).ask(question).text for question in QUESTIONS]

    def together() -> list[str]:
        return [answer.text for answer in mini.open(clip).ask_many(QUESTIONS)]

    same = sum(one == other for one, other in zip(alone(), together(), strict=True))  # warms up
    one, many = [], []
    for _ in range(rounds):
        one.append(seconds(alone))
        many.append(seconds(together))
    first, second = statistics.median(one), statistics.median(many)
    print("| questions | one by one, s | at once, s | ratio | the same answers |")
    print("|---|---|---|---|---|")
    print(f"| {len(QUESTIONS)} | {first:.2f} | {second:.2f} | {first / second:.2f} | {same} |\n")


def print_caches(mini: Assistant, rounds: int, tokens: int, *, compiled: bool) -> None:
    """Milliseconds per token of each cache."""
    network = library_network(mini.model.llm)
    width = network.get_input_embeddings().weight.shape[1]
    torch.manual_seed(0)
    x = torch.randn(1, 47, width, dtype=network.dtype) * 0.1  # as many as a question has
    forms: dict[str, dict[str, object]] = {"growing": {}, "static": STATIC}
    if compiled:
        config = CompileConfig(mode="default")
        config._compile_all_devices = True  # else on CUDA alone
        forms["static, compiled"] = STATIC | {"disable_compile": False, "compile_config": config}
    found: dict[str, list[float]] = {name: [] for name in forms}
    begun = {
        name: seconds(lambda options=options: write(network, x, tokens, **options))
        for name, options in forms.items()
    }
    for _ in range(rounds):
        for name, options in forms.items():
            took = (
                seconds(lambda n=n, options=options: write(network, x, n, **options))
                for n in (1, tokens)
            )
            short, long = took
            found[name].append((long - short) / (tokens - 1))
    unit = statistics.median(found["growing"])
    print("| cache | ms/token | to growing | first answer of the process, s |\n|---|---|---|---|")
    for name, steps in found.items():
        step = statistics.median(steps)
        print(f"| {name} | {1e3 * step:.1f} | {unit / step:.2f}x | {begun[name]:.1f} |")


STATIC = {"cache_implementation": "static", "disable_compile": True}


@torch.inference_mode()
def write(network: PreTrainedModel, x: Tensor, tokens: int, **options: object) -> None:
    """Exactly ``tokens`` greedy tokens after ``x`` ``(1, N, W)``."""
    network.generate(
        inputs_embeds=x,
        attention_mask=torch.ones(x.shape[:2], dtype=torch.long),
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=0,
        **options,
    )


def seconds(work: Callable[[], object]) -> float:
    """Of one run."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
