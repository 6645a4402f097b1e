"""Lists of artifacts that are loaded before anybody asks for them.

A few loads of a list run at a time, in the background of the host; a caller that does not wait for all of
them hears what is still loading, and the rest goes on. How much may wait so is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cell.loading.host import Host
from croupier.errors import Unavailable
from croupier.transport.steps import step

_MOST_WAITING = 100_000
_AT_A_TIME = 8
_RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class WarmOptions:
    """How to load: `group` is whose floor it counts for, the others are as `Residency` has them."""

    group: str | None = None
    aged: bool = False
    pin: bool = False
    proven: bool = False


class Warmer:
    """Loads lists of artifacts in the background of `host`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._workers: set[asyncio.Task[None]] = set()
        # Artifacts whose loads have not ended.
        self._waiting = 0

    async def warm(
        self, digests: Sequence[bytes], options: WarmOptions, seconds: float
    ) -> dict[bytes, Exception | None]:
        """Load `digests`; after `seconds`, or when all have ended, what came of each. What is absent goes on.

        Raises:
            Unavailable: too much is loading so.
        """
        wanted = list(dict.fromkeys(digests))
        if self._waiting + len(wanted) > _MOST_WAITING:
            raise Unavailable("too many artifacts are being warmed", retry_after=_RETRY_AFTER)
        self._waiting += len(wanted)
        results: dict[bytes, Exception | None] = {}
        left = iter(wanted)
        workers = [
            asyncio.create_task(self._work(left, options, results), name="warm")
            for _ in range(min(_AT_A_TIME, len(wanted)))
        ]
        for worker in workers:
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        if workers:
            await asyncio.wait(workers, timeout=seconds)
        return dict(results)

    async def close(self) -> None:
        """Give up what is not loaded."""
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(
        self, left: Iterator[bytes], options: WarmOptions, results: dict[bytes, Exception | None]
    ) -> None:
        for digest in left:
            try:
                with step("load"):
                    await self._host.warm(
                        digest,
                        group=options.group,
                        aged=options.aged,
                        proven=options.proven,
                        pin=options.pin,
                    )
                results[digest] = None
            except Exception as error:  # noqa: BLE001 (it is this artifact's result)
                results[digest] = error
            finally:
                self._waiting -= 1
