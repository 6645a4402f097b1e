"""Which nghttp2 will do: judged when `http2` is imported, and warned of when a server starts.

A library that lacks what bounds a peer is refused: any peer could take the process. One with a weakness that
nothing of ours is known to reach is warned of. Numbers alone do not tell, since distributions backport mends:
so a function that came with a mend is looked for, and a behaviour is tried. The policy is decision 31.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache

from croupier.transport.http2.linked import functions, number, reads_on

_log = logging.getLogger(__name__)

OLDEST = (1, 52, 0)
# What a peer does without the function of that name.
_MENDS = {
    "nghttp2_option_set_stream_reset_rate_limit": "CVE-2023-44487, rapid resets",
    "nghttp2_option_set_max_continuations": "CVE-2024-28182, endless CONTINUATION",
}
_UPDATE = "install your distribution's update of libnghttp2"


class UnusableLibrary(ImportError):
    """The nghttp2 that is installed must not face anybody. The operator's."""


@dataclass(frozen=True, slots=True)
class Library:
    """An nghttp2: its number, whether it has each function, and whether it reads on once it was ended."""

    number: tuple[int, int, int]
    functions: dict[str, bool]
    reads_on: bool

    def __str__(self) -> str:
        return "libnghttp2 " + ".".join(map(str, self.number))


@cache
def installed() -> Library:
    return Library(number(), functions(), reads_on())


def check(library: Library) -> None:
    """Raises UnusableLibrary for one that is too old, or lacks a mend."""
    if library.number < OLDEST:
        raise UnusableLibrary(f"{library} is older than {'.'.join(map(str, OLDEST))}: {_UPDATE}")
    for name, weakness in _MENDS.items():
        if not library.functions[name]:
            raise UnusableLibrary(f"{library} has no {name}, the mend of {weakness}: {_UPDATE}")


def weaknesses(library: Library) -> list[str]:
    """What to say of one that is used all the same."""
    if library.reads_on:
        return [
            f"{library} has the weakness CVE-2026-27135: a peer may end the process that ends "
            f"its sessions amid a frame, which ours is not known to; {_UPDATE}"
        ]
    return []


@cache
def warn() -> None:
    """Log the weaknesses of the one that is installed, once for the process."""
    for words in weaknesses(installed()):
        _log.warning("%s", words)
