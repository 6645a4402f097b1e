from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from support.cell_server import CellServer, open_cell
from support.join_service import JoinService, open_join_service
from support.models import train_small


@pytest.fixture
async def manager() -> AsyncIterator[tuple[JoinService, str]]:
    """A manager for cells to register with, and its address."""
    async with open_join_service() as opened:
        yield opened


@pytest.fixture(scope="session")
def small() -> tuple[LogisticRegression, np.ndarray[Any, Any], bytes]:
    """A model, its rows and its artifact."""
    return train_small()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CellServer]:
    async with open_cell(tmp_path, max_rows=50) as server:
        yield server


@pytest.fixture
async def key(server: CellServer, small: tuple[LogisticRegression, np.ndarray[Any, Any], bytes]) -> bytes:
    """Of `small`, in the server's store."""
    return await server.store.put(small[2])
