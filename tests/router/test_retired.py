"""Catalogs are let go of once nobody reads them, and not all at once."""

from __future__ import annotations

import asyncio
import sys

from support.fakes import model
from support.waiting import eventually

from router.retired import Retired
from version_manager.model.catalog import Catalog


async def test_a_catalog_is_let_go_of_bit_by_bit_when_nobody_reads_it() -> None:
    asked = asyncio.Event()

    async def rest() -> None:
        asked.set()
        await asyncio.sleep(0)

    retired = Retired(rest, few=39)
    catalog = Catalog.build(models=[model(tenant=f"t{number}") for number in range(40)])
    record = next(catalog.records())
    # Here, in the catalog, and what counts.
    assert sys.getrefcount(record) == 3
    retired.take(catalog)
    await asked.wait()
    assert len(retired) == 1
    assert sys.getrefcount(record) == 3
    del catalog
    await eventually(lambda: not len(retired), "the end")
    assert sys.getrefcount(record) == 2
    retired.take(Catalog.build(models=[model(tenant=f"t{number}") for number in range(39)]))
    assert len(retired) == 0
