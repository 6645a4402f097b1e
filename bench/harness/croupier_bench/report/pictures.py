"""The charts of a report as PNGs, drawn by matplotlib.

It is no part of the harness (`pip install 'croupier-bench[plot]'`): whoever asks for no picture does without,
and does not wait for its import.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croupier_bench import words
from croupier_bench.report.axes import Axis
from croupier_bench.report.charts import Chart, Line, charts
from croupier_bench.report.style import LIGHT
from croupier_bench.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (9.0, 4.6)
_DPI = 150


class NoPlots(ValueError):
    """matplotlib is not installed. The operator's."""


def pngs(results: Result | Sequence[Result], folder: Path) -> list[Path]:
    """Write a PNG of each chart into `folder`, which is made. Raises NoPlots, OSError."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPlots("pictures need matplotlib: pip install 'croupier-bench[plot]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    # Words of others are no mathematics, whatever dollars are in them.
    with rc_context({"font.size": 10, "text.parse_math": False}):
        for chart in charts([results] if isinstance(results, Result) else results):
            drawn = Figure(figsize=_INCHES, layout="constrained")
            _draw(drawn.add_subplot(), chart)
            path = folder / f"{chart.key}.png"
            drawn.savefig(path, dpi=_DPI)
            written.append(path)
    return written


def _draw(axes: Axes, chart: Chart) -> None:
    axes.set_title(chart.title, loc="left", fontweight="bold")
    _scale(axes, chart.x, chart.y)
    for place, line in enumerate(chart.lines):
        _line(axes, line, place)
    for number, mark in enumerate(chart.marks, start=1):
        axes.axvline(mark.x, color=LIGHT["text" if mark.is_ok else "bad"], linewidth=0.9, linestyle=":")
        axes.annotate(
            f"{number} {words.printable(mark.words, 24)}",
            (mark.x, 0.98),
            xytext=(-2, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=90,
            va="top",
            ha="right",
            fontsize=8,
            bbox={"facecolor": LIGHT["ground"], "edgecolor": "none", "pad": 0.5},
        )
    for value, label in chart.bounds:
        axes.axhline(value, color=LIGHT["text"], linewidth=1, linestyle="--")
        axes.annotate(
            label, (0.995, value), xycoords=("axes fraction", "data"), va="bottom", ha="right", fontsize=8
        )
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=4, frameon=False)


def _scale(axes: Axes, x: Axis, y: Axis) -> None:
    axes.set_xlim(x.least, x.most)
    axes.set_xlabel(x.label, loc="right")
    axes.set_ylabel(y.label)
    if y.is_log:
        axes.set_yscale("log")
    axes.set_ylim(y.least, y.most)
    axes.set_xticks([value for value, _ in x.ticks], [label for _, label in x.ticks])
    axes.set_yticks([value for value, _ in y.ticks], [label for _, label in y.ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color=LIGHT["edge"])
    axes.spines[["top", "right"]].set_visible(False)


def _line(axes: Axes, line: Line, place: int) -> None:
    """The first lies above the others."""
    ys = [float("nan") if y is None else y for y in line.ys]
    axes.plot(
        line.xs,
        ys,
        color=LIGHT[line.tone],
        label=words.printable(line.name, 40),
        linestyle="" if line.are_dots else "--" if line.dashed else "-",
        marker="o" if line.are_dots else "",
        zorder=3 - place / 10 + line.are_dots,
    )
