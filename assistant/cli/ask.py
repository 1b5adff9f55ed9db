"""``assistant ask``."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.cli.events import progress
from assistant.cli.options import (
    add_clip_options,
    add_model_options,
    check_model,
    clip_options,
    is_clip,
    load_assistant,
    say,
)
from assistant.errors import InputError
from assistant.sources import SOURCES
from assistant.vqa.basis import CHOSEN_BY, FROM_SOUND, FROM_TIMELINE
from assistant.vqa.conversation import ACTIONS, HEARD, TALK, TIMELINE
from assistant.vqa.time_words import format_time

if TYPE_CHECKING:
    from assistant.sources import Perceived
    from assistant.vqa.answer import Answer
    from assistant.vqa.basis import Basis
    from assistant.vqa.several.parts import Part
    from assistant.vqa.several.session import SeveralSession

ASK_EPILOG = """\
The answer goes to stdout; what it rests on goes to stderr.
A time in the question is where the assistant looks; --start and --end win over it.

examples:
  assistant ask clip.mp4 "What is the man doing?"
  assistant ask clip.mp4 "What happens at 0:42?"
  assistant ask film.mp4 "When does the dog appear?"          times, from its timeline
  assistant ask clip.mp4 "Who is there?" "What is on the table?"      two at once
  assistant ask clip.mp4 "What is he holding?" --start 1:05 --end 1:15
  assistant ask clip.mp4 --task describe
  assistant ask clip.mp4 "Is it day or night?" --choices day night
  assistant ask clip.mp4 "What are they talking about?" --subtitles clip.srt --json
  assistant ask clip.mp4 "Is there a dog?" --choices yes no --evidence why.png
  assistant ask clip.mp4 "What is he doing?" --head gestures    a recogniser of yours, where sure
  assistant ask --dialogue talk.txt "Is it humorous?"           no clip, only what is said
  assistant ask a.mp4 b.mp4 "Which of the two is outdoors?"     several clips: docs/several.md
  assistant ask a.mp4 b.mp4 c.mp4 "What differs?" --json
"""


def add_ask(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "ask",
        help="ask about a clip, a picture or a dialogue",
        description="Ask about a clip or a picture, about several (up to 8) beside each other, or "
        "about a dialogue alone. Several questions are answered at once, none of which knows of "
        "the others: an answer a line.",
        epilog=ASK_EPILOG,
    )
    parser.add_argument(
        "video",
        metavar="VIDEO",
        nargs="?",
        help="or several, one after the other; may be left out beside --dialogue",
    )
    parser.add_argument(
        "questions",
        metavar="QUESTION",
        nargs="*",
        help="may be left out where the task has its own",
    )
    parser.add_argument(
        "--choices", nargs="+", metavar="A", help="answer with the likeliest of these"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FILE.png",
        help="draw which moments the answer rests on (.png, .svg, .pdf)",
    )
    add_clip_options(parser)
    add_model_options(parser)
    parser.more = "questions"
    parser.set_defaults(run=run_ask)


def run_ask(args: argparse.Namespace) -> int:
    from assistant.vqa.evidence import check_frames, save_evidence, save_figure

    part_choices(args)
    more = part_clips(args)
    if not args.questions and args.dialogue is not None and is_question(args.video):
        args.video, args.questions = None, [args.video]
    check_questions(args)
    if args.evidence is not None:
        check_evidence(args)
    options = {
        "task": args.task,
        "adapter": args.adapter,
        "choices": args.choices,
        "start": args.start,
        "end": args.end,
        "max_new_tokens": args.max_tokens,
    }
    assistant = load_assistant(args, now=False)
    if more:
        ask_several(assistant.open([args.video, *more], **clip_options(args)), args, options)
        return 0
    session = assistant.open(args.video, **clip_options(args))
    if len(args.questions) > 1:
        for answer in session.ask_many(args.questions, **options):
            tell(answer, args)
        return 0
    with progress(args.quiet or not sys.stderr.isatty()):  # a whole film may be looked at
        answer = session.ask(next(iter(args.questions), None), **options)
    timed = answer.basis.task == TIMELINE
    if args.evidence is not None and not timed:
        check_frames(answer)
        answer.evidence()  # it goes into the JSON object, and may make the answer unsure
    tell(answer, args)
    if args.evidence is not None and timed:
        from assistant.timeline.plot import draw_timeline

        sought = [answer.basis.sought] if answer.basis.sought else []
        save_figure(draw_timeline(session.timeline(sought)), args.evidence)
        say(f"[timeline: {args.evidence}]", args.quiet)
    elif args.evidence is not None and answer.basis.task == ACTIONS:
        from assistant.vqa.by_recogniser import rests_on

        save_figure(rests_on(answer), args.evidence)
        say(f"[evidence: {args.evidence}]", args.quiet)
    elif args.evidence is not None:
        pictures, items = session.pictures(answer), session.perceived(answer)
        save_evidence(answer, pictures, args.evidence, items)
        say(f"[evidence: {args.evidence}]", args.quiet)
    return 0


def ask_several(session: SeveralSession, args: argparse.Namespace, options: dict[str, Any]) -> None:
    """Each question to several clips; its evidence is drawn clip by clip."""
    for question in args.questions or [None]:
        with progress(args.quiet or not sys.stderr.isatty()):
            answer = session.ask(question, **options)
        if args.evidence is not None:  # it goes into the JSON object
            for part in answer.basis.clips:
                part.evidence()
        tell(answer, args)
    if args.evidence is not None:
        from assistant.vqa.evidence import save_figure
        from assistant.vqa.several.picture import draw_parts

        save_figure(draw_parts(answer, session.pictures), args.evidence)
        say(f"[evidence: {args.evidence}]", args.quiet)


def part_clips(args: argparse.Namespace) -> list[str]:
    """The clips that stand behind the first one, before the questions: these are left."""
    if not is_clip(args.video or ""):
        return []
    words = args.questions
    count = next((k for k, word in enumerate(words) if not is_clip(word)), len(words))
    args.questions = words[count:]
    return words[:count]


def part_choices(args: argparse.Namespace) -> None:
    """``--choices yes no CLIP QUESTION``: argparse takes all of it for choices.

    Where no clip stands elsewhere the first choice that names one ends the list; where no question
    does, the first that ends as one.
    """
    words = args.choices or []
    clipless = args.video is None and args.dialogue is None

    def ends(word: str) -> bool:
        return is_clip(word) if clipless else word.rstrip().endswith("?")

    if args.questions or (args.video and args.dialogue and is_question(args.video)):
        return
    end = next((place for place, word in enumerate(words) if place and ends(word)), None)
    if end is not None:
        args.choices, rest = words[:end], words[end:]
        args.video, args.questions = (rest[0], rest[1:]) if clipless else (args.video, rest)
    elif words and clipless:
        raise InputError(
            f"--choices took {', '.join(map(repr, words))}, and no clip is left; put VIDEO and "
            "QUESTION before --choices"
        )


def check_questions(args: argparse.Namespace) -> None:
    """
    Raises:
        InputError: a clip among them, or, of several, a folder, words of one or what takes one
            alone.
    """
    for question in filter(is_clip, args.questions):
        if is_clip(args.video or ""):
            raise InputError(
                f"the clip {question} stands behind a question; put all clips before the questions"
            )
        raise InputError(
            f"{args.video!r} is taken for the clip and {question!r} for a question; put the clip "
            "first"
        )
    if len(args.questions) < 2:
        return
    if args.evidence is not None:
        raise InputError(f"--evidence draws one answer; there are {len(args.questions)} questions")
    for question in args.questions:
        if os.path.isdir(question):  # noqa: PTH112, of any length
            raise InputError(f"{question!r} is a folder; name the clips in it")
        if re.fullmatch(r"\w+,?", question):
            raise InputError(f"{question!r} is a word and no question; put a question in quotes")


def check_evidence(args: argparse.Namespace) -> None:
    """Raises InputError: there will be no picture to draw, or no place for it."""
    from assistant.tasks.store import adapter_folders, find_adapter
    from assistant.vqa.evidence import TEXT_ALONE, WORDS_ALONE, check_picture_path

    check_picture_path(args.evidence)
    model = check_model(args)
    name = args.task if args.adapter == "auto" else args.adapter
    stored = find_adapter(name, model) if name in adapter_folders(model) else None
    if args.llm is not None and stored is None and args.adapter in ("auto", "none"):
        raise InputError(f"--evidence: {WORDS_ALONE}; leave it or --llm out")
    if args.video is None or (stored is not None and not stored.recipe.frames):
        raise InputError(TEXT_ALONE.format(task="this" if stored is None else stored.name))


def tell(answer: Answer, args: argparse.Namespace) -> None:
    """One answer, and what it rests on."""
    for line in basis_lines(answer.basis):
        say(line, args.quiet)
    for warning in answer.warnings:
        say(f"warning: {warning}", args.quiet)
    if args.json:
        print(json.dumps(answer.as_dict(), ensure_ascii=False))
    else:
        stream(answer, args.quiet)


def is_question(word: str | None) -> bool:
    """Whether the only positional argument beside a dialogue is a question and no clip.

    What is a file, or is called like one, is a clip.
    """
    if word is None or not word.strip() or is_clip(word):
        return False
    return re.search(r"\.\w{2,5}$", word) is None


def basis_lines(basis: Basis) -> list[str]:
    """What an answer rests on, for a person: a line, or one for each of several clips."""
    return [part_line(part) for part in basis.clips] or [basis_line(basis)]


def part_line(part: Part) -> str:
    """The same of one of several clips."""
    if part.answer is not None:
        return f"[{part.clip.title}: {basis_line(part.answer.basis)[1:]}"
    told = [f"frames at {' '.join(f'{second:.1f}' for second in part.frames)} s"]
    told = told if part.frames else []
    if part.chance is not None:
        told.append(f"{part.chance:.0%} likely by {part.by}")
    told += [*filter(None, [part.value, ", ".join(part.seen)])]
    return f"[{part.clip.title}: {'; '.join(told)}]"


def basis_line(basis: Basis) -> str:
    """What an answer rests on, for a person."""
    if basis.task == TALK:
        return "[small talk: no frame was looked at, no model asked]"
    times = " ".join(f"{second:.1f}" for second in basis.frames)
    parts = [f"frames at {times} s" if times else "text alone"]
    if basis.task == TIMELINE:
        parts = [FROM_TIMELINE]
    if basis.task == HEARD:
        parts = [FROM_SOUND]
    if basis.recognised is not None:
        thought = f"is not sure: {basis.recognised.told}"
        answered = "answered" if basis.task == ACTIONS else thought
        parts.insert(0, f"recogniser {basis.recognised.by} {answered}")
    if basis.notes is not None:
        parts.insert(0, f"{basis.model} answered from words alone")
    if basis.task_score is not None and basis.task != "chat":
        parts.insert(0, f"task {basis.task}, {basis.task_score:.2f} like its examples")
    if basis.range_source not in ("clip", "none"):
        by = CHOSEN_BY.get(basis.range_source, "")
        end = "end" if basis.end is None else format_time(basis.end)
        parts.insert(0, f"{format_time(basis.start or 0.0)}-{end}{by}")
    if basis.asked_as:
        parts.insert(0, f"asked as: {basis.asked_as}")
    if basis.dialogue_source != "none":
        parts.append(f"dialogue: {basis.dialogue_source}")
    for source in basis.sources:
        if source.items:
            found = ", ".join(item_text(item) for item in source.items)
            parts.append(f"{SOURCES[source.name].label.lower()}: {found}")
    return f"[{'; '.join(parts)}]"


def item_text(item: Perceived) -> str:
    """``cup 36%``, and when it was there, where that is known."""
    when = ""
    if item.start is not None and item.end is not None:
        when = f" at {format_time(round(item.start, 1))}"
        if item.end > item.start:
            when += f"-{format_time(round(item.end, 1))}"
    return f"{item.told} {item.probability:.0%}{when}"


def stream(answer: Answer, quiet: bool) -> None:
    """Print an answer as it is made, then how sure the model is of each choice."""
    said = ""
    for piece in answer:
        print(piece, end="", flush=True)
        said += piece
    print(answer.text.removeprefix(said), flush=True)  # whole, if it was made with others
    parts = [(f"{part.clip.title}: ", part.answer) for part in answer.basis.clips if part.answer]
    for clip, own in parts or [("", answer)]:
        if own.basis.settled:
            say(f"[{clip}seen: {own.basis.settled}]", quiet)
        if own.reason is not None:
            say(f"[{clip}unsure: {own.reason}]", quiet)
        if own.probabilities is not None:
            shares = (f"{choice} {share:.0%}" for choice, share in own.probabilities.items())
            say(f"[{clip}{', '.join(shares)}]", quiet)
