"""The README's table: what every peer takes to what we take, where we lose as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blocks.results import Result, machine, number, result, table, version

_US = "croupier"
_NAMES = {
    "envoy": "Envoy",
    "haproxy": "HAProxy",
    "nginx": "nginx",
    "lightgbm": "LightGBM",
    "onedal": "oneDAL",
    "tl2cgen": "TL2cgen",
    "treelite": "Treelite",
    "xgboost": "XGBoost",
    "onnxruntime": "ONNX Runtime",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Microseconds of CPU for the same work, and the share of its work that failed."""

    name: str
    us: float
    failed: float = 0.0

    def beside(self, ours: float) -> str:
        """Its ratio to `ours` in words: below 1 we lose."""
        ratio = self.us / ours
        notes = [f"{number(ratio)}×"]
        notes += ["we lose"] if ratio < 1 else []
        notes += [f"{self.failed:.0%} failed"] if self.failed else []
        return f"{self.name}: {number(self.us)} ({', '.join(notes)})"


# Our microseconds, and every peer.
Compared = tuple[float, list[Peer]]


@dataclass(frozen=True, slots=True)
class Line:
    work: str
    bench: str
    compare: Callable[[Result], Compared]


def proxied(payload: int, cells: int) -> Callable[[Result], Compared]:
    """Requests of all models and tenants in turn, plaintext, before as many upstreams as there are cells."""

    def compare(found: Result) -> Compared:
        load = {"payload": payload, "cells": cells, "tls": False}
        rows = [row for row in found["rows"] if "items" not in row and load.items() <= row.items()]
        key = "rotating_cpu_us_per_request"
        (ours,) = (row[key] for row in rows if row["who"] == _US)
        return ours, [
            Peer(_name(found, row["who"]), row[key], row["failures"] / row["requests"])
            for row in rows
            if row["who"] != _US
        ]

    return compare


def served(found: Result) -> Compared:
    """Requests of one row."""
    ours, theirs = (
        next(row["cpu_us_per_request"] for row in found[which] if row["rows_per_request"] == 1)
        for which in ("rows", "plain")
    )
    about = found["about"]
    name = f"grpc.aio {version(about, 'grpcio')} with LightGBM {version(about, 'lightgbm')}'s FastPredict"
    return ours, [Peer(name, theirs)]


def scored(model: str) -> Callable[[Result], Compared]:
    """Rows of models in turn, so that none is in a cache."""

    def compare(found: Result) -> Compared:
        times = {row["engine"]: row["rotating_us"] for row in found["rows"] if row["model"] == model}
        peers = [Peer(_name(found, who), us) for who, us in times.items() if not who.startswith(_US)]
        return times[_US], peers

    return compare


def _name(found: Result, peer: str) -> str:
    """As people write it, with the version that was measured, where the result has that."""
    name = _NAMES.get(peer.removesuffix("-debian"), peer)
    about = found["about"]
    return f"{name} {version(about, peer)}" if peer in about["versions"] else name


LINES = (
    *(
        Line(f"a request of {payload:,} B proxied to one of {cells} cells", "route", proxied(payload, cells))
        for payload, cells in ((64, 4), (64, 64), (64, 256), (65_536, 4))
    ),
    Line("a request of one row answered, 50 trees", "cell", served),
    Line("a row scored, 50 trees", "engines", scored("forest-50x5")),
)


def table_of_ratios() -> str:
    """A row a line, its best peer first; below it commands and machines, each once."""
    rows: list[list[str]] = []
    runs: dict[str, dict[str, None]] = {}
    for line in LINES:
        found = result(line.bench)
        about = found["about"]
        ours, peers = line.compare(found)
        said = "; ".join(peer.beside(ours) for peer in sorted(peers, key=lambda peer: peer.us))
        bench = f"[`{line.bench}`](docs/benchmarks.md#{line.bench})"
        rows.append([line.work, number(ours), said, bench, about["date"]])
        runs.setdefault(machine(about), {})[f"`{about['command']}`"] = None
    head = ["work", "ours, µs", "peers, µs, and what they take to what we take", "bench", "date"]
    measured = [f"Measured by {', '.join(commands)} on {where}.\n" for where, commands in runs.items()]
    return table(head, rows, texts=5) + "\n" + "\n".join(measured)
