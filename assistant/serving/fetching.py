"""Files from the web for whoever may name any address: the door to httpcore.

A name is resolved once, and the connection goes to an address that was checked; so does that of
every redirect, and a name that resolves otherwise a moment later changes nothing. No proxy is used.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore

from assistant.serving.problems import Problem

MOST_REDIRECTS = 5
CONNECT = 10.0  # seconds to be let in
PIECE = 10.0  # seconds between two pieces
REDIRECTS = (301, 302, 303, 307, 308)
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address in its last 32 bits
AGENT = "video-assistant"

IsAllowed = Callable[[str], bool]
"""Whether an IP address may be connected to."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    wrapped = []
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in NAT64:
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip in ipaddress.ip_network("::/96"):  # IPv4-compatible, of old
            return False
    return all(one.is_global and not one.is_multicast for one in (ip, *filter(None, wrapped)))


class TimedStream(httpcore.NetworkStream):
    """A connection that gives nothing any more once its time is over, however little comes."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        """``deadline``: of ``time.monotonic()``."""
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return self._stream.read(max_bytes, left if timeout is None else min(timeout, left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class CheckedBackend(httpcore.SyncBackend):
    """Connects to addresses that were checked; TLS still asks for the certificate of the name."""

    def __init__(self, is_allowed: IsAllowed, deadline: float) -> None:
        """``deadline``: of ``time.monotonic()``."""
        self._is_allowed, self._deadline = is_allowed, deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Problem(400, f"{host:.80} has no address; mend the URL") from error
        addresses = [str(info[4][0]) for info in told]
        if not all(map(self._is_allowed, addresses)):  # one of several may be meant to slip in
            raise Problem(
                400,
                f"{host:.80} is in a private network, from which nothing is fetched; send the file "
                "as a data URL, or upload it to /v1/files",
                code="private_address",
            )
        found = super().connect_tcp(addresses[0], port, timeout, local_address, socket_options)
        return TimedStream(found, self._deadline)


def fetch(
    url: str, place: Path, *, most: int, seconds: float, is_allowed: IsAllowed = is_public
) -> None:
    """The file at an ``http(s)`` URL, written to ``place``.

    Args:
        most: bytes of it. seconds: in which it arrives, with all redirects.
    Raises:
        Problem: no such address, a private one, no file there, or one that is too large or slow.
    """
    deadline = time.monotonic() + seconds
    timeouts = {"connect": CONNECT, "read": PIECE, "write": PIECE, "pool": CONNECT}
    headers = [
        ("User-Agent", AGENT),
        ("Accept", "video/*, image/*"),
        ("Accept-Encoding", "identity"),
    ]
    with httpcore.ConnectionPool(network_backend=CheckedBackend(is_allowed, deadline)) as pool:
        for _ in range(MOST_REDIRECTS + 1):
            checked = _checked(url)
            try:
                with pool.stream(
                    "GET", checked, headers=headers, extensions={"timeout": timeouts}
                ) as response:
                    if response.status in REDIRECTS:
                        url = _next(url, response)
                        continue
                    if response.status != 200:
                        raise Problem(400, f"{_host(url)} answered {response.status}; mend the URL")
                    _write(response, place, most, _host(url))
                    return
            except httpcore.TimeoutException as error:
                raise Problem(408, f"{_host(url)} is too slow; upload the file instead") from error
            except (httpcore.NetworkError, httpcore.ProtocolError) as error:
                raise Problem(
                    400, f"{_host(url)} cannot be read from ({type(error).__name__}); mend the URL"
                ) from error
    raise Problem(400, f"{_host(url)} redirects more than {MOST_REDIRECTS} times; mend the URL")


def _checked(url: str) -> httpcore.URL:
    """Raises Problem: nothing that may be fetched."""
    wanted = "give http(s)://HOST/FILE"
    try:
        parts = urlsplit(url)
        _ = parts.port
        host = parts.hostname or ""
        if not host.isascii():
            raise ValueError("write its name in punycode")
        found = httpcore.URL(url.partition("#")[0])
    except (ValueError, UnicodeError, TypeError) as error:
        raise Problem(400, f"{url[:80]!r} is no address ({error}); {wanted}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Problem(400, f"{url[:80]!r} is no address of the web; {wanted}")
    if parts.username is not None:
        raise Problem(400, f"the address of {host:.80} holds a password; {wanted}")
    return found


def _next(url: str, response: httpcore.Response) -> str:
    told = [value for name, value in response.headers if name.lower() == b"location"]
    if not told:
        raise Problem(400, f"{_host(url)} redirects to nowhere; mend the URL")
    return urljoin(url, told[0].decode("latin-1"))


def _write(response: httpcore.Response, place: Path, most: int, host: str) -> None:
    come = 0
    with place.open("wb") as file:
        for piece in response.iter_stream():
            come += len(piece)
            if come > most:
                raise Problem(413, f"the file at {host} has more than {most >> 20} MB; cut it")
            file.write(piece)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "it")[:80]
