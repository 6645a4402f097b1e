"""To which of several version managers a call goes: real servers and real channels."""

import socket

import pytest
from support.ports import free_port
from support.version_manager_fake import FakeManager, cell

from croupier import errors
from croupier.grpcio import failover
from croupier.grpcio.manager import VersionManagerClient


@pytest.fixture
def fakes():
    with FakeManager() as one, FakeManager() as other:
        yield one, other


async def test_a_call_goes_to_one_that_can_be_connected_to(fakes):
    one, other = fakes
    nobody = f"127.0.0.1:{free_port()}"
    for fake in fakes:
        fake.cells = [cell(1, "zone-a")]
    async with VersionManagerClient(f"{nobody},{one.target}, {other.target}") as client:
        for _ in range(3):
            assert [found.id for found in await client.list_cells()] == ["cell-1"]
        for fake in fakes:
            fake.__exit__()
        with pytest.raises(errors.Unavailable):
            await client.list_cells()


async def test_one_that_takes_connections_and_says_nothing_is_passed_over(fakes, monkeypatch):
    fake, _ = fakes
    monkeypatch.setattr(failover, "_PATIENCE", 0.05)
    fake.cells = [cell(1, "zone-a")]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_target = f"127.0.0.1:{silent.getsockname()[1]}"
        for _ in range(5):
            async with VersionManagerClient(f"{silent_target},{fake.target}") as client:
                assert [found.id for found in await client.list_cells()] == ["cell-1"]


async def test_a_call_that_was_sent_is_not_sent_to_another(fakes):
    for fake in fakes:
        fake.failures.append(errors.Unavailable("it may have happened"))
    async with VersionManagerClient(",".join(fake.target for fake in fakes)) as client:
        with pytest.raises(errors.Unavailable, match="it may have happened"):
            await client.list_cells()
    assert sorted(len(fake.failures) for fake in fakes) == [0, 1]


async def test_each_stream_goes_to_the_next(fakes):
    async with VersionManagerClient(",".join(fake.target for fake in fakes)) as client:
        seen = []
        for _ in range(4):
            seen.append(client._managers._streaming)
            with pytest.raises(errors.Unimplemented):
                await anext(client.watch())
    assert seen in ([0, 1, 0, 1], [1, 0, 1, 0])


def test_no_manager_at_all():
    with pytest.raises(errors.InvalidRequest):
        VersionManagerClient(" , ")
