"""How many cells of its hand serve a model: one, and up to four for one that is hot.

Hot is a model that is a large part of its cell's work: two cells serve it, if it is asked for more than a
fifth as often as a cell of the hand is asked in the mean, for everything; and one more for each further
fifth. It has to be so twice in a row, for each further cell has to load the model; and it is taken back, cell
by cell, only after it was well below for half a minute.

A request comes here only where its model is asked for often, once a second (`balance.pyx`), so that millions
of models cost nothing here. Several routes of a model (its versions and labels) add up.

Pure: times are arguments, in seconds on a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from croupier.bounded import Bounded

# Tenant and model.
Name: TypeAlias = tuple[str, str]

MOST_COPIES = 4
# Of what a cell of the hand is asked for in the mean, what it should have of one model at most; and below
# what part of that the last copy is too many.
_SHARE = 0.2
_ENOUGH = 0.6
# Of what makes a model hot, what one of its routes has to have for the model to be looked at.
_PART = 0.25
# Requests a second below which nothing is hot.
_FEW = 50.0
_WINDOW = 1.0
_TWICE = 2
_HOLD = 30.0
# What was not asked for in so long is not hot any more.
_FORGOTTEN = 60.0
_MOST = 4096


@dataclass(slots=True)
class Hot:
    """`rate` in requests a second, of the last window; `asked` since `since`, as it goes on."""

    since: float
    copies: int = 1
    rate: float = 0.0
    asked: int = 0
    above: int = 0  # windows in a row in which one cell more was wanted
    below_since: float | None = None  # one fewer would do


class Copies:
    """The models that are hot, or were a moment ago: of `most`, those that were found so last."""

    def __init__(self, most: int = _MOST) -> None:
        self.hot: Bounded[Name, Hot] = Bounded(most)

    def note(self, name: Name, asked: int, mean: float, now: float) -> int:
        """A model was asked for so often since it was last noted; how many cells serve it from now on.

        `mean` is what a cell of its hand is asked for a second, for everything.
        """
        hot = self.hot.get(name)
        if hot is None:
            if asked >= _PART * max(_FEW, _SHARE * mean):
                # Its other routes are noted within a second from now.
                self.hot[name] = Hot(now)
            return 1
        hot.asked += asked
        seconds = now - hot.since
        if seconds >= _WINDOW:
            hot.rate, hot.asked, hot.since = hot.asked / seconds, 0, now
            _decide(hot, mean, now)
            if hot.copies == 1 and not hot.above:
                del self.hot[name]
        return hot.copies

    def known(self, now: float) -> dict[Name, Hot]:
        """Those that more than one cell serves."""
        for name in [name for name, hot in self.hot.items() if now - hot.since >= _FORGOTTEN]:
            del self.hot[name]
        return {name: hot for name, hot in self.hot.items() if hot.copies > 1}


def _decide(hot: Hot, mean: float, now: float) -> None:
    one = max(_FEW, _SHARE * mean)
    is_more = hot.copies < MOST_COPIES and hot.rate > one * hot.copies
    hot.above = hot.above + 1 if is_more else 0
    if hot.above == _TWICE:
        hot.copies, hot.above, hot.below_since = hot.copies + 1, 0, None
        return
    if hot.copies == 1 or hot.rate >= _ENOUGH * one * (hot.copies - 1):
        hot.below_since = None
    elif hot.below_since is None:
        hot.below_since = now
    elif now - hot.below_since >= _HOLD:
        hot.copies, hot.below_since = hot.copies - 1, None
