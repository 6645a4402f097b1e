"""Act two as a picture: the latency of three groups of tenants over time, and what was done meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log10

import numpy as np
from numpy.typing import NDArray

from bench.demo.act_two import CRASHED, DEAD, HELD, KILLED, QUIET, Played
from bench.demo.judging import Tenancy
from bench.openloop import Floats
from bench.pictures.svg import LIGHT, Drawing

_BIN_SECONDS = 0.4
_SHARE = 0.95
_LEAST_MS = 0.1
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 872.0, 104.0, 366.0
_WORDS = {QUIET: "quiet", HELD: "held", CRASHED: "crashed in turn", KILLED: "one killed", DEAD: "all killed"}

Line = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Places of seconds and of milliseconds, which go by their logarithm."""

    seconds: float
    most_ms: float

    def x(self, seconds: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(seconds, self.seconds) / self.seconds

    def y(self, ms: float) -> float:
        share = log10(max(ms, _LEAST_MS) / _LEAST_MS) / log10(self.most_ms / _LEAST_MS)
        return _BOTTOM - (_BOTTOM - _TOP) * share


def draw(played: Played, tenancy: Tenancy) -> str:
    """The picture as SVG, for a light page."""
    seen, hand, counts = played.seen, len(played.sharing.hand), played.sharing.tenants
    began, ended = played.phases[0].began, played.phases[-1].ended
    shared, at = np.array(tenancy.shared)[seen.models], seen.due - began
    of_play = (at >= 0) & (seen.due < ended)
    answered = of_play & np.isfinite(seen.latencies)
    groups = (
        (f"share no cell ({counts[0]} tenants)", shared == 0, LIGHT.accent),
        (f"share some ({sum(counts[1:-1])})", (shared > 0) & (shared < hand), LIGHT.harm[1]),
        (f"share all ({counts[-1]})", shared == hand, LIGHT.harm[3]),
    )
    lines = [_line(at, seen.latencies, group & answered) for _, group, _ in groups]
    highest = max((ms for line in lines for _, ms in line), default=1.0)
    scale = _Scale(ended - began, 10.0 ** max(1, ceil(log10(highest))))

    drawing = Drawing(900, 424, LIGHT, "Latency of tenants by what they share with the poisoned hand")
    drawing.words(28, 36, f"One tenant hurts its hand of {hand} cells", size=17, bold=True)
    _grounds(drawing, played, began, scale)
    _axes(drawing, scale)
    for number, ((words, _, color), line) in enumerate(zip(groups, lines, strict=True)):
        drawing.dots([(36 + 230 * number, 59.5)], 5, color)
        drawing.words(48 + 230 * number, 64, words)
        drawing.line([(scale.x(second), scale.y(ms)) for second, ms in line], color)
    failed = at[of_play & seen.failed]
    if len(failed):
        drawing.dots([(730, 59.5)], 2.5, LIGHT.text)
        drawing.words(738, 64, f"{len(failed)} errors")
        drawing.dots([(scale.x(float(second)), _TOP + 6) for second in failed], 2.5, LIGHT.text)
    return drawing.render("written by `python -m bench demo`")


def _grounds(drawing: Drawing, played: Played, began: float, scale: _Scale) -> None:
    """A ground for each phase but the pauses, and its name once."""
    named: set[str] = set()
    for phase in played.phases:
        if phase.name not in _WORDS:
            continue
        left, right = scale.x(phase.began - began), scale.x(phase.ended - began)
        drawing.box(left, _TOP, right - left, _BOTTOM - _TOP, fill=LIGHT.panel, corner=0)
        if phase.name not in named:
            drawing.words(left, _TOP - 8, _WORDS[phase.name], color=LIGHT.faint)
        named.add(phase.name)


def _axes(drawing: Drawing, scale: _Scale) -> None:
    ms = _LEAST_MS
    while ms <= scale.most_ms * 1.01:
        y = scale.y(ms)
        drawing.line([(_LEFT, y), (_RIGHT, y)], LIGHT.harm[0], width=0.8)
        drawing.words(_LEFT - 8, y + 4.5, f"{ms:g}", color=LIGHT.faint, anchor="end")
        ms *= 10
    for second in range(0, int(scale.seconds) + 1, 5):
        drawing.words(scale.x(second), _BOTTOM + 20, f"{second}", color=LIGHT.faint, anchor="middle")
    drawing.words(_RIGHT, _BOTTOM + 40, "seconds", color=LIGHT.faint, anchor="end")
    drawing.words(
        28, _BOTTOM + 40, f"milliseconds that {_SHARE:.0%} of the answers took at most", color=LIGHT.faint
    )


def _line(at: Floats, latencies: Floats, group: NDArray[np.bool_]) -> Line:
    """(seconds, milliseconds) of each bin in which anybody of the group was answered."""
    at, latencies = at[group], latencies[group]
    bins = np.floor(at / _BIN_SECONDS)
    return [
        (float(number + 0.5) * _BIN_SECONDS, float(np.quantile(latencies[bins == number], _SHARE)) * 1e3)
        for number in np.unique(bins)
    ]
