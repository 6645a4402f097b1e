"""Reads the keys of a scenario's tables: what is unknown, of another kind or out of bounds is an error.

    table = Table(values, "load")
    rate = table.rate("rate", most=1e7)      # "load.rate: ...", if it is none
    table.end()                              # "load.sedonds: there is no such key: is `seconds` meant?"

People write durations, shares and rates with their units; numbers are seconds, parts of one, and a second.
Every error names its key, and what that may be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from croupier.names import InvalidName, check_name

T = TypeVar("T")

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(us|µs|ms|s|min|m|h|d)", re.ASCII)
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SHARE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*%", re.ASCII)
_RATE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kM]?)\s*(?:/\s*(s|min|m|h))?", re.ASCII)
_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.ASCII)
_TIMES = {"": 1.0, "k": 1e3, "M": 1e6}
# What an error shows of a value.
_SHOWN = 60

# A key that must be there.
REQUIRED: Any = object()


class ScenarioError(ValueError):
    """A scenario that cannot be played: `key` says which of its keys is wrong. The author's."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.key = key
        self.problem = problem

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[str, str]]:
        return ScenarioError, (self.key, self.problem)


class Table:
    """One table: `values` below the key `path`, "" for the file itself."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path
        self._known: dict[str, None] = {}

    def key(self, name: str) -> str:
        """The whole name of a key."""
        return f"{self._path}.{name}" if self._path else name

    def error(self, name: str, problem: str) -> ScenarioError:
        return ScenarioError(self.key(name), problem)

    def has(self, name: str) -> bool:
        """Whether the file says it; it is a key then."""
        self._known[name] = None
        return name in self._values

    def is_list(self, name: str) -> bool:
        return isinstance(self._values.get(name), (list, tuple))

    def end(self) -> None:
        """Raises ScenarioError for a key that nobody has asked for."""
        for name in self._values:
            if name not in self._known:
                close = get_close_matches(name, self._known, n=1, cutoff=0.0)
                known = f": is `{close[0]}` meant? There are {', '.join(self._known)}" if close else ""
                raise self.error(name, f"there is no such key{known}")

    # One value

    def whole(self, name: str, default: int = REQUIRED, *, least: int, most: int) -> int:
        value = self._take(name, default, f"a whole number from {least} to {most}")
        if name not in self._values:
            return default
        may = f"a whole number from {least} to {most}"
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(name, value, may)
        return value

    def number(
        self, name: str, default: float = REQUIRED, *, least: float, most: float, above: bool = False
    ) -> float:
        """From `least`, or `above` it, to `most`."""
        may = f"a number {_bounds(least, most, above=above)}"
        return self._measure(name, default, may, least, most, above=above, read=_no_text)

    def seconds(
        self, name: str, default: float = REQUIRED, *, most: float, least: float = 0.0, above: bool = False
    ) -> float:
        """A duration: seconds, or text with a unit."""
        bounds = _bounds(least, most, " s", above=above)
        may = f'a duration {bounds}: a number of seconds, or "10ms", "2.5s", "10min"'
        return self._measure(name, default, may, least, most, above=above, read=seconds_of)

    def share(self, name: str, default: float = REQUIRED, *, most: float = 1.0) -> float:
        """A part of one: a number, or text with a percent sign."""
        may = f'a share from 0 to {most:g}: a number, or "0.01%"'
        return self._measure(name, default, may, 0.0, most, read=share_of)

    def rate(self, name: str, default: float = REQUIRED, *, most: float) -> float:
        """So many a second, more than none: a number, or "50k", "200/min"."""
        may = f'a rate above 0, and at most {most:g} a second: a number a second, or "50k", "200/min"'
        return self._measure(name, default, may, 0.0, most, above=True, read=rate_of)

    def text(self, name: str, default: str = REQUIRED, *, most: int = 4096) -> str:
        value = self._take(name, default, "a text")
        if name not in self._values:
            return default
        if not isinstance(value, str) or len(value) > most or not value.isprintable():
            raise self._wrong(name, value, f"a text of at most {most} characters, all of them printable")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str = REQUIRED) -> str:
        may = " or ".join(f'"{choice}"' for choice in choices)
        value = self._take(name, default, may)
        if value not in choices:
            raise self._wrong(name, value, may)
        return str(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._take(name, default, "true or false")
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def name(self, name: str, default: str = REQUIRED) -> str:
        """What a tenant or a model may be called."""
        value = self._take(name, default, "a name")
        if name not in self._values:
            return default
        return self._checked_name(name, value)

    # Several

    def names(self, name: str, *, most: int) -> tuple[str, ...]:
        """Different names, at least one."""
        found = self._list(name, REQUIRED, f"a list of 1 to {most} names", most)
        names = tuple(self._checked_name(f"{name}[{at}]", value) for at, value in enumerate(found))
        if not names:
            raise self._wrong(name, found, f"a list of 1 to {most} names")
        if len(set(names)) != len(names):
            raise self.error(name, "the names in a list are different ones")
        return names

    def texts(self, name: str, default: tuple[str, ...] = REQUIRED, *, most: int) -> tuple[str, ...]:
        may = f"a list of at most {most} texts"
        found = self._list(name, default, may, most)
        if not all(isinstance(value, str) for value in found):
            raise self._wrong(name, found, may)
        return tuple(found)

    def rates(self, name: str, *, most_of_them: int, most: float) -> tuple[float, ...]:
        may = f"a list of 1 to {most_of_them} rates above 0, each at most {most:g} a second"
        found = self._list(name, REQUIRED, may, most_of_them)
        table = Table({f"{name}[{at}]": value for at, value in enumerate(found)}, self._path)
        rates = tuple(table.rate(f"{name}[{at}]", most=most) for at in range(len(found)))
        if not rates:
            raise self._wrong(name, found, may)
        return rates

    def pairs(self, name: str, *, most: int) -> dict[str, str]:
        """A table of texts, {} without."""
        found = self._take(name, {}, "a table of texts")
        if not isinstance(found, Mapping) or not all(isinstance(value, str) for value in found.values()):
            raise self._wrong(name, found, f"a table of at most {most} texts")
        if len(found) > most:
            raise self.error(name, f"there are {len(found)}, and may be {most}")
        return dict(found)

    def table(self, name: str) -> Table | None:
        """The table below `name`; None if there is none."""
        found = self._take(name, None, "a table")
        if found is None:
            return None
        if not isinstance(found, Mapping):
            raise self._wrong(name, found, "a table")
        return Table(found, self.key(name))

    def must(self, name: str) -> Table:
        """The table below `name`."""
        table = self.table(name)
        if table is None:
            raise self.error(name, f"it is missing: a table, below [{self.key(name)}]")
        return table

    def tables(self, name: str, *, most: int) -> list[Table]:
        """Those of [[name]], of which there may be none; they are numbered from 0."""
        may = f"a list of at most {most} tables, each below [[{name}]]"
        found = self._list(name, (), may, most)
        if not all(isinstance(each, Mapping) for each in found):
            raise self._wrong(name, found, may)
        return [Table(each, f"{self.key(name)}[{at}]") for at, each in enumerate(found)]

    # Parts

    def _take(self, name: str, default: Any, may: str) -> Any:
        self._known[name] = None
        if name in self._values:
            return self._values[name]
        if default is REQUIRED:
            raise self.error(name, f"it is missing: {may}")
        return default

    def _wrong(self, name: str, value: object, may: str) -> ScenarioError:
        shown = repr(value)
        return self.error(name, f"{shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''} is not {may}")

    def _list(self, name: str, default: Any, may: str, most: int) -> Sequence[Any]:
        found = self._take(name, default, may)
        if not isinstance(found, (list, tuple)):
            raise self._wrong(name, found, may)
        if len(found) > most:
            raise self.error(name, f"there are {len(found)}, and may be {most}")
        return found

    def _checked_name(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._wrong(name, value, "a name")
        try:
            return check_name(value, "it")
        except InvalidName as error:
            raise self.error(name, str(error)) from None

    def _measure(
        self,
        name: str,
        default: float,
        may: str,
        least: float,
        most: float,
        *,
        read: Any,
        above: bool = False,
    ) -> float:
        value = self._take(name, default, may)
        if name not in self._values:
            return default
        found = math.nan
        if isinstance(value, str):
            found = read(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found = float(value)
        # What is no number is in no bounds.
        if not least <= found <= most or (above and found == least):
            raise self._wrong(name, value, may)
        return found


def seconds_of(text: str) -> float:
    """The seconds that a text with a unit says; not a number (NaN) if it is no duration."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * _SECONDS[match[2]] if match else _no_text(text)


def share_of(text: str) -> float:
    """The part of one that a percentage is; NaN if it is none."""
    match = _SHARE.fullmatch(text.strip())
    return float(match[1]) / 100 if match else _no_text(text)


def rate_of(text: str) -> float:
    """How many a second a text says, "50k" or "200/min"; NaN if it is no rate."""
    match = _RATE.fullmatch(text.strip())
    return float(match[1]) * _TIMES[match[2]] / _SECONDS[match[3] or "s"] if match else math.nan


def _no_text(text: str) -> float:
    """A number in quotation marks, as command lines have it."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else math.nan


def _bounds(least: float, most: float, unit: str = "", *, above: bool) -> str:
    if above:
        return f"above {least:g}{unit} and at most {most:g}{unit}"
    return f"from {least:g}{unit} to {most:g}{unit}"
