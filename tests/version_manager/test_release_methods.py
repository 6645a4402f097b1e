"""Releases through the service: what is set, served again, listed and asked for."""

import pytest
from support.manager import artifact, release

from croupier.errors import Conflict, NotFound
from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
async def churn(client):
    """Two versions of acme's churn, the first one released."""
    for text in "12":
        await client.publish("acme", "churn", artifact(text), release_if_first=True)


async def test_a_release_is_set_told_and_served_again(client, churn):
    request = release("acme", "churn", (1, 5_000), (2, 5_000), expected=1)
    request.reason, request.author, request.salt = "a trial", "ann", "autumn"
    made = await client.set_release(request)
    assert (made.number, made.salt, made.reason, made.author) == (2, "autumn", "a trial", "ann")
    assert made.at
    assert made.revision
    stands = (await client.get_model("acme", "churn")).release
    assert (stands.salt, stands.author) == ("autumn", "ann")
    back = await client.rollback_release(pb.RollbackReleaseRequest(tenant="acme", name="churn"))
    assert (back.number, back.restores, back.salt) == (3, 1, "")
    assert [(split.version, split.basis_points) for split in back.splits] == [(1, 10_000)]
    history = (await client.get_release_history("acme", "churn")).releases
    assert [(one.number, one.restores) for one in history] == [(3, 1), (2, 0), (1, 0)]


async def test_a_salt_that_is_not_named_stays(client, churn):
    request = release("acme", "churn", (1, 5_000), (2, 5_000))
    request.salt = "autumn"
    await client.set_release(request)
    assert (await client.set_release(release("acme", "churn", (1, 9_000), (2, 1_000)))).salt == "autumn"
    request.salt = ""
    assert (await client.set_release(request)).salt == ""


async def test_a_key_is_resolved_as_its_release_deals_it(client, churn):
    request = release("acme", "churn", (1, 5_000), (2, 5_000))
    request.salt = "autumn"
    await client.set_release(request)
    found = {
        (answer.point < 5_000, answer.version.number)
        for key in range(40)
        if (answer := await client.resolve(_asked(f"user-{key}"))) and answer.release.salt == "autumn"
    }
    assert found == {(True, 1), (False, 2)}


async def test_the_way_back_from_a_release_that_is_not_served_any_more_is_refused(client, churn):
    await client.set_release(release("acme", "churn", (2, 10_000), expected=1))
    request = pb.RollbackReleaseRequest(tenant="acme", name="churn", expected_number=1)
    with pytest.raises(Conflict) as stale:
        await client.rollback_release(request)
    assert stale.value.metadata["current"] == "2"


async def test_what_is_not_there_has_no_history(client):
    with pytest.raises(NotFound):
        await client.get_release_history("acme", "nothing")


def _asked(key):
    return pb.ResolveRequest(tenant="acme", name="churn", routing_key=key)
