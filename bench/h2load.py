"""nghttp2's h2load, run and read: the closed-loop load that every proxy gets alike.

h2load counts HTTP statuses and does not see `grpc-status`: what it calls a success may be a gRPC
error, so others look at the answers beside it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CLIENTS = 8
STREAMS = 32
# A connection on which nothing comes for so long is given up, and what it waits for has failed.
_PATIENCE = "10s"
INSTALL = "apt-get install nghttp2-client"

_RATE = re.compile(r"^finished in \S+, ([\d.]+) req/s", re.MULTILINE)
_REQUESTS = re.compile(r"^requests: (\d+) total, .* (\d+) succeeded", re.MULTILINE)
_STATUSES = re.compile(r"^status codes: (\d+) 2xx", re.MULTILINE)


class UnreadableReport(Exception):
    """h2load did not run, or says something else than the version that we know. The operator's."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a closed-loop load saw; `rps` counts answered requests a second."""

    requests: int
    failures: int
    rps: float


def find() -> str | None:
    return shutil.which("h2load")


def run(url: str, body: Path, headers: Mapping[str, str], requests: int) -> Loaded:
    """POST the file `body` so many times, over 8 connections with 32 streams each.

    Raises:
        UnreadableReport: see there.
    """
    argv = ["h2load", "-n", str(requests), "-c", str(CLIENTS), "-m", str(STREAMS), "-d", str(body)]
    argv += ["-N", _PATIENCE]
    for name, value in headers.items():
        argv += ["-H", f"{name}: {value}"]
    ended = subprocess.run([*argv, url], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UnreadableReport(f"h2load ended with {ended.returncode}: {ended.stderr.strip()}")
    return parse(ended.stdout)


def framed(message: bytes) -> bytes:
    """The body of a unary gRPC request: a flag (0, not compressed) and the length in four bytes before it."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def parse(text: str) -> Loaded:
    """Raises UnreadableReport."""
    rate, requests, statuses = (pattern.search(text) for pattern in (_RATE, _REQUESTS, _STATUSES))
    if not (rate and requests and statuses):
        raise UnreadableReport(f"h2load says what we cannot read:\n{text}")
    total = int(requests[1])
    answered = min(int(requests[2]), int(statuses[1]))
    return Loaded(total, total - answered, float(rate[1]))
