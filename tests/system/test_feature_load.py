"""A load into a real Redis that is killed, and goes on from where it was."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pyarrow
import pytest
from pyarrow import parquet
from support.redis import RedisServer
from support.waiting import eventually

pytestmark = pytest.mark.system
ROWS = 100_000


def start(file: Path, url: str) -> subprocess.Popen[str]:
    words = ["features", "load", "g", str(file), "--store", url, "--tenant", "acme", "--keep", "7d"]
    return subprocess.Popen(
        [sys.executable, "-m", "croupierctl", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def test_a_killed_load_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    entities = [f"user-{number}" for number in range(ROWS)]
    numbers = numpy.arange(ROWS, dtype=numpy.float64)
    parquet.write_table(pyarrow.table({"entity": entities, "a": numbers, "b": -numbers}), file)
    async with RedisServer(tmp_path / "redis") as server:
        with start(file, server.url) as load:
            await eventually((tmp_path / "table.parquet.loading").exists, "some of it is loaded")
            load.kill()
        assert 1 < int(await server.cli("dbsize")) <= ROWS
        with start(file, server.url) as again:
            out, said = await asyncio.to_thread(again.communicate)
        assert again.returncode == 0, said
        assert "going on from there" in said
        assert int(out.splitlines()[1].split()[1]) < ROWS
        # And the schema.
        assert int(await server.cli("dbsize")) == ROWS + 1
        assert 0 < int(await server.cli("ttl", "croupier/f/acme/g/user-99999")) <= 7 * 86_400
