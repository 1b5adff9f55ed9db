"""``assistant adapters``: list, show, check and size them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli import recognisers
from assistant.cli.options import add_backend_options, backend_options, check_model

if TYPE_CHECKING:
    from assistant.tasks.store import StoredAdapter

ADAPTERS_EPILOG = """\
examples:
  assistant adapters list
  assistant adapters show motion
  assistant adapters check run/adapter
  assistant adapters size --model instructblip-vicuna-7b
"""


def add_adapters(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "adapters",
        help="list, show or check task adapters",
        description="Task adapters: the shipped ones and your own.",
        epilog=ADAPTERS_EPILOG,
    )
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    for name, help_text, run in (
        ("list", "every adapter, its task and its figure", run_list),
        ("show", "one adapter: recipe, data, figures", run_show),
        ("check", "load one adapter on its base", run_check),
        ("size", "how many numbers an adapter of a model learns", run_size),
    ):
        action = actions.add_parser(name, help=help_text, description=help_text.capitalize())
        if name == "size":
            action.add_argument(
                "--config", metavar="FILE.yaml", type=Path, help="a recipe (default: the defaults)"
            )
        elif name != "list":
            action.add_argument("name", metavar="NAME|DIR", help="an adapter's name or folder")
        if name == "check":
            add_backend_options(action)
        else:
            action.add_argument("--model", default="mini", metavar="NAME", help="default mini")
        action.set_defaults(run=run)


def run_list(args: argparse.Namespace) -> int:
    from assistant.errors import AssistantError
    from assistant.tasks.store import adapter_folders, find_adapter, user_adapters

    for name in (folders := adapter_folders(args.model)):
        try:
            stored = find_adapter(name, args.model)
            told = f"{stored.origin:8}{headline(stored)}"
        except AssistantError as error:
            told = f"damaged: {error}"
        print(f"{name:16}{told}")
    if not folders:
        print("no adapters yet; assistant finetune --help shows how to make one")
    print(f"your own: {user_adapters(args.model)}")
    for line in recognisers.listed():
        print(line)
    return 0


def headline(stored: StoredAdapter) -> str:
    """Its dev figure and what it is for."""
    from assistant.tasks.store import adapter_prompt

    made = stored.recipe.made
    if made is None:
        return "not trained yet"
    figures = [f"{name} {value:.3f}" for name, value in made.figures.items()][:2]
    return f"{', '.join(figures)}; {adapter_prompt(stored).description}"


def run_show(args: argparse.Namespace) -> int:
    from assistant.tasks.store import find_adapter

    own = recognisers.own_recogniser(args)
    lines = shown(find_adapter(args.name, args.model)) if own is None else recognisers.shown(own)
    for line in lines:
        print(line)
    return 0


def shown(stored: StoredAdapter) -> Iterator[str]:
    """Where it lies, its recipe, its card."""
    from assistant.tasks.recipes import RECIPE

    yield f"{stored.name} ({stored.origin}): {stored.folder}"
    yield (stored.folder / RECIPE).read_text().rstrip()
    card = stored.folder / "CARD.md"
    if card.is_file():
        yield ""
        yield card.read_text().rstrip()


def run_check(args: argparse.Namespace) -> int:
    from assistant.tasks.store import find_adapter

    if (own := recognisers.own_recogniser(args)) is not None:
        print(recognisers.checked(own, args))
        return 0
    stored = find_adapter(args.name, check_model(args, [args.name]))
    from assistant.model.loading import load_model

    model = load_model(args.model, reading=False, **backend_options(args))
    model.load_adapter(stored.folder, stored.recipe)
    print(f"{stored.name}: whole, and made for {model.fingerprint}")
    return 0


def run_size(args: argparse.Namespace) -> int:
    """Counted on modules of the real shape that hold no numbers."""
    from dataclasses import replace

    from assistant.tasks.recipes import Recipe, load_recipe

    recipe = Recipe(task="any") if args.config is None else load_recipe(args.config)
    from assistant.model.loading import shape_of
    from assistant.model.lora import adapter_size

    shape, patch_width = shape_of(args.model)
    print(
        f"{args.model}: Q-Former of {shape.layers} layers, {shape.width} wide, "
        f"{shape.queries} queries"
    )
    paper = replace(recipe.transfer, layers=0, contrast=0)  # every layer, MTransLLAMA's parts alone
    for what, transfer in (("as the recipe says", recipe.transfer), ("as in the paper", paper)):
        layers = min(transfer.layers or shape.layers, shape.layers)
        learned = adapter_size(shape, patch_width, recipe.lora, transfer)
        print(f"{learned:>12,} parameters {what}: rank {recipe.lora.rank}, {layers} layers")
    return 0
