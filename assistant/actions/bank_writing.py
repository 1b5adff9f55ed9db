"""A language model writes a description bank: key words first, then sentences with them
(decompose-expand prompting, 3.3.1 of cross-modal collaborative knowledge transfer)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from assistant.actions.bank import (
    WORDS,
    Bank,
    Described,
    key,
    names_of,
    parse_bank,
    problems_of,
    readable,
    said_in,
    shipped_banks,
)
from assistant.core.config import from_yaml
from assistant.core.files import write_whole
from assistant.core.resources import prompts_dir
from assistant.errors import InputError, ModelError
from assistant.model.chat.base import ChatModel, Message

BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d+[.):])\s*")
LONG = re.compile(r"^\W*long\W*:\W*", re.I)
AROUND = " \t\"'`*_"


@dataclass(frozen=True)
class Instructions:
    """What it is told; the texts are data."""

    system: str
    decompose: str  # of {label} and {others}
    expand: str  # of {label}, {words} and {count}
    again: str  # of {wrong}
    sentences: int
    others: int
    max_new_tokens: int


def write_bank(
    path: Path,
    labels: Sequence[str],
    model: ChatModel,
    show: Callable[[str, int, int], None] = lambda label, done, of: None,
) -> Bank:
    """Describe ``labels`` in the file ``path``; those that it describes already are kept, and each
    new one is in it as soon as it is written.

    Args:
        show: gets each label before it is written, how many are, and of how many.
    Raises:
        InputError: ``path`` cannot be written, or a label is none. ConfigError: it is there and no
            bank. ModelError: the model fails, or a description twice broke the rules; the others
            are written.
    """
    if str(path) in shipped_banks() or path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{path}: cannot be written; give a file that ends in .yaml")
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder is not there; make it, or give another file")
    told = from_yaml(Instructions, prompts_dir() / "llm" / "bank.yaml")
    wanted = [readable(label) for label in labels]
    bank = parse_bank(path) if path.exists() else Bank(path.stem, ())
    # A bank of all, which finds a label that is none or is there twice before anything is asked.
    names = Bank(path.stem, tuple(map(Described, wanted))).labels
    known = set(map(key, bank.labels))
    left = [label for label in names if key(label) not in known]
    every = tuple(dict.fromkeys([*bank.labels, *left]))
    failed: dict[str, str] = {}
    for done, label in enumerate(left):
        show(label, done, len(left))
        action, wrong = _described(label, every, said_in(bank), model, told)
        if wrong:
            failed[label] = wrong[0]
            continue
        bank = Bank(bank.name, (*bank.actions, action))
        try:
            write_whole(path, bank_text(bank))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); free it") from error
    if failed:
        first, why = next(iter(failed.items()))
        more = f", and {len(failed) - 1} more," if len(failed) > 1 else ""
        raise ModelError(
            f"{model.name} twice described {first!r}{more} against the rules ({why}); "
            f"{len(bank.actions)} actions are in {path}: ask again, or write the others by hand"
        )
    return bank


def _described(
    label: str,
    every: Sequence[str],
    said: dict[str, str],
    model: ChatModel,
    told: Instructions,
) -> tuple[Described, list[str]]:
    """An action, and what is wrong with it."""
    others = ", ".join(_nearest(label, every, told.others))
    ask = _Talk(model, told)
    words = words_in(ask.say(told.decompose.format(label=label, others=others)))
    if not WORDS[0] <= len(words) <= WORDS[1]:
        count = f"{len(words)} key words; give {WORDS[0]} to {WORDS[1]}"
        words = words_in(ask.say(told.again.format(wrong=count)))
    reply = ask.say(told.expand.format(label=label, words=", ".join(words), count=told.sentences))
    for last in (False, True):
        action = action_in(label, words, reply)
        wrong = list(problems_of(action, names_of(every), said))
        if last or not wrong:
            break
        reply = ask.say(told.again.format(wrong="\n".join(wrong)))
    return action, wrong


class _Talk:
    """A dialogue about one action."""

    def __init__(self, model: ChatModel, told: Instructions) -> None:
        self.model, self.most = model, told.max_new_tokens
        self.messages = [Message("system", told.system.strip())]

    def say(self, text: str) -> str:
        self.messages.append(Message("user", text.strip()))
        if not self.model.fits(self.messages, self.most):
            raise ModelError(f"{self.model.name} cannot read so long labels; give shorter ones")
        reply = "".join(self.model.reply(self.messages, self.most))
        self.messages.append(Message("assistant", reply))
        return reply


def _nearest(label: str, every: Sequence[str], count: int) -> list[str]:
    """Other labels, first those that share a word: they are the ones to be told from."""
    own = set(label.split())
    others = [other for other in every if other != label]
    return sorted(others, key=lambda other: -len(own & set(other.split())))[:count]


def words_in(reply: str) -> tuple[str, ...]:
    """Key words of a reply with commas or lines between them."""
    parts = (BULLET.sub("", part).strip(AROUND + ".") for part in re.split(r"[,;\n]", reply))
    return tuple(dict.fromkeys(part.lower() for part in parts if part))


def action_in(label: str, words: Sequence[str], reply: str) -> Described:
    """A reply's lines: sentences, and the one after "Long:"."""
    sentences, long = [], ""
    for line in _lines(reply):
        if LONG.match(line):
            long = LONG.sub("", line)
        else:
            sentences.append(line)
    return Described(label, tuple(words), tuple(sentences), long)


def _lines(reply: str) -> Iterator[str]:
    for line in reply.splitlines():
        if text := " ".join(BULLET.sub("", line).split()).strip(AROUND):
            yield text


def bank_text(bank: Bank) -> str:
    """As YAML."""
    told = {action.label: asdict(action) for action in bank.actions}
    kept = {
        label: {name: list(part) if isinstance(part, tuple) else part for name, part in one.items()}
        for label, one in told.items()
    }
    for one in kept.values():
        del one["label"]
    return yaml.safe_dump({"actions": kept}, sort_keys=False, allow_unicode=True, width=100)
