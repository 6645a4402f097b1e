"""The load's own process, against a server in this one."""

import asyncio
from pathlib import Path

import numpy as np
from support.prediction_server import PredictionServer

from bench.demo.loading import LoadProcess
from bench.training import Recipe, Trained
from croupier.errors import FailedPrecondition

ROWS = np.arange(24, dtype=np.float32).reshape(24, 1) + 1


def trained(name: str, factor: float) -> Trained:
    """What the server answers is right of the factor 1."""
    return Trained(Recipe("acme", name, "", "", 0), b"", ROWS, ROWS * factor, ())


async def test_it_asks_until_told_and_says_of_each_request_what_came_of_it() -> None:
    models = [trained("right", 1.0), trained("wrong", 2.0), trained("failing", 1.0)]
    async with PredictionServer() as server:
        server.item_failures["failing"].extend(FailedPrecondition("no") for _ in range(100_000))
        with LoadProcess.started(server.target, models) as load:
            closed = await load.closed([1.0, 1.0, 1.0], 1, seconds=0.2, streams=1)
            sent = len(server.items)
            load.begin([1.0, 0.0, 0.0], 2, rate=500.0)
            while len(server.items) < sent + 20:
                server.called.clear()
                await server.called.wait()
            opened = await asyncio.wait_for(load.end(), 60.0)
            assert Path(f"/proc/{load.pid}").exists()
        assert not Path(f"/proc/{load.pid}").exists()
    assert len(closed.due) == sent
    assert (closed.wrong == (closed.models == 1)).all()
    assert (closed.failed == (closed.models == 2)).all()
    assert closed.problems == {"another answer": int((closed.models != 0).sum())}
    assert 20 <= len(opened.due) == len(opened.models) == len(opened.latencies)
    assert np.isfinite(opened.latencies).all()
    assert opened.models.tolist() == [0] * len(opened.due)
