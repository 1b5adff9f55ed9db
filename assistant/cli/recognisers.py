"""Recognisers of actions among what ``assistant adapters`` lists, shows and checks."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from assistant.cli.options import backend_options

MOST_LETTERS = 60  # of the labels in a line


def own_recogniser(args: argparse.Namespace) -> Path | None:
    """The folder of that which ``args`` names; None: it is an adapter, or nothing that is known."""
    from assistant.actions.store import recogniser_names, user_recognisers
    from assistant.tasks.store import adapter_folders

    known = args.name in recogniser_names() and args.name not in adapter_folders(args.model)
    return user_recognisers() / args.name if known else None


def listed() -> Iterator[str]:
    """A line for each; nothing where there is none."""
    from assistant.actions.store import recogniser_names, user_recognisers
    from assistant.errors import AssistantError

    if not (names := recogniser_names()):
        return
    from assistant.actions.head import read_head_config

    yield "\nrecognisers of actions (--head NAME)"
    for name in names:
        try:
            made = read_head_config(user_recognisers() / name)
            right = made.figures.get("top-1")
            figure = "" if right is None else f"top-1 {right:.1f} % on dev; "
            labels = f"{', '.join(made.labels):.{MOST_LETTERS}}"
            told = f"{figure}{len(made.labels)} labels: {labels}"
        except AssistantError as error:
            told = f"damaged: {error}"
        yield f"{name:16}{told}"
    yield f"your own: {user_recognisers()}"


def shown(folder: Path) -> Iterator[str]:
    """Where it lies, what it is, its card."""
    from assistant.actions.head import CONFIG, read_head_config

    read_head_config(folder)
    yield f"{folder.name} (recogniser of actions): {folder}"
    for name in (CONFIG, "CARD.md"):
        if (folder / name).is_file():
            yield (folder / name).read_text().rstrip()


def checked(folder: Path, args: argparse.Namespace) -> str:
    """That it is whole and fits the model. Raises InputError, ConfigError, WeightsError."""
    from assistant import load
    from assistant.actions.head import load_head, read_head_config

    read_head_config(folder)  # mistakes show before the model loads
    sight = load(args.model, now=False, **backend_options(args)).sight
    head = load_head(folder, sight)
    return f"{folder.name}: whole, and made for {head.config.encoder}"
