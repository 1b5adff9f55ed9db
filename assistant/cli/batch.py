"""``assistant batch``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.options import (
    add_clip_options,
    add_model_options,
    check_head,
    load_assistant,
    say,
)
from assistant.cli.spreading import add_workers, for_worker, workers_of

if TYPE_CHECKING:
    from assistant.core.results import Results
    from assistant.core.workers import Workers
    from assistant.vqa.batch import Answering, Options, Part, Records

BATCH_EPILOG = """\
a line of IN:   {"id": 1, "video": "clip.mp4", "question": "What happens?"}
                and, if wanted, "dialogue" (text, or a list of {"speaker", "text", "start", "end"}),
                "start", "end" (seconds), "task", "choices" (list)
a line of OUT:  {"id": 1, "answer": "...", "frames": [...], ...} or {"id": 1, "error": "..."}

A relative video lies beside IN, else in the working directory; it is null where a question is about
its dialogue alone. IN may also be one list of such objects, and have what training data have beside
(answer, type, split ...), which is not read.

All of IN is checked before the first question: wrong lines are named at once. One that has an id
gives an error in OUT, as a clip does that cannot be read, and the rest goes on; the exit code is
then still 0, and the last line on stderr says how many there were. One without an id, or no right
line at all: nothing is asked (exit code 2).

Questions are taken clip by clip, eight at a time, so OUT has another order; match by id. Ids that
OUT holds already are skipped: after an interruption run the same command again.

examples:
  assistant batch questions.jsonl answers.jsonl
  assistant batch questions.jsonl answers.jsonl --retry     ask those with an error again
  assistant batch questions.jsonl answers.jsonl --ray local     by several processes
"""


def add_batch(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "batch",
        help="answer many questions from a JSONL file",
        description="Answer many questions: one model load, each clip decoded once, resumable.",
        epilog=BATCH_EPILOG,
    )
    parser.add_argument("input", metavar="IN.jsonl", type=Path)
    parser.add_argument("output", metavar="OUT.jsonl", type=Path)
    parser.add_argument(
        "--retry", action="store_true", help="ask those again that have an error in OUT"
    )
    add_clip_options(parser, one_clip=False)
    add_model_options(parser)
    add_workers(parser)
    parser.set_defaults(run=run_batch)


def run_batch(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from assistant.core.jsonl import WrongLine
    from assistant.core.results import Results
    from assistant.dialogue.speech import check_extra
    from assistant.vqa.batch import answer_all, read_questions

    workers = workers_of(args)
    if args.transcribe == "yes":
        check_extra()
    check_head(args)
    assistant = load_assistant(args, now=False)
    questions = read_questions(args.input, assistant.name)
    spread = None if workers is None else partial(by_workers, workers, args)
    with Results(args.output, retry=args.retry) as results:
        left = [question for question in questions if question.id not in results.done]
        for wrong in [question for question in left if isinstance(question, WrongLine)]:
            say(f"warning: {args.input}, {wrong}", args.quiet)
        waiting = len(left)
        try:
            if waiting:
                records = answer_all(assistant, questions, results, options_of(args), spread)
                for _ in tqdm(records, total=waiting, unit="question", disable=args.quiet):
                    pass
        except KeyboardInterrupt as stop:
            unasked = sum(question.id not in results.done for question in questions)
            raise KeyboardInterrupt(
                f"stopped, {unasked} of {len(questions)} questions are left; "
                "run the same command again to go on"
            ) from stop
        say(summary(len(questions), waiting, results), args.quiet)
    return 0


def options_of(args: argparse.Namespace) -> Options:
    """What ``args`` say of every question."""
    from assistant.vqa.batch import Options

    return Options(
        frames=args.frames,
        decoder=args.decoder,
        task=args.task,
        adapter=args.adapter,
        max_new_tokens=args.max_tokens,
        transcribe=args.transcribe,
        without=tuple(args.without),
        head=args.head,
    )


def by_workers(
    workers: Workers, args: argparse.Namespace, parts: Sequence[Part]
) -> Iterator[Records]:
    """The records of each part, in the order in which they are done."""
    for done in workers.spread(parts, partial(answering, for_worker(args))):
        lost = [{"id": question.id, "error": done.fault} for question in parts[done.place]]
        yield lost if done.fault else done.value


def answering(args: argparse.Namespace) -> Answering:
    """What a worker does."""
    from assistant.vqa.batch import Answering

    assistant = load_assistant(args, now=False)
    assistant.load()
    return Answering(assistant, options_of(args))


def summary(total: int, asked: int, results: Results) -> str:
    """The last line of a batch."""
    before = f" ({total - asked} of them before)" if asked < total else ""
    failed = f", {results.errors} with an error (--retry asks them again)" if results.errors else ""
    return f"{total} questions done{before}{failed}: {results.path}"
