"""What free answers hold of the facts that are asked for, by what they are made of.

    python benchmarks/answering.py CLIPS [--questions FILE.jsonl] [--untouched]

"own": in the answer about the clip; "another's": in the answer of the same question about the clip
after it in the list, for what is said of any clip. Facts as in `source_facts.py`. "told": questions
that are answered at all. The language model reads visual tokens, notes (what the sources say), or
both; the answer is its first one (generation), the best of the sources' candidates (weighing), or
the best of both, said only where it is sure (as shipped).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from source_facts import Raw, stems

from assistant import load
from assistant.model.assistant import VideoAssistant
from assistant.model.loading import load_model
from assistant.vqa.answer import Answer
from assistant.vqa.assistants import Assistant
from assistant.vqa.scoring import score_answers
from assistant.vqa.untold import is_untold
from assistant.vqa.weighing import weigh

QUESTIONS = "real_clips.jsonl"
SOURCES = ("attributes", "objects", "phrases", "read")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Raw)
    parser.add_argument("clips", type=Path, metavar="CLIPS")
    parser.add_argument("--questions", type=Path, default=Path(__file__).with_name(QUESTIONS))
    parser.add_argument("--untouched", action="store_true", help="the LLM before it learned, too")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.questions.read_text().splitlines()]
    videos = list(dict.fromkeys(row["video"] for row in rows))
    after = dict(zip(videos, [*videos[1:], videos[0]], strict=True))
    facts = [stems(row["expected"]) - stems(row["question"]) for row in rows]
    total = sum(map(len, facts))
    assistant = load("mini")
    print(f"model {assistant.model.fingerprint}, {total} facts of {len(rows)} questions, % held\n")
    print("| answers by | own | another's | told | words |")
    print("|---|---|---|---|---|")

    def show(title: str, told: dict[tuple[str, str], str]) -> None:
        own = [told[row["video"], row["question"]] for row in rows]
        other = [told[after[row["video"]], row["question"]] for row in rows]
        held = [
            100 * sum(len(f & stems(text)) for f, text in zip(facts, texts, strict=True)) / total
            for texts in (own, other)
        ]
        said = [text for text in own if not is_untold(text)]
        words = sum(len(text.split()) for text in own) / len(own)
        shares = " | ".join(f"{share:.0f}" for share in held)
        print(f"| {title} | {shares} | {len(said)} of {len(own)} | {words:.1f} |", flush=True)

    asked = {(v, row["question"]) for row in rows for v in (row["video"], after[row["video"]])}
    made = {
        (video, question): dict(ways(assistant, args.clips / video, question))
        for video, question in sorted(asked)
    }
    for title in next(iter(made.values())):
        show(title, {key: texts[title] for key, texts in made.items()})
    if args.untouched:
        model = load_model("mini", reading=False)
        model.reads = assistant.model.reads
        plain = Assistant(model, assistant.store)
        show(
            "the untouched LLM, tokens and notes",
            {(v, q): generated(plain.open(args.clips / v).ask(q)) for v, q in sorted(asked)},
        )


def ways(assistant: Assistant, clip: Path, question: str) -> Iterator[tuple[str, str]]:
    """The answer by each way."""
    blank = assistant.open(clip, without=SOURCES).ask(question)
    answer = assistant.open(clip).ask(question)
    unseen = replace(answer.query, patches=None)
    yield "tokens, generation", generated(blank)
    yield "notes, generation", generated(answer, unseen=True)
    yield "tokens and notes, generation", generated(answer)
    yield "tokens and notes, weighing alone", offered(answer)
    if unseen.weigher is not None:
        yield "notes, generation and weighing", best(answer, unseen=True)
    else:
        yield "notes, generation and weighing", generated(answer, unseen=True)
    yield "tokens and notes, generation and weighing", best(answer)
    yield "as shipped", answer.text


@torch.inference_mode()
def visual_of(answer: Answer, unseen: bool) -> torch.Tensor:
    query = answer.query
    assert query.model is not None
    patches = None if unseen or query.patches is None else query.patches[None]
    return query.model.visual_tokens(patches, [query.request.qformer_text])


def generated(answer: Answer, unseen: bool = False) -> str:
    """The language model's first answer."""
    model, request = answer.query.model, answer.request
    assert isinstance(model, VideoAssistant)
    prompts = [model.llm.prompt_ids(request.prompt)]
    visual = visual_of(answer, unseen)
    return model.llm.complete(visual, prompts, request.max_new_tokens)[0]


def offered(answer: Answer) -> str:
    """The best of the sources' candidates."""
    return _best(answer, [], unseen=False)


def best(answer: Answer, unseen: bool = False) -> str:
    """The best of all candidates, however sure."""
    model, request = answer.query.model, answer.request
    assert model is not None
    visual = visual_of(answer, unseen)
    (written,) = model.propose(visual, [request.prompt], [()], request.max_new_tokens)
    return _best(answer, written, unseen=unseen)


@torch.inference_mode()
def _best(answer: Answer, written: list[str], *, unseen: bool) -> str:
    query, request = answer.query, answer.request
    if query.weigher is None or query.model is None:  # a source settles it
        return answer.text
    texts = query.weigher.candidates(written)
    if not texts:
        return ""
    blind = query.model.visual_tokens(None, [request.blind_qformer_text])
    claims = [[(text, True) for text in texts]]
    (told,) = score_answers(query.model, [request], claims, visual_of(answer, unseen), blind)
    found = query.weigher.weighed(texts, told.scores, told.blind, written)
    return texts[weigh(found, query.weigher.weights).place]


if __name__ == "__main__":
    main()
