"""A router that traces as many requests as it is told, for `telemetry.py`.

One of a hundred of all that it can take would be more a second than a router begins spans for.

`python -m bench.traced_router` takes what `python -m router.app` does.
"""

from __future__ import annotations

from croupier.telemetry import traces
from router import app


def unbound() -> None:
    """In this process, let every trace begin that the ratio wants."""
    traces.MOST_PER_SECOND = 1e9


def main() -> None:
    unbound()
    app.main()


if __name__ == "__main__":
    main()
