import pytest
from support.prediction_server import PredictionServer


@pytest.fixture
async def server():
    async with PredictionServer() as started:
        yield started
