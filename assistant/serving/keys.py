"""Who may ask: keys, of which only hashes are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from hmac import compare_digest

from assistant.errors import InputError

EVERYBODY = "everybody"  # who asks where no key is wanted
SHORTEST = 8  # characters: fewer are guessed


class Keys:
    """The keys that are taken; none: everybody may ask."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        """Raises InputError: a key is too short, or could not stand in a header."""
        self._digests = [_digest(key.encode()) for key in map(_checked, keys)]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, authorization: str) -> str | None:
        """A name for who holds the key in the header, which does not tell the key; None: nobody.

        Every key is compared, each in constant time.
        """
        if not self._digests:
            return EVERYBODY
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip().encode())
        known = [compare_digest(given, digest) for digest in self._digests]
        return given.hex()[:12] if any(known) and scheme.lower() == "bearer" else None


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _checked(key: str) -> str:
    if len(key) < SHORTEST or not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(
            f"an API key has {SHORTEST} characters or more, of ASCII's, and no space; one that was "
            "given has not (openssl rand -hex 16 makes one)"
        )
    return key
