import pytest
from support.manager import Fleet


@pytest.fixture
async def fleet(tmp_path):
    async with Fleet(tmp_path) as running:
        yield running


@pytest.fixture
def client(fleet):
    return fleet.client
