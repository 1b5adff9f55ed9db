"""A server on a socket, until it is stopped: the door to uvicorn."""

from __future__ import annotations

import json
import logging
import socket
import sys
import time

import uvicorn
from starlette.types import ASGIApp

from assistant.serving.limits import Limits

CONNECTIONS = 1024  # at once; uvicorn answers more of them with a bare 503
KEEP_ALIVE = 30  # seconds that a connection may idle between two requests


class JsonLines(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        told = record.getMessage()
        known = json.loads(told) if record.name == "assistant.serving" else {"message": told}
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return json.dumps({"time": moment, "level": record.levelname.lower(), **known})


def log_to_stderr(*, quiet: bool) -> None:
    """A line for each request, and for what goes wrong; ``quiet``: the latter alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("assistant.serving", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING if quiet else level)


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises OSError: there is none to be had."""
    kind, *_, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=kind, backlog=CONNECTIONS)


def server_of(app: ASGIApp, limits: Limits) -> uvicorn.Server:
    """Whose ``run`` serves until SIGTERM or Ctrl-C; then answers in flight end."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whoever asks directly could make them up
            ws="none",
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=round(limits.stop_seconds),
            limit_concurrency=CONNECTIONS,
        )
    )
