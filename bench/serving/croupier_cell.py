"""One of our cells, without a router: it is told the artifact by each request, as a router would tell it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.engine_models import Array
from bench.population import asking
from bench.serving.models import Models
from bench.serving.oip import OipWire
from bench.serving.peer import Kind, Peer, Wire, ours
from protos.inference.v2 import inference_pb2 as pb


class CroupierCell(Peer):
    name = "croupier"
    kind: Kind = "ours"
    settings = "one cell, its defaults, models in a file store"

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return f"croupier {version('croupier')}"

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        return ours(
            "cell.app",
            *("--listen", f"127.0.0.1:{port}", "--manager", "", "--log-level", "error"),
            *("--store", f"file://{models.objects(count)}", "--cache-dir", str(home / "cache")),
        )

    def wire(self, models: Models) -> Wire:
        return _CellWire(models)


class _CellWire(OipWire):
    def __init__(self, models: Models) -> None:
        self._models = models

    def message(self, number: int, row: Array) -> bytes:
        head = pb.ModelInferRequest(
            model_name=f"m{number}", model_version="1", artifact=self._models.digest(number)
        )
        return head.SerializeToString() + asking(row.reshape(1, -1))


PEER = CroupierCell()
