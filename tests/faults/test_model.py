"""Hostile models, and what a tenant may see of others through a model: nobody else notices."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from support.attacks import EVIL, INFER, attack, await_infer_routed, await_routed, tensor, unary
from support.crash_cell import MARK, crashing
from support.fleet import publish
from support.graphs import centred, looping, matmul, packed, picky
from support.harm import error_of, hand_of, log_bytes, metrics_of, page_of
from support.waiting import wait_until

from croupier.artifacts.packers.onnx import pack_onnx
from croupier_client import Client
from croupierctl.stack import Stack
from protos.inference.v2 import inference_pb2

_MERGED = re.compile(r"^croupier_cell_merged_requests_total ([\d.e+]+)$", re.MULTILINE)


@pytest.mark.fault(
    "A model ends every process that scores it",
    "its callers: INTERNAL or FAILED_PRECONDITION; others: no error",
)
def test_a_poisonous_model(fleet: Stack, load) -> None:
    publish(fleet, EVIL, "poison", crashing("poison", on_score="segv"))
    with load() as seen, Client(fleet.router, tenant=EVIL, retries=0) as client:
        await_routed(fleet, "poison", [0.0, 1.0])
        said = Counter(error_of(client, "poison", [MARK, 1.0]) for _ in range(50))
    assert said.keys() <= {"InternalError", "FailedPrecondition"}
    seen.check()


@pytest.mark.fault(
    "An ONNX model loops for ever, while others' ONNX models are asked",
    "its callers: DEADLINE_EXCEEDED, then FAILED_PRECONDITION; others: no error",
)
def test_a_model_that_never_ends(fleet: Stack, load) -> None:
    publish(fleet, EVIL, "endless", packed(looping()))
    hand = hand_of(fleet, EVIL)
    publish(fleet, EVIL, "table", picky())
    await_infer_routed(fleet, "table")
    await_infer_routed(fleet, "endless")
    before = {name: fleet.process(name).pid for name in hand}
    endless, table = tensor("endless", [1.0, 1.0]), tensor("table", [0.0, 1.0])
    said: Counter[str] = Counter()
    with load() as seen:
        for _ in range(10):
            said += attack(fleet.router, lambda one: [unary(one, INFER, endless, 1.0) for _ in range(8)])
            assert attack(fleet.router, lambda one: [unary(one, INFER, table)]) == {"OK": 1}
    assert said.keys() <= {"DEADLINE_EXCEEDED", "FAILED_PRECONDITION"}, said
    assert said["FAILED_PRECONDITION"] > 0
    assert before == {name: fleet.process(name).pid for name in hand}
    seen.check()


@pytest.mark.fault(
    "A model fails on its inputs, a thousand times",
    "its callers: an error; the logs stay small and hold no value",
)
def test_a_model_that_fails_on_its_inputs(fleet: Stack, load) -> None:
    publish(fleet, EVIL, "picky", picky())
    body = tensor("picky", [123_456.0, 123_456.0])
    with load() as seen:
        await_infer_routed(fleet, "picky")
        before = log_bytes(fleet)
        for _ in range(20):
            statuses = attack(fleet.router, lambda one: [unary(one, INFER, body) for _ in range(50)])
            assert statuses == {"INTERNAL": 50}
        grown = log_bytes(fleet) - before
    logs = "".join(process.log.read_text(errors="replace") for process in fleet.processes.values())
    assert "123456" not in logs
    assert grown < 100_000
    seen.check()


@pytest.mark.fault(
    "An ONNX model takes a mean over the batch; two tenants have it, and keep 600 requests in flight",
    "no error, 0 wrong of 10,000; models whose rows are independent still share calls",
)
def test_rows_that_depend_on_each_other(fleet: Stack, load) -> None:
    hands: dict[frozenset[str], str] = {}
    # With six cells in three zones, there are eight hands of three.
    for name in (f"twin-{number}" for number in range(9)):
        hand = frozenset(hand_of(fleet, name))
        if hand in hands:
            twins = [hands[hand], name]
        hands[hand] = name
    for name, model in (("centred", centred()), ("apart", matmul())):
        for tenant in twins:
            publish(fleet, tenant, name, pack_onnx(model))
            wait_until(
                lambda: (
                    attack(fleet.router, lambda one: [infer(one, tenant, name, np.ones((1, 2)))])  # noqa: B023
                    == {"OK": 1}
                ),
                "routed",
            )
    with load() as seen:
        for name, expected, is_merged in (
            ("centred", lambda rows: rows - rows.mean(axis=0), False),
            ("apart", lambda rows: np.repeat(rows.sum(axis=1, keepdims=True), 2, axis=1), True),
        ):
            before = merged(fleet)
            assert wrong_of(fleet, twins, name, expected, 10_000) == 0
            assert (merged(fleet) > before) is is_merged
    seen.check()


def wrong_of(
    stack: Stack,
    tenants: list[str],
    model: str,
    expected: Callable[[Any], Any],
    count: int,
    flying: int = 600,
) -> int:
    """How many of so many requests, of one to five rows, are not answered as `expected`."""
    rng = np.random.default_rng(1)
    asked = [rng.normal(size=(rng.integers(1, 6), 2)).astype(np.float32) for _ in range(count)]

    async def run() -> int:
        may = {tenant: asyncio.Semaphore(flying // len(tenants)) for tenant in tenants}

        async def is_wrong(number: int, rows: Any) -> bool:
            tenant = tenants[number % len(tenants)]
            async with may[tenant]:
                answer = await infer(channel, tenant, model, rows)
            told = inference_pb2.ModelInferResponse.FromString(answer)
            got = np.frombuffer(told.raw_output_contents[0], "<f4").reshape(rows.shape)
            return not np.allclose(got, expected(rows), rtol=0, atol=1e-5)

        async with grpc.aio.insecure_channel(stack.router) as channel:
            return sum(await asyncio.gather(*(is_wrong(*each) for each in enumerate(asked))))

    return asyncio.run(run())


def infer(channel: grpc.aio.Channel, tenant: str, model: str, rows: Any) -> Awaitable[Any]:
    request = inference_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(np.asarray(rows, "<f4").tobytes())
    metadata = (("croupier-tenant", tenant),)
    return channel.unary_unary(INFER)(request.SerializeToString(), timeout=30.0, metadata=metadata)


def merged(stack: Stack) -> float:
    """Requests that shared a scoring call, in all cells."""
    pages = [page_of(page) for process in stack.processes.values() for page in metrics_of(process)]
    return sum(float(found) for page in pages for found in _MERGED.findall(page))
