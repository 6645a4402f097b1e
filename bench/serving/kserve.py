"""KServe's Python server: grpc.aio beside a server for HTTP, in one process (`servers/kserve_server`).

Its repository of models is asked for each by name, and may load then what it does not know yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.serving.foreign import SERVERS, Foreign
from bench.serving.models import Models
from bench.serving.oip import OipWire
from bench.serving.peer import Wire
from croupierctl.stack_process import free_port


class KServe(Foreign):
    """`level` is what it logs from, `latencies` whether each request's are."""

    home = "kserve"
    tells = ("kserve", "grpcio", "uvloop", "lightgbm")

    def __init__(self, name: str, settings: str, level: str, *, latencies: bool) -> None:
        self.name = name
        self.settings = settings
        self._level = level
        self._latencies = latencies

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        return self.alone(
            str(SERVERS / "kserve_server.py"),
            *("--models", str(models.lightgbm(count)), "--grpc_port", str(port)),
            *("--http_port", str(free_port()), "--enable_latency_logging", str(self._latencies)),
            KSERVE_LOGLEVEL=self._level,
            OMP_NUM_THREADS="1",
        )

    def wire(self, models: Models) -> Wire:
        return OipWire()


PEER = KServe(
    "kserve",
    "one process, uvloop, KSERVE_LOGLEVEL=WARNING, no latency log, async predict, C FastPredict, "
    "num_threads=1",
    "WARNING",
    latencies=False,
)
TRIED = (
    KServe("kserve-defaults", "uvloop, its defaults: two lines in its log a request", "INFO", latencies=True),
)
