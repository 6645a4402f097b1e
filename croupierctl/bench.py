"""`croupierctl bench`: load tests, by the distribution croupier-bench where it is installed."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from croupier.errors import FailedPrecondition


class BenchMissing(FailedPrecondition):
    """The distribution is not installed. The operator's."""

    reason = "BENCH_MISSING"


class Missing(TyperGroup):
    """Says so, whatever it is asked for but help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not {"-h", "--help"} & set(args):
            raise BenchMissing("croupier-bench, which tests loads, is not installed")
        return super().parse_args(ctx, ["--help"])


try:
    from croupier_bench.app import app
except ModuleNotFoundError as error:
    if error.name != "croupier_bench":
        raise
    app = typer.Typer(cls=Missing)
