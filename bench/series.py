"""Benches one after the other, into the results that pages quote: `make bench`, `bench-front`, `bench-all`.

`front` is what the README shows, small enough for ten minutes on two cores; `standard` shows each part of the
system, in less than half an hour; `all` is every bench in its full size, which takes hours and gigabytes of
disk. A result is replaced when its bench has ended well, so what fails, or is interrupted, leaves the one
from before. Then pages are written anew.

What a series measured is kept together as well, in a folder of its day and commit: runs of two commits can be
laid beside each other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import h2load, report
from bench.engine_peers import PEERS as ENGINES
from bench.peers.known import PEERS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench/results"
# So much of a core that others use is worth a word.
_QUIET = 0.2


@dataclass(frozen=True, slots=True)
class Run:
    """`python -m bench NAME ARGUMENTS`; about how many `minutes` it takes on two cores."""

    name: str
    minutes: float
    arguments: Sequence[str] = ()

    @property
    def argv(self) -> list[str]:
        return [self.name, *self.arguments]


_CELL = Run("cell", 1, ["--requests", "30000"])
_ENGINES = Run(
    "engines", 2, ["--model", "forest-50x5", "--model", "linear-20", "--copies", "500", "--rotated", "5000"]
)

SERIES = {
    "front": (
        Run("demo", 2),
        _CELL,
        _ENGINES,
        Run(
            "route",
            4,
            [
                *("--cells", "4,64,256", "--payload", "64", "--payload", "65536"),
                *("--requests", "15000", "--seconds", "1"),
            ],
        ),
    ),
    "standard": (
        _CELL,
        _ENGINES,
        Run("route", 3, ["--cells", "4,64", "--payload", "64", "--requests", "15000", "--seconds", "1"]),
        Run("harness", 1),
        Run("serving", 7, ["--counts", "10,1000", "--rounds", "2", "--seconds", "2"]),
        Run("system", 7, ["--models", "30000", "--requests", "60000", "--rounds", "1", "--seconds", "3"]),
        Run(
            "fair",
            5,
            [*(f"--part={part}" for part in ("rate", "cold", "large", "slow", "streams")), "--rounds", "5"],
        ),
        Run("features", 2, ["--rounds", "3", "--tenants", "100"]),
        Run("storm", 1, ["--rounds", "1"]),
    ),
    "all": (
        Run("demo", 2),
        Run("outage", 2),
        Run("placement", 1),
        Run("cell", 3),
        Run("engines", 15),
        Run("route", 25, ["--cells", "4,16,64,256", "--tls"]),
        Run("storm", 3),
        Run("hostile", 8),
        Run("features", 6),
        Run("log", 6),
        Run("policies", 30),
        Run("residency", 60),
        Run("serving", 12),
        Run("system", 40),
        Run("fair", 25),
        Run("harness", 1),
        Run("minutes", 20),
    ),
}

Act = Callable[[Sequence[str]], int]


def run(name: str, results: Path = RESULTS, act: Act | None = None) -> bool:
    """Run the series `name` and write pages; false if a peer is missing, or as soon as a bench fails."""
    act = act or _python
    if missing := lacking():
        report.step(f"not installed: {', '.join(missing)}; run `make peers`")
        return False
    series = SERIES[name]
    said = ", ".join(f"{one.name} {one.minutes:g}" for one in series)
    report.step(f"about {sum(one.minutes for one in series):g} minutes: {said}")
    if (busy := os.getloadavg()[0]) > _QUIET:
        report.step(f"others keep {busy:.1f} cores busy: what is measured now says more of them than of us")
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=results) as folder:
        for one in series:
            report.step(f"python -m bench {' '.join(one.argv)}")
            written = Path(folder) / f"{one.name}.json"
            if act(["-m", "bench", *one.argv, "--json", str(written)]) or not written.exists():
                report.step(f"{one.name} FAILED; its result is the one from before")
                return False
            _keep(written, results)
            written.replace(results / written.name)
    return not act(["docs/generate"])


def _keep(written: Path, results: Path) -> None:
    about = json.loads(written.read_text())["about"]
    folder = results / f"{about['date']}-{about['commit']}"
    folder.mkdir(exist_ok=True)
    shutil.copy(written, folder)


def lacking() -> list[str]:
    """What the benches compare with, or measure by, and is not there."""
    found = {name: bool(peer.binary) for name, peer in PEERS.items()}
    found |= {name: peer.is_installed() for name, peer in ENGINES.items()}
    found["h2load"] = h2load.find() is not None
    return [name for name, is_there in found.items() if not is_there]


def _python(arguments: Sequence[str]) -> int:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode
