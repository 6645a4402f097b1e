from typing import Any

import numpy as np
import pytest

from bench import catalog
from bench.openloop import Moments
from bench.rows import ROUTER
from bench.system import growth, play
from bench.system.tail import AWAY, DIRECT, UP, Plan, Turn, Turning, told


@pytest.mark.parametrize(
    ("seen", "passed"),
    [
        ({"growth": {}}, True),
        ({"wrong": 0, "failed": 0, "growth_failed": 0}, True),
        ({"wrong": 1, "failed": 0}, False),
        ({"wrong": 0, "failed": 1}, False),
        ({"growth_failed": 1}, False),
        ({"storm": {"hot_errors": 0, "refused": 0}, "tail": {"failed": 0}}, True),
        ({"storm": {"hot_errors": 1, "refused": 0}}, False),
        ({"storm": {"hot_errors": 0, "refused": 1}}, False),
        ({"tail": {"failed": 2}}, False),
    ],
)
def test_a_request_that_failed_or_was_answered_wrongly_fails_the_bench(
    seen: dict[str, Any], passed: bool
) -> None:
    assert play.passed(seen) == passed


def test_parts_that_were_not_measured_now_stay() -> None:
    before = {"about": {"date": "then"}, "max_rps": 1, "growth": {"models": [1], "cells": [2]}, "tail": 3}
    found = play.merged(before, {"growth": {"cells": [4]}, "tail": 5})
    assert found == {"max_rps": 1, "growth": {"models": [1], "cells": [4]}, "tail": 5}


def test_hands_grow_among_the_most_cells() -> None:
    plan = growth.Plan((1, 50), (4, 64), (1, 16), models=10, requests=1, rounds=1)
    assert plan.axes() == {
        "tenants": {1: growth.Point(tenants=1), 50: growth.Point(tenants=50)},
        "cells": {4: growth.Point(cells=4), 64: growth.Point(cells=64)},
        "hand": {1: growth.Point(cells=64, hand=1), 16: growth.Point(cells=64, hand=16)},
    }


def turn(p99: float, ours: int = 0) -> Turn:
    return Turn(0.1, p99, p99 / 2, 1.0, 0.01, 10, 0, {}, [], [{"ms": 2.0}] * ours)


def test_the_router_is_compared_with_the_proxy_that_adds_least() -> None:
    proxies = {DIRECT: "a:1", "slow": "b:1", "quick": "c:1", ROUTER: "d:1"}
    runs = {
        UP: [{DIRECT: turn(0.2), "slow": turn(0.9), "quick": turn(0.3), ROUTER: turn(0.45, ours=1)}],
        AWAY: [{DIRECT: turn(0.2), "slow": turn(0.1), "quick": turn(0.4), ROUTER: turn(0.3)}],
    }
    found = told(1_000.0, proxies, runs)
    assert found["best_peer"] == "quick"
    assert found["over_best_ms"] == {UP: [pytest.approx(0.15)], AWAY: [pytest.approx(-0.1)]}
    assert found["added_p99_ms"][UP] == [
        {"slow": pytest.approx(0.7), "quick": pytest.approx(0.1), ROUTER: pytest.approx(0.25)}
    ]
    assert found["calm_over_best_ms"] == {UP: [pytest.approx(0.075)], AWAY: [pytest.approx(-0.05)]}
    assert (found["ours_over_1ms"], found["failed"]) == (1, 0)


def test_without_a_proxy_there_is_nothing_to_compare_with() -> None:
    run = {DIRECT: turn(0.2), ROUTER: turn(0.3)}
    found = told(1_000.0, {DIRECT: "a:1", ROUTER: "d:1"}, {UP: [run], AWAY: [run]})
    assert (found["best_peer"], found["over_best_ms"]) == (None, {UP: [], AWAY: []})


@pytest.mark.parametrize(
    ("late", "is_in_time"), [([5e-5], True), ([1e-3, 1e-3, 5e-5], True), ([1e-3] * 3, False)]
)
async def test_a_probe_that_was_kept_from_its_processor_is_made_again(
    late: list[float], is_in_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    turning = Turning({DIRECT: "a:1"}, catalog.unary(64, 1), "", Plan((20_000.0,), (), 1, 1, 1.0))
    found = (Moments(np.zeros(1), np.zeros(1), np.full(1, seconds)) for seconds in late)

    async def ask(address: str, seconds: float, number: int) -> Moments:
        return next(found)

    monkeypatch.setattr(turning, "_ask", ask)
    assert await turning.is_in_time() == is_in_time
    assert next(found, None) is None
