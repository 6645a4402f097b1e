from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
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
