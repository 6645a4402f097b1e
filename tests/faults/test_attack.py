"""Hostile callers, with and without a credential: nobody else notices.

Beside what callers meet, memory is watched: no process may take much more meanwhile, nor keep it.
"""

from __future__ import annotations

import struct
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from support import attackers
from support.attacks import EVIL, INFER, attack, unary
from support.fleet import publish
from support.harm import hand_of, metrics_of
from support.load import MODEL, TENANTS
from support.waiting import wait_until

from croupier.artifacts.packers.linear import pack_linear
from croupierctl.stack import Stack
from protos.inference.v2 import inference_pb2


@pytest.mark.fault("60 health watches for a service with a name of 15 MiB", "no error; memory stays")
def test_health_watches_with_huge_names(fleet: Stack, attacked) -> None:
    attacked(partial(attackers.watch_huge_names, fleet.router, cell_address(fleet))).check()


@pytest.mark.fault("Reflection requests of 15 MiB", "no error; memory stays")
def test_huge_reflection_requests(fleet: Stack, attacked) -> None:
    attacked(partial(attackers.reflect_huge_names, fleet.router)).check()


@pytest.mark.fault("PredictStream calls with malformed messages of 8 MiB", "no error; memory stays")
def test_malformed_streams(fleet: Stack, attacked) -> None:
    attacked(partial(attackers.stream_malformed, fleet.router)).check()


@pytest.mark.fault(
    "5,000 requests that are reset as they begin, or headers without end (CONTINUATION), on 32 connections",
    "no error; memory stays",
)
@pytest.mark.parametrize("flood", attackers.FLOODS)
def test_floods_of_frames(fleet: Stack, attacked, flood: str) -> None:
    attacked(partial(attackers.flood, fleet.router, cell_address(fleet), flood)).check()


@pytest.mark.fault(
    "Requests of 15 MiB of empty inputs, outputs or contents, or of fields inside one input",
    "no error; memory stays",
)
@pytest.mark.parametrize("parts", attackers.PARTS)
def test_empty_parts_without_end(fleet: Stack, attacked, parts: str) -> None:
    publish(fleet, EVIL, MODEL, TENANTS[0].artifact)
    attacked(partial(attackers.send_parts, fleet.router, parts)).check()


@pytest.mark.fault(
    "The same, to a router that nobody else asks: what sharing the processors costs callers", "no error"
)
def test_fields_without_end_for_a_bystander(fleet: Stack, attacked, tmp_path) -> None:
    publish(fleet, EVIL, MODEL, TENANTS[0].artifact)
    bystander = fleet.start_router("bystander", tmp_path / "snapshot")
    try:
        attacked(partial(attackers.send_parts, bystander.address, "inside")).check()
    finally:
        bystander.stop()
        del fleet.processes["bystander"]


@pytest.mark.fault("A model of 65,535 outputs is asked for 1,024 rows at a time", "no error; memory stays")
def test_answers_without_end(fleet: Stack, attacked) -> None:
    rng = np.random.default_rng(1)
    model = LinearRegression().fit(rng.normal(size=(4, 1)), rng.normal(size=(4, 65_535)))
    publish(fleet, EVIL, "wide", pack_linear(model))
    attacked(partial(attackers.ask_for_huge_answers, fleet.router, "wide")).check()


@pytest.mark.fault(
    "A hundred uploads to the version manager stop half way, again and again",
    "no error; others publish; memory stays",
)
def test_uploads_that_stop_half_way(fleet: Stack, attacked) -> None:
    attacked(partial(attackers.upload_by_halves, fleet.manager)).check()


@pytest.mark.fault(
    "Uploads of 64 MiB to the version manager are refused for their first bytes, or when they are whole",
    "no error; memory stays",
)
@pytest.mark.parametrize("kind", attackers.JUNK)
def test_uploads_that_are_refused(fleet: Stack, attacked, kind: str) -> None:
    attacked(partial(attackers.upload_junk, fleet.manager, kind)).check()


@pytest.mark.fault(
    "300 connections to the metrics page of each process say nothing", "no error; the page answers"
)
def test_connections_to_the_metrics_that_say_nothing(fleet: Stack, attacked) -> None:
    pages = [page for process in fleet.processes.values() for page in metrics_of(process)]
    assert len(pages) == fleet.cells + 2
    attacked(partial(attackers.connect_in_silence, *pages)).check()


@pytest.mark.fault(
    "A tensor without a name is a row long and says that it has many", "INVALID_ARGUMENT, nobody's values"
)
def test_a_tensor_without_a_name(fleet: Stack, load) -> None:
    width = 16
    model = LinearRegression().fit(np.eye(width), np.eye(width))
    publish(fleet, EVIL, "identity", pack_linear(model))
    request = inference_pb2.ModelInferRequest(model_name="identity")
    request.inputs.add(datatype="FP32", shape=[width, 1])
    request.raw_input_contents.append(struct.pack(f"<{width}f", *range(width)))
    body = request.SerializeToString()
    with load() as seen:
        wait_until(
            lambda: "NOT_FOUND" not in attack(fleet.router, lambda c: [unary(c, INFER, body)]), "routed"
        )
        statuses = attack(fleet.router, lambda channel: [unary(channel, INFER, body) for _ in range(200)])
    assert statuses == {"INVALID_ARGUMENT": 200}
    seen.check()


@pytest.mark.fault("Garbage, HTTP/1.1 and half a handshake on every port", "no error")
def test_garbage_on_every_port(fleet: Stack, attacked) -> None:
    addresses = [process.address for name, process in fleet.processes.items() if name != "etcd"]
    attacked(partial(attackers.send_garbage, *addresses)).check()


@pytest.mark.fault("A thousand calls are begun and cancelled, again and again", "no error; memory stays")
def test_calls_that_are_cancelled(fleet: Stack, attacked) -> None:
    publish(fleet, EVIL, MODEL, TENANTS[0].artifact)
    attacked(partial(attackers.cancel_calls, fleet.router)).check()


def cell_address(stack: Stack) -> str:
    return stack.process(hand_of(stack, TENANTS[0].name)[0]).address
