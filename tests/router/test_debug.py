"""What a router believes, asked over its admin port while it serves."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import grpc
import pytest
from support.admin import AdminPort
from support.fakes import FakeManager, generation, hang, model
from support.ports import free_port
from support.waiting import eventually
from support.worlds import failing, router, world

from protos.inference.v2 import inference_pb2
from router.view import ViewChange
from version_manager.model.catalog import Delta
from version_manager.model.family import Family, FeatureSpec, LogRule
from version_manager.model.fleet import Cell
from version_manager.model.limits import Limits

SPLIT = model(versions=(1, 2), splits=((1, 2_500), (2, 7_500)))


def _port() -> str:
    return f"127.0.0.1:{free_port()}"


async def test_it_is_ready_with_a_view_and_a_cell_that_should_answer() -> None:
    port = AdminPort(_port())
    manager = FakeManager()
    manager.address = _port()
    async with router(manager.address, wait=False, listen=_port(), metrics_listen=port.listen):
        await eventually(port.is_there, "the page")
        assert await port.page("/readyz") == (503, "no catalog is loaded yet")
        assert (await port.view("view"))["is_loaded"] is False
        assert await port.view("tenant", name="acme") == "no shard map is active yet"

        async with manager:

            async def no_map() -> bool:
                return await port.page("/readyz") == (503, "no shard map is active yet")

            await eventually(no_map, "a catalog without a shard map")


async def test_a_router_that_can_reach_no_cell_is_not_ready_and_says_which_it_knows() -> None:
    port = AdminPort(_port())
    async with world([SPLIT], cells=2, metrics_listen=port.listen) as made:
        assert await port.page("/readyz") == (200, "ok")
        cells: Any = {cell["id"]: cell for cell in (await port.view("cells"))["entries"]}
        assert {cell["connection"] for cell in cells.values()} == {"idle"}
        await made.router.infer()
        asked = made.hand()[0]
        cells = {cell["id"]: cell for cell in (await port.view("cells"))["entries"]}
        assert 0.0 < cells[asked.id].pop("latency_seconds") < 60.0
        assert cells[asked.id] == {
            "id": asked.id,
            "zone": asked.zone,
            "address": asked.address,
            "weight": 1.0,
            "protocol": 1,
            "state": "active",
            "breaker": "closed",
            "ejected": None,
            "connection": "connected",
            "calls": 0,
            "in_flight": 0,
            "most_in_flight": None,
        }
        made.change(ViewChange(Delta(0), removed_cells=tuple(made.cells)))

        async def gone() -> bool:
            return await port.page("/readyz") == (503, "none of 2 cells can be reached")

        await eventually(gone, "the cells' departure")
        assert {cell["state"] for cell in (await port.view("cells"))["entries"]} == {"departed"}


async def test_a_router_whose_cells_are_all_silent_is_ready() -> None:
    port = AdminPort(_port())
    async with world([SPLIT], cells=2, attempt_timeout=0.02, metrics_listen=port.listen) as made:
        for cell in made.cells.values():
            cell.before = hang

        async def all_are_silent() -> bool:
            with suppress(grpc.aio.AioRpcError):
                await made.router.infer("churn", timeout=0.2)
            breakers = {cell["breaker"] for cell in (await port.view("cells"))["entries"]}
            return breakers <= {"open", "half-open"}

        await eventually(all_are_silent, "silence")
        assert await port.page("/readyz") == (200, "ok")
        ready = await made.router.inference.ServerReady(inference_pb2.ServerReadyRequest())
        assert ready.ready


async def test_a_cell_that_died_is_named_by_its_breaker_and_by_what_it_lost() -> None:
    port = AdminPort(_port())
    async with world(cells=2, metrics_listen=port.listen) as made:
        before = (await port.view("suspects"))["retry_tokens"]
        first = made.hand()[0]
        await first.kill()
        await made.router.infer()
        suspects = await port.view("suspects")
        assert suspects["troubled"]["entries"] == [first.id]
        assert suspects["retry_tokens"] < before
        tenant = await port.view("tenant", name="acme", model="churn")
        assert tenant["order"][0] == first.id
        assert tenant["picked"][-1] == first.id
        assert tenant["cells"][0]["breaker"] in {"open", "overdue"}


async def test_a_tenant_its_hand_and_what_a_request_would_get() -> None:
    port = AdminPort(_port())
    async with world([SPLIT, model("globex", "secret")], metrics_listen=port.listen) as made:
        order = [cell.id for cell in made.hand()]
        told = await port.view("tenant", name="acme", model="churn")
        assert set(told["hand"]) == set(told["order"]) == set(order)
        assert (told["order"], told["picked"]) == (order, order)
        versions = [(version["version"], version["basis_points"]) for version in told["versions"]]
        assert versions == [(1, 2_500), (2, 7_500)]
        assert set(await port.view("tenant", name="acme")) == {"tenant", "dealt_by", "hand", "previous_hand"}
        # Whoever has no models has a hand all the same.
        assert len((await port.view("tenant", name="nobody"))["hand"]) == 2


async def test_what_is_no_tenant_or_no_model() -> None:
    port = AdminPort(_port())
    async with world(metrics_listen=port.listen):
        assert await port.view("tenant") == "name is empty"
        assert (
            await port.view("tenant", name="a\x1b[2J\r\n\0") == "name has a character that cannot be printed"
        )
        assert await port.view("tenant", name="x" * 7_000) == "name is longer than 128 bytes"
        assert await port.view("tenant", name="acme", model="../x") == "model has a slash or backslash"
        assert await port.view("tenant", name="acme", model="none") == "tenant acme has no model none"


async def test_the_view_and_why_it_is_frozen() -> None:
    port = AdminPort(_port())
    models = [model(name=f"m{n}") for n in range(30)]
    async with world(models, metrics_listen=port.listen) as made:
        view = await port.view("view")
        assert (view["models"], view["cells"], view["revision"], view["frozen_for"]) == (30, 6, 1, "")
        assert view["generations"] == [{"number": 1, "hand_size": 2, "seats": 6, "overrides": 0}]
        made.change(ViewChange(Delta.of(0, removed=tuple(("acme", f"m{n}") for n in range(29)))))

        async def frozen() -> bool:
            return bool((await port.view("view"))["frozen_for"] == "it lost 29 of 30 models")

        await eventually(frozen, "the refusal")


async def test_many_cells_are_cut_and_counted() -> None:
    port = AdminPort(_port())
    async with world(cells=1, metrics_listen=port.listen) as made:
        seats = generation([f"far-{n}" for n in range(300)])
        made.change(ViewChange(Delta(0), tuple(_far(n) for n in range(300)), generations=(seats,)))

        async def cut() -> bool:
            cells = await port.view("cells")
            return (len(cells["entries"]), cells["more"]) == (100, 201)

        await eventually(cut, "the cells")
        status, body = await port.page("/debug/cells")
        assert status == 200
        assert len(body) < 2**16
        assert json.loads(body)["more"] == 201


def _far(number: int) -> Cell:
    return Cell(f"far-{number}", "zone-0", f"127.0.0.1:{number + 1}")


async def test_it_tells_of_families() -> None:
    port = AdminPort(_port())
    async with world([SPLIT], cells=1, metrics_listen=port.listen) as made:
        stored = FeatureSpec("spend", source="store", group="spending")
        churn = Family("churn", 3, features=(FeatureSpec("age"), stored), log=LogRule(0.25))
        own = Family("churn", 1, tenant="acme")
        made.change(ViewChange(Delta(0), families=((churn.key, churn), (own.key, own))))

        async def is_told() -> bool:
            return (await port.view("view"))["families"] == 1

        await eventually(is_told, "families")
        told = await port.view("families")
        nothing = {"features": 0, "stored": 0, "store_failure": "degrade", "log_share": 0.0}
        assert told == {
            "families": {
                "entries": [
                    {
                        "tenant": "",
                        "name": "churn",
                        "number": 3,
                        "features": 2,
                        "stored": 1,
                        "store_failure": "degrade",
                        "log_share": 0.25,
                    }
                ],
                "more": 0,
            },
            "own": {"entries": [{"tenant": "acme", "name": "churn", "number": 1, **nothing}], "more": 0},
        }


async def test_it_tells_whose_buckets_are_the_emptiest() -> None:
    port = AdminPort(_port())
    async with world([SPLIT], cells=2, metrics_listen=port.listen) as made:
        assert await port.view("limits") == {"entries": [], "more": 0}
        own = Limits(rate=1e-3, in_flight=4.0, bytes=1e9)
        made.change(ViewChange(Delta(0), limits=(("acme", own),), default_limits=Limits(rate=1000.0)))

        async def is_limited() -> bool:
            with suppress(grpc.aio.AioRpcError):
                await made.router.infer()
            return bool((await port.view("limits"))["entries"])

        await eventually(is_limited, "limits")
        (told,) = (await port.view("limits"))["entries"]
        assert (told["tenant"], told["share"], told["in_flight"]) == ("acme", 1.0, 0)
        assert (told["most_in_flight"], told["streams"]) == (4, 0)
        assert told["buckets"]["rate"]["per_second"] == pytest.approx(1e-3)
        assert told["buckets"]["rate"]["fill"] < 0.01
        assert told["buckets"]["bytes"]["per_second"] == pytest.approx(1e9)
        async with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "QuotaFailure", "RetryInfo", "ErrorInfo"):
            await made.router.infer()
