"""Pictures of a blast: how much of what breaks tenants share, beside the exact chances; what cells carry.

matplotlib draws them, which is no part of a fleet (`pip install 'croupier[plot]'`): whoever asks for no
picture needs it not, and does not wait for its import.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croupier.errors import FailedPrecondition, InvalidRequest
from protos.versions.v1 import versions_pb2 as pb

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
_COUNTED, _EXPECTED, _BROKEN, _USUAL = "#4c78a8", "#e45756", "#e45756", "#9aa5b1"
# More names than that cannot be read below bars.
_MOST_NAMES = 32
_SIGMAS = 5
_ASIDE = 0.3


class NoPlots(FailedPrecondition):
    """matplotlib is not installed. The operator's."""

    reason = "NO_PLOTS"


def check(path: Path) -> Path:
    """`path` if a picture can be drawn there. Raises NoPlots, InvalidRequest."""
    if path.suffix.lower() not in FORMATS:
        raise InvalidRequest(
            f"a picture's file ends with {', '.join(FORMATS)}, not {path.name}", field="plot"
        )
    if not path.parent.is_dir():
        raise InvalidRequest(f"there is no folder {path.parent}", field="plot")
    try:
        import matplotlib.figure  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise NoPlots("pictures need matplotlib: pip install 'croupier[plot]'") from error
    return path


def draw(path: Path, blast: pb.Blast, what: str) -> None:
    """Draw a blast of cells, which is about `what`. Raises InvalidRequest if it cannot be written."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # The same picture is the same file.
    with rc_context({"svg.hashsalt": "croupier", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        overlaps, loads = figure.subplots(1, 2)
        _overlaps(overlaps, blast, what)
        _loads(loads, blast)
        try:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise InvalidRequest(f"cannot write {path}: {error.strerror}", field="plot") from error


def _overlaps(axes: Axes, blast: pb.Blast, what: str) -> None:
    expected, most = list(blast.expected_overlap), max(len(blast.overlap), len(blast.expected_overlap))
    counted = [*blast.overlap, *[0] * (most - len(blast.overlap))]
    bars = axes.bar(range(most), counted, color=_COUNTED, label="counted on this map")
    axes.bar_label(bars, [f"{count:,}" for count in counted], padding=2, fontsize=8)
    tenants = sum(counted)
    # Of as many tenants that are dealt independently.
    spread = [_SIGMAS * (count * max(1 - count / max(tenants, 1), 0)) ** 0.5 for count in expected]
    axes.errorbar(
        # Beside the number above each bar.
        [shared + _ASIDE for shared in range(len(expected))],
        expected,
        yerr=[[min(s, count * 0.999) for s, count in zip(spread, expected, strict=True)], spread],
        fmt="D",
        markersize=4,
        capsize=4,
        color=_EXPECTED,
        label=f"exact expectation, ± {_SIGMAS} σ",
    )
    seen = [count for count in (*expected, *counted) if count > 0]
    axes.set_yscale("log")
    axes.set_ylim(max(min(seen, default=1.0), 1e-3) / 2, max(seen, default=1.0) * 6)
    axes.set_xticks(range(most))
    axes.set_xlabel(f"cells shared with {what}")
    axes.set_ylabel("tenants")
    axes.set_title(f"{tenants:,} tenants, generation {blast.generation}")
    axes.legend(loc="upper right")


def _loads(axes: Axes, blast: pb.Blast) -> None:
    names = [one.cell for one in blast.loads]
    loads = [one.load for one in blast.loads]
    broken = {*blast.cells}
    axes.bar(range(len(names)), loads, width=1.0, color=[_BROKEN if n in broken else _USUAL for n in names])
    carrying = [load for load in loads if load > 0]
    mean = sum(carrying) / len(carrying) if carrying else 0.0
    axes.axhline(mean, color="black", linewidth=1, linestyle="--")
    over = f", max / mean {max(carrying) / mean:.3f}" if mean else ""
    axes.set_title(f"load per cell{over}")
    axes.set_ylabel("requests/s over weight" if blast.by_rates else "tenants' shares over weight")
    axes.margins(x=0.01)
    _name(axes, names)


def _name(axes: Axes, names: Sequence[str]) -> None:
    if len(names) <= _MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=90)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} cells, by name; those that break are red")
