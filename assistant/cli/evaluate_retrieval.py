"""``assistant evaluate retrieval``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.options import backend_options, check_model
from assistant.core.jsonl import finite
from assistant.errors import InputError

if TYPE_CHECKING:
    from assistant.data.events import Item
    from assistant.vqa.assistants import Assistant

DESCRIBE = "Describe the picture."


def run_retrieval(args: argparse.Namespace) -> int:
    if args.data is None:
        raise InputError("evaluate retrieval needs --data PATH, events (JSONL)")
    check_model(args)  # mistakes show before the model loads
    from assistant.data.events import read_events

    if args.head is not None:
        from assistant.weights.spaces import check_head

        check_head(args.head)
    for path in args.data:
        read_events(path)
    from assistant import load
    from assistant.evaluation.retrieval import evaluate_retrieval
    from assistant.evaluation.retrieval_report import render_retrieval, save_retrieval

    assistant = load(args.model, now=False, **backend_options(args, quiet=args.json))
    captions = captioner(assistant, args.out / "captions.jsonl") if args.captions else None
    reports = [
        evaluate_retrieval(assistant.sight, path, head=args.head, captions=captions, seed=args.seed)
        for path in args.data
    ]
    save_retrieval(reports, args.out)
    told = [finite(asdict(report)) for report in reports]
    print(json.dumps(told, ensure_ascii=False) if args.json else render_retrieval(reports))
    return 0


def captioner(assistant: Assistant, path: Path) -> Callable[[Sequence[Item]], list[str]]:
    """What the base model says of each picture or clip; kept in ``path``, so that a run that was
    stopped goes on."""
    from tqdm import tqdm

    from assistant.core.results import Results
    from assistant.vqa.batch import Options, Question, answer_all

    def describe(items: Sequence[Item]) -> list[str]:
        files = [str(item.content) for item in items]
        questions = [Question(file, Path(file), DESCRIBE) for file in files]
        path.parent.mkdir(parents=True, exist_ok=True)
        options = Options(task="describe", adapter="none")
        with Results(path) as results:
            left = sum(file not in results.done for file in files)
            for record in tqdm(
                answer_all(assistant, questions, results, options), desc="describing", total=left
            ):
                if "error" in record:
                    raise InputError(f"{record['id']}: {record['error']}")
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        said = {line["id"]: line["answer"] for line in lines if "answer" in line}
        return [said[file] for file in files]

    return describe
