"""An id goes through a client, a router and a cell and comes back; and logs say no more than they should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.fleet import publish
from support.graphs import picky
from support.waiting import wait_until

from croupier_client import Client, Item
from croupier_client.errors import CroupierError, InternalError, InvalidRequest, NotFound
from croupierctl.stack import Stack

pytestmark = pytest.mark.system

# Values that callers send and nobody should read: as features, as names of features, as a token.
SECRETS = ("47114711", "her-diagnosis", "eyJhbGciOiJI.s3cr3t.token")
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"


@pytest.fixture(scope="module")
def router(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A further router on the stack, that logs all requests as JSON."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CROUPIER_ROUTER_LOG_FORMAT", "json")
        patched.setenv("CROUPIER_ROUTER_ACCESS_LOG_RATIO", "1")
        patched.setenv("CROUPIER_ROUTER_SLOW_REQUEST_MS", "0")
        process = stack.start_router("router-json", tmp_path_factory.mktemp("router") / "snapshot")
    yield process
    stack.processes.pop("router-json").stop()


def records(process: Any) -> list[dict[str, Any]]:
    """Its lines, all of which are objects but what a process says when it is ready."""
    lines = process.log.read_text().splitlines()
    return [json.loads(line) for line in lines if not line.endswith(" ready")]


def test_an_id_leads_from_a_callers_error_to_the_lines_about_it(stack: Stack, router: Any) -> None:
    publish(stack, "acme", "picky", picky())
    with Client(router.address, tenant="acme") as client:
        good = [0.0, 1.0]
        wait_until(lambda: bool(client.predict("picky", good).version), "acme/picky is routed")
        with pytest.raises(InternalError) as given:
            client.predict("picky", [float(SECRETS[0]), 1.0], request_id="mine-7")
        with pytest.raises(InternalError) as made:
            client.predict("picky", [float(SECRETS[0]), 1.0])
        with pytest.raises(NotFound) as unknown:
            client.predict("nothing", good)
        ((_, streamed),) = client.stream([Item("picky", [float(SECRETS[0]), 1.0])], request_id="mine-8")
    assert isinstance(streamed, CroupierError)
    assert (given.value.request_id, streamed.request_id) == ("mine-7", "mine-8")
    assert len({given.value.request_id, made.value.request_id, unknown.value.request_id, ""}) == 4

    cells = "".join(stack.process(f"cell-{number}").log.read_text() for number in range(stack.cells))
    for error in (given.value, made.value, streamed):
        assert f"an item failed inside request_id={error.request_id}\n" in cells
    told = {record["request_id"]: record for record in records(router) if "request_id" in record}
    for name, method in (("mine-7", "Predict"), ("mine-8", "PredictStream")):
        assert (told[name]["method"], told[name]["tenant"], told[name]["model"]) == (method, "acme", "picky")
    assert told[unknown.value.request_id]["code"] == "NOT_FOUND"


def test_hostile_callers_write_nothing_into_logs_but_words(stack: Stack, router: Any) -> None:
    forged = 'x" tenant=globex\n2026-01-01T00:00:00.000Z ERROR all is lost'
    with Client(router.address, tenant="acme", token=SECRETS[2]) as client:
        for name in (forged, "é", "x" * 129, "x" * 2**20):
            with pytest.raises(InvalidRequest):
                client.predict("wine", [1.0], request_id=name)
        with pytest.raises(CroupierError):
            client.predict("wine", {SECRETS[1]: float(SECRETS[0])})
    with grpc.insecure_channel(router.address) as channel:
        ask = channel.unary_unary(PREDICT)
        for name in ("two words", '"', "\\", "x" * 129, "x" * 6_000, "x" * 100_000):
            for tenant in ("acme", "acme code=OK", "../../etc/passwd", "x" * 200):
                metadata = (("x-request-id", name), ("croupier-tenant", tenant))
                with pytest.raises(grpc.RpcError):
                    ask(SECRETS[1].encode(), timeout=10, metadata=metadata)
        for number in range(300):
            with pytest.raises(grpc.RpcError):
                ask(b"", timeout=10, metadata=(("x-request-id", f"many-{number}"),))

    logs = {name: process.log.read_text() for name, process in stack.processes.items() if name != "etcd"}
    roots = (str(stack.folder), str(Path(__file__).parents[2]), "/site-packages/", ".py")
    for name, text in logs.items():
        assert [one for one in (*SECRETS, *roots) if one in text] == [], name
        assert not any(line.startswith("2026-01-01") for line in text.splitlines())
    told = records(router)
    assert {record["tenant"] for record in told if "tenant" in record} <= {"acme", "acme code=OK", ""}
    assert all(len(str(record.get("request_id", ""))) <= 128 for record in told)
