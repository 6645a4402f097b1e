"""The process: one for a spool, ready when it follows it, and nothing is left at its end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.spooled import SEGMENT, WIDE, artifact, item, write

from croupier.lifecycle import Lifecycle
from croupier.stores.objects import open_store
from croupier.stores.spool_folder import Spool
from logger.app import SpoolTaken, serve
from logger.settings import LoggerSettings


def settings(tmp_path: Path, **changes: Any) -> LoggerSettings:
    return LoggerSettings(
        spool=tmp_path / "spool",
        store=f"file://{tmp_path / 'objects'}",
        log=f"file://{tmp_path / 'log'}",
        **changes,
    )


class Running:
    """A logger in this process."""

    def __init__(self, settings: LoggerSettings) -> None:
        self.life = Lifecycle()
        self._serving = serve(self.life, settings)
        self._ready = asyncio.Event()
        self.life.ready = lambda line: self._ready.set()  # type: ignore[method-assign]

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._serving)
        await asyncio.wait(
            [self._task, asyncio.ensure_future(self._ready.wait())], return_when=asyncio.FIRST_COMPLETED
        )

    async def __aexit__(self, *_: object) -> None:
        self.life.stop()
        await self._task


async def test_what_is_there_at_the_end_is_written(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path / 'objects'}") as store:
        await store.put(artifact(WIDE))
    writer = Spool(tmp_path / "spool", "a", 20 * SEGMENT, SEGMENT)
    async with Running(settings(tmp_path)):
        write(writer, item(values=(1.0, 2.0, 3.0)))
    writer.close()
    (found,) = (tmp_path / "log").rglob("*.parquet")
    assert found.stat().st_mode & 0o777 == 0o600
    assert str(found.relative_to(tmp_path)).startswith("log/family=churn/date=2026-11-27/hour=12/")


async def test_a_spool_has_one_logger(tmp_path: Path) -> None:
    async with Running(settings(tmp_path)):
        with pytest.raises(SpoolTaken):
            await serve(Lifecycle(), settings(tmp_path))
