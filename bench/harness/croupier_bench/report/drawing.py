"""A chart as HTML: lines as SVG that is stretched to the width there is, words beside it that are not.

So a page on a phone has the same curves as one on a desk, in letters of the same size. Words lie at percents
of the plot; those of the x axis without much room are `odd`, which narrow pages leave out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape

from croupier_bench import words
from croupier_bench.report.charts import Chart, Line, Mark

# The plot in its own units, which are stretched.
_WIDTH, _HEIGHT = 1000.0, 300.0
# Numbers of events that lie nearer than this are put above each other, on so many levels.
_NEAR, _LEVELS = 0.06, 3
_LEVEL_PIXELS = 17
# Words of the x axis that lie nearer than this to those before them have no room on a narrow page.
_NARROW = 0.14


def figure(chart: Chart, prefix: str = "") -> str:
    """The chart; `prefix` tells it from the same chart of another result."""
    key = f"{prefix}{chart.key}"
    return "\n".join(
        [
            f'<figure id="{key}">',
            f'<figcaption><h3>{text(chart.title)}</h3><p id="{key}-about">{text(chart.about, 1000)}</p>',
            f'<ul class="legend">{"".join(map(_legend, chart.lines))}</ul></figcaption>',
            f'<div class="unit" aria-hidden="true">{text(chart.y.label)}</div>',
            f'<div class="plot" data-values="{escape(_values(chart))}">',
            f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img"'
            f' aria-labelledby="{key}-title" aria-describedby="{key}-about">',
            f'<title id="{key}-title">{text(chart.title)}</title>',
            *_paths(chart),
            "</svg>",
            *_words(chart),
            "</div>",
            '<p class="value" aria-hidden="true"></p>',
            f'<p class="note">{text(chart.note)}</p>' if chart.note else "",
            _events(chart.marks),
            "</figure>",
        ]
    )


def text(words_of_others: object, most: int = words.MOST) -> str:
    """What comes from outside, as text of a page."""
    return escape(words.printable(words_of_others, most))


def _legend(line: Line) -> str:
    sample = _path(f"line {'dashed' * line.dashed}", "M0 5H26")
    if line.are_dots:
        sample = _path("dots", "M13 5h0")
    drawn = f'<svg viewBox="0 0 26 10" aria-hidden="true" class="{line.tone}">{sample}</svg>'
    return f"<li>{drawn}{text(line.name, 60)}</li>"


def _paths(chart: Chart) -> Iterator[str]:
    for value, _ in chart.y.ticks:
        y = _y(chart, value)
        yield _path("grid", f"M0 {y:.1f}H{_WIDTH:g}")
    for mark in chart.marks:
        x = _WIDTH * chart.x.place(mark.x)
        yield _path("event", f"M{x:.1f} 0V{_HEIGHT:g}")
    for value, _ in chart.bounds:
        y = _y(chart, value)
        yield _path("limit", f"M0 {y:.1f}H{_WIDTH:g}")
    # The first lies above the others.
    for line in reversed(chart.lines):
        yield from _line(chart, line)


def _line(chart: Chart, line: Line) -> Iterator[str]:
    """Its pieces between gaps; what lies alone between two is a point."""
    for piece in pieces(line):
        places = [(_WIDTH * chart.x.place(x), _y(chart, y)) for x, y in piece]
        if line.are_dots or len(places) == 1:
            dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
            yield _path(f"{'dots' if line.are_dots else 'point'} {line.tone}", dots)
        else:
            way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            yield _path(f"line {line.tone}{' dashed' * line.dashed}", f"M{way}")


def pieces(line: Line) -> Iterator[list[tuple[float, float]]]:
    """What lies between gaps."""
    piece: list[tuple[float, float]] = []
    for x, y in zip(line.xs, line.ys, strict=True):
        if y is not None:
            piece.append((x, y))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _words(chart: Chart) -> Iterator[str]:
    for value, label in chart.y.ticks:
        yield _span("y", f"top:{100 - 100 * chart.y.place(value):.2f}%", label)
    last = -1.0
    for value, label in chart.x.ticks:
        place = chart.x.place(value)
        odd = place - last < _NARROW
        last = last if odd else place
        yield _span("x odd" if odd else "x", f"left:{100 * place:.2f}%", label)
    yield _span("axis", "", chart.x.label)
    for value, label in chart.bounds:
        yield _span("bound", f"top:{100 - 100 * chart.y.place(value):.2f}%", label)
    levels = _levels([chart.x.place(mark.x) for mark in chart.marks])
    for number, (mark, level) in enumerate(zip(chart.marks, levels, strict=True), start=1):
        at = f"left:{100 * chart.x.place(mark.x):.2f}%;top:{-3 + level * _LEVEL_PIXELS}px"
        yield _span("mark" if mark.is_ok else "mark bad", at, str(number))


def _levels(places: Sequence[float]) -> list[int]:
    """On which level each number lies, so that near ones do not hide each other."""
    taken: list[float] = [-1.0] * _LEVELS
    levels = []
    for place in places:
        level = next((level for level, last in enumerate(taken) if place - last >= _NEAR), 0)
        taken[level] = place
        levels.append(level)
    return levels


def _events(marks: Sequence[Mark]) -> str:
    if not marks:
        return ""
    told = [f"{mark.x:.1f} s: {mark.words}{'' if mark.is_ok else ' (failed)'}" for mark in marks]
    return f'<ol class="events">{"".join(f"<li>{text(one)}</li>" for one in told)}</ol>'


def _values(chart: Chart) -> str:
    """What the script tells below a pointer: of the lines that have a value at each x."""
    lines = [line for line in chart.lines if not line.are_dots]
    if not lines:
        return json.dumps({"axis": "", "places": [], "xs": [], "lines": []})
    xs = lines[0].xs
    return json.dumps(
        {
            "axis": chart.x.label,
            "places": [round(chart.x.place(x), 4) for x in xs],
            "xs": [chart.x.told(x) for x in xs],
            "lines": [(words.printable(line.name, 60), [words.figure(y) for y in line.ys]) for line in lines],
        },
        separators=(",", ":"),
    )


def _y(chart: Chart, value: float) -> float:
    return _HEIGHT * (1 - chart.y.place(value))


def _path(kind: str, way: str) -> str:
    return f'<path class="{kind.strip()}" d="{way}"/>'


def _span(kind: str, style: str, label: str) -> str:
    return f'<span class="{kind}" style="{style}" aria-hidden="true">{text(label, 60)}</span>'
