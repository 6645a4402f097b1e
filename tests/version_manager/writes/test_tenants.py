"""What tenants' cells keep, through real gRPC, on a real etcd."""

import json

import pytest
from support.manager import artifact

from croupier.errors import Conflict, InvalidRequest, NotFound, TooLarge
from protos.versions.v1 import versions_pb2 as pb

KEY = "croupier/tenants/acme/residency"


def wanted(*pinned, **fields):
    return pb.SetResidencyRequest(tenant="acme", pinned=pinned, **fields)


async def test_what_is_set_is_told_kept_and_audited(fleet, client):
    assert await client.get_residency("acme") == pb.Residency(tenant="acme")
    await client.publish("acme", "churn", artifact())
    made = await client.set_residency(wanted("churn", floor_bytes=100))
    assert (made.floor_bytes, list(made.pinned)) == (100, ["churn"])
    assert made.revision > 0
    assert await client.get_residency("acme") == made
    pair = await fleet.raw.get(KEY)
    assert json.loads(pair.value) == {"floor_bytes": 100, "pinned": ["churn"]}
    entry = json.loads((await fleet.audit())[-1])
    assert (entry["what"], entry["target"]) == ("set residency", "acme")
    assert entry["residency"] == {"floor_bytes": 100, "pinned": ["churn"]}
    other = await fleet.start_manager()
    assert await other.get_residency("acme") == made


async def test_a_change_against_another_revision_is_refused(client):
    first = await client.set_residency(wanted(floor_bytes=1, expected_revision=0))
    for stale in (0, first.revision + 1):
        with pytest.raises(Conflict) as refused:
            await client.set_residency(wanted(floor_bytes=2, expected_revision=stale))
        assert refused.value.reason == "STALE_RESIDENCY"
        assert refused.value.metadata == {"current": str(first.revision)}
    second = await client.set_residency(wanted(floor_bytes=2, expected_revision=first.revision))
    assert second.revision > first.revision
    assert (await client.set_residency(wanted(floor_bytes=3))).floor_bytes == 3


async def test_unknown_models_are_refused_unless_they_were_pinned_before(client):
    for name in ("churn", "wine"):
        await client.publish("acme", name, artifact(name))
    with pytest.raises(NotFound, match="no model fraud"):
        await client.set_residency(wanted("churn", "fraud"))
    await client.set_residency(wanted("churn"))
    await client.delete_model("acme", "churn")
    assert list((await client.set_residency(wanted("churn", "wine"))).pinned) == ["churn", "wine"]
    assert list((await client.set_residency(wanted("wine"))).pinned) == ["wine"]
    with pytest.raises(NotFound):
        await client.set_residency(wanted("churn", "wine"))


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (wanted(floor_bytes=-1), InvalidRequest),
        (wanted("a/b"), InvalidRequest),
        (wanted("a", "a"), InvalidRequest),
        (wanted(*(f"m{number}" for number in range(1001))), TooLarge),
        (pb.SetResidencyRequest(tenant="../x"), InvalidRequest),
    ],
)
async def test_what_cannot_be_kept_is_refused(fleet, client, request_, error):
    with pytest.raises(error):
        await client.set_residency(request_)
    assert not await fleet.kept()


async def test_garbage_in_etcd_is_passed_over_and_can_be_replaced(fleet, client):
    good = await client.set_residency(wanted(floor_bytes=7))
    await fleet.raw.put(KEY, b"?")
    while (found := await client.get_residency("acme")).revision == good.revision:
        pass
    assert found.floor_bytes == 7
    made = await client.set_residency(wanted(floor_bytes=8, expected_revision=found.revision))
    assert made.floor_bytes == 8
