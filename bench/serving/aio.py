"""What one would write oneself in Python: grpc.aio, uvloop and a library (`aio_server`)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.serving.models import Models
from bench.serving.oip import OipWire
from bench.serving.peer import Peer, Wire, ours


class Aio(Peer):
    """`library` is the distribution that scores, `asked` what `aio_server` calls the way in which it does."""

    def __init__(self, name: str, library: str, settings: str, asked: str = "") -> None:
        self.name = name
        self.settings = settings
        self._library = library
        self._asked = asked or library

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return ", ".join(f"{each} {version(each)}" for each in ("grpcio", "uvloop", self._library))

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        folder = models.onnx(count) if self._library == "onnxruntime" else models.lightgbm(count)
        return ours("bench.serving.aio_server", self._asked, str(folder), f"127.0.0.1:{port}")

    def wire(self, models: Models) -> Wire:
        return OipWire()


PLAIN = Aio("plain", "lightgbm", "one process, uvloop, Booster.predict, num_threads=1")
FASTPREDICT = Aio(
    "plain-fastpredict",
    "lightgbm",
    "tuned: the same, its rows scored by LightGBM's C FastPredict through ctypes",
    "fastpredict",
)
ONNXRUNTIME = Aio(
    "onnxruntime", "onnxruntime", "one process, uvloop, intra_op = inter_op = 1, no arena, no memory pattern"
)
