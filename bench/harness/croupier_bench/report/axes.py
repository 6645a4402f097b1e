"""Axes: where a value lies on one, and which of its values are written beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from croupier_bench import words

# So many digits behind the nine of a quantile are on an axis at most.
_NINES = 6
# With more decades than these a logarithmic axis has no ticks within them.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Axis:
    """From `least` to `most`, both at an end of it; `ticks` are values with the words beside them."""

    label: str
    least: float
    most: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False
    is_nines: bool = False

    def place(self, value: float) -> float:
        """0 at the beginning, 1 at the end; what lies outside is put there."""
        if self.is_log:
            part = log10(max(value, self.least) / self.least) / log10(self.most / self.least)
        else:
            part = (value - self.least) / (self.most - self.least)
        return min(max(part, 0.0), 1.0)

    def told(self, value: float) -> str:
        """A value on it, as words."""
        return f"{100 * (1 - 10**-value):.7g} %" if self.is_nines else f"{value:,.6g}"


def linear(label: str, most: float, *, steps: int = 5) -> Axis:
    """From 0, with about as many ticks as `steps`."""
    step = _step(max(most, 1e-9) / steps)
    count = max(1, ceil(most / step - 1e-9))
    return Axis(label, 0.0, step * count, _multiples(step, count))


def seconds(most: float) -> Axis:
    """Time, which ends where it ends and not at a tick."""
    most = max(most, 1e-3)
    step = _step(most / 8)
    return Axis("seconds", 0.0, most, _multiples(step, floor(most / step + 1e-9)))


def logarithmic(label: str, values: Iterable[float | None], *, start: float = 0.01) -> Axis:
    """From one, two or five times a power of ten to another around `values`; from `start` for none."""
    found = [value for value in values if value is not None and isfinite(value) and value > 0]
    least = min(found, default=start)
    most = max(*found, least * 2) if found else start * 10
    powers = range(floor(log10(least)) - 1, ceil(log10(most)) + 2)
    steps = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    first = max(step for step in steps if step <= least * (1 + 1e-9))
    last = min(step for step in steps if step >= most * (1 - 1e-9))
    within = [step for step in steps if first <= step <= last]
    decades = [step for step in within if f"{step:e}".startswith("1")]
    ticks = within if len(decades) <= _FEW else decades
    return Axis(label, first, last, tuple((tick, f"{tick:,.10g}") for tick in ticks), is_log=True)


def nines(count: float) -> Axis:
    """Of a quantile: the logarithm of how many answers there are for one that takes longer, up to `count`."""
    most = min(max(log10(max(count, 1.0)), 1.0), _NINES)
    named = [(0.0, "0 %"), (log10(2), "p50"), (1.0, "p90")]
    named += [(float(power), words.quantile("p" + "9" * power)) for power in range(2, _NINES + 1)]
    ticks = tuple((at, name) for at, name in named if at <= most + 1e-9)
    return Axis("share of answers", 0.0, most, ticks, is_nines=True)


def _multiples(step: float, count: int) -> tuple[tuple[float, str], ...]:
    return tuple((step * number, f"{step * number:,.10g}") for number in range(count + 1))


def _step(about: float) -> float:
    """One, two or five times a power of ten, not below `about`."""
    power = 10.0 ** floor(log10(about))
    return power * next(digit for digit in (1, 2, 5, 10) if digit * power >= about * (1 - 1e-9))
