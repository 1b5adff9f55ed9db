"""The report of a base evaluation: its rows, and how they are printed and kept."""

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "What is in the picture?"


@dataclass(frozen=True)
class CaptionRow:
    """Caption metrics of one system."""

    system: str
    cider: float
    bleu4: float


@dataclass(frozen=True)
class ThingRow:
    """Things named in answer to "What is in the picture?", as shares of 1."""

    system: str
    recall: float  # of the things that three captions share
    precision: float  # named things that a caption of the photo names


@dataclass(frozen=True)
class FaultRow:
    """How many free answers to one kind of question are badly formed."""

    asked: str
    count: int
    words: float  # mean length
    unfinished: int  # cut off at the limit of tokens
    repeating: int
    echoing: int  # begin with the question


@dataclass(frozen=True)
class QuestionRow:
    """Accuracy on one type of question, as shares of 1."""

    type: str
    count: int
    chance: float
    majority: float
    blind: float
    by_choice: float
    interval: tuple[float, float]
    free_text: float
    answers: tuple[tuple[str, int], ...]  # the most frequent free-text answers
    told: float  # share of questions whose answer is likelier than it is blind
    right_told: float  # accuracy among those
    right_untold: float  # accuracy of the rest, about which the assistant says "I cannot tell"
    balanced: float | None = None  # balanced accuracy of yes/no questions
    yes_rate: float | None = None


@dataclass(frozen=True)
class Report:
    """All figures of one run."""

    model: str
    split: str
    seed: int
    captions: tuple[CaptionRow, ...]
    things: tuple[ThingRow, ...]
    faults: tuple[FaultRow, ...]
    questions: tuple[QuestionRow, ...]
    scenes: tuple[QuestionRow, ...]
    examples: tuple[dict, ...]


def render(report: Report) -> str:
    """The report as Markdown tables."""
    lines = [
        f"model {report.model}, split {report.split}, seed {report.seed}",
        "",
        f"| captions of {len(report.examples)} photos | CIDEr | BLEU-4 |",
        "|---|---|---|",
    ]
    lines += [f"| {row.system} | {row.cider:.3f} | {row.bleu4:.3f} |" for row in report.captions]
    lines += ["", f"| {NAME} | recall | precision |", "|---|---|---|"]
    lines += [
        f"| {row.system} | {100 * row.recall:.1f} | {100 * row.precision:.1f} |"
        for row in report.things
    ]
    lines += [
        "",
        "| free answers to | n | words | unfinished | repeating | echoing |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.asked} | {row.count} | {row.words:.1f} | {row.unfinished} | {row.repeating} | "
        f"{row.echoing} |"
        for row in report.faults
    ]
    for title, rows in (
        ("caption questions", report.questions),
        ("generated scenes", report.scenes),
    ):
        lines += [
            "",
            f"| {title} | n | chance | majority | blind | choices (95 %) | free text "
            "| told: right, rest: right | most frequent answers |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [_question_line(row) for row in rows]
    lines += ["", "| photo | a caption | description | things |", "|---|---|---|---|"]
    lines += [
        f"| {Path(row['photo']).stem.split('_')[0]} | {row['reference'][0]} | {row['described']} "
        f"| {row['named']} |"
        for row in drawn_examples(report)
    ]
    return "\n".join(lines)


def drawn_examples(report: Report, count: int = 20) -> list[dict]:
    """Some photos with their answers, drawn by the report's seed."""
    return random.Random(report.seed).sample(report.examples, min(count, len(report.examples)))


def _question_line(row: QuestionRow) -> str:
    low, high = row.interval
    frequent = ", ".join(f"{' '.join(answer.split())} {count}" for answer, count in row.answers)
    yes = "" if row.yes_rate is None else f", yes-rate {100 * row.yes_rate:.0f}"
    return (
        f"| {row.type} | {row.count} | {100 * row.chance:.0f} | {100 * row.majority:.0f} | "
        f"{100 * row.blind:.0f} | **{100 * row.by_choice:.0f}** "
        f"({100 * low:.0f}-{100 * high:.0f}{yes}) | {100 * row.free_text:.0f} | "
        f"{100 * row.told:.0f}: {100 * row.right_told:.0f}, "
        f"{100 - 100 * row.told:.0f}: {100 * row.right_untold:.0f} | {frequent} |"
    )


def save(report: Report, out: Path) -> None:
    """Write ``report.md``, ``report.json`` and ``examples.jsonl``."""
    out.mkdir(parents=True, exist_ok=True)
    data = asdict(report)
    examples = data.pop("examples")
    (out / "report.md").write_text(render(report) + "\n")
    (out / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    (out / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in examples))
