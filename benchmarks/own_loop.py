"""Our decoding beside `generate` of `transformers`: the same weights, the same questions, one run.

    python benchmarks/own_loop.py [CLIP ...] [--questions 6] [--threads 2] [--rounds 1]

Greedy and by 3 beams, answers of the shipped length. Both take turns on every question. Tokens per
second are those after the prompt was read ("per token") and of whole answers ("in all"), in wall
seconds and, where others work on the machine, too, in seconds of the processor. "same" counts
answers that are equal token for token. Without CLIP: the sample clip.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from assistant.model.llm import LanguageModel
from assistant.model.llm_weights import convert_gguf
from assistant.model.loading import load_model
from assistant.vqa.assistants import Assistant
from assistant.weights import store as weights_store

QUESTIONS = (
    "What is in the video?",
    "Describe the video in one sentence.",
    "What is happening in the video?",
    "Who is in the video?",
    "What is on the left?",
    "Where is it?",
)


@dataclass
class Spent:
    """Over some answers."""

    tokens: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    first_wall: float = 0.0  # of it: until the first token
    first_cpu: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    parser.add_argument("--questions", type=int, default=len(QUESTIONS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    mini = Assistant(load_model("mini", reading=False))  # the library reads the plain weights
    ours = mini.model.llm
    network = library_network(ours)
    theirs = LanguageModel(network, ours.tokenizer, ours.config)
    clips = args.clips or [next(weights_store.ensure("samples").rglob("bikes.mp4"))]
    asked: list[tuple[Tensor, Tensor]] = []
    for clip in clips:
        patches = mini.open(clip).look().patches
        for question in QUESTIONS[: args.questions]:
            with torch.inference_mode():
                visual = mini.model.visual_tokens(patches[None], [question])
            asked.append((visual, ours.prompt_ids(question)))
    longest = ours.config.max_new_tokens
    print(f"{network.dtype}, {args.threads} threads, {len(asked)} questions")
    print("| | form | tokens | per token: tokens/s | by CPU | in all: tokens/s | by CPU | same |")
    print("|---|---|---|---|---|---|---|---|")
    for beams in (1, 3):
        spent = {"transformers": Spent(), "ours": Spent()}
        same = 0
        for turn in range(args.rounds + 1):
            for visual, prompt in asked[: None if turn else 1]:  # the first warms up
                rows = {}
                for name, llm in (("transformers", theirs), ("ours", ours)):
                    own = spent[name] if turn else Spent()
                    rows[name] = answer(llm, visual, prompt, longest, beams, own)
                same += bool(turn) and torch.equal(*rows.values())
        for name, own in spent.items():
            later = own.tokens - args.rounds * len(asked)
            rates = (
                later / (own.wall - own.first_wall),
                later / (own.cpu - own.first_cpu),
                own.tokens / own.wall,
                own.tokens / own.cpu,
            )
            cells = " | ".join(f"{rate:.1f}" for rate in rates)
            print(f"| {beams} beams | {name} | {own.tokens} | {cells} | {same} |", flush=True)


def library_network(llm: LanguageModel) -> PreTrainedModel:
    """`transformers`' own network with mini's weights, as they were fetched."""
    folder = weights_store.ensure("smollm2-135m-instruct", prepare=convert_gguf)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=llm.network.dtype).eval()


@torch.inference_mode()
def answer(
    llm: LanguageModel, visual: Tensor, prompt: Tensor, longest: int, beams: int, spent: Spent
) -> Tensor:
    """Ids of an answer; what it took is added to ``spent``."""
    times = []
    for length in (1, longest):
        start, busy = time.perf_counter(), time.process_time()
        row = llm._answer_ids(visual, [prompt], length, beams)[0]
        times.append((time.perf_counter() - start, time.process_time() - busy))
    (first_wall, first_cpu), (wall, cpu) = times
    spent.tokens += len(row)
    spent.wall, spent.cpu = spent.wall + wall, spent.cpu + cpu
    spent.first_wall, spent.first_cpu = spent.first_wall + first_wall, spent.first_cpu + first_cpu
    return row


if __name__ == "__main__":
    main()
