"""The last word about shares on disk: it comes back whole, or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.fakes import metric
from support.waiting import eventually

from protos.versions.v1.versions_pb2 import ReportRouterResponse, TenantShare
from router import kept_shares
from router.kept_shares import KeptShares, path_of, read_if_good


def answer(routers: int, *shares: float) -> ReportRouterResponse:
    told = [TenantShare(tenant=f"tenant-{number}", share=share) for number, share in enumerate(shares)]
    return ReportRouterResponse(routers=routers, shares=told, rates_unknown=True)


async def kept(path: Path, *heard: ReportRouterResponse) -> None:
    shares = KeptShares(path, rest=0.0)
    running = asyncio.create_task(shares.run())
    try:
        for one in heard:
            shares.hear(one)
        last = heard[-1]

        def is_there() -> bool:
            found = read_if_good(path)
            return found is not None and found.routers == last.routers

        await eventually(is_there, "the file")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_it_lies_beside_the_snapshot(tmp_path: Path) -> None:
    assert path_of(tmp_path / "router.snapshot") == tmp_path / "router.snapshot.shares"


async def test_what_was_heard_last_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shares"
    assert read_if_good(path) is None
    await kept(path, answer(2, 0.5), answer(3, 0.25, 0.75))
    assert read_if_good(path) == ReportRouterResponse(routers=3, shares=answer(3, 0.25, 0.75).shares)
    await kept(path, answer(4))
    assert read_if_good(path) == ReportRouterResponse(routers=4)


async def test_of_very_many_tenants_the_first_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_shares, "MOST", 2)
    await kept(tmp_path / "shares", answer(3, 0.1, 0.2, 0.3))
    found = read_if_good(tmp_path / "shares")
    assert found is not None
    assert [one.share for one in found.shares] == [0.1, 0.2]


@pytest.mark.parametrize("damaged", [b"", b"croupier-router-shares 1\n damaged", b"something else\n"])
def test_a_damaged_file_is_counted_and_ignored(tmp_path: Path, damaged: bytes) -> None:
    path, before = tmp_path / "shares", metric("croupier_router_bad_shares_total")
    path.write_bytes(damaged)
    assert read_if_good(path) is None
    assert metric("croupier_router_bad_shares_total") == before + 1


async def test_a_disk_that_takes_nothing_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "shares"
    path.parent.write_text("a file where a folder should be")
    shares = KeptShares(path, rest=0.0)
    running = asyncio.create_task(shares.run())
    shares.hear(answer(2))
    await eventually(lambda: not shares._is_new.is_set(), "the attempt")
    path.parent.unlink()

    async def is_written() -> bool:
        shares.hear(answer(3))
        found = read_if_good(path)
        return found is not None and found.routers == 3

    await eventually(is_written, "the file")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
