"""The strongest that one could write oneself: gRPC in C++, LightGBM's C interface (`native/server.cc`)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.serving.models import Models
from bench.serving.oip import OipWire
from bench.serving.peer import INSTALLED, Kind, Peer, Wire

_BINARY = INSTALLED / "native/server"


class Native(Peer):
    name = "native"
    kind: Kind = "native"
    settings = (
        "C++, one completion queue and thread, messages used again, GRPC_ARG_MINIMAL_STACK, tcmalloc, "
        "FastPredict, num_threads=1, -O3 -march=native"
    )

    def missing(self) -> str:
        return "" if _BINARY.exists() else "the server in C++"

    def version(self) -> str:
        said = subprocess.run([_BINARY, "--version"], capture_output=True, text=True, check=True).stdout
        return f"{said.strip()}, lightgbm {version('lightgbm')}"

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        # LightGBM brings OpenMP, whose threads would be of no use.
        run = [str(_BINARY), str(models.lightgbm(count)), f"127.0.0.1:{port}"]
        return ["env", "OMP_NUM_THREADS=1", "GRPC_POLL_STRATEGY=epoll1", *run]

    def wire(self, models: Models) -> Wire:
        return OipWire()


PEER = Native()
