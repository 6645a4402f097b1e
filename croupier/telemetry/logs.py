"""Logs: one line an event on standard error, with the time in UTC and the program's name."""

from __future__ import annotations

import logging
import time


def configure(program: str, level: str = "info") -> None:
    """Send this process's logs of `level` and above to standard error.

    Raises:
        ValueError: an unknown level.
    """
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s {program} %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
