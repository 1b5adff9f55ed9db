"""Follow-up question on an open clip: time to first token and tokens per second.

    python benchmarks/generation.py [--threads 2] [--rounds 3] [--llama-python PYTHON]

The same LLM in fp32, bf16, int8 (torch, dynamic) and 4 bit (bitsandbytes NF4), round robin in one
process, and in llama.cpp on the very GGUF that the weights come from, where PYTHON has llama_cpp
(`pip install llama-cpp-python` in an environment of its own). The prompt is 32 visual tokens and a
question about the sample clip. "agrees" is the share of greedy tokens that equal fp32's, "NLL" the
mean negative log-likelihood of fp32's own text: both say what a faster form costs.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from assistant import load
from assistant.model.llm import LanguageModel
from assistant.model.llm_weights import convert_gguf
from assistant.weights import store as weights_store

TOKENS = 32
QUESTION = "What is in the video?"
PROMPTS = (
    "Describe the picture in one sentence.",
    "What is the capital of France?",
    "Why is the sky blue?",
    "List three fruits.",
    "How do I boil an egg?",
    "Tell me about dogs.",
    "What happens when water freezes?",
    "What do people do at a beach?",
)
LLAMA = """
import ctypes, sys, time
import numpy, llama_cpp as L
path, threads, length, tokens, rounds = sys.argv[1], *map(int, sys.argv[2:])
L.llama_backend_init()
model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
params = L.llama_context_default_params()
params.n_ctx, params.n_threads, params.n_threads_batch = 512, threads, threads
context = L.llama_init_from_model(model, params)
def decode(ids):
    held = (L.llama_token * len(ids))(*ids)  # the batch only points at it
    assert L.llama_decode(context, L.llama_batch_get_one(held, len(ids))) == 0
    return int(numpy.ctypeslib.as_array(L.llama_get_logits_ith(context, -1), (49152,)).argmax())
for _ in range(rounds + 1):
    L.llama_memory_clear(L.llama_get_memory(context), True)
    start = time.perf_counter()
    token = decode(list(range(1000, 1000 + length)))
    first = time.perf_counter() - start
    for _ in range(tokens - 1):
        token = decode([token])
    print("row", first, (time.perf_counter() - start - first) / (tokens - 1))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--llama-python", metavar="PYTHON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    assistant = load("mini")
    model = assistant.model
    clip = next(weights_store.ensure("samples").rglob("bikes.mp4"))
    start = time.perf_counter()
    patches = assistant.open(clip).look().patches
    print(f"opening the clip, 8 frames (cached features count as open): {ms(start):.0f} ms")
    times = [timed(lambda: model.visual_tokens(patches[None], [QUESTION])) for _ in range(6)]
    qformer = statistics.median(times[1:])
    print(f"Q-Former, 8 frames, fp32: {1e3 * qformer:.0f} ms before every first token below\n")

    with torch.inference_mode():
        visual = model.visual_tokens(patches[None], [QUESTION])
    networks = forms()
    prompt = model.llm.prompt_ids(QUESTION)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
    for turn in range(args.rounds + 1):  # the first round warms up
        for name, network in networks.items():
            row = generate(network, model.llm, visual, prompt)
            if turn:
                found[name].append(row)
    quality = agreement(networks, model.llm)
    length = visual.shape[1] + len(prompt)
    print(
        f"{args.threads} threads, {length} positions, {TOKENS} tokens, torch {torch.__version__}\n"
    )
    print("| form | prefill to first token, ms | ms/token | tokens/s | to bf16 | agrees | NLL |")
    print("|---|---|---|---|---|---|---|")
    unit = statistics.median(step for _, step in found["bf16"])
    for name, rows in found.items():
        first, step = (statistics.median(column) for column in zip(*rows, strict=True))
        agrees, nll = quality[name]
        print(
            f"| {name} | {1e3 * first:.0f} | {1e3 * step:.1f} | {1 / step:.0f} | "
            f"{unit / step:.2f}x | {100 * agrees:.0f} % | {nll:.3f} |"
        )
    if args.llama_python is None:
        print("\nllama.cpp: skipped, no --llama-python")
        return
    rows = llama(args.llama_python, args.threads, length, args.rounds)
    first, step = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"| llama.cpp, Q4_1 | {1e3 * first:.0f} | {1e3 * step:.1f} | {1 / step:.0f} | "
        f"{unit / step:.2f}x | - | - |"
    )


def forms() -> dict[str, PreTrainedModel]:
    """The LLM in every form, by name."""
    folder = weights_store.ensure("smollm2-135m-instruct", prepare=convert_gguf)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = {"fp32": plain.eval()}
    found["bf16"] = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    found["int8"] = torch.ao.quantization.quantize_dynamic(  # deprecated upstream
        copy.deepcopy(plain), {torch.nn.Linear}, dtype=torch.qint8
    )
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    found["4 bit"] = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=nf4, dtype=torch.bfloat16, device_map="cpu"
    ).eval()
    return found


class Clock:
    """A streamer that only notes when tokens arrive."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: object) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def generate(
    network: PreTrainedModel, llm: LanguageModel, visual: Tensor, prompt: Tensor
) -> tuple[float, float]:
    """Seconds to the first token and per further token of exactly TOKENS greedy tokens."""
    embed = network.get_input_embeddings()
    x = torch.cat([visual[0].to(embed.weight.dtype), embed(prompt)])[None]
    clock, start = Clock(), time.perf_counter()
    network.generate(
        inputs_embeds=x,
        attention_mask=torch.ones(x.shape[:2], dtype=torch.long),
        min_new_tokens=TOKENS,
        max_new_tokens=TOKENS,
        do_sample=False,
        pad_token_id=llm.tokenizer.eos_token_id,
        streamer=clock,
    )
    times = clock.times[-TOKENS:]
    return times[0] - start, (times[-1] - times[0]) / (TOKENS - 1)


@torch.inference_mode()
def agreement(
    networks: Mapping[str, PreTrainedModel], llm: LanguageModel
) -> dict[str, tuple[float, float]]:
    """Share of fp32's greedy tokens that each form would choose too, and their mean NLL."""
    texts = []
    for prompt in PROMPTS:
        ids = llm.prompt_ids(prompt)[None]
        out = networks["fp32"].generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=24,
            do_sample=False,
            pad_token_id=llm.tokenizer.eos_token_id,
        )
        texts.append((out, ids.shape[1]))
    found = {}
    for name, network in networks.items():
        hits, losses = [], []
        for ids, start in texts:
            logits = network(input_ids=ids).logits[0, start - 1 : -1].float()
            labels = ids[0, start:]
            hits += (logits.argmax(-1) == labels).tolist()
            losses += torch.nn.functional.cross_entropy(logits, labels, reduction="none").tolist()
        found[name] = statistics.fmean(hits), statistics.fmean(losses)
    return found


def llama(python: str, threads: int, length: int, rounds: int) -> list[tuple[float, float]]:
    """The same work in llama.cpp, in its own Python."""
    folder = weights_store.ensure("smollm2-135m-instruct", prepare=keep)
    gguf = next(folder.rglob("*.gguf"))
    numbers = map(str, (threads, length, TOKENS, rounds))
    done = subprocess.run(
        [python, "-c", LLAMA, str(gguf), *numbers], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{python}: {done.stderr.strip().splitlines()[-1]}")
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("row")]
    return [(float(first), float(step)) for _, first, step in lines[1:]]


def keep(raw: Path, out: Path) -> None:
    """The GGUF itself, as fetched."""
    for path in raw.rglob("*.gguf"):
        path.rename(out / path.name)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        work()
    return time.perf_counter() - start


def ms(start: float) -> float:
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
