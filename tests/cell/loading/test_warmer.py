"""Lists of artifacts that are loaded in advance."""

from __future__ import annotations

import asyncio

import pytest
from support.cells import digest

from cell.loading import warmer
from cell.loading.warmer import Warmer, WarmOptions
from croupier.errors import NotFound, Unavailable

A, B, C = map(digest, "abc")


class Host:
    """Loads what is not among `held` at once; of those each waits for its turn."""

    def __init__(self) -> None:
        self.held: dict[bytes, asyncio.Event] = {}
        self.asked: list[tuple[bytes, str | None, bool, bool, bool]] = []

    async def warm(self, digest: bytes, *, group: str | None, aged: bool, proven: bool, pin: bool) -> None:
        self.asked.append((digest, group, aged, proven, pin))
        if digest in self.held:
            await self.held[digest].wait()
        if digest == C:
            raise NotFound("no such artifact")


async def test_each_is_loaded_once_and_as_it_was_asked_for() -> None:
    host = Host()
    results = await Warmer(host).warm([A, B, A], WarmOptions("g", aged=True, pin=True), 1.0)  # type: ignore[arg-type]
    assert results == {A: None, B: None}
    assert host.asked == [(A, "g", True, False, True), (B, "g", True, False, True)]


async def test_what_fails_is_its_own_result() -> None:
    results = await Warmer(Host()).warm([C, A], WarmOptions(), 1.0)  # type: ignore[arg-type]
    assert results[A] is None
    assert isinstance(results[C], NotFound)


async def test_what_is_not_there_in_time_is_absent_and_goes_on() -> None:
    host = Host()
    host.held[A] = asyncio.Event()
    loading = Warmer(host)  # type: ignore[arg-type]
    assert A not in await loading.warm([A, B], WarmOptions(), 0.0)
    host.held[A].set()
    assert await loading.warm([A, B], WarmOptions(), 1.0) == {A: None, B: None}


async def test_so_much_waits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmer, "_MOST_WAITING", 2)
    host = Host()
    host.held[A] = asyncio.Event()
    loading = Warmer(host)  # type: ignore[arg-type]
    await loading.warm([A], WarmOptions(), 0.0)
    with pytest.raises(Unavailable):
        await loading.warm([B, C], WarmOptions(), 0.0)
    await loading.close()
    await loading.warm([B, C], WarmOptions(), 1.0)
