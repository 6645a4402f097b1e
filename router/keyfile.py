"""The files with the keys of tokens, read anew when they change.

A rotation must neither restart a router nor void a token that should still hold. So the files are looked at
once a second, in a thread:

    files unchanged   the keys that are there
    files changed     the keys in the new files
    files broken      the keys that are there; one error in the log and one count for each broken state

What a link points to counts, as Kubernetes mounts its secrets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from croupier.files import read_regular, stamp_of
from croupier.telemetry.metrics import Counter, Gauge
from router.keys import BadKeys, Key, Keys, read_jwks, secret_key

_log = logging.getLogger(__name__)
_KEYS = Gauge("croupier_router_token_keys", "Keys that tokens are verified with")
_FAILURES = Counter("croupier_router_token_key_failures_total", "Changed key files that could not be used")

_CHECK_SECONDS = 1.0

T = TypeVar("T")


class KeyFiles:
    """`secret` is the file of a key without an id, `sets` that of a key set; one of the two at least."""

    def __init__(self, secret: Path | None, sets: Path | None) -> None:
        self._secret = secret
        self._sets = sets
        self._files = [path for path in (secret, sets) if path is not None]
        self._stamps: list[object] = []

    def read(self) -> dict[str, Key]:
        """The keys in the files as they are. Raises BadKeys."""
        # Before reading, so that a file which changes meanwhile is read again.
        self._stamps = self._look()
        keys: dict[str, Key] = {}
        if self._sets is not None:
            keys |= _in_file(self._sets, read_jwks)
            _warn_of_readers(self._sets, keys)
        if self._secret is not None:
            keys[""] = _in_file(self._secret, lambda data: secret_key(data.strip()))
            _warn_of_readers(self._secret, keys)
        _KEYS.set(len(keys))
        return keys

    def read_if_changed(self) -> dict[str, Key] | None:
        """The keys, if the files have changed and are good."""
        if self._look() == self._stamps:
            return None
        try:
            keys = self.read()
        except BadKeys as error:
            _FAILURES.inc()
            _log.error("%s; the keys read before stay in use", error)
            return None
        _log.info("token keys in use: %s", ", ".join(sorted(map(repr, keys))))
        return keys

    async def follow(
        self, use: Callable[[Keys], None], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Have `use` called with new keys, on the event loop, until cancelled."""
        while True:
            await sleep(_CHECK_SECONDS)
            keys = await asyncio.to_thread(self.read_if_changed)
            if keys is not None:
                use(keys)

    def _look(self) -> list[object]:
        return [stamp_of(path) for path in self._files]


def _in_file(path: Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(read_regular(path.resolve()))
    except OSError as error:
        raise BadKeys(f"{path} cannot be read: {error.strerror or error}") from error
    except BadKeys as error:
        raise BadKeys(f"{path}: {error}") from error


def _warn_of_readers(path: Path, keys: Keys) -> None:
    """What verifies HS256 signs it as well; public halves may be read by anybody."""
    with suppress(OSError):
        if path.stat().st_mode & 0o077 and any(key.algorithm == "HS256" for key in keys.values()):
            _log.warning("others may read the secrets in %s: whoever does can be any tenant", path)
