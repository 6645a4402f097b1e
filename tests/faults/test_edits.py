"""A wrong edit of every key of the shard map, by hand, under load: no caller sees it, `status` names it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from support.fleet import publish
from support.load import MODEL, Load, tenants
from support.waiting import wait_until

from croupier.grpcio.manager import VersionManagerClient
from croupier.stores.etcd import Etcd, EtcdConfig
from croupier_client import Client
from croupierctl.faults import faults
from croupierctl.seen import Answer, Seen
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map.keys import Keys

pytestmark = pytest.mark.system

KEYS = Keys()
LOADED = tenants(4)
# Overrides that take more than one value in etcd holds.
MANY = 10_000

T = TypeVar("T")


def ask(stack: Stack, call: Callable[[VersionManagerClient], Awaitable[T]]) -> T:
    async def run() -> T:
        async with VersionManagerClient(stack.manager) as manager:
            return await call(manager)

    return asyncio.run(run())


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
    told = ask(stack, lambda manager: manager.get_status())
    return [fault.words for fault in faults(Seen([Answer(stack.manager, told)])) if fault.part == "record"]


@contextmanager
def large_map(stack: Stack) -> Iterator[dict[str, bytes]]:
    """With one that lies in chunks, and the one before it; gives what is in etcd of it."""
    for tenant in LOADED:
        publish(stack, tenant.name, MODEL, tenant.artifact)
    first = ask(stack, lambda manager: manager.get_generation())
    wanted = pb.Generation()
    wanted.CopyFrom(first)
    for number in range(MANY):
        wanted.overrides[f"nobody-{number:080}"].isolation_group = f"group-{number:080}"
    change = pb.SetGenerationRequest(
        generation=wanted, expected_number=first.number, reason="many rules", ramp_seconds=86_400
    )
    made = ask(stack, lambda manager: manager.change_shards(change))
    assert made.number == first.number + 1
    # The ramp's next step would write over an edit of the pointer that makes sense.
    pause = pb.SetRampRequest(expected_number=made.number, action=pb.SetRampRequest.PAUSE)
    ask(stack, lambda manager: manager.set_ramp(pause))
    for tenant in LOADED:
        with Client(stack.router, tenant=tenant.name) as client:

            def answers(client: Client = client) -> bool:
                return bool(client.predict(MODEL, [1.0, 2.0]).version)

            wait_until(answers, "each tenant's model is routed")
    yield content(stack)


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


def test_a_wrong_edit_of_every_key_changes_no_answer_and_is_named(tmp_path: Path) -> None:
    with (
        Stack(tmp_path, cells=2, zones=2, hand_size=1) as stack,
        large_map(stack) as before,
        Load(stack.router, LOADED, rate=100.0) as seen,
    ):
        dealt = ask(stack, lambda manager: manager.get_generation())
        edits = [*wrong_edits(before, dealt.number)]
        assert {KEYS.active, KEYS.seed, KEYS.generation(dealt.number)} < {key for key, *_ in edits}
        for key, value, named, field, word in edits:
            where = (
                f"{named} in etcd is passed over, field {field}: " if field else f"{named} in etcd is passed"
            )
            write(stack, key, value)

            def is_named(where: str = where, word: str = word) -> bool:
                return any(one.startswith(where) and word in one for one in words(stack))

            wait_until(is_named, f"{where} … {word}")
            assert ask(stack, lambda manager: manager.get_generation()) == dealt
            write(stack, key, before.get(key))
            wait_until(lambda: not words(stack), f"{key} is mended")
        assert content(stack) == before
    seen.check(errors=0)
