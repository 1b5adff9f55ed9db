"""``assistant chat``: a conversation about a clip, or about several, in the terminal."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.ask import basis_line, basis_lines, item_text, stream
from assistant.cli.events import progress
from assistant.cli.options import (
    Ended,
    add_clip_options,
    add_model_options,
    clip_options,
    is_clip,
    load_assistant,
    say,
)
from assistant.errors import AssistantError, InputError
from assistant.vqa.basis import CHOSEN_BY
from assistant.vqa.conversation import TALK

if TYPE_CHECKING:
    from assistant.vqa.basis import Basis
    from assistant.vqa.session import Session
    from assistant.vqa.several.session import SeveralSession

COMMANDS = """\
  /frames      the times looked at last; of several clips, what each had to say
  /seen        what was perceived, as words: things that the image encoder names ...
  /dialogue    what is said in the clip, and where that is from
  /clear       forget the conversation, keep the clip
  /save FILE   write the conversation to a new text file
  /quit        leave (so does Ctrl-D)"""

EPILOG = f"""\
The clip is decoded once; questions after that are answered at once. Ctrl-C stops an answer.

commands in the conversation:
{COMMANDS}

examples:
  assistant chat clip.mp4
  assistant chat clip.mp4 < questions.txt
  assistant chat --dialogue talk.txt --task humor
  assistant chat a.mp4 b.mp4           several: "Which of the two is outdoors?", "And the second?"
"""


def add_chat(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "chat",
        help="talk about a clip or a dialogue in the terminal",
        description="Talk about a clip, about several (up to 8) beside each other, or about a "
        "dialogue alone, in the terminal.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "videos",
        metavar="VIDEO",
        nargs="*",
        help="one, or several; may be left out beside --dialogue",
    )
    add_clip_options(parser)
    add_model_options(parser)
    known = "questions are typed once it runs"
    parser.set_defaults(run=run_chat, known=known)


def run_chat(args: argparse.Namespace) -> int:
    for word in args.videos[1:]:
        if not is_clip(word):
            raise InputError(f"{word!r} is no clip; questions are typed once chat runs")
    assistant = load_assistant(args, now=False)
    how = {"start": args.start, "end": args.end, **clip_options(args)}
    session: Session | SeveralSession
    if len(args.videos) > 1:
        session = assistant.open(args.videos, **how)
    else:
        session = assistant.open(next(iter(args.videos), None), **how)
    session.check(args.task, args.adapter)
    assistant.load()
    for warning in session.warnings:
        say(f"warning: {warning}", args.quiet)
    about = "; ".join(map(about_one, sessions_of(session)))
    if assistant.llm is not None:
        about += f"; {assistant.llm.name} answers from what is perceived and said, as words"
    say(f"{about}. /help lists commands.", args.quiet)
    Chat(session, args).run()
    return 0


def sessions_of(session: Session | SeveralSession) -> list[Session]:
    """Of each clip."""
    from assistant.vqa.several.session import SeveralSession

    return [*session.sessions.values()] if isinstance(session, SeveralSession) else [session]


def about_one(session: Session) -> str:
    """What a conversation is about."""
    said = len(session.dialogue.lines)
    about = f"{said} lines of dialogue ({session.dialogue.source})"
    if session.path is None:
        return about
    clip = f"{session.path.name}: {session.look().duration:.1f} s"
    return f"{clip}; {about}" if said else clip


class Chat:
    """The loop: a line in, an answer out."""

    def __init__(self, session: Session | SeveralSession, args: argparse.Namespace) -> None:
        self.session = session
        self.args = args
        self.interactive = sys.stdin.isatty()
        self.last: Basis | None = None
        self.warned = set(session.warnings)  # told already

    def run(self) -> None:
        """Until the end of the input, or /quit."""
        if self.interactive:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401, gives input() a history
        while (line := self.read()) is not None:
            words = line.split(maxsplit=1)
            if not words:
                continue
            try:
                if words[0] == "/quit":
                    return
                if words[0].startswith("/"):
                    self.command(words[0], words[1].strip() if len(words) > 1 else "")
                else:
                    self.ask(line)
            except AssistantError as error:
                say(f"assistant: {error}")

    def read(self) -> str | None:
        """The next line; None at the end."""
        while True:
            try:
                if self.interactive:
                    return input("> ")
                return sys.stdin.readline() or None
            except EOFError:
                print()
                return None
            except KeyboardInterrupt as stop:
                if not self.interactive or isinstance(stop, Ended):
                    raise
                say("\n(/quit or Ctrl-D leaves)")

    def ask(self, question: str) -> None:
        """One question; Ctrl-C stops its answer only."""
        answer = None
        try:
            with progress(self.args.quiet or not sys.stderr.isatty()):
                answer = self.session.ask(
                    question,
                    task=self.args.task,
                    adapter=self.args.adapter,
                    max_new_tokens=self.args.max_tokens,
                )
            if answer.basis.task != TALK:
                self.last = answer.basis
            chosen = answer.basis.task_score is not None and answer.basis.task != "chat"
            told = chosen or answer.basis.asked_as or answer.basis.recognised
            if told or answer.basis.range_source in CHOSEN_BY:
                say(basis_line(answer.basis), self.args.quiet)
            for warning in answer.warnings:
                if warning not in self.warned:
                    say(f"warning: {warning}", self.args.quiet)
                self.warned.add(warning)
            stream(answer, self.args.quiet)
        except KeyboardInterrupt as stop:
            if answer is not None:
                answer.close()
            if isinstance(stop, Ended):
                raise
            print()
            say("(stopped; this question is not remembered)", self.args.quiet)

    def command(self, name: str, argument: str) -> None:
        """One of COMMANDS."""
        if name == "/help":
            print(COMMANDS)
        elif name == "/frames":
            if self.last is not None and self.last.clips:
                print("\n".join(basis_lines(self.last)))
                return
            for session in sessions_of(self.session):
                if self.last is None and session.path is not None:
                    seen = session.look().seconds
                else:
                    seen = self.last.frames if self.last else ()
                print(" ".join(f"{second:.2f}" for second in seen), "s" if seen else "none")
        elif name == "/seen":
            parts = self.last.clips if self.last else ()
            looked = [part.answer.basis for part in parts if part.answer]
            looked = looked or ([self.last] if self.last else [])
            sources = [source for basis in looked for source in basis.sources]
            items = [item for source in sources for item in source.items]
            print("\n".join(map(item_text, items)) or "nothing yet: ask first")
        elif name == "/dialogue":
            for session in sessions_of(self.session):
                dialogue = session.dialogue
                print(f"[{dialogue.source}]")
                if dialogue:
                    print(dialogue.as_text())
        elif name == "/clear":
            self.session.clear()
            print("forgotten")
        elif name == "/save":
            self.save(argument)
        else:
            raise InputError(f"{name} is no command; /help lists them")

    def save(self, name: str) -> None:
        """Write the conversation to a new file."""
        if not name:
            raise InputError("/save needs a name: /save conversation.txt")
        turns = self.session.conversation.turns
        text = "".join(f"> {turn.question}\n{turn.answer}\n\n" for turn in turns)
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                paths = [one.path or self.args.dialogue for one in sessions_of(self.session)]
                file.write(f"{', '.join(path.name for path in paths)}\n\n{text}")
        except (OSError, RuntimeError, ValueError) as error:  # taken, an unknown ~user, a zero byte
            raise InputError(f"{name} cannot be written ({error}); choose another name") from error
        print(f"{len(turns)} turns saved: {name}")
