"""Generations through real gRPC, on a real etcd; what garbage does to them is in test_faults too."""

import pytest
from prometheus_client import REGISTRY
from support.etcd import until
from support.manager import generation

from croupier.errors import Conflict, InvalidRequest, TooLarge
from protos.versions.v1 import versions_pb2 as pb


async def test_generations_are_swapped_by_number(client):
    first = await client.set_generation(generation("a", "b"), 0)
    second = await client.set_generation(generation("a", "b", "c"), 1)
    assert (first.number, second.number) == (1, 2)
    assert await client.get_generation() == second
    assert (first.previous, second.previous) == (0, 1)
    assert await client.get_generation(1) == first
    for stale in (0, 1, 3):
        with pytest.raises(Conflict) as refused:
            await client.set_generation(generation("a"), stale)
        assert refused.value.metadata == {"current": "2"}
    assert await client.get_generation() == second


@pytest.mark.parametrize(
    "wanted",
    [
        pb.Generation(),
        generation("a", "a"),
        generation("a", "../b"),
        pb.Generation(hand_size=1, seats=[pb.Seat(cell="a", zone="z", weight=0)]),
        pb.Generation(hand_size=0, seats=[pb.Seat(cell="a", zone="z", weight=1)]),
        pb.Generation(hand_size=1, seats=[pb.Seat(cell="a", zone="z", weight=1, draining=True)]),
        pb.Generation(
            hand_size=1,
            seats=[pb.Seat(cell="a", zone="z", weight=1)],
            overrides={"acme": pb.Override(pins=["b"])},
        ),
    ],
)
async def test_a_generation_that_cannot_deal_is_refused(fleet, client, wanted):
    with pytest.raises(InvalidRequest):
        await client.set_generation(wanted, 0)
    assert not (await fleet.raw.range("croupier")).items


async def test_the_active_generation_says_which_dealt_before_it(fleet, client):
    await client.set_generation(generation("a"), 0)
    assert (await client.get_generation()).previous == 0
    # A number that garbage stands under is passed over, so the one before need not be one less.
    await fleet.raw.put("croupier/shards/generations/2", b"?")
    await until(lambda: REGISTRY.get_sample_value("croupier_version_manager_bad_keys") == 1)
    assert (await client.set_generation(generation("a", "b"), 1)).number == 3
    assert (await client.get_generation()).previous == 1
    assert (await client.get_generation(1)).previous == 0


async def test_a_pointer_to_no_generation_is_replaced_by_the_next_change(fleet, client):
    await client.set_generation(generation("a"), 0)
    await fleet.raw.put("croupier/shards/active", b'{"active": 99}')
    assert (await client.set_generation(generation("b"), 1)).number == 2
    assert (await client.get_generation()).number == 2


async def test_the_seed_of_a_deployment_stays(client):
    await client.set_generation(generation("a"), 0)
    with pytest.raises(InvalidRequest) as refused:
        await client.set_generation(generation("a", seed=8), 1)
    assert refused.value.field == "seed"


async def test_a_generation_that_does_not_fit_into_etcd_is_refused(client):
    many = pb.Generation(
        hand_size=1, seats=[pb.Seat(cell=f"cell-{n}", zone="z" * 100, weight=1) for n in range(8_000)]
    )
    with pytest.raises(TooLarge):
        await client.set_generation(many, 0)


async def test_old_generations_are_forgotten(fleet, client):
    for number in range(40):
        await client.set_generation(generation("a"), number)
    kept = [pair.key for pair in (await fleet.raw.range("croupier/shards/generations/")).items]
    assert len(kept) <= 33
    assert "croupier/shards/generations/40" in kept
    assert "croupier/shards/generations/39" in kept
