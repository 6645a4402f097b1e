"""The last word about shares, on disk: a router that starts without a manager keeps to its part of limits.

Without it each router that starts then takes the whole of every limit. It is as old as the snapshot beside
it, and holds like all that was heard last: until a manager says something else.

A sealed file (`croupier/sealed.py`) of a manager's answer: how many routers there are, and the parts that are
not equal. Of more than `MOST` tenants the others have an equal part. One that is damaged is refused, counted
and ignored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from croupier.sealed import CorruptFile, read_sealed, write_sealed
from croupier.telemetry.metrics import Counter
from protos.versions.v1.versions_pb2 import ReportRouterResponse

_log = logging.getLogger(__name__)
_BAD = Counter("croupier_router_bad_shares_total", "Files of shares that were refused")

MOST = 2**14
_MAGIC = b"croupier-router-shares 1\n"
# Traffic moves all the time, and a share that is some seconds old is as good.
_REST_SECONDS = 10.0


def path_of(snapshot: Path) -> Path:
    return snapshot.with_name(f"{snapshot.name}.shares")


def read_if_good(path: Path) -> ReportRouterResponse | None:
    """What was heard last; None, with a line in the log if it is damaged, where there is nothing."""
    try:
        return ReportRouterResponse.FromString(bytes(read_sealed(path, _MAGIC)))
    except FileNotFoundError:
        return None
    except (CorruptFile, DecodeError, OSError) as error:
        _BAD.inc()
        _log.error("the shares of limits are ignored: %s", error)
        return None


class KeptShares:
    """Writes what was heard last to `path`, and then rests."""

    def __init__(self, path: Path, *, rest: float = _REST_SECONDS) -> None:
        self._path = path
        self._rest = rest
        self._heard: ReportRouterResponse | None = None
        self._is_new = asyncio.Event()

    def hear(self, answer: ReportRouterResponse) -> None:
        """A share is another now than was heard before."""
        self._heard = answer
        self._is_new.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._is_new.wait()
            self._is_new.clear()
            assert self._heard is not None
            try:
                await asyncio.to_thread(write_sealed, self._path, _MAGIC, _encoded(self._heard))
            except OSError as error:
                _log.error("the shares of limits could not be written: %s", error)
            await asyncio.sleep(self._rest)


def _encoded(heard: ReportRouterResponse) -> Iterator[bytes]:
    kept = ReportRouterResponse(routers=heard.routers, shares=heard.shares[:MOST])
    yield kept.SerializeToString()
