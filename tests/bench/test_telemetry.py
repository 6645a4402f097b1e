"""What is made of turns that were measured, and that the bare router is bare."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.telemetry import BARE, HISTOGRAMS, TRACES_0, TRACES_1, TRACES_10, Seen, differences


def test_differences_are_of_a_round_and_the_median_counts() -> None:
    seen = {
        # The machine got slower from round to round, which is no matter.
        BARE: [Seen([7.0, 17.0, 27.0]), Seen([7.2, 16.8, 27.4])],
        HISTOGRAMS: [Seen([7.4, 17.3, 27.5])] * 2,
        TRACES_0: [Seen([7.5, 17.5, 60.0], 0.01)] * 2,
        TRACES_1: [Seen([7.7, 17.8, 27.9], 0.03)] * 2,
        TRACES_10: [Seen([8.4, 18.5, 61.0])] * 2,
    }
    assert differences(seen) == pytest.approx(
        {
            "histograms_us": 0.3,
            "traces_0_us": 0.2,
            "traces_1_us": 0.4 + 0.02,
            "together_0_us": 0.6,
            "together_1_us": 0.7 + 0.02,
            "sampled_us": 1.0 / 0.1 + 0.02 / 0.01,
            "sending_us": 0.02 / 0.01,
            # Most of the processes are one and the same here.
            "spread_us": 0.0,
            "floor_us": (0.2**2 / 5 / 2) ** 0.5,
        }
    )


def test_a_bare_router_has_no_histogram_of_a_request() -> None:
    shown = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from bench.bare_router import strip\n"
            "strip()\n"
            "from croupier.transport.routes import RouteTable\n"
            "from router import latency, pipeline\n"
            "table = RouteTable()\n"
            "table.add_batch(['/a/b'], print)\n"
            "print(table._routes[b'/a/b'].durations, latency.CellSeconds().of('a'), pipeline._ADDED.observe)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "None None <built-in function abs>"
