from collections.abc import AsyncIterator

import pytest
from support.worlds import MODELS, World, world


@pytest.fixture
async def stage() -> AsyncIterator[World]:
    """A router that knows `MODELS`, over six cells in hands of two."""
    async with world(MODELS) as made:
        yield made
