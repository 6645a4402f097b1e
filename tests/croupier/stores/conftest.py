from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.etcd import EtcdServer

from croupier.stores.etcd import Etcd, EtcdConfig


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    async with EtcdServer(tmp_path) as server:
        yield server


@pytest.fixture
async def etcd(server: EtcdServer) -> AsyncIterator[Etcd]:
    async with Etcd(EtcdConfig(endpoints=(server.endpoint,))) as etcd:
        yield etcd
