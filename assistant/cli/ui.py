"""``assistant ui``: the chat in the browser."""

from __future__ import annotations

import argparse
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from importlib import util
from typing import TYPE_CHECKING, Any

from assistant.cli.options import (
    add_backend_options,
    add_head,
    add_llm_options,
    add_sound_options,
    check_head,
    check_model,
    check_sounds,
    count,
    own_llm,
    say,
    sound_options,
)
from assistant.core.scratch import scratch_folder
from assistant.errors import InputError, WeightsError

if TYPE_CHECKING:
    from assistant.ui.settings import Options

EPILOG = """\
The page is for this machine only, unless --host or --share says otherwise. Clips, conversations and
features live in a folder of their own and are removed when their page is left. Ctrl-C ends it.

examples:
  assistant ui
  assistant ui --host 0.0.0.0 --port 8000 --auth ada:secret
  assistant ui --host 0.0.0.0 --auth ada:secret --search holidays   she may search that index
  assistant ui --host 0.0.0.0 --auth ada:secret --teach             she may teach tasks, too
  assistant ui --mcp              other programs ask through it, too
"""


def add_ui(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "ui",
        help="talk about clips in the browser",
        description="Talk about clips in the browser.",
        epilog=EPILOG,
    )
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1: this machine only")
    parser.add_argument("--port", type=count, help="default: the first free one from 7860 on")
    parser.add_argument(
        "--share", action="store_true", help="a public link through Gradio's servers; needs --auth"
    )
    parser.add_argument("--auth", metavar="USER:PASS", help="ask for this name and password")
    parser.add_argument("--mcp", action="store_true", help="also serve MCP (needs the mcp extra)")
    parser.add_argument("--open", action="store_true", help="open the page in your browser")
    parser.add_argument(
        "--max-mb", type=count, default=500, metavar="N", help="largest upload (default 500)"
    )
    parser.add_argument(
        "--max-minutes", type=count, default=60, metavar="N", help="longest clip (default 60)"
    )
    parser.add_argument(
        "--search",
        nargs="+",
        metavar="NAME",
        help="indexes that visitors may search, and so see the files of (default: all where only "
        "this machine reaches the page, else none)",
    )
    parser.add_argument("--index", metavar="URI", help="where indexes lie, as assistant search has")
    parser.add_argument(
        "--teach",
        action=argparse.BooleanOptionalAction,
        help="visitors may teach tasks from clips, which stay in your data folder (default: where "
        "only this machine reaches the page)",
    )
    parser.add_argument(
        "--listen",
        action="store_true",
        help="timelines tell what is heard, too (the sound extra)",
    )
    add_head(parser)
    add_backend_options(parser)
    add_sound_options(parser)
    add_llm_options(parser)
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    parser.set_defaults(run=run_ui)


def run_ui(args: argparse.Namespace) -> int:
    auth = None if args.auth is None else user_and_password(args.auth)
    if args.share and auth is None:
        raise InputError("--share puts the page on the internet; add --auth USER:PASS")
    if args.port is not None and args.port > 65535:
        raise InputError(f"port is {args.port}; choose 1 to 65535")
    check_address(args.host, args.port)
    if args.mcp and util.find_spec("mcp") is None:
        raise InputError("--mcp needs the 'mcp' extra: pip install 'gradio[mcp]'")
    check_model(args)
    check_head(args)
    check_sounds(args)
    if args.listen:
        from assistant.sources.heard import check_extra

        check_extra()

    from assistant.ui.uploads import Limits
    from assistant.weights.presets import terms_once

    llm = own_llm(args)  # mistakes show before the page is up
    terms = None if args.quiet else terms_once(args.model)
    if terms is not None:
        say(terms)
    options = page_options(
        args,
        llm=args.llm,
        llm_name=args.llm_name,
        llm_label=llm.name if llm else "",
        notice=llm.notice() if llm else "",
        searched=searched_by(args),
        teaches=is_own(args) if args.teach is None else args.teach,
        limits=Limits(bytes=args.max_mb * 2**20, seconds=args.max_minutes * 60.0),
    )
    return serve(
        options,
        host=args.host,
        port=args.port,
        share=args.share,
        auth=auth,
        mcp=args.mcp,
        open_browser=args.open,
        quiet=args.quiet,
    )


def searched_by(args: argparse.Namespace) -> tuple[str, ...] | None:
    """The indexes that visitors may search; None: all. Raises InputError: one is not there."""
    if args.search is None:  # what the owner has indexed is not for everybody
        return None if is_own(args) else ()
    from assistant.retrieval.store import Store, default_uri

    for name in args.search:
        Store.open(args.index or default_uri(), name)
    return tuple(args.search)


def is_own(args: argparse.Namespace) -> bool:
    """Whether only this machine reaches the page."""
    return not args.share and is_loopback(args.host)


def page_options(args: argparse.Namespace, **more: Any) -> Options:
    """How ``args`` say that the page is served: model and indexes."""
    from assistant.ui.settings import Options

    return Options(
        model=args.model if args.base is None else check_model(args),  # whose adapters count
        base=args.base,
        precision=args.precision,
        quantize=args.quantize,
        device=args.device,
        space=args.space,
        **sound_options(args),
        index=args.index,
        head=getattr(args, "head", None),
        listen=getattr(args, "listen", False),
        **more,
    )


def serve(options: Options, *, port: int | None = None, quiet: bool = False, **how: Any) -> int:
    """The page, until it is stopped; ``how`` as ``assistant.ui.serving.launch`` takes it."""
    from assistant.weights import store as weights_store

    with contextlib.suppress(WeightsError):  # the page does without the sample clip
        weights_store.ensure("samples", progress=not quiet)
    with scratch_folder("assistant-ui-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")  # before Gradio is imported
        from assistant.ui.app import build
        from assistant.ui.room import Room
        from assistant.ui.serving import launch

        room = Room(options, folder)
        page = build(room)
        try:
            with port_errors(port):
                address = launch(page, room, port=port, **how)
            say(f"Talk about clips at {address} (Ctrl-C ends it)", quiet)
            room.wait()
        finally:
            page.close(verbose=False)
            room.close()
    return 0


@contextlib.contextmanager
def port_errors(port: int | None) -> Iterator[None]:
    """Raises InputError: the port was taken in this moment, or all that Gradio tried are."""
    try:
        yield
    except OSError as error:
        if error.errno not in (None, errno.EADDRINUSE):
            raise
        tried = "every port that was tried" if port is None else f"port {port}"
        raise InputError(f"{tried} is taken; choose another with --port") from error


def check_address(host: str, port: int | None) -> None:
    """
    Raises:
        InputError: the page cannot be served there.
    """
    wanted = host.strip("[]"), port or 0
    try:
        kind, *_, address = socket.getaddrinfo(*wanted, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except UnicodeError as error:
        raise InputError(f"{host:.60} is no address; mend --host") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            told = f"port {port} is taken; choose another with --port"
        elif error.errno == errno.EACCES:
            told = f"port {port} is not yours to use; choose one from 1024 on with --port"
        else:
            told = f"{host} is no address of this machine ({error.strerror}); mend --host"
        raise InputError(told) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a page that is served there."""
    address = socket.getaddrinfo(host.strip("[]"), None)[0][4][0]
    return ipaddress.ip_address(str(address).partition("%")[0]).is_loopback


def user_and_password(text: str) -> tuple[str, str]:
    """``USER:PASS`` parted. Raises InputError where one of them is empty."""
    user, _, password = text.partition(":")
    if not user or not password:
        raise InputError("--auth wants USER:PASS")
    return user, password
