"""The logger's process: builds its parts, follows the spool, writes what is left at its end."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

from croupier import malloc
from croupier.errors import FailedPrecondition
from croupier.files import open_regular, own_folder
from croupier.lifecycle import Lifecycle, run
from croupier.settings import load
from croupier.stores.objects import open_blobs, open_store
from croupier.telemetry import logs, page
from croupier.telemetry.admin import Admin
from logger.batches import Log
from logger.files import KINDS
from logger.follow import Follower
from logger.hiding import Hiding
from logger.settings import LoggerSettings
from logger.signatures import Signatures
from logger.threads import Threads

_log = logging.getLogger(__name__)

PROGRAM = "croupier-logger"
_LOCK = "logger.lock"


class SpoolTaken(FailedPrecondition):
    """Another logger follows this spool. The operator's."""

    reason = "SPOOL_TAKEN"


async def serve(life: Lifecycle, settings: LoggerSettings) -> None:
    """Follow the spool until `life` is told to stop.

    Raises:
        InvalidSettings, SpoolTaken, DataLoss, OSError
    """
    settings.check()
    key = settings.read_key()
    admin = Admin()
    admin.ready = lambda: "it begins"
    async with AsyncExitStack() as stack:
        port = page.serve(settings.metrics_listen, admin)
        own_folder(settings.spool_folder)
        stack.enter_context(_alone(settings.spool_folder))
        threads = Threads()
        stack.callback(threads.close)
        threads.hurry(False)
        store = await stack.enter_async_context(open_store(settings.store_url))
        blobs = await stack.enter_async_context(open_blobs(settings.log_url))
        log = Log(
            settings.spool_folder,
            blobs,
            Signatures(store),
            KINDS[settings.sink](),
            Hiding(key),
            most_bytes=settings.file_bytes,
            aside_bytes=settings.undecodable_bytes,
            put_seconds=settings.put_seconds,
        )
        follower = Follower(
            log,
            flush_seconds=settings.flush_seconds,
            poll_seconds=settings.poll_seconds,
            clock=time.monotonic,
            rng=Random(),  # noqa: S311 - spreads load, keeps no secret
            hurry=threads.hurry,
        )
        admin.ready = lambda: "it is stopping" if life.stopping else follower.why_not
        task = life.spawn(follower.run(), "the follower")
        life.ready(f"{PROGRAM} on {settings.metrics_listen.rpartition(':')[0]}:{port}")
        await life.stopped()
        follower.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.grace_seconds):
                await task
                await follower.turn(at_once=True)


@contextmanager
def _alone(spool: Path) -> Iterator[None]:
    lock = open_regular(spool / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SpoolTaken(f"another logger follows {spool}") from error
    finally:
        os.close(lock)


def main() -> int:
    """The command `croupier-logger`."""
    malloc.give_back_what_is_freed()
    settings = load(LoggerSettings, PROGRAM)
    logs.configure(PROGRAM, settings.log_level, settings.log_format)
    return run(lambda life: serve(life, settings))


if __name__ == "__main__":
    sys.exit(main())
