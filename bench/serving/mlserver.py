"""MLServer with a runtime of one's own (`servers/mlserver_runtime`), all models loaded before it is ready.

It has no loading on first use: a model is loaded at the start, or when its repository's API is told to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.serving.foreign import Foreign
from bench.serving.models import Models
from bench.serving.oip import OipWire
from bench.serving.peer import Wire
from croupierctl.stack_process import free_port

_RUNTIME = "mlserver_runtime.ForestRuntime"


class MlServer(Foreign):
    """`options` are settings of the server."""

    home = "mlserver"
    tells = ("mlserver", "grpcio", "uvloop", "lightgbm")
    loads_ahead = True
    grows = False

    def __init__(self, name: str, settings: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.settings = settings
        self._options = options

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        texts = models.lightgbm(count)
        folder = home / "models"
        for number in range(count):
            of_model = folder / f"m{number}"
            of_model.mkdir(parents=True)
            said = model_settings(f"m{number}", texts / f"m{number}.txt")
            (of_model / "model-settings.json").write_text(json.dumps(said))
        said = {
            **self._options,
            "host": "127.0.0.1",
            "grpc_port": port,
            "http_port": free_port(),
            "metrics_port": free_port(),
            "metrics_dir": str(home),
            "environments_dir": str(home),
        }
        (folder / "settings.json").write_text(json.dumps(said))
        return self.alone("-m", "mlserver.cli.main", "start", str(folder), OMP_NUM_THREADS="1")

    def wire(self, models: Models) -> Wire:
        return OipWire()


def model_settings(name: str, text: Path) -> dict[str, Any]:
    """What MLServer is told of the model that lies in `text`."""
    return {"name": name, "implementation": _RUNTIME, "parameters": {"uri": str(text)}}


PEER = MlServer(
    "mlserver",
    "no parallel workers, uvloop, no debug, no metrics, runtime without codecs, C FastPredict, num_threads=1",
    {"parallel_workers": 0, "debug": False, "metrics_endpoint": None},
)
TRIED = (MlServer("mlserver-defaults", "its defaults: one parallel worker, access log, metrics", {}),)
