from dataclasses import replace

from bench import calling, catalog, openloop
from bench.h2load import CLIENTS
from bench.upstream import Upstream


async def test_every_answer_is_right_and_counted() -> None:
    async with Upstream(2) as upstream:
        for address in upstream.addresses:
            async with calling.callers(address) as callers:
                assert len(callers) == CLIENTS
                unary = await openloop.closed_loop(callers, catalog.unary(64, models=300), 300)
                many = await openloop.closed_loop(callers, catalog.spread(), 100)
                assert (unary.failures, many.failures) == (0, 0)
        assert upstream.answered == 2 * (300 + 100 * catalog.ITEMS)


async def test_an_open_loop_over_connections() -> None:
    load = catalog.unary(1024, models=300)
    async with Upstream(1) as upstream, calling.callers(upstream.addresses[0]) as callers:
        sample = await openloop.open_loop(callers, load, rate=500.0, seconds=0.2, seed=1, warm_up=0.0)
    assert (sample.requests, sample.failures) == (100, 0)
    assert (sample.latencies > 0).all()


async def test_what_is_wrong_with_answers_is_told() -> None:
    load = catalog.unary(64, models=10)
    async with Upstream(1) as upstream, calling.callers(upstream.addresses[0]) as callers:
        await openloop.closed_loop(callers, replace(load, expected=b"else"), 8)
        await openloop.closed_loop(callers, replace(load, path=b"/no/Such"), 8)
        problems = sum(
            (caller.problems for caller in callers), start=callers[0].problems - callers[0].problems
        )
    assert problems["another answer"] == 8
    assert sum(count for problem, count in problems.items() if problem.startswith("status 12")) == 8
