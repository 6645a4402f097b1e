"""What is shed first where there is too much to do: from the last of these up, so that what callers wait for
goes after all that nobody waits for.

A number goes with a request to a cell (field 1005) where it is not 0. Callers may lower their own by the
metadata `croupier-priority: batch`, and raise none.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

PRIORITY = "croupier-priority"
# The reason of an UNAVAILABLE where there is too much to do: of who asks, and no sign of a cell in trouble.
OVERLOADED: Final = "OVERLOADED"
# Stands for a word that is none.
UNKNOWN: Final = -1


class Priority(IntEnum):
    """The lower the number, the longer it is kept."""

    LIVE = 0
    TWIN = 1
    SHADOW = 2
    WARM = 3
    BATCH = 4


PRIORITIES = len(Priority)
# Of what there may be of all, the part that each and those above it may have.
PARTS: Final = (1.0, 0.9, 0.8, 0.7, 0.5)
NAMES = [one.name.lower() for one in Priority]
# What callers may say.
WORDS: Final = {b"live": Priority.LIVE, b"batch": Priority.BATCH}


def known(number: int) -> int:
    """A number that came over the wire: what a later release may have below the last one is the last one."""
    return min(number, PRIORITIES - 1)
