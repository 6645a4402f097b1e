"""Both clients over TLS, with certificates on both sides."""

import asyncio

import pytest
from support.certificates import Authority
from support.prediction_server import PredictionServer

from croupier.settings import ServerTls
from croupier_client import AsyncClient, Client
from croupier_client.errors import Unavailable


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
async def server(authority):
    pair = authority.issue("router")
    async with PredictionServer(ServerTls(pair.certificate, pair.key, authority.certificate)) as started:
        yield started


@pytest.fixture
def paths(authority):
    caller = authority.issue("caller")
    return {"ca": authority.certificate, "certificate": str(caller.certificate), "key": caller.key}


async def test_the_asyncio_client(server, paths):
    async with AsyncClient(server.target, **paths) as client:
        assert (await client.predict("m", [1.0])).value == 1.0


async def test_the_blocking_client(server, paths):
    def work():
        with Client(server.target, **paths) as client:
            return client.predict("m", [1.0]).value

    assert await asyncio.to_thread(work) == 1.0


async def test_a_server_of_another_authority_is_not_believed(server, paths, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    async with AsyncClient(server.target, **paths | {"ca": stranger.certificate}, retries=0) as client:
        with pytest.raises(Unavailable):
            await client.predict("m", [1.0])


async def test_a_caller_without_a_certificate_is_turned_away(server, authority):
    async with AsyncClient(server.target, ca=authority.certificate, retries=0) as client:
        with pytest.raises(Unavailable):
            await client.predict("m", [1.0])
