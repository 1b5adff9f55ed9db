"""What the commands share: the parser, the options of a question, and how they become objects."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from assistant.core.config import MOST_FRAMES
from assistant.core.resources import first_process
from assistant.dialogue.spoken import LISTENING
from assistant.errors import InputError
from assistant.sources import SOURCES

if TYPE_CHECKING:
    from assistant.model.chat.base import ChatModel
    from assistant.vqa.assistants import Assistant

MOST_COUNT = 10**6
MEDIA = re.compile(
    r"\.(3gp|avi|avif|bmp|flv|gif|heic|jpe?g|m4v|mkv|mov|mp4|mpe?g|m?ts|ogv|png|tiff?|webm|webp|wmv)$",
    re.IGNORECASE,
)


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which end the command where Ctrl-C may end a part of it."""


class Parser(argparse.ArgumentParser):
    """argparse whose complaint is an InputError of one line."""

    more = ""  # name of the last positional argument, whose words may also follow options

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, left = self.parse_known_args(args, namespace)
        if left:
            dashed = [word for word in left if word.startswith("-") and is_clip(word)]
            hint = f" (is {dashed[0]} a clip? then call it ./{dashed[0]})" if dashed else ""
            command = " ".join(filter(None, (self.prog, found.command)))
            known = getattr(found, "known", f"see {command} --help")
            raise InputError(f"unrecognized arguments: {' '.join(left)}{hint}; {known}")
        return found

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """argparse ends a row of positional arguments at the first option; ``more`` goes on. What
        follows a list of known choices, a clip or words in quotes, is put before the option.
        """
        args = self._parted(sys.argv[1:] if args is None else list(args))
        found, left = super().parse_known_args(args, namespace)
        if self.more and not any(word.startswith("-") for word in left):
            getattr(found, self.more).extend(left)
            left = []
        return found, left

    def _parted(self, words: list[str]) -> list[str]:
        parted: list[str] = []
        begun, known = 0, None  # of the list that may go on: where it begins, its choices
        for place, word in enumerate(words):
            if word == "--":
                return parted + words[place:]
            if word.startswith("-"):
                option = self._option_string_actions.get(word)
                listed = option is not None and option.nargs == "+"
                begun, known = len(parted), option.choices if option and listed else None
            ends = known and len(parted) > begun + 1 and word not in known
            if ends and (is_clip(word) or " " in word):
                parted.insert(begun, word)
                begun += 1
            else:
                parted.append(word)
        return parted

    def _print_message(self, message: str, file: Any = None) -> None:
        """argparse says nothing where its help cannot be written."""
        print(message, end="", file=file or sys.stderr)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def is_clip(word: str) -> bool:
    """Whether a word of the command line is a file's name, or that of a clip which is not there.

    A name with spaces that is not there is taken for a question ("Describe a.mp4").
    """
    there = os.path.isfile(word)  # noqa: PTH113, of any length
    return there or (MEDIA.search(word) is not None and not re.search(r"[\s?]", word))


def say(text: str, quiet: bool = False) -> None:
    """One line for the person, beside the answers on stdout."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def seconds(text: str) -> float:
    """``75``, ``75.5``, ``1:15`` or ``0:01:15.5`` as seconds."""
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not 1 <= len(values) <= 3 or not all(0 <= value < float("inf") for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds or m:ss")
    return sum(value * 60**power for power, value in enumerate(reversed(values)))


def count(text: str) -> int:
    """A whole number of 1 or more."""
    return whole(text, 1)


def seed(text: str) -> int:
    """A whole number of 0 or more."""
    return whole(text, 0, 2**63 - 1)


def frames(text: str) -> int:
    """How many frames one may look at."""
    return whole(text, 1, MOST_FRAMES)


def whole(text: str, least: int, most: int = MOST_COUNT) -> int:
    """A whole number."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no whole number of {least} or more")
    if not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text} is out of range; choose {least} to {most}")
    return int(text)


def add_clip_options(
    parser: argparse.ArgumentParser, *, one_clip: bool = True, said: bool = True
) -> None:
    """How a clip is looked at; ``one_clip`` adds what belongs to a single one, ``said`` what is
    said in it."""
    group = parser.add_argument_group("clip")
    group.add_argument(
        "--frames", type=frames, default=8, metavar="N", help="how many to look at (default 8)"
    )
    group.add_argument(
        "--decoder",
        choices=("auto", "pyav", "decord"),
        default="auto",
        help="how to read the clip (default auto: pyav by time)",
    )
    if said:
        group.add_argument(
            "--transcribe",
            choices=LISTENING,
            default="auto",
            help="listen for what is said: yes, no, or auto (default): where there are no "
            "subtitles and the speech extra is installed",
        )
    if not one_clip:
        return
    group.add_argument(
        "--start", type=seconds, metavar="S", help="look from here on: seconds or m:ss"
    )
    group.add_argument("--end", type=seconds, metavar="S", help="look up to here")
    if not said:
        return
    group.add_argument(
        "--dialogue",
        "--subtitles",
        type=Path,
        metavar="FILE",
        help="what is said: .srt .vtt .ass .sub, .txt or .json turns (default: subtitles beside "
        "or inside the clip); it may be asked about without a clip",
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Which model answers, and how."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--task",
        default="auto",
        metavar="NAME|FILE",
        help="chat, describe, an adapter's task, or a prompt file of your own (default auto: the "
        "adapter's task that the question is most like, else chat)",
    )
    group.add_argument(
        "--adapter",
        default="auto",
        metavar="NAME|DIR",
        help="a task adapter, or none (default auto: the task's own, where it has one)",
    )
    add_head(group)
    group.add_argument("--max-tokens", type=count, metavar="N", help="longest answer, in tokens")
    add_backend_options(group)
    add_sound_options(group)
    add_llm_options(group)
    add_without(group)
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")


def add_head(group: argparse._ActionsContainer) -> None:
    """A recogniser of actions of the person's own."""
    group.add_argument(
        "--head",
        metavar="NAME|DIR",
        help='what assistant finetune actions learned answers "What is he doing?" where it is sure',
    )


def check_head(args: argparse.Namespace) -> None:
    """Raises InputError, ConfigError: ``--head`` names no recogniser, or a damaged one."""
    if getattr(args, "head", None) is not None:
        from assistant.actions.head import read_head_config
        from assistant.actions.store import find_recogniser

        read_head_config(find_recogniser(args.head))


def add_llm_options(group: argparse._ActionsContainer) -> None:
    """A language model of the person's own."""
    group.add_argument(
        "--llm",
        metavar="NAME|DIR|URL",
        help="a language model of yours answers from what is perceived, as words: a hub id, a "
        "folder, or the address of an OpenAI-compatible server (docs/models.md)",
    )
    group.add_argument(
        "--llm-name", metavar="NAME", help="the model on that server (default: the only one there)"
    )


def own_llm(args: argparse.Namespace) -> ChatModel | None:
    """The language model that ``--llm`` names, not loaded yet; what goes where is told once."""
    if args.llm is None and args.llm_name is None:
        return None
    from assistant.model.chat.loading import find_chat_model

    return find_chat_model(args.llm, args.llm_name, tell=None if args.quiet else say)


def add_without(group: argparse._ActionsContainer) -> None:
    """Which sources are left out."""
    group.add_argument(
        "--without",
        nargs="+",
        choices=tuple(SOURCES),
        default=(),
        metavar="SOURCE",
        help="leave out: "
        + ", ".join(f"{name} ({kind.thing} {kind.about})" for name, kind in SOURCES.items()),
    )


def add_backend_options(parser: argparse._ActionsContainer) -> None:
    """Which weights, where and how exact."""
    parser.add_argument(
        "--model",
        default="mini",
        metavar="NAME|DIR",
        help="mini, a paper-scale model (docs/models.md), a hub id, or the folder of an "
        "InstructBLIP checkpoint; auto: the best that fits and can be had (default mini)",
    )
    parser.add_argument(
        "--base", type=Path, metavar="DIR", help="other base weights, as pretrain writes them"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        metavar="NAME",
        help="auto, fp32, bf16 or fp16 (default auto: bf16 where it is computed in)",
    )
    parser.add_argument(
        "--quantize",
        choices=("auto", "none", "8bit", "4bit"),
        default="auto",
        metavar="HOW",
        help="none, 8bit, 4bit or auto: what fits into the free memory (default auto; mini: none)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        metavar="NAME",
        help="cpu, cuda or auto: a GPU, where there is one (default auto; mini: cpu)",
    )
    parser.add_argument(
        "--space",
        default="auto",
        metavar="NAME|DIR",
        help="what compares pictures with words: auto, the model's own, or CLIP, SigLIP, SigLIP 2 "
        "or BLIP-2-ITM by hub id or folder (default auto; docs/models.md)",
    )


def add_sound_options(parser: argparse._ActionsContainer) -> None:
    """What names sounds."""
    parser.add_argument(
        "--sounds",
        default="auto",
        metavar="NAME|DIR",
        help="what names sounds: auto, a head of ours, or an audio classifier (AST, wav2vec 2.0, "
        "HuBERT, WavLM, Whisper) or CLAP by hub id or folder (default auto; docs/sound.md)",
    )
    parser.add_argument(
        "--sound-labels",
        metavar="FILE",
        help="what a CLAP is asked for: a label in each line (default: some of everyday)",
    )


def sound_options(args: argparse.Namespace) -> dict[str, Any]:
    """What ``args`` say of that, as ``load`` takes it. Raises InputError: no such labels."""
    named = getattr(args, "sound_labels", None)
    if named is None:
        labels: tuple[str, ...] = ()
    else:
        from assistant.timeline.events import read_labels

        labels = read_labels(named)
    return {"sounds": getattr(args, "sounds", "auto"), "sound_labels": labels}


def check_sounds(args: argparse.Namespace) -> None:
    """Raises InputError, WeightsError: no such model, or labels that it cannot take."""
    from assistant.model.sound_naming import SoundNaming

    given = sound_options(args)
    SoundNaming(given["sounds"], given["sound_labels"]).check()


def backend_options(args: argparse.Namespace, *, quiet: bool = False) -> dict[str, Any]:
    """What ``args`` say of the backend, as ``load`` takes it; ``frames`` where they have it."""
    options = {
        "base": args.base,
        "precision": args.precision,
        "quantize": args.quantize,
        "device": args.device,
        "space": args.space,
        "tell": say if first_process() and not quiet else None,
    }
    frames = getattr(args, "frames", None)
    return options if frames is None else options | {"frames": frames}


def load_assistant(args: argparse.Namespace, *, now: bool = True) -> Assistant:
    """The model that ``args`` names; ``now`` or with the first question."""
    from assistant import load

    check_model(args, [args.adapter], args.task)
    options = backend_options(args, quiet=args.quiet)
    options |= {name: getattr(args, name, None) for name in ("llm", "llm_name")}  # not in look
    options |= sound_options(args)
    return load(args.model, now=now, **options)


def check_model(args: argparse.Namespace, adapters: Sequence[str] = (), task: str = "") -> str:
    """What can be said of the model and of ``adapters`` before it loads, which takes long.

    Args:
        adapters: names and folders, or "none"; "auto" is that of ``task``, where it has one.
    Returns:
        The name under which the model's adapters lie.
    Raises:
        InputError, ConfigError, WeightsError: no such base, task, adapter or joint space, or of
            another base.
    """
    from assistant.tasks.store import (
        adapter_folders,
        adapter_key,
        adapter_prompt,
        find_adapter,
        find_task,
    )
    from assistant.weights.base import find_base, name_of
    from assistant.weights.presets import source_of
    from assistant.weights.spaces import check_space

    name, base = name_of(args.model, args.base), find_base(args.model, args.base)
    if base is None:
        source_of(args.model)
    check_space(args.space)
    if task:
        find_task(task, name)
    named = [task if adapter == "auto" else adapter for adapter in adapters]
    for adapter in named:
        if adapter == "none" or (adapter == task and task not in adapter_folders(name)):
            continue
        stored = find_adapter(adapter, name)
        adapter_prompt(stored)
        if base is not None:
            adapter_key(stored.folder, stored.recipe, base.fingerprint)
    return name


def check_out(folder: Path) -> None:
    """That a folder can be written to. Raises InputError."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"{there}: is a file, and a folder is wanted for what is written")
    if not os.access(there, os.W_OK):
        raise InputError(f"{there}: is not yours to write to; choose another folder")


def clip_options(args: argparse.Namespace) -> dict[str, Any]:
    """How ``args`` say that a clip is looked at, as ``Assistant.open`` takes it.

    Raises:
        InputError, ConfigError: see `check_head`.
    """
    check_head(args)
    return {
        "frames": args.frames,
        "decoder": args.decoder,
        "dialogue": args.dialogue,
        "transcribe": args.transcribe,
        "without": args.without,
        "head": getattr(args, "head", None),
    }
