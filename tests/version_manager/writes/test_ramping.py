"""What operators, and managers by themselves, make of a ramp: on a real etcd, and the steps alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.manager import generation
from support.records import KEYS

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest
from croupier.stores.etcd import KeyValue, Outcome
from protos.versions.v1 import versions_pb2 as pb
from sharding.ramp import WHOLE
from version_manager.map.audit import Actor
from version_manager.map.keys import ActiveKey
from version_manager.map.records import Active, decode, encode
from version_manager.writes.pointer import StaleGeneration
from version_manager.writes.ramping import Move, NoRamp, Ramping, step_seconds, stepped

RUNNING = Active(2, 1, 2_500, 600.0, author="ann", reason="more", at=1.0)
SOMEBODY = Actor("operator/eve", "ipv4:1.2.3.4")


def ask(action: pb.SetRampRequest.Action, number: int = 2, **words: str) -> pb.SetRampRequest:
    return pb.SetRampRequest(expected_number=number, action=action, **words)


async def begin(client) -> None:
    await client.set_generation(generation("a"), 0)
    await client.change_shards(
        pb.SetGenerationRequest(
            generation=generation("a", "b"), expected_number=1, ramp_seconds=36_000, reason="more"
        )
    )


async def test_a_ramp_is_held_gone_on_with_and_finished(client, fleet):
    await begin(client)
    held = await client.set_ramp(ask(pb.SetRampRequest.PAUSE, reason="wait for eve", author="ann"))
    assert (held.paused, held.reason, held.author, held.seconds) == (
        *("wait for eve", "wait for eve", "ann", 36_000),
    )
    assert (await client.get_generation()).ramp == held
    assert (await client.set_ramp(ask(pb.SetRampRequest.RESUME))).paused == ""
    assert (await client.set_ramp(ask(pb.SetRampRequest.FINISH))).basis_points == WHOLE
    assert not (await client.get_generation()).HasField("ramp")
    # Once more changes nothing; there is nothing to hold any more.
    assert (await client.set_ramp(ask(pb.SetRampRequest.FINISH))).basis_points == WHOLE
    for action in (pb.SetRampRequest.PAUSE, pb.SetRampRequest.RESUME):
        with pytest.raises(FailedPrecondition) as refused:
            await client.set_ramp(ask(action))
        assert refused.value.reason == "NO_RAMP"
    assert (await client.get_generation()).previous == 1
    audit = b"".join(await fleet.audit())
    assert all(word in audit for word in (b"pause ramp", b"resume ramp", b"finish ramp", b"wait for eve"))


async def test_a_ramp_of_another_generation_or_of_none_is_refused(client):
    with pytest.raises(FailedPrecondition):
        await client.set_ramp(ask(pb.SetRampRequest.FINISH, 0))
    await begin(client)
    with pytest.raises(Conflict) as refused:
        await client.set_ramp(ask(pb.SetRampRequest.FINISH, 1))
    assert refused.value.reason == "STALE_GENERATION"
    for wrong in (ask(9), ask(pb.SetRampRequest.PAUSE, reason="x" * 1_001)):
        with pytest.raises(InvalidRequest):
            await client.set_ramp(wrong)


class OneKey:
    """An etcd of one pointer, and whoever writes it."""

    def __init__(self, pointer: Active, understood: int = 4) -> None:
        self.pair = KeyValue(KEYS.active, encode(pointer), 5, 5, 0)
        self.understood = understood
        self.entries = []

    async def get(self, key):
        return self.pair

    async def commit(self, compares, ops, entry):
        (compare,), (put,) = compares, ops
        if compare.mod_revision != self.pair.mod_revision:
            return False
        self.entries.append(entry)
        self.pair = KeyValue(KEYS.active, put.value, self.pair.mod_revision + 1, 5, 0)
        return Outcome(True, self.pair.mod_revision)

    async def settle(self, attempt):
        return await attempt()

    async def refusal(self, key, revision, stale):
        return stale

    def understands(self, schema):
        return schema <= self.understood

    @property
    def pointer(self) -> Active:
        return decode(ActiveKey(), self.pair.value)


def archive() -> SimpleNamespace:
    """A map that has both generations."""
    return SimpleNamespace(map=SimpleNamespace(archive={1: None, 2: None}, pointer=None))


class Entries:
    def entry(self, actor, what, target, **details):
        return actor.name, what, target, details


def ramping(etcd: OneKey) -> Ramping:
    return Ramping(etcd, archive(), etcd, KEYS, Entries(), clock=lambda: 7 * 10**9)


async def test_whoever_has_a_certificate_is_named_as_that_says():
    etcd = OneKey(RUNNING)
    await ramping(etcd).move(Move.PAUSE, 2, "", "ann", SOMEBODY)
    assert etcd.pointer == replace(RUNNING, paused="to pause it was asked for", author="operator/eve", at=7.0)


async def test_one_that_is_held_is_held_no_more_once_it_is_finished():
    etcd = OneKey(replace(RUNNING, paused="wait for eve"))
    await ramping(etcd).move(Move.FINISH, 2, "", "", SOMEBODY)
    assert (etcd.pointer.ramp, etcd.pointer.paused) == (WHOLE, "")


async def test_the_one_step_is_taken_by_whoever_is_first():
    etcd = OneKey(RUNNING)
    assert await ramping(etcd).step(RUNNING, 5)
    assert not await ramping(etcd).step(RUNNING, 5)
    assert etcd.pointer == replace(RUNNING, ramp=2_600, at=7.0)
    assert [entry[:3] for entry in etcd.entries] == [("version manager", "ramp", "2")]


async def test_a_manager_holds_a_ramp_and_says_why():
    etcd = OneKey(RUNNING)
    assert await ramping(etcd).hold(RUNNING, 5, "errors " * 1_000)
    assert etcd.pointer.paused.startswith("errors errors")
    assert (etcd.pointer.author, etcd.pointer.reason) == ("version manager", "more")


async def test_the_generation_before_ends_with_the_ramp():
    whole = replace(RUNNING, ramp=WHOLE)
    etcd = OneKey(whole)
    assert await ramping(etcd).end(whole, 5)
    assert (etcd.pointer.active, etcd.pointer.previous, etcd.pointer.seconds) == (2, 0, 0.0)


async def test_a_ramp_can_be_finished_although_a_part_knows_of_none():
    etcd = OneKey(RUNNING, understood=3)
    await ramping(etcd).move(Move.FINISH, 2, "", "", SOMEBODY)
    assert etcd.pair.value == b'{"active":2,"previous":1}'


async def test_what_nobody_reads_has_no_ramp():
    etcd = OneKey(RUNNING)
    with pytest.raises(StaleGeneration):
        await ramping(etcd).move(Move.PAUSE, 3, "", "", SOMEBODY)
    etcd.pair = None
    with pytest.raises(NoRamp):
        await ramping(etcd).move(Move.PAUSE, 0, "", "", SOMEBODY)


@pytest.mark.parametrize(
    ("seconds", "step", "ramps"),
    [
        (600.0, 6.0, [100, 200, 300]),
        (10.0, 1.0, [1_000, 2_000, 3_000]),
        (3.0, 1.0, [3_333, 6_666, 9_999, 10_000]),
        (0.5, 1.0, [10_000]),
        (0.0, 1.0, [10_000]),
        (30 * 86_400.0, 25_920.0, [100]),
    ],
)
def test_a_ramp_takes_a_hundred_steps_and_none_within_a_second(seconds, step, ramps):
    pointer = Active(2, 1, 0, seconds)
    assert step_seconds(pointer) == step
    for expected in ramps:
        pointer = stepped(pointer)
        assert pointer.ramp == expected
