"""What a server of models is to this bench: how it is started, and how it is asked.

A peer is an object of a class derived from `Peer`, in a file of its own, listed in `known`. The bench starts
it anew for every turn, pinned to one core with all of its processes, and ends the whole family then. So:

- `argv` starts it in the foreground: whatever it starts itself stays its descendant, and is measured with it;
- a peer with an environment of its own says `alone(python, ...)`, which keeps ours out of it;
- it takes the models `m0` to `m{count - 1}`, loads each when it is first asked for if it can, and keeps all;
- it is told to use one thread, and whatever else its documentation recommends: `settings` says it in words;
- it is asked over gRPC, in the Open Inference Protocol (`oip.OipWire`) or the closest that it has (`Wire`).
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from bench.engine_models import Array
from bench.serving.models import Models

ROOT = Path(__file__).resolve().parents[2]
# Where `make serving-peers` installs: a folder for each.
INSTALLED = ROOT / ".venv-peers/serving"

Kind = Literal["ours", "python", "native"]
Headers = tuple[tuple[bytes, bytes], ...]


class Wire(Protocol):
    """How one row is asked for: a unary call over gRPC."""

    @property
    def path(self) -> str:
        """/package.Service/Method"""
        ...

    def message(self, number: int, row: Array) -> bytes:
        """What asks model `number` for `row`, float32 (features,)."""
        ...

    def headers(self, number: int) -> Headers:
        """Metadata of that call, names in lower case."""
        ...

    def prediction(self, answer: bytes) -> float:
        """The probability of the second class. Raises ValueError (or protobuf's DecodeError): it has none."""
        ...


class Peer(ABC):
    """`kind` says whose it is; `settings`, what was set, in the words of a table's cell.

    `start_seconds` is how long it may take until it is ready. One that has loaded all models by then says
    `loads_ahead`: it has no cold loads that a caller could see. One that `grows` finds a model when it is
    asked for it, and takes nothing for it before.
    """

    name: str
    settings: str
    kind: Kind = "python"
    loads_ahead: bool = False
    grows: bool = True
    start_seconds: float = 120.0

    @abstractmethod
    def missing(self) -> str:
        """What is not installed; empty if all is."""

    @abstractmethod
    def version(self) -> str:
        """Of all that serves, in words: `ray 2.60.0, lightgbm 4.7.0`."""

    @abstractmethod
    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        """What to run to serve so many models on 127.0.0.1:`port`; may write below the folder `home`."""

    @abstractmethod
    def wire(self, models: Models) -> Wire: ...


def ours(module: str, *arguments: str) -> list[str]:
    """A module of this tree in this environment."""
    return [sys.executable, "-m", module, *arguments]


def environment(name: str) -> Path:
    """The Python of the environment that was made of requirements/serving-NAME.txt."""
    return INSTALLED / name / "bin/python"


def alone(python: Path, *arguments: str, **variables: str) -> list[str]:
    """A Python of another environment, with nothing of ours on its path and these environment variables."""
    told = [f"{name}={value}" for name, value in variables.items()]
    return ["env", "-u", "PYTHONPATH", "-u", "PYTHONHOME", *told, str(python), *arguments]
