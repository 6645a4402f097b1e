"""A router without histograms, for `telemetry.py` to measure the real one beside.

It is ours in all else: where it would observe how long something took there is nothing, or a function that
does nothing. `python -m bench.bare_router` takes what `python -m router.app` does.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from croupier.transport import routes
from router import app, latency, pipeline


def strip() -> None:
    """Take the histograms out of the router's modules in this process, before anything is built of them."""
    nothing: Any = lambda *_: None  # noqa: E731
    # Of calls that are served, and of attempts: a session asks whether there is one.
    routes._of = nothing  # noqa: SLF001 (in this process it is ours to take out)
    latency.CellSeconds.of = nothing  # type: ignore[method-assign]
    # A built-in function takes less than a histogram's method, and is called the same.
    stripped: Any = SimpleNamespace(observe=abs)
    pipeline._ADDED = stripped  # noqa: SLF001


def main() -> None:
    strip()
    app.main()


if __name__ == "__main__":
    main()
