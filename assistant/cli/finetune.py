"""``assistant finetune``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.finetune_actions import ACTIONS_EPILOG
from assistant.cli.options import (
    add_backend_options,
    backend_options,
    check_model,
    check_out,
    count,
    seed,
)
from assistant.core.resources import first_process
from assistant.sources import SOURCES
from assistant.tasks.recipes import (
    ABLATIONS,
    ACTION_ABLATIONS,
    EVENT_ABLATIONS,
    EXTRAS,
    RETRIEVAL_ABLATIONS,
)

if TYPE_CHECKING:
    from assistant.tasks.prompts import TaskPrompt
    from assistant.tasks.recipes import Recipe
    from assistant.training.finetune import Examples

RETRIEVAL, EVENTS, ACTIONS = "retrieval", "events", "actions"  # no adapters: heads
HEAD_PARTS = dict.fromkeys(
    (*RETRIEVAL_ABLATIONS, *EVENT_ABLATIONS, *ACTION_ABLATIONS)
)  # that can be left out
FINETUNE_EPILOG = """\
Teaches the model one task: an adapter of about a megabyte, everything else stays frozen. DATA is
JSONL (assistant data check --help) or a folder with data.jsonl. RUN holds the encoded clips, the
checkpoint, log.jsonl and curves.png, and RUN/adapter the best epoch's adapter. At the end the
adapter is copied to your own ones, where ask, chat, batch and ui find it under its name.

A task that is not shipped needs a prompt file (--prompt): what the models read. Its simplest form:

  name: mytask
  description: What it is for.
  fusion: "{question}"
  prompt: "{question}"
  examples: ["Is it open?"]
  max_new_tokens: 16

examples:
  assistant data check clips/data.jsonl
  assistant finetune motion --generate 4000 --out run
  assistant finetune motion --generate 4000 --out run --resume
  assistant finetune mytask --prompt mytask.yaml --data my.jsonl --out my-run
  assistant ask clip.mp4 "Is it open?" --task mytask
  assistant finetune motion --generate 4000 --out no-time --without mqt --no-install
  assistant finetune sound --prompt sound.yaml --generate 2000 --from motion --with sound --out ear
  assistant finetune mytask --data my.jsonl --out big --model instructblip-vicuna-7b --quantize 4bit

retrieval: no adapter but a head on the joint space, for texts, pictures and clips of one event that
are to find each other. A line of DATA is {"event": "storm-12", "text": ..., "image": "a.jpg",
"video": "a.mp4"}, with one of the three at least; lines of one event belong together. RUN/head is
the best epoch's, where one is better on dev than the joint space alone.

  assistant finetune retrieval --data events.jsonl --out run
  assistant index add ~/Videos --head run/head
  assistant search "a storm" --head run/head

events: a head on the joint space, that tells your events apart (docs/events.md). A line of DATA is
{"video": "a.mp4", "segments": [{"start": 0, "end": 6.4, "label": "goal"}]}, as for evaluate events;
segments that overlap teach several labels at once. RUN/head is the best epoch's, where one is
better on dev than the labels' texts alone.

  assistant finetune events --data labelled --out run
  assistant events match.mp4 --head run/head
  assistant evaluate events --data labelled --head run/head --out report
"""


def add_finetune(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "finetune",
        help="teach the model a task from examples",
        description="Teach the model a task from examples.",
        epilog=f"{FINETUNE_EPILOG}\n{ACTIONS_EPILOG}",
    )
    parser.add_argument("task", metavar="TASK", help="the adapter's name: a shipped task or yours")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument(
        "--data", metavar="PATH", type=Path, help="JSONL, or a folder with data.jsonl"
    )
    data.add_argument(
        "--generate",
        metavar="N",
        type=count,
        help="N clips as assistant scenes makes, for motion, egoqa and sound",
    )
    parser.add_argument("--out", metavar="RUN", type=Path, required=True)
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="NAME|DIR",
        help="an adapter whose weights to begin with, and whose recipe, unless --config says other",
    )
    parser.add_argument(
        "--prompt", metavar="FILE.yaml", type=Path, help="what the models read, for a task of yours"
    )
    parser.add_argument(
        "--config",
        metavar="FILE.yaml",
        type=Path,
        help="a recipe (default: that of the adapter of this name, else the defaults)",
    )
    parser.add_argument(
        "--with",
        dest="with_",
        nargs="+",
        choices=EXTRAS,
        default=(),
        metavar="PART",
        help="train with: sound (what is heard beside the frames; needs the speech extra), "
        "regression (of the text, fitted before; needs the train extra)",
    )
    parser.add_argument(
        "--without",
        nargs="+",
        choices=(*ABLATIONS, *(part for part in HEAD_PARTS if part not in ABLATIONS)),
        default=(),
        metavar="PART",
        help="train without: fusion (text into the Q-Former), mqt (attention over frames), dar "
        "(routing), contrast (what changes between frames), lora, video (what frames show), sound "
        "(what is heard beside them), regression, "
        + ", ".join(SOURCES)
        + "; retrieval without: fusion (plain concatenation), attention (between modalities), "
        "pooling (event concepts), temporal (what frames say of each other); events without: "
        "align, scene (losses), texts (of the labels, as what to begin with); actions without: ce, "
        "text, image (losses), teacher (no share of the joint space in the answer), motion (the "
        "motion adapter's view)",
    )
    parser.add_argument(
        "--bank", metavar="FILE|NAME", help="of actions: what describes the labels in sentences"
    )
    parser.add_argument(
        "--name", help="of actions: keep the recogniser, too, where --head finds it by this name"
    )
    parser.add_argument(
        "--video-encoder",
        metavar="ID|DIR",
        help="of actions: VideoMAE, TimeSformer or ViViT by hub id or folder, fine-tuned whole",
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="default: the recipe's")
    add_backend_options(parser)
    parser.add_argument(
        "--no-install", action="store_true", help="leave the adapter in RUN/adapter alone"
    )
    parser.set_defaults(run=run_finetune)


def run_finetune(args: argparse.Namespace) -> int:
    from assistant.errors import ConfigError, InputError
    from assistant.tasks.prompts import load_prompt
    from assistant.tasks.store import find_task

    if args.task == "base" or not args.task.isidentifier():
        raise InputError(f"a task cannot be called {args.task!r}; use letters, digits and _")
    check_out(args.out)
    if args.task == ACTIONS:
        from assistant.cli.finetune_actions import run_finetune_actions

        return run_finetune_actions(args)
    for option in ("bank", "name", "video_encoder"):
        if getattr(args, option) is not None:
            named = option.replace("_", "-")
            raise InputError(f"--{named} is for {ACTIONS} alone; leave it out")
    if args.task == RETRIEVAL:
        from assistant.cli.finetune_retrieval import run_finetune_retrieval

        return run_finetune_retrieval(args)
    if args.task == EVENTS:
        from assistant.cli.finetune_events import run_finetune_events

        return run_finetune_events(args)
    if others := [part for part in args.without if part not in ABLATIONS]:
        owners = {EVENTS: EVENT_ABLATIONS, ACTIONS: ACTION_ABLATIONS}
        owner = next((task for task, own in owners.items() if others[0] in own), RETRIEVAL)
        raise InputError(f"--without {others[0]} is for {owner} alone; leave it out")
    model = check_model(args, [] if args.start is None else [args.start])
    if args.prompt is not None:
        prompt = load_prompt(args.prompt)
    else:
        try:
            prompt = find_task(args.task, model)
        except ConfigError as error:
            raise ConfigError(f"{error}; or write one and give it with --prompt") from error
    recipe = plan(args, model)
    from assistant.training.finetune import examples_from, generated_examples
    from assistant.training.generated import KIND_OF_TASK
    from assistant.training.run_folder import check_run

    check_run(args.out, args.resume)
    if args.data is not None:  # mistakes show before the model loads
        examples = examples_from(args.data)
    else:
        if args.task not in KIND_OF_TASK:
            known = " and ".join(KIND_OF_TASK)
            raise InputError(f"clips can be generated for {known} alone; give --data for others")
        kind = KIND_OF_TASK[args.task]
        examples = generated_examples(args.generate, recipe.training.seed, kind)
    if not recipe.frames and any(item.video for item in examples.items):
        print(
            "note: this recipe reads text alone (frames: 0), so no clip is looked at; "
            "--config with a recipe that has frames looks",
            file=sys.stderr,
        )
    return train(args, recipe, prompt, examples)


def plan(args: argparse.Namespace, model: str) -> Recipe:
    """The recipe that ``args`` names, with what they change; ``model``: whose adapters count."""
    from dataclasses import replace

    from assistant.tasks.recipes import Recipe, load_recipe
    from assistant.tasks.store import adapter_folders, find_adapter

    if args.start is not None:
        args.start = find_adapter(args.start, model).folder
    given: Path | None = args.config or args.start
    if given is not None:
        recipe = load_recipe(given)
    elif args.task in (known := adapter_folders(model)):
        recipe = load_recipe(known[args.task][0])
    else:
        recipe = Recipe(task=args.task)
    with_ = tuple(dict.fromkeys([*recipe.with_, *args.with_]))
    recipe = replace(recipe, task=args.task, made=None, with_=with_)
    if args.seed is not None:
        recipe = replace(recipe, training=replace(recipe.training, seed=args.seed))
    return recipe


def train(args: argparse.Namespace, recipe: Recipe, prompt: TaskPrompt, examples: Examples) -> int:
    """Load the model and train; say where everything lies."""
    from assistant.model.loading import load_model
    from assistant.training.finetune import CURVES, ablated, finetune

    options = backend_options(args) | {"frames": recipe.frames or 1}
    if recipe.training.shard:  # it goes to the GPUs layer by layer
        options |= {"device": "cpu"} | ({"quantize": "none"} if args.quantize == "auto" else {})
    model = load_model(args.model, attention="eager", reading=False, **options)
    try:
        done = finetune(
            ablated(recipe, args.without),
            prompt,
            model,
            examples,
            args.out,
            start=args.start,
            resume=args.resume,
            install=not args.no_install,
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from stop
    if not first_process():
        return 0
    for name, value in done.made.figures.items():
        print(f"{name:>20}  {value:.4f}")
    print(f"{done.parameters:,} parameters, kept: epoch {done.made.epoch}")
    print(f"adapter: {done.folder} (curve: {args.out / CURVES})")
    if done.installed is not None:
        print(f'try: assistant ask CLIP "{prompt.examples[0]}" --task {done.installed.name}')
    return 0
