"""Generations through real gRPC, on a real etcd; what garbage does to them is in test_faults too."""

import json
import math
from typing import Any

import pytest
from prometheus_client import REGISTRY
from support.manager import SEED, generation, older_manager
from support.waiting import eventually

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest, NotFound, TooLarge
from protos.versions.v1 import versions_pb2 as pb
from sharding.ramp import WHOLE
from version_manager.map.chunks import Chunk
from version_manager.map.keys import ActiveKey, Keys, SeedKey
from version_manager.map.records import Active, decode, encode
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
    assert (kept["schema"], kept["hand_size"], kept["author"]) == (4, {"percent": 50, "min": 1}, "ann")
    again = await client.reseed_shards(1, "a drill")
    assert (again.author, again.reason, again.seats[2].dedicated) == ("", "a drill", "acme")


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


def large(overrides: int, group: str = "g") -> pb.Generation:
    wanted = generation("a", "b")
    for number in range(overrides):
        wanted.overrides[f"tenant-ü-{number:060}"].isolation_group = f"{group}{number:060}"
    return wanted


async def test_a_generation_that_does_not_fit_into_etcd_is_refused(fleet, client):
    with pytest.raises(TooLarge):
        await client.set_generation(large(60_000), 0)
    assert not await fleet.kept()


async def test_a_large_generation_is_written_in_chunks_and_goes_with_them(fleet, client):
    await client.change_shards(change(large(10_000), 0, reason="begin"))
    wanted = large(10_000, "h")
    made = await client.change_shards(change(wanted, 1, ramp_seconds=600))
    assert await client.get_generation(2) == await client.get_generation()
    assert made.overrides == wanted.overrides
    items = [pair for pair in await fleet.kept() if pair.key.startswith(KEYS.chunks(2))]
    head = json.loads((await fleet.raw.get(KEYS.generation(2))).value)
    assert (len(items), {pair.lease for pair in items}) == (len(head["chunks"]), {0})
    assert (head["schema"], len(items) > 1) == (4, True)
    assert REGISTRY.get_sample_value("croupier_version_manager_bad_keys") == 0
    # A manager that begins reads it, with what it knew and without.
    for _ in range(2):
        await fleet.stop_manager()
        client = await fleet.start_manager()
        assert (await client.get_generation(2)).overrides == wanted.overrides
        assert not (await client.get_status()).bad_records_total
        fleet.snapshot().unlink()
    # And one is left of those that were, with nothing of what is forgotten.
    for number in range(2, 34):
        await client.change_shards(change(generation("a", f"b-{number}"), number, force="fire"))
    left = {pair.key for pair in await fleet.kept() if pair.key.startswith("croupier/shards/generations/")}
    assert not left & {KEYS.generation(1), KEYS.chunk(1, 1)}
    assert len([key for key in left if key.startswith(KEYS.chunks(2))]) == len(items)
    assert b"deleted from outside" not in b"".join(await fleet.audit())
    assert not [one for one in await fleet.audit() if b'"outside"' in one]


async def test_chunks_that_somebody_left_are_not_written_over(fleet, client):
    await client.set_generation(generation("a"), 0)
    await fleet.raw.put(KEYS.chunk(2, 3), encode(Chunk("?")))
    await eventually(lambda: REGISTRY.get_sample_value("croupier_version_manager_bad_keys") == 1)
    (bad,) = (await client.get_status()).bad_records
    assert (bad.key, bad.kind, bad.field) == (KEYS.chunk(2, 3), "chunk", "text")
    assert (await client.change_shards(change(large(10_000), 1))).number == 3


async def test_damaged_chunks_are_written_back(fleet, client):
    made = await client.change_shards(change(large(10_000), 0))
    await fleet.raw.put(KEYS.chunk(1, 1), encode(Chunk("?")))
    await fleet.raw.put(KEYS.chunk(1, 2), b"?")
    await fleet.raw.delete(KEYS.chunk(1, 3))
    await eventually(lambda: REGISTRY.get_sample_value("croupier_version_manager_bad_keys") == 3)
    assert (await client.get_generation()).overrides == made.overrides
    done = await client.repair(shards_only=True)
    assert sorted(done.repaired) == [KEYS.chunk(1, place) for place in (1, 2, 3)]
    assert not (await client.get_status()).bad_records_total


async def test_old_generations_are_forgotten(fleet, client):
    for number in range(40):
        await client.set_generation(generation("a", f"b-{number}"), number)
    kept = [pair.key for pair in (await fleet.raw.range("croupier/shards/generations/")).items]
    assert len(kept) <= 33
    assert "croupier/shards/generations/40" in kept
    assert "croupier/shards/generations/39" in kept


def change(wanted: pb.Generation, expected: int, **how: Any) -> pb.SetGenerationRequest:
    return pb.SetGenerationRequest(generation=wanted, expected_number=expected, **how)


def rollback(number: int, expected: int, **how: Any) -> pb.SetGenerationRequest:
    return pb.SetGenerationRequest(rollback_to=number, expected_number=expected, **how)


async def pointer(fleet) -> Active:
    return decode(ActiveKey(), (await fleet.raw.get(KEYS.active)).value)


def told(found: Active) -> tuple[int, int, int]:
    return found.active, found.previous, found.ramp


async def test_a_change_says_who_made_it_what_for_and_when(fleet, client):
    made = await client.change_shards(change(generation("a"), 0, reason="begin", author="ann"))
    assert (made.author, made.reason, made.at > 1e9) == ("ann", "begin", True)
    assert json.loads((await fleet.raw.get(KEYS.active)).value)["reason"] == "begin"
    assert await pointer(fleet) == Active(1, author="ann", reason="begin", at=made.at)
    assert b'"reason":"begin"' in b"".join(await fleet.audit())


async def test_a_generation_takes_over_from_nobody_as_a_ramp_begins(fleet, client):
    first = await client.change_shards(change(generation("a"), 0, ramp_seconds=600))
    assert not first.HasField("ramp")
    second = await client.change_shards(change(generation("a", "b"), 1, ramp_seconds=600, reason="more"))
    assert (second.ramp.active, second.ramp.previous, second.ramp.basis_points) == (2, 1, 0)
    assert (second.ramp.seconds, second.ramp.reason) == (600, "more")
    assert told(await pointer(fleet)) == (2, 1, 0)
    assert not (await client.get_generation(1)).HasField("ramp")


async def test_there_is_no_third_generation_while_a_ramp_runs(fleet, client):
    await client.set_generation(generation("a"), 0)
    await client.change_shards(change(generation("a", "b"), 1, ramp_seconds=600))
    for refused in (client.set_generation(generation("c"), 2), client.reseed_shards(2, "a drill")):
        with pytest.raises(FailedPrecondition) as ramp:
            await refused
        assert ramp.value.reason == "RAMP_RUNNING"
        assert ramp.value.metadata == {"active": "2", "previous": "1", "basis_points": "0"}
    with pytest.raises(FailedPrecondition):
        await client.change_shards(change(generation("c"), 2, force="fire", ramp_seconds=5))
    # All of whom the generation before deals to find their models there, though it is two numbers back.
    await client.change_shards(change(generation("c"), 2, force="fire"))
    assert told(await pointer(fleet)) == (3, 1, WHOLE)
    assert b'"force":"fire"' in b"".join(await fleet.audit())


async def test_what_a_forced_generation_looks_back_to_deals_to_most(fleet, client):
    await client.set_generation(generation("a"), 0)
    await client.change_shards(change(generation("a", "b"), 1, ramp_seconds=600))
    await fleet.raw.put(KEYS.active, encode(Active(2, 1, 5_000, 600.0)))

    async def is_halfway() -> bool:
        return (await client.get_generation()).ramp.basis_points == 5_000

    await eventually(is_halfway)
    await client.change_shards(change(generation("c"), 2, force="fire"))
    assert told(await pointer(fleet)) == (3, 2, WHOLE)


async def test_a_rollback_is_the_old_content_under_the_next_number(fleet, client):
    first = await client.change_shards(change(generation("a"), 0, reason="begin"))
    await client.set_generation(generation("a", "b"), 1)
    made = await client.change_shards(rollback(1, 2, author="ann"))
    assert (made.number, made.previous, made.reason) == (3, 2, "rollback to generation 1")
    assert (made.author, [seat.cell for seat in made.seats]) == ("ann", ["a"])
    assert made.seed == first.seed
    with pytest.raises(NotFound):
        await client.change_shards(rollback(9, 3))
    with pytest.raises(InvalidRequest):
        await client.change_shards(rollback(2, 3, generation=generation("a")))
    with pytest.raises(Conflict):
        await client.change_shards(rollback(2, 2))


async def test_a_rollback_ends_a_ramp_and_looks_back_to_whom_it_had_taken_over(fleet, client):
    await client.set_generation(generation("a"), 0)
    await client.change_shards(change(generation("a", "b"), 1, ramp_seconds=600))
    await client.change_shards(rollback(1, 2))
    assert told(await pointer(fleet)) == (3, 2, WHOLE)


async def test_nothing_is_rolled_back_to_before_a_reseed(client):
    await client.set_generation(generation("a"), 0)
    await client.reseed_shards(1, "a drill")
    with pytest.raises(InvalidRequest) as refused:
        await client.change_shards(rollback(1, 2))
    assert refused.value.field == "rollback_to"


@pytest.mark.parametrize(
    "how",
    [
        {"ramp_seconds": -1.0},
        {"ramp_seconds": math.nan},
        {"ramp_seconds": math.inf},
        {"reason": "x" * 1_001},
        {"author": "x" * 1_001},
        {"force": "x" * 1_001},
    ],
)
async def test_a_change_that_says_nonsense_of_itself_is_refused(fleet, client, how):
    with pytest.raises(InvalidRequest) as refused:
        await client.change_shards(change(generation("a"), 0, **how))
    assert refused.value.field in how
    assert not await fleet.kept()


async def test_while_a_part_of_an_older_release_runs_it_is_told_what_it_knows(fleet, client):
    await client.set_generation(generation("a"), 0)
    async with older_manager(fleet, 3):
        made = await client.change_shards(change(generation("a", "b"), 1, reason="more", author="ann"))
        assert (made.author, made.reason, made.at) == ("", "", 0)
        assert (await fleet.raw.get(KEYS.active)).value == b'{"active":2,"previous":1}'
        with pytest.raises(FailedPrecondition) as refused:
            await client.change_shards(change(generation("a", "b", "c"), 2, ramp_seconds=60))
        assert refused.value.reason == "NOT_UNDERSTOOD"
    async with older_manager(fleet, 4):
        made = await client.change_shards(change(generation("c"), 2, reason="less"))
        assert (made.reason, made.at) == ("less", 0)


async def test_what_was_before_is_told_the_latest_first(client):
    await client.change_shards(change(generation("a"), 0, reason="begin", author="ann"))
    await client.set_generation(generation("a", "b"), 1)
    second, first = (await client.get_shard_history()).generations
    assert (first.number, first.author, first.reason, first.seats, first.changes_total) == (
        *(1, "ann", "begin", 1, 0),
    )
    assert (second.number, second.seats, second.changes_total, len(second.changes)) == (2, 2, 1, 1)


async def test_a_generation_that_is_to_be_warm_waits_at_the_beginning_of_a_ramp_of_one_step(fleet, client):
    first = await client.change_shards(change(generation("a"), 0, warm=True))
    assert not first.HasField("ramp")
    second = await client.change_shards(change(generation("a", "b"), 1, warm=True))
    assert (second.ramp.basis_points, second.ramp.seconds) == (0, 1.0)

    # There is nothing to load.
    async def deals() -> bool:
        return not (await client.get_generation()).HasField("ramp")

    await eventually(deals)
    assert told(await pointer(fleet)) == (2, 1, WHOLE)


async def test_a_ramp_that_is_cold_does_not_wait_at_its_beginning(fleet, client):
    await client.set_generation(generation("a"), 0)
    made = await client.change_shards(change(generation("a", "b"), 1, ramp_seconds=600, cold=True))
    assert made.ramp.basis_points == 1


async def test_what_is_forced_while_a_ramp_runs_does_not_wait_for_cells(fleet, client):
    await client.set_generation(generation("a"), 0)
    await client.change_shards(change(generation("a", "b"), 1, ramp_seconds=600))
    made = await client.change_shards(change(generation("c"), 2, force="fire", warm=True))
    assert not made.HasField("ramp")
