"""``assistant serve``: an OpenAI-compatible server."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from assistant.cli.options import (
    add_backend_options,
    add_llm_options,
    count,
    frames,
    load_assistant,
    say,
)
from assistant.cli.ui import check_address, is_loopback, port_errors
from assistant.core.scratch import scratch_folder
from assistant.errors import InputError

KEYS = "ASSISTANT_API_KEYS"  # in the environment
EPILOG = f"""\
What speaks OpenAI's API asks here, with a clip in the message:

  from openai import OpenAI
  client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
  clip = client.files.create(file=open("clip.mp4", "rb"), purpose="user_data")
  client.chat.completions.create(model="mini", messages=[{{"role": "user", "content": [
      {{"type": "text", "text": "What is the man doing?"}},
      {{"type": "video_url", "video_url": {{"url": clip.id}}}}]}}])

A clip's url is a data URL, the id of an uploaded file, file:///... below --allow-files, or, with
--allow-remote, one of the public web. mini:NAME asks with the adapter NAME; GET /v1/models lists
them. docs/serve.md has the rest.

Keys: --api-key KEY, --api-keys FILE (one a line), or {KEYS} in the environment, parted by commas;
on the command line others on this machine see it. Without a key only this machine may ask.

SIGTERM or Ctrl-C ends it: answers in flight are made first.

examples:
  assistant serve
  assistant serve --api-keys keys.txt --host 0.0.0.0 --port 8080
  assistant serve --allow-files ~/Videos
  assistant serve --max-waiting 64 --max-mb 20
"""


def add_serve(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "serve",
        help="an OpenAI-compatible server: programs ask about clips",
        description="Serve OpenAI's API: programs ask about clips, and get vectors of them.",
        epilog=EPILOG,
    )
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1: this machine only")
    parser.add_argument("--port", type=count, default=8000, help="default 8000")
    parser.add_argument(
        "--api-key", action="append", default=[], metavar="KEY", help="may ask; may be repeated"
    )
    parser.add_argument("--api-keys", type=Path, metavar="FILE", help="keys, one a line")
    parser.add_argument(
        "--allow-files",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="file:// is read below these folders, by whoever may ask (default: nowhere)",
    )
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="http(s):// is fetched from public addresses (default: nothing is)",
    )
    parser.add_argument(
        "--max-mb", type=count, default=100, metavar="N", help="largest request (default 100)"
    )
    parser.add_argument(
        "--max-minutes", type=count, default=60, metavar="N", help="longest clip (default 60)"
    )
    parser.add_argument(
        "--max-seconds",
        type=count,
        default=300,
        metavar="N",
        help="that an answer may take, with its wait (default 300)",
    )
    parser.add_argument(
        "--max-waiting",
        type=count,
        default=32,
        metavar="N",
        help="requests at once; the next is told 429 and when to come again (default 32)",
    )
    parser.add_argument(
        "--frames", type=frames, default=8, metavar="N", help="looked at in a clip (default 8)"
    )
    add_backend_options(parser)
    add_llm_options(parser)
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    parser.set_defaults(run=run_serve, adapter="none", task="")


def run_serve(args: argparse.Namespace) -> int:
    from assistant.serving.keys import Keys
    from assistant.serving.limits import Limits
    from assistant.ui.uploads import MEGABYTE

    keys = Keys(given_keys(args))
    if args.port > 65535:
        raise InputError(f"port is {args.port}; choose 1 to 65535")
    check_address(args.host, args.port)
    alone = is_loopback(args.host)
    if not keys and not alone:
        raise InputError(f"{args.host} is reached by other machines; add --api-keys FILE")
    for folder in args.allow_files:
        if not folder.expanduser().is_dir():
            raise InputError(f"{folder}: is no folder; mend --allow-files")
    limits = Limits(
        bytes=args.max_mb * MEGABYTE,
        held_bytes=max(4 * args.max_mb, 400) * MEGABYTE,
        answer_seconds=args.max_seconds,
        clip_seconds=args.max_minutes * 60.0,
        waiting=args.max_waiting,
    )
    assistant = load_assistant(args)

    from assistant.model.features import FeatureStore
    from assistant.serving.app import build
    from assistant.serving.running import listen, log_to_stderr, server_of
    from assistant.serving.service import Service

    with scratch_folder("assistant-serve-") as place:
        service = Service(
            assistant.sharing(FeatureStore(place / "features")),
            place,
            limits=limits,
            folders=[folder.expanduser() for folder in args.allow_files],
            remote=args.allow_remote,
            frames=args.frames,
        )
        own = ("127.0.0.1", "localhost", "[::1]", args.host.lower()) if alone and not keys else ()
        with port_errors(args.port):
            door = listen(args.host, args.port)
        log_to_stderr(quiet=args.quiet)
        say(
            f"{assistant.name} answers at http://{args.host}:{args.port}/v1 (Ctrl-C ends it)",
            args.quiet,
        )
        try:
            server_of(build(service, keys, own), limits).run(sockets=[door])
        finally:
            service.close()
    return 0


def given_keys(args: argparse.Namespace) -> list[str]:
    """All that the options and the environment name.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    given = [*args.api_key]
    given += filter(None, map(str.strip, os.environ.get(KEYS, "").split(",")))
    if args.api_keys is not None:
        try:
            lines = args.api_keys.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{args.api_keys}: cannot be read ({error}); mend --api-keys"
            ) from error
        found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not found:
            raise InputError(f"{args.api_keys}: holds no key; write one a line")
        given += found
    return given
