"""Wrong edits of the shard map in etcd, by hand: hands stay as they are, and `status` names key and field."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from support.harm import with_manager
from support.waiting import wait_until

from croupier.stores.etcd import Etcd, EtcdConfig
from croupierctl.faults import faults
from croupierctl.seen import Answer, Seen
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map.keys import Keys

KEYS = Keys()
# Overrides that take more than one value in etcd holds.
MANY = 10_000

T = TypeVar("T")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, serving) -> Iterator[Stack]:
    """Two cells, each of which is the whole hand of some tenants."""
    stack = Stack(tmp_path_factory.mktemp("edited"), cells=2, zones=2, hand_size=1)
    with serving(stack):
        yield stack


def in_etcd(stack: Stack, call: Callable[[Etcd], Awaitable[T]]) -> T:
    async def run() -> T:
        async with Etcd(EtcdConfig((stack.process("etcd").address,))) as etcd:
            return await call(etcd)

    return asyncio.run(run())


def content(stack: Stack) -> dict[str, bytes]:
    async def call(etcd: Etcd) -> dict[str, bytes]:
        return {pair.key: pair.value for pair in (await etcd.range(KEYS.shards)).items}

    return in_etcd(stack, call)


def write(stack: Stack, key: str, value: bytes | None) -> None:
    async def call(etcd: Etcd) -> None:
        await (etcd.delete(key) if value is None else etcd.put(key, value))

    in_etcd(stack, call)


def words(stack: Stack) -> list[str]:
    """What `croupierctl status` says of records."""
    told = with_manager(stack, lambda manager: manager.get_status())
    return [fault.words for fault in faults(Seen([Answer(stack.manager, told)])) if fault.part == "record"]


def grow(stack: Stack) -> pb.Generation:
    """Have a map that lies in chunks deal, beside the one before it; returns that map."""
    wanted = with_manager(stack, lambda manager: manager.get_generation())
    number = wanted.number
    for place in range(MANY):
        wanted.overrides[f"nobody-{place:080}"].isolation_group = f"group-{place:080}"
    change = pb.SetGenerationRequest(
        generation=wanted, expected_number=number, reason="many rules", ramp_seconds=86_400
    )
    made = with_manager(stack, lambda manager: manager.change_shards(change))
    # The ramp's next step would write over an edit of the pointer that makes sense.
    pause = pb.SetRampRequest(expected_number=made.number, action=pb.SetRampRequest.PAUSE)
    with_manager(stack, lambda manager: manager.set_ramp(pause))
    return with_manager(stack, lambda manager: manager.get_generation())


def edited(value: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(value) | fields).encode()


def wrong_edits(before: dict[str, bytes], number: int) -> Iterator[tuple[str, bytes | None, str, str, str]]:
    """Key, value (None: deleted), and what is told of it: the key, the field and a word of the fault."""
    active, head, first = before[KEYS.active], KEYS.generation(number), KEYS.generation(number - 1)
    chunk, stray = KEYS.chunk(number, 2), KEYS.chunk(number + 1, 1)
    seats = json.loads(before[first])["seats"]
    yield KEYS.active, edited(active, active=number + 7), KEYS.active, "active", "no generation"
    yield KEYS.active, edited(active, ramp=10_001), KEYS.active, "ramp", "10000"
    yield KEYS.active, edited(active, activ=1), KEYS.active, "activ", "unknown field"
    yield KEYS.active, None, KEYS.active, "", "gone"
    other = json.loads(before[KEYS.seed])["seed"] + 1
    yield KEYS.seed, edited(before[KEYS.seed], seed=other), KEYS.seed, "seed", "not the seed"
    yield KEYS.seed, b'{"seed": "7"}', KEYS.seed, "seed", "Expected `int`"
    yield first, edited(before[first], seats=[seats[0] | {"weight": 0}]), first, "seats[0].weight", "above 0"
    yield first, edited(before[first], seed=other), first, "seed", f"its seed is {other}"
    yield head, before[head][:-5], head, "", "not a record"
    yield head, edited(before[head], size=5), head, "size", "bytes, and not 5"
    yield chunk, before[chunk][: len(before[chunk]) // 2], chunk, "", "not a record"
    yield chunk, edited(before[chunk], text="{}"), chunk, "text", "SHA-256"
    yield chunk, None, chunk, "text", "missing"
    yield stray, before[chunk], stray, "text", "belongs to nothing"
    yield f"{KEYS.shards}actve", active, f"{KEYS.shards}actve", "", "no key of ours"
    yield f"{KEYS.shards}generations/x", active, f"{KEYS.shards}generations/x", "", "generations/x"


@pytest.mark.fault(
    "Every key of the shard map is edited wrongly in etcd, or deleted", "no error; `status` names it"
)
def test_every_key_of_the_map_is_edited_wrongly(fleet: Stack, load) -> None:
    dealt = grow(fleet)
    before = content(fleet)
    edits = [*wrong_edits(before, dealt.number)]
    assert {KEYS.active, KEYS.seed, KEYS.generation(dealt.number)} < {key for key, *_ in edits}
    with load() as seen:
        for key, value, named, field, word in edits:
            where = f"{named} in etcd is passed over"
            told = f"{where}, field {field}: " if field else where
            write(fleet, key, value)

            def is_named(told: str = told, word: str = word) -> bool:
                return any(one.startswith(told) and word in one for one in words(fleet))

            wait_until(is_named, f"{told} … {word}")
            assert with_manager(fleet, lambda manager: manager.get_generation()) == dealt
            write(fleet, key, before.get(key))
            wait_until(lambda: not words(fleet), f"{key} is mended")
    assert content(fleet) == before
    seen.check()
