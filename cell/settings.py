"""What an operator may set of a cell, with safe defaults; and what follows from it alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cell.residency.policies import POLICIES
from croupier import settings
from croupier.names import check_name
from croupier.settings import InvalidSettings, PeerSettings, ServerSettings, TelemetrySettings, option

_MIB = 2**20
_GIB = 2**30

# Above 0, and not below it.
_POSITIVE = (
    "weight",
    "score_threads",
    "load_slots",
    "load_threads",
    "max_loads",
    "max_rows",
    "max_queued_rows",
    "max_queued_bytes",
    "run_seconds",
    "hang_seconds",
    "batch_target_seconds",
)
_NOT_NEGATIVE = (
    "capacity_bytes",
    "memory_limit_bytes",
    "cache_bytes",
    "churn_guard",
    "load_hang_seconds",
    "handover_seconds",
    "warming_seconds",
)


@dataclass(frozen=True, kw_only=True)
class CellSettings(ServerSettings, PeerSettings, TelemetrySettings):
    """The settings of one cell."""

    id: str = option("cell-0", "this cell's name; it keeps its place in every hand by it")
    zone: str = option("zone-0", "what fails together with this cell")
    weight: float = option(1.0, "its share of tenants against other cells")
    store: str = option(
        "", "object store: file:///folder or s3://bucket/prefix?endpoint=...; empty for the local stack's"
    )
    cache_dir: Path | None = option(
        None, "folder for artifacts, this cell's alone; one in the local stack if unset"
    )
    cache_bytes: int = option(10 * _GIB, "how much of the disk they may take")
    capacity_bytes: int = option(0, "memory for models; 0 for a part of what this process may use")
    memory_limit_bytes: int = option(
        0, "what this process may use; 0 for its control group's or the machine's"
    )
    eviction_policy: str = option("s3-fifo", "which model goes when another needs its room", tuple(POLICIES))
    churn_guard: float = option(
        10.0, "times a load's duration that models are safe from it after a use; 0 for not at all"
    )
    manager: tuple[str, ...] = option(
        ("127.0.0.1:8400",),
        "version managers: host:port[,host:port...]; empty to stay unregistered",
    )
    advertise: str = option("", "host:port at which routers reach this cell; empty for the bound one")
    score_threads: int = option(2, "scoring calls at a time")
    load_slots: int = option(16, "models loading at a time")
    load_threads: int = option(2, "threads that read and build models, at a lower priority than requests")
    max_loads: int = option(16_384, "requests that may wait for models; more are refused")
    max_rows: int = option(1024, "rows or items of one request, and rows of one scoring call")
    max_queued_rows: int = option(65_536, "rows waiting to be scored; more are refused")
    max_queued_bytes: int = option(128 * _MIB, "what waits to be scored, and its answers; more is refused")
    run_seconds: float = option(10.0, "how long one run of a model may take; it is stopped then")
    hang_seconds: float = option(
        5.0, "what a run that is stopped may take to end; then this process ends, and the model is refused"
    )
    load_hang_seconds: float = option(
        60.0, "the same for an engine that loads a model; 0 for as long as it takes"
    )
    batch_target_seconds: float = option(0.02, "what one call of an expensive model may take; sizes follow")
    fetch_seconds: float = option(30.0, "how long the object store may take for an artifact")
    refusal_seconds: float = option(
        900.0, "how long a model that its engine refused is refused at once; half as long for one in use"
    )
    supervise: bool = option(True, "have a parent process that starts this cell again when it crashes")
    handover_seconds: float = option(
        10.0, "how long to serve on until others hold what is hot here, before this cell drains"
    )
    warming_seconds: float = option(
        30.0, "how long to be asked last after a start, while what was hot before it is loaded"
    )
    drain_seconds: float = option(1.0, "how long to keep serving after saying that this cell drains")
    grace_seconds: float = option(10.0, "how long running requests may take at the end")

    def advertised(self, bound: str) -> str:
        """The address that routers get to know, of a cell that is bound to `bound`.

        Raises:
            InvalidSettings: `bound` is every address of this machine, which is none to connect to.
        """
        address = self.advertise or bound
        if address.rpartition(":")[0] in {"", "0.0.0.0", "[::]"}:  # noqa: S104 (refused)
            raise InvalidSettings(
                f"routers cannot connect to {address}: --advertise says where they reach this cell"
            )
        return address

    @property
    def folder(self) -> Path:
        return self.cache_dir or settings.home() / "cache" / self.id

    @property
    def store_url(self) -> str:
        return self.store or f"file://{settings.home() / 'objects'}"

    def check(self) -> None:
        """Raises InvalidName or InvalidSettings, saying which setting is wrong."""
        check_name(self.id, "--id")
        check_name(self.zone, "--zone")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} must be above 0")
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} cannot be below 0")
        self.check_exposure()
        self.check_telemetry(insecure=self.insecure)
