"""How a command ends: its exit code, what it tells people, and the files that it writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from croupier_bench.result import Result

T = TypeVar("T")

HOLDS, DOES_NOT_HOLD, USAGE, STOPPED, INVALID, WRONG = range(6)

# \b: what follows is not wrapped.
CODES = """\b
Exit code:
  0  the service level holds, or none was asked for
  1  it does not, or nothing was answered
  2  the command line or the scenario is wrong, or what was needed is not there
  3  stopped early
  4  invalid: the load itself was the bottleneck
  5  answers were wrong"""

# A pipe has no width, and a table is not cut for it.
_WIDTH = 120


def code_of(result: Result) -> int:
    """What a run ends with: what makes the rest doubtful comes first."""
    if result.wrong:
        return WRONG
    if not result.valid:
        return INVALID
    if result.stopped:
        return STOPPED
    return HOLDS if result.slo.holds and result.answered else DOES_NOT_HOLD


def expected(act: Callable[[], T]) -> T:
    """What `act` returns; what is wrong with what was asked for is told in a sentence, with exit code 2.

    Any error that is none of ours is a bug, and comes out as it is.
    """
    from croupier.errors import CroupierError
    from croupier_bench.compare import Incomparable
    from croupier_bench.keys import ScenarioError
    from croupier_bench.replay import NoRecording
    from croupier_bench.report import NoPlots
    from croupier_bench.result import UnreadableResult
    from croupier_bench.run import RunFailed

    of_files = (UnreadableResult, NoRecording, NoPlots, Incomparable)
    ours = (CroupierError, ScenarioError, RunFailed, OSError, *of_files)
    try:
        return act()
    except ours as error:
        fail(str(error))


def fail(words: str) -> NoReturn:
    typer.echo(f"error: {words}", err=True)
    raise typer.Exit(USAGE)


def tell(result: Result, json: Path | None, html: Path | None, png: Path | None) -> None:
    """A result as words, and as files."""
    from croupier_bench import summary

    for line in summary.lines(result):
        typer.echo(line)
    if json is not None:
        result.write(json)
    draw([result], html, png)


def draw(results: list[Result], html: Path | None, png: Path | None) -> None:
    """A page of all `results`, and pictures of each, of several in a folder of its number."""
    from croupier_bench import report

    if html is not None:
        html.write_text(report.html(results if len(results) > 1 else results[0]), encoding="utf-8")
        typer.echo(f"report: {html}", err=True)
    if png is not None:
        for number, result in enumerate(results, 1):
            report.pngs(result, png / str(number) if len(results) > 1 else png)
        typer.echo(f"pictures: {png}", err=True)


def write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def show(table: Any) -> None:
    """What rich can print."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)
