"""Which artifacts are not let near native code again, judged from what was in it when the process died. Pure.

A dead process leaves the names of the artifacts that its threads were loading or scoring, how long each had
been there, and which thread died of a signal, if it was one that a program brings on itself. What follows:

    the process died                                 the artifact                            gets
    ───────────────────────────────────────────────────────────────────────────────────────────────────
    of a signal, in a thread that named an artifact  the one named there                     quarantine
                                                     others                                  nothing
    of a signal, in a thread that named none         every one                               ½ strike
    of its watchdog                                  the only one that did not end           quarantine
                                                     one of several                          1 strike
                                                     others                                  nothing
    killed from outside                              alone in native code for `HANG`         quarantine
                                                       others                                nothing
                                                     one of several for `HANG`               1 strike
                                                     for `SLOW`                              1 strike
                                                     for less                                ½ strike
    closed, or left by another boot or program       (is not judged)                         nothing

Two strikes within `WINDOW` are quarantine.

- A thread that died of memory which another artifact had destroyed names nobody's culprit, so that nobody is
  condemned for it at once; whoever is always there when it happens is, the fourth time.
- The killer from outside may be an operator, the kernel that ran out of memory, or a watchdog. A model that
  takes gigabytes or never ends is in native code for long, and out after the second death at the latest. One
  that scores in microseconds, is hot, and was just there when somebody killed the cell has to be there four
  times in ten minutes.
- Several that hang at once, watchdog or not, may wait for one of them (for the interpreter's lock): none is
  condemned alone.

An artifact stays condemned until it is lifted: it never changes, and a mended model is another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from croupier.errors import FailedPrecondition
from croupier.names import DIGEST_BYTES

HUNG = "hung"

# Seconds.
HANG = 5.0
SLOW = 0.25
WINDOW = 600.0

_ENOUGH = 2.0
_WHOLE = 1.0
_HALF = 0.5

_MOST_CONDEMNED = 1000
_MOST_SUSPECTS = 1000


class Quarantined(FailedPrecondition):
    """An artifact that crashed or hung this cell. The publisher's; an operator may lift it."""

    reason = "QUARANTINED"


class Phase(StrEnum):
    """What native code was doing with an artifact."""

    LOAD = "load"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Named:
    """An artifact that was in native code for `seconds`; `signal` is what its thread died of, or empty.

    `HUNG`: it did not end, and the watchdog ended the process for it.
    """

    digest: bytes
    phase: Phase
    seconds: float = 0.0
    signal: str = ""


@dataclass(frozen=True, slots=True)
class Death:
    """What a process left that was killed; `signal` is one that a thread of its own raised, or empty."""

    named: tuple[Named, ...] = ()
    signal: str = ""


@dataclass(frozen=True, slots=True)
class Condemned:
    """A quarantined artifact: since when (seconds since 1970), for which signal or other reason."""

    digest: bytes
    when: float
    why: str
    phase: Phase
    strikes: float = 0.0


@dataclass(frozen=True, slots=True)
class _Strike:
    when: float
    weight: float


class Quarantine:
    """The quarantined artifacts, the latest last, and the strikes of suspects."""

    def __init__(self) -> None:
        self._condemned: dict[bytes, Condemned] = {}
        self._strikes: dict[bytes, tuple[_Strike, ...]] = {}

    def __len__(self) -> int:
        return len(self._condemned)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._condemned

    @property
    def condemned(self) -> tuple[Condemned, ...]:
        return tuple(self._condemned.values())

    def refuse(self, digest: bytes) -> None:
        """Raises Quarantined if `digest` is."""
        found = self._condemned.get(digest)
        if found is not None:
            raise Quarantined(
                f"the model's artifact is quarantined here: {found.why} ({found.phase})",
                why=found.why,
                phase=found.phase.value,
            )

    def lift(self, digest: bytes) -> bool:
        """Let the artifact in again, with a clean record; whether it was quarantined."""
        self._strikes.pop(digest, None)
        return self._condemned.pop(digest, None) is not None

    def judge(self, death: Death, now: float) -> list[Condemned]:
        """Draw the consequences of a death; returns who is quarantined for it. `now`: seconds since 1970."""
        named = _merged(death.named)
        # A clock that was set back must not make strikes last for ever.
        self._strikes = {
            digest: recent
            for digest, strikes in self._strikes.items()
            if (recent := tuple(strike for strike in strikes if 0 <= now - strike.when < WINDOW))
        }
        condemned = [
            found
            for one, weight, why in _verdicts(named, death.signal)
            if (found := self._strike(one, weight, why, now))
        ]
        _shorten(self._condemned, _MOST_CONDEMNED)
        _shorten(self._strikes, _MOST_SUSPECTS)
        return condemned

    def _strike(self, one: Named, weight: float, why: str, now: float) -> Condemned | None:
        strikes = (*self._strikes.pop(one.digest, ()), _Strike(now, weight))
        total = sum(strike.weight for strike in strikes)
        if total < _ENOUGH:
            self._strikes[one.digest] = strikes
            return None
        # Moved to the end if it is there already, which a slot that was judged twice may bring about.
        self._condemned.pop(one.digest, None)
        found = self._condemned[one.digest] = Condemned(one.digest, now, why, one.phase, total)
        return found

    # As plain values, for a file

    def dump(self) -> dict[str, Any]:
        return {
            "entries": [
                {
                    "digest": found.digest.hex(),
                    "when": found.when,
                    "why": found.why,
                    "phase": found.phase.value,
                    "strikes": found.strikes,
                }
                for found in self.condemned
            ],
            "strikes": {
                digest.hex(): [[strike.when, strike.weight] for strike in strikes]
                for digest, strikes in self._strikes.items()
            },
        }

    @classmethod
    def read(cls, dumped: Mapping[str, Any]) -> Quarantine:
        """What `dump` gave.

        Raises:
            ValueError: it is something else.
        """
        quarantine = cls()
        try:
            for row in dumped["entries"]:
                found = Condemned(
                    _digest(row["digest"]),
                    float(row["when"]),
                    str(row["why"]),
                    Phase(row["phase"]),
                    float(row["strikes"]),
                )
                quarantine._condemned[found.digest] = found
            for digest, strikes in dumped["strikes"].items():
                quarantine._strikes[_digest(digest)] = tuple(
                    _Strike(float(when), float(weight)) for when, weight in strikes
                )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("this is no list of quarantined artifacts") from error
        return quarantine


def _verdicts(named: Sequence[Named], signal: str) -> Iterable[tuple[Named, float, str]]:
    """Who gets how many strikes, and why."""
    marked = [one for one in named if one.signal]
    if len(marked) > 1 and all(one.signal == HUNG for one in marked):
        return [(one, _WHOLE, HUNG) for one in marked]
    if marked:
        return [(one, _ENOUGH, one.signal) for one in marked]
    if signal:
        return [(one, _HALF, f"present at {signal}") for one in named]
    hung = [one for one in named if one.seconds >= HANG]
    if len(hung) == 1:
        return [(hung[0], _ENOUGH, HUNG)]
    return [(one, _WHOLE if one.seconds >= SLOW else _HALF, "killed") for one in named]


def _merged(named: Iterable[Named]) -> list[Named]:
    """One for each artifact: several threads may have had the same."""
    merged: dict[bytes, Named] = {}
    for one in named:
        other = merged.get(one.digest, one)
        best = one if one.signal and not other.signal else other
        merged[one.digest] = replace(best, seconds=max(one.seconds, other.seconds))
    return list(merged.values())


def _shorten(table: dict[bytes, Any], most: int) -> None:
    while len(table) > most:
        del table[next(iter(table))]


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest has {DIGEST_BYTES} bytes")
    return digest
