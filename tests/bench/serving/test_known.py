import asyncio
from pathlib import Path

import pytest

from bench import calling, openloop, processes
from bench.serving import running
from bench.serving.asking import AskingCaller, Asks
from bench.serving.foreign import Foreign
from bench.serving.known import ALL, PEERS, TRIED
from bench.serving.models import Models
from bench.serving.running import Bounds


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


def test_each_server_has_a_name_of_its_own_and_says_how_it_is_set() -> None:
    assert len(ALL) == len(PEERS) + len(TRIED)
    assert all(ALL[name].settings for name in ALL)


# Those of other environments take most of a minute each: the bench tries them.
@pytest.mark.system
@pytest.mark.parametrize("name", [name for name in PEERS if not isinstance(PEERS[name], Foreign)])
def test_each_server_answers_with_the_model_that_it_is_asked_for(
    name: str, models: Models, tmp_path: Path
) -> None:
    peer = PEERS[name]
    if peer.missing():
        pytest.skip(f"{name} is not installed (make serving-peers)")
    with running.started(
        peer, models, 4, tmp_path, processes.cores().proxy, Bounds(8_192.0, 60.0)
    ) as started:
        asks = Asks(started.wire, models, range(4))
        loaded = asyncio.run(ask(started.address, asks))
    assert (loaded.requests, loaded.failures) == (200, 0)
    assert peer.version()
    assert peer.settings


async def ask(address: str, asks: Asks) -> openloop.Loaded:
    async with calling.callers(address, kind=AskingCaller) as callers:
        return await openloop.closed_loop(callers, asks, 200, streams=2)
