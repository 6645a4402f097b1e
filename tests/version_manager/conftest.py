import pytest
from support.manager import Fleet


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """What a manager keeps for itself is kept here."""
    monkeypatch.setenv("CROUPIER_HOME", str(tmp_path))


@pytest.fixture
async def fleet(tmp_path):
    async with Fleet(tmp_path) as running:
        yield running


@pytest.fixture
def client(fleet):
    return fleet.client
