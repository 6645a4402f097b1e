"""Figures and foreign words as people read them: in a terminal, in a report.

A label, a model's name or an error's text comes from outside, so it may hold whatever moves a cursor, turns
the direction of a line or is half a character. `printable` shows these as what they are.
"""

from __future__ import annotations

# More of an error's text says no more.
MOST = 200
NOTHING = "–"
_LEAST_PERCENT, _NEARLY_ALL = 0.0001, 99.0


def printable(text: object, most: int = MOST) -> str:
    """`text` on one line, of at most `most` characters: what does not print reads as its escape."""
    words = str(text)
    cut = words if len(words) <= most else words[: most - 1] + "…"
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in cut
    )


def figure(value: float | None) -> str:
    """A number with three digits that count, and the others if it is large: 0.0123, 1.23, 12,346."""
    if value is None:
        return NOTHING
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.9995 else f"{value:.3g}"


def ms(value: float | None) -> str:
    """Milliseconds, with their unit."""
    return NOTHING if value is None else f"{figure(value)} ms"


def share(part: float, whole: float) -> str:
    """Percent, in as many digits as tell it from nothing and from all."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent <= _NEARLY_ALL:
        return f"{figure(percent)} %" if percent >= _LEAST_PERCENT else f"under {_LEAST_PERCENT:g} %"
    digits = next((digits for digits in range(1, 5) if float(f"{percent:.{digits}f}") < 100), None)
    return "over 99.9999 %" if digits is None else f"{percent:.{digits}f} %"


def quantile(name: str) -> str:
    """p999 as people write it: p99.9."""
    digits = name[1:]
    return f"p{digits[:2]}.{digits[2:]}" if name.startswith("p") and len(digits) > 2 else name


def several(number: float, thing: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number:,.0f} {thing}{'' if number == 1 else 's'}"
