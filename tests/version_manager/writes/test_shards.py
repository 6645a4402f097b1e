"""Generations through real gRPC, on a real etcd; what garbage does to them is in test_faults too."""

import json

import pytest
from prometheus_client import REGISTRY
from support.manager import SEED, generation
from support.waiting import eventually

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest, TooLarge
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map.keys import Keys, SeedKey
from version_manager.map.records import decode
from version_manager.map.seed import Era, Seed

KEYS = Keys()


async def test_generations_are_swapped_by_number(client):
    first = await client.set_generation(generation("a", "b"), 0)
    second = await client.set_generation(generation("a", "b", "c"), 1)
    assert (first.number, second.number) == (1, 2)
    assert await client.get_generation() == second
    assert (first.previous, second.previous) == (0, 1)
    # Doubts are told with the answer that makes a generation.
    first.ClearField("warnings")
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
    assert not await fleet.kept()


async def test_the_active_generation_says_which_dealt_before_it(fleet, client):
    await client.set_generation(generation("a"), 0)
    assert (await client.get_generation()).previous == 0
    # A number that garbage stands under is passed over, so the one before need not be one less.
    await fleet.raw.put("croupier/shards/generations/2", b"?")
    await eventually(lambda: REGISTRY.get_sample_value("croupier_version_manager_bad_keys") == 1)
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


async def test_the_seed_is_kept_under_a_key_of_its_own(fleet, client):
    await client.set_generation(generation("a"), 0)
    stored = await fleet.raw.get(KEYS.seed)
    assert decode(SeedKey(), stored.value) == Seed((Era(SEED),))
    # The seed of a deployment of an earlier release, or one that was lost, is written down again.
    await fleet.raw.delete(KEYS.seed)

    async def is_back() -> bool:
        return await fleet.raw.get(KEYS.seed) is not None

    await eventually(is_back)
    assert (await fleet.raw.get(KEYS.seed)).value == stored.value
    assert b"adopt seed" in b"".join(await fleet.audit())


async def test_what_is_new_of_a_map_is_kept_and_a_reseed_is_nobody_elses(fleet, client):
    wanted = generation("a", "b", "c")
    wanted.hand_percent, wanted.hand_min = 50, 1
    wanted.author, wanted.reason = "ann", "rack 7 burns"
    wanted.seats[2].dedicated = "acme"
    made = await client.set_generation(wanted, 0)
    assert (made.hand_size, made.hand_percent, made.seats[2].dedicated) == (1, 50, "acme")
    assert (made.author, made.reason) == ("ann", "rack 7 burns")
    kept = json.loads((await fleet.raw.get(KEYS.generation(1))).value)
    assert (kept["schema"], kept["hand_size"], kept["author"]) == (3, {"percent": 50, "min": 1}, "ann")
    again = await client.reseed_shards(1, "a drill")
    assert (again.author, again.reason, again.seats[2].dedicated) == ("", "", "acme")


async def test_a_reseed_deals_anew_and_says_why(fleet, client):
    await client.set_generation(generation("a", "b"), 0)
    with pytest.raises(InvalidRequest):
        await client.reseed_shards(1, " ")
    with pytest.raises(Conflict):
        await client.reseed_shards(2, "a drill")
    made = await client.reseed_shards(1, "a drill")
    assert (made.number, made.seed_since, made.previous) == (2, 2, 1)
    assert made.seed != SEED
    assert b"a drill" in b"".join(await fleet.audit())
    with pytest.raises(InvalidRequest):
        await client.set_generation(generation("a"), 2)
    following = await client.set_generation(generation("a", seed=made.seed), 2)
    assert (following.number, following.seed, following.seed_since) == (3, made.seed, 2)
    stored = decode(SeedKey(), (await fleet.raw.get(KEYS.seed)).value)
    assert stored == Seed((Era(SEED), Era(made.seed, 2)))


async def test_nobody_is_dealt_anew_because_the_pointer_was_lost(fleet, client):
    await client.set_generation(generation("a"), 0)
    await fleet.stop_manager()
    await fleet.raw.delete(KEYS.active)
    fleet.snapshot().unlink()
    client = await fleet.start_manager()
    for refused in (client.get_generation(), client.set_generation(generation("b", seed=8), 0)):
        with pytest.raises(FailedPrecondition) as damaged:
            await refused
        assert damaged.value.reason == "SHARD_MAP_DAMAGED"


async def test_a_first_generation_has_the_seed_that_the_deployment_had(fleet, client):
    await client.set_generation(generation("a"), 0)
    await fleet.stop_manager()
    await fleet.raw.delete(KEYS.active)
    await fleet.raw.delete(KEYS.generation(1))
    fleet.snapshot().unlink()
    client = await fleet.start_manager()
    assert (await client.set_generation(generation("b", seed=8), 0)).seed == SEED


async def test_what_changes_nothing_keeps_the_lookback(fleet, client):
    await client.set_generation(generation("a"), 0)
    await client.set_generation(generation("a", "b"), 1)
    again = await client.set_generation(generation("b", "a"), 2)
    assert (again.number, again.previous) == (2, 1)
    # Of a damaged one, the same content is a new generation.
    await fleet.raw.put(KEYS.active, b"?")
    await eventually(lambda: REGISTRY.get_sample_value("croupier_version_manager_bad_keys") == 1)
    assert (await client.set_generation(generation("a", "b"), 2)).number == 3


async def test_a_generation_that_does_not_fit_into_etcd_is_refused(client):
    many = pb.Generation(
        hand_size=1, seats=[pb.Seat(cell=f"cell-{n}", zone="z" * 100, weight=1) for n in range(8_000)]
    )
    with pytest.raises(TooLarge):
        await client.set_generation(many, 0)


async def test_old_generations_are_forgotten(fleet, client):
    for number in range(40):
        await client.set_generation(generation("a", f"b-{number}"), number)
    kept = [pair.key for pair in (await fleet.raw.range("croupier/shards/generations/")).items]
    assert len(kept) <= 33
    assert "croupier/shards/generations/40" in kept
    assert "croupier/shards/generations/39" in kept
