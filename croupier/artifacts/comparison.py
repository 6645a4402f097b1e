"""What a model was compared with before it was published, as an artifact and a version's record say it.

    {"library": "xgboost", "version": "3.2.0", "sample": 0, "made": 31500, "difference": 1e-07}
    {"unchecked": true}

`sample` and `made` count rows, of the publisher's and made from the model; `difference` is the largest one,
relative. What a run measured, such as memory and time, is not in it: one model has one digest. A later
release may add to it, so what is not known here is passed over.

It knows nothing of the artifact's format, for the version manager's catalog has it too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from croupier.errors import InvalidRequest

_MOST_NAME = 64
_MOST_ROWS = 2**53


class InvalidComparison(InvalidRequest):
    """A comparison that says nonsense. The publisher's, or whoever's that wrote the record."""

    reason = "INVALID_COMPARISON"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of an artifact with `library`; an empty one says that it was published unchecked."""

    library: str = ""
    version: str = ""
    sample: int = 0
    made: int = 0
    difference: float = 0.0

    def __post_init__(self) -> None:
        for name in (self.library, self.version):
            if not isinstance(name, str) or len(name) > _MOST_NAME or not name.isprintable():
                raise InvalidComparison("a library, or its version, is no short name")
        for rows in (self.sample, self.made):
            if type(rows) is not int or not 0 <= rows <= _MOST_ROWS:
                raise InvalidComparison("the rows of a comparison are no count")
        # JSON has whole numbers that no float can hold.
        if type(self.difference) not in (int, float) or not 0 <= self.difference <= sys.float_info.max:
            raise InvalidComparison("the difference of a comparison is no number from 0 on")

    @property
    def was_made(self) -> bool:
        """Whether there was a comparison at all."""
        return bool(self.library)

    def told(self) -> dict[str, str | int | float]:
        """What stands in the artifact, and in a version's record."""
        return asdict(self) if self.was_made else {"unchecked": True}

    def __str__(self) -> str:
        if not self.was_made:
            return "unchecked"
        return (
            f"{self.library} {self.version}, {self.sample + self.made:,} rows, within {self.difference:.0e}"
        )


UNCHECKED = Comparison()
_NAMES = tuple(each.name for each in fields(Comparison))


def from_told(told: Mapping[str, Any]) -> Comparison:
    """The reverse of `told`.

    Raises:
        InvalidComparison: a value of a wrong kind, or neither a library nor that there was none.
    """
    if told.get("unchecked") is True:
        return UNCHECKED
    found = Comparison(**{name: told[name] for name in _NAMES if name in told})
    if not found.was_made:
        raise InvalidComparison("a comparison says neither with which library nor that there was none")
    return found
