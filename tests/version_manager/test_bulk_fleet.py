"""Calls that publish many, by the real client through real gRPC, on a real etcd and a real store."""

import asyncio
import itertools
from contextlib import aclosing

import pytest
from support.manager import artifact
from support.waiting import eventually

from croupier.artifacts.format import digest_of
from croupier.errors import InvalidRequest
from croupier.grpcio.bulk import BulkItem
from croupier.grpcio.manager import VersionManagerClient
from protos.versions.v1 import versions_pb2 as pb


def items(count, text="a"):
    return [BulkItem("acme", f"model-{number}", artifact(f"{text}{number}")) for number in range(count)]


async def outcomes(client, of, **options):
    async with aclosing(client.publish_many(of, **options)) as found:
        return {one.item.name: one async for one in found}


async def test_a_thousand_are_published_released_and_served(fleet, client):
    made = await outcomes(client, items(1000), release=True, reason="retrained")
    assert {(one.version.number, one.known, one.release) for one in made.values()} == {(1, False, 1)}
    model = await client.get_model("acme", "model-999")
    assert model.versions[0].artifact == digest_of(artifact("a999"))
    assert model.release.splits == [pb.Split(version=1, basis_points=10_000)]
    pairs = await fleet.kept("croupier/models/")
    assert max(pair.mod_revision for pair in pairs) <= max(
        int(one.revision.partition(":")[2]) for one in made.values()
    )
    stored = [path for path in (fleet.folder / "objects").rglob("*") if path.is_file()]
    assert {path.name for path in stored} == {
        digest_of(artifact(f"a{number}")).hex() for number in range(1000)
    }
    again = await outcomes(client, items(1000), release=True)
    assert all(one.known and one.release == 1 for one in again.values())


async def test_two_callers_at_once(fleet, client):
    other = await fleet.start_manager()
    same, others = await asyncio.gather(
        outcomes(client, items(200), release=True), outcomes(other, items(200, "b"), release=True)
    )
    assert not any(one.error for one in itertools.chain(same.values(), others.values()))
    for name in same:
        assert {same[name].version.number, others[name].version.number} == {1, 2}


async def test_what_is_no_artifact_is_told_of_that_one(client):
    many = items(20)
    many[7] = BulkItem("acme", "model-7", b"garbage that is long enough for a header of an artifact")
    found = await outcomes(client, many)
    assert found["model-7"].error.reason == "INVALID_ARTIFACT"
    assert sum(one.error is None for one in found.values()) == 19


async def test_a_manager_that_goes_is_followed_by_another(fleet):
    """One stops in the midst; what it had not done is done by the other one."""
    await fleet.start_manager()
    first, second = (running[0].address for running in fleet._running)
    client = VersionManagerClient(f"{first},{second}")
    found = {}
    async with client, aclosing(client.publish_many(items(3000), release=True)) as answers:
        async for one in answers:
            found[one.item.name] = one
            if len(found) == 500:
                gone = fleet.stop_manager(client._managers._at)
                stopping = asyncio.create_task(gone)
    await stopping
    assert len(found) == 3000
    assert not any(one.error for one in found.values())
    assert {one.version.number for one in found.values()} == {1}


async def test_a_caller_that_hangs_up_leaves_room_for_the_next(fleet, client):
    for _ in range(12):
        async with aclosing(client.publish_many(items(300))) as answers:
            await anext(answers)

    async def all_known():
        return all(one.known for one in (await outcomes(client, items(300))).values())

    await eventually(all_known)


async def test_a_call_that_is_refused_says_why(client):
    with pytest.raises(InvalidRequest, match="reason"):
        await outcomes(client, items(1), reason="x" * 10_000)
