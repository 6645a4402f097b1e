"""An engine whose code is imported with its first artifact, in the thread that loads it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cell.engines import Engine, Scorer
from croupier.artifacts.format import Artifact


class LateEngine:
    """`make` imports and makes the engine; it is called once."""

    only_copies = False

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._made: Engine | None = None

    def estimate(self, artifact: Artifact) -> int:
        """As the engine's."""
        return self._engine().estimate(artifact)

    def load(self, artifact: Artifact, digest: bytes | None = None) -> Scorer:
        """As the engine's."""
        return self._engine().load(artifact, digest)

    def _engine(self) -> Engine:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made
