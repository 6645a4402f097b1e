"""From a digest to a scorer: local disk, else object store; checked; then the engine's work.

The way of one load is on one screen; the host decides which loads run, how many at a time, and
where the room comes from. A cell needs nobody but the object store for this: the digest in the
request is the address there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

from cell.diskcache import DiskCache
from cell.engines import ArtifactRefused, Engine, Engines, Scorer
from croupier.artifacts.format import Artifact, InvalidArtifact, view
from croupier.errors import Unavailable
from croupier.stores.objects import ObjectStore
from croupier.telemetry.metrics import Histogram

_FETCH_SECONDS = Histogram("croupier_cell_fetch_seconds", "Time to fetch an artifact from the object store")
_BUILD_SECONDS = Histogram("croupier_cell_build_seconds", "Time of an engine to make an artifact ready")

# Makes room for so many bytes, or raises.
MakeRoom = Callable[[int], None]


class Loader:
    """Loads artifacts; engines work in the threads of `pool`."""

    def __init__(
        self,
        store: ObjectStore,
        disk: DiskCache,
        engines: Engines,
        pool: Executor,
        *,
        fetch_timeout: float = 30.0,
    ) -> None:
        self._store = store
        self._disk = disk
        self._engines = engines
        self._pool = pool
        self._fetch_timeout = fetch_timeout

    async def load(self, digest: bytes, make_room: MakeRoom) -> Scorer:
        """The model of `digest`, ready to score; `make_room` is called before memory is taken for it.

        Raises:
            NotFound: the object store has no such artifact.
            DataLoss: what it has does not match the digest.
            Unavailable: it cannot be reached in time.
            FailedPrecondition: the artifact is refused, or no engine here loads it.
            And what `make_room` raises.
        """
        artifact = _check(await self._fetch(digest))
        engine = self._engines.get(artifact.engine)
        make_room(engine.estimate(artifact))
        return await self._build(engine, artifact, digest)

    async def _fetch(self, digest: bytes) -> bytes:
        data = await self._disk.get(digest)
        if data is not None:
            return data
        with _FETCH_SECONDS.time():
            try:
                async with asyncio.timeout(self._fetch_timeout):
                    data = await self._store.get(digest)
            except TimeoutError as error:
                raise Unavailable("the object store does not answer", reason="STORE_TIMEOUT") from error
        await self._disk.put(digest, data)
        return data

    async def _build(self, engine: Engine, artifact: Artifact, digest: bytes) -> Scorer:
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        scorer = await loop.run_in_executor(self._pool, engine.load, artifact, digest)
        _BUILD_SECONDS.observe(time.perf_counter() - began)
        return scorer


def _check(data: bytes) -> Artifact:
    try:
        return view(data)
    except InvalidArtifact as error:
        raise ArtifactRefused(error.message) from error
