from __future__ import annotations

import re
import subprocess
import sys

import pytest

from croupier.telemetry.logs import configure

PROGRAM = """
import logging, sys
from croupier.telemetry.logs import configure
configure("croupier-test", *sys.argv[1:])
logging.getLogger("part").debug("a detail")
logging.getLogger("part").info("served %d", 3)
logging.getLogger("part").error("failed")
configure("croupier-test", *sys.argv[1:])
logging.getLogger("part").critical("once")
"""
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def lines(*argv: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        env={"TZ": "Asia/Tokyo"},
    )
    assert done.stdout == ""
    found = done.stderr.splitlines()
    assert all(re.match(STAMP + " ", line) for line in found)
    return [line.partition(" ")[2] for line in found]


def test_one_line_an_event_on_standard_error() -> None:
    assert lines() == [
        "INFO croupier-test part: served 3",
        "ERROR croupier-test part: failed",
        "CRITICAL croupier-test part: once",
    ]


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("warning", 2), ("error", 2)])
def test_levels(level: str, count: int) -> None:
    assert len(lines(level)) == count


def test_an_unknown_level() -> None:
    with pytest.raises(ValueError, match="CHATTY"):
        configure("croupier-test", "chatty")
