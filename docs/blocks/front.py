"""The README's table: what others take to what we take, where we lose as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blocks.results import Result, machine, number, only, result, table, version

_US = "croupier"


@dataclass(frozen=True, slots=True)
class Compared:
    """Microseconds of CPU for the same work; `failed` says whose work was not all done."""

    ours: float
    theirs: float
    failed: str = ""

    def said(self) -> str:
        """Below 1 we lose."""
        ratio = self.theirs / self.ours
        notes = [note for note in ("we lose" if ratio < 1 else "", self.failed) if note]
        return f"{number(ratio)}×" + (f" ({'; '.join(notes)})" if notes else "")


@dataclass(frozen=True, slots=True)
class Line:
    """`version` is the name that the peer's has in the result of the bench."""

    work: str
    peer: str
    bench: str
    version: str
    compare: Callable[[Result], Compared]


def _proxied(peer: str, payload: int, cells: int) -> Callable[[Result], Compared]:
    """A request, of all models and tenants in turn, plaintext, with as many upstreams as there are cells."""

    def compare(found: Result) -> Compared:
        ours, theirs = (
            only(found["rows"], who=who, cells=cells, payload=payload, tls=False, items=None)
            for who in (_US, peer)
        )
        failed = [
            f"{row['failures'] / row['requests']:.1%} of the requests through {row['who']} failed"
            for row in (ours, theirs)
            if row["failures"]
        ]
        key = "rotating_cpu_us_per_request"
        return Compared(ours[key], theirs[key], "; ".join(failed))

    return compare


def _served(found: Result) -> Compared:
    """A request of one row."""
    ours, theirs = (only(found[which], rows_per_request=1) for which in ("rows", "plain"))
    return Compared(ours["cpu_us_per_request"], theirs["cpu_us_per_request"])


def _scored(engine: str, model: str) -> Callable[[Result], Compared]:
    """A row, of models in turn, so that none is in a cache."""

    def compare(found: Result) -> Compared:
        ours, theirs = (only(found["rows"], engine=who, model=model) for who in (_US, engine))
        return Compared(ours["rotating_us"], theirs["rotating_us"])

    return compare


def _proxying(name: str, peer: str, payload: int = 64, cells: int = 4) -> Line:
    work = f"proxying requests of {payload:,} B to {cells} cells"
    return Line(work, name, "route", peer, _proxied(peer, payload, cells))


LINES = (
    _proxying("HAProxy", "haproxy"),
    _proxying("HAProxy", "haproxy-debian"),
    _proxying("nginx", "nginx"),
    _proxying("Envoy", "envoy"),
    _proxying("nginx", "nginx", payload=65_536),
    _proxying("HAProxy", "haproxy-debian", cells=64),
    _proxying("HAProxy", "haproxy-debian", cells=256),
    Line("serving requests of one row", "grpc.aio and LightGBM", "cell", "lightgbm", _served),
    Line("scoring rows, 50 trees", "LightGBM", "engines", "lightgbm", _scored("lightgbm", "forest-50x5")),
)


def table_of_ratios() -> str:
    """A row a line; below it the commands and machines, each once."""
    rows, runs = [], {}
    for line in LINES:
        found = result(line.bench)
        about = found["about"]
        compared = line.compare(found)
        bench = f"[`{line.bench}`](docs/benchmarks.md#{line.bench})"
        texts = [line.work, f"{line.peer} {version(about, line.version)}", bench, about["date"]]
        rows.append([*texts, number(compared.ours), number(compared.theirs), compared.said()])
        runs[line.bench] = f"- `{line.bench}`: `{about['command']}` on {machine(about)}\n"
    head = ["work", "peer", "bench", "date", "ours, µs", "the peer's, µs", "ratio"]
    return table(head, rows, texts=4) + "\n" + "".join(runs.values())
