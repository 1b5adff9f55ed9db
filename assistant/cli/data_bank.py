"""``assistant data bank``: description banks, looked at, checked and written."""

import argparse
from pathlib import Path

EPILOG = """\
One YAML file, of which every sentence has one of its action's key words:

  actions:
    archery:
      words: [bow, arrow, target]
      sentences:
      - An archer draws the string of a bow back to the cheek.
      - A row of people aims arrows at round targets on a lawn.
      long: On a wide lawn somebody stands sideways, holds a bow with one stretched arm ...

Written by a language model, an action is in FILE as soon as it is done; the same command goes on
where it was stopped. Labels and key words go there as text, and nothing else.

examples:
  assistant data bank
  assistant data bank hmdb51
  assistant data bank mine.yaml --check
  assistant data bank ucf101 --labels classInd.txt
  assistant data bank mine.yaml --labels labels.txt --endpoint http://localhost:8080/v1
"""


def add_bank(actions: argparse._SubParsersAction) -> None:
    bank = actions.add_parser(
        "bank",
        help="look at, check or write descriptions of actions",
        description="Look at descriptions of actions, check them, or have them written.",
        epilog=EPILOG,
    )
    bank.add_argument(
        "bank",
        metavar="NAME|FILE",
        nargs="?",
        help="a shipped bank, or a YAML file (default: list)",
    )
    bank.add_argument("--check", action="store_true", help="name every rule that is broken")
    bank.add_argument("--labels", metavar="FILE", type=Path, help="these actions: a label a line")
    bank.add_argument(
        "--endpoint",
        "--llm",
        dest="llm",
        metavar="URL|NAME|DIR",
        help="write FILE with an OpenAI-compatible server or another language model of yours "
        "(docs/models.md)",
    )
    bank.add_argument("--llm-name", metavar="NAME", help="the model on that server")
    bank.set_defaults(run=run_bank)


def run_bank(args: argparse.Namespace) -> int:
    from assistant.actions.bank import parse_bank, problems, read_bank, read_label_file
    from assistant.errors import ConfigError, InputError

    if args.bank is None:
        if args.check or args.labels or args.llm or args.llm_name:
            raise InputError("which bank is not said; give its NAME, or a FILE")
        return list_banks()
    labels = read_label_file(args.labels) if args.labels else None
    if args.llm is not None or args.llm_name is not None:
        if labels is None:
            raise InputError("--endpoint wants the labels that it describes; give --labels FILE")
        return write(args, labels)
    if args.check:
        bank = parse_bank(args.bank)
        if wrong := list(problems(bank)):
            raise ConfigError("\n  ".join([f"{args.bank}: mend these", *wrong]))
    else:
        bank = read_bank(args.bank)
    if labels is not None:
        bank = bank.of(labels)
    for action in [] if args.check else bank.actions:
        print("\n  ".join([f"{action.label}: {', '.join(action.words)}", *action.texts[1:]]))
    sentences = sum(len(action.sentences) for action in bank.actions)
    print(f"{bank.name}: {len(bank.actions)} actions, {sentences} sentences")
    return 0


def list_banks() -> int:
    from assistant.actions.bank import read_bank, shipped_banks

    for name in shipped_banks():
        bank = read_bank(name)
        print(f"{name:<12} {len(bank.actions):>4} actions: {', '.join(bank.labels[:3])} ...")
    return 0


def write(args: argparse.Namespace, labels: tuple[str, ...]) -> int:
    from tqdm import tqdm

    from assistant.actions.bank_writing import write_bank
    from assistant.model.chat.loading import find_chat_model

    model = find_chat_model(args.llm, args.llm_name)
    with tqdm(desc="writing", unit="action") as bar:

        def show(label: str, done: int, of: int) -> None:
            bar.total, bar.n = of, done
            bar.set_postfix_str(label)

        bank = write_bank(Path(args.bank), labels, model, show)
        bar.n = bar.total or 0
    print(f"wrote {args.bank}\n{len(bank.actions)} actions")
    return 0
