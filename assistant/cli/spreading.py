"""What the commands share that spread their work over workers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.options import count
from assistant.errors import InputError

if TYPE_CHECKING:
    from assistant.core.workers import Workers


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Where the work is done."""
    group = parser.add_argument_group("many files (docs/scale.md)")
    group.add_argument(
        "--ray",
        metavar="ADDRESS|local",
        help="spread the files over workers, one a GPU or one for some cores: local, of this "
        "machine; HOST:PORT of a Ray cluster, or auto on one of its machines (the ray extra)",
    )
    group.add_argument(
        "--ray-cores",
        type=count,
        metavar="N",
        help="cores of each worker (default 4, or all of a machine that has fewer; with GPUs: "
        "those beside each)",
    )


def workers_of(args: argparse.Namespace) -> Workers | None:
    """Where ``args`` say that the work is done; None: in this process.

    Raises:
        InputError: Ray is not installed, or what is asked for cannot be spread.
    """
    if args.ray is None:
        if args.ray_cores is not None:
            raise InputError("--ray-cores is of the workers that --ray spreads; give that, too")
        return None
    from assistant.core.workers import Workers

    large = args.model != "mini" or not (args.space == "auto" or Path(args.space).exists())
    gpu = {"cuda": True, "cpu": False}.get(args.device, None if large else False)
    return Workers(args.ray, args.ray_cores, gpu)


def without_gpu(args: argparse.Namespace) -> argparse.Namespace:
    """``args`` for what the process that began the run looks at itself, beside its workers."""
    return args if args.ray is None else argparse.Namespace(**vars(args) | {"device": "cpu"})


def for_worker(args: argparse.Namespace) -> argparse.Namespace:
    """``args`` as they are sent: nobody reads there what is told."""
    return argparse.Namespace(**vars(args) | {"quiet": True, "run": None})
