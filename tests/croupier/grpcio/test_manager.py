"""The version manager's client, against an in-memory one on a real port."""

import pytest
from support.ports import free_port
from support.version_manager_fake import FakeManager, cell

from croupier import errors, request_ids
from croupier.grpcio.manager import VersionManagerClient
from croupier.request_ids import RequestId
from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
def fake():
    with FakeManager() as started:
        yield started


@pytest.fixture
async def manager(fake):
    async with VersionManagerClient(fake.target) as client:
        yield client


async def test_an_artifact_is_sent_in_chunks_and_counted(fake, manager):
    artifact = bytes(range(256)) * 4000
    chunks = []
    version = await manager.publish("acme", "churn", artifact, progress=chunks.append)
    assert fake.artifacts[version.artifact] == artifact
    assert sum(chunks) == len(artifact)
    assert len(chunks) == 4
    assert version.number == 1


async def test_what_is_published_can_be_read_released_and_removed(manager):
    await manager.publish("acme", "churn", b"one")
    await manager.publish("acme", "churn", b"two", version=5)
    model = await manager.get_model("acme", "churn")
    assert [version.number for version in model.versions] == [1, 5]
    split = pb.Split(version=5, basis_points=10_000)
    release = await manager.set_release(pb.SetReleaseRequest(tenant="acme", name="churn", splits=[split]))
    assert release.number == 1
    await manager.delete_version("acme", "churn", 1)
    listed = await manager.list_models(pb.ListModelsRequest(page_size=10))
    assert [version.number for version in listed.models[0].versions] == [5]
    await manager.delete_model("acme", "churn")
    with pytest.raises(errors.NotFound, match="no model churn"):
        await manager.get_model("acme", "churn")


async def test_a_call_is_called_as_the_task_that_makes_it(fake, manager):
    token = request_ids.current.set(RequestId("mine"))
    fake.failures.append(errors.Conflict("stale"))
    with pytest.raises(errors.Conflict) as refused:
        await manager.list_cells()
    request_ids.current.reset(token)
    assert fake.metadata["x-request-id"] == "mine"
    # Of a manager that does not say it.
    assert refused.value.request_id == "mine"


async def test_a_refused_upload_says_why(fake, manager):
    # grpcio loses the status in about half of the calls that end while they still send.
    for _ in range(20):
        fake.failures.append(errors.AlreadyExists("version 1 is another artifact"))
        with pytest.raises(errors.AlreadyExists, match="another artifact"):
            await manager.publish("acme", "churn", bytes(3_000_000), version=1)


async def test_generations_and_cells(fake, manager):
    fake.cells = [cell(1, "zone-a")]
    assert [found.id for found in await manager.list_cells()] == ["cell-1"]
    made = await manager.set_generation(pb.Generation(hand_size=2), expected_number=0)
    assert await manager.get_generation() == made
    with pytest.raises(errors.Conflict):
        await manager.set_generation(pb.Generation(), expected_number=0)


async def test_a_method_that_is_not_served(manager):
    with pytest.raises(errors.Unimplemented):
        await manager.resolve(pb.ResolveRequest())
    with pytest.raises(errors.Unimplemented):
        async for _ in manager.watch():
            pass

    async def reports():
        yield pb.JoinRequest()

    with pytest.raises(errors.Unimplemented):
        async for _ in manager.join(reports()):
            pass


async def test_nobody_is_there():
    async with VersionManagerClient(f"127.0.0.1:{free_port()}") as client:
        with pytest.raises(errors.Unavailable):
            await client.list_cells()
