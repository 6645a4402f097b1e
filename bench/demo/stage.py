"""What both acts play on: models trained for many tenants and published to a fleet of real processes."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bench import fleet, processes, report
from bench.demo import stored
from bench.demo.loading import LoadProcess
from bench.training import Trained, recipes, train_all
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from croupierctl.stack import Stack
from sharding.dealer import Dealer
from version_manager.model.wire import generation_from_pb

SEED = 20


@dataclass(frozen=True, slots=True)
class Stage:
    stack: Stack
    models: Sequence[Trained]
    manager: VersionManagerClient
    dealer: Dealer
    load: LoadProcess

    @property
    def tenants(self) -> list[str]:
        return list(dict.fromkeys(model.recipe.tenant for model in self.models))

    def cpu_seconds(self) -> dict[str, float]:
        """What each part of it has used so far."""
        names = self.stack.processes
        cells = [names[name].pid for name in names if name.startswith("cell-")]
        parts = {"router": [self.stack.process("router").pid], "cells": cells, "load": [self.load.pid]}
        return processes.cpu_seconds_of(parts)


@lru_cache(maxsize=1)
def train(tenants: int) -> Sequence[Trained]:
    wanted = recipes(tenants, SEED)
    models = []
    with Progress(console=report.console) as progress:
        bar = progress.add_task(f"training {len(wanted)} models for {tenants} tenants", total=len(wanted))
        for model in train_all(wanted):
            models.append(model)
            progress.advance(bar)
    return tuple(models)


@contextmanager
def started(cells: int, zones: int) -> Iterator[Stack]:
    """The fleet. It is gone when the block is left, also by Ctrl-C, SIGTERM or a terminal that closes."""
    with tempfile.TemporaryDirectory(prefix="croupier-demo-") as folder, interruptible():
        stack = Stack(Path(folder), cells, zones, cell_module="bench.demo.poison_cell")
        report.step(f"starting etcd, a version manager, {cells} cells in {zones} zones and a router")
        try:
            stack.start()
            yield stack
        finally:
            # Whoever presses Ctrl-C again would leave processes behind.
            with _heard(signal.SIG_IGN, signal.SIGINT):
                stack.stop()


def interruptible() -> AbstractContextManager[None]:
    """In the block SIGTERM, and a terminal that closes, are what Ctrl-C is: what was started is stopped."""
    return _heard(_interrupt)


@contextmanager
def _heard(handler: Any, *more: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGHUP, *more)}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@asynccontextmanager
async def prepared(stack: Stack, models: Sequence[Trained]) -> AsyncIterator[Stage]:
    """Everything published and known to the router, and a load that is ready to ask."""
    with LoadProcess.started(stack.router, models) as load:
        async with VersionManagerClient(stack.manager) as manager, AsyncClient(stack.router) as client:
            with Progress(console=report.console) as progress:
                bar = progress.add_task("publishing", total=len(models))
                await fleet.publish(manager, list(models), lambda: progress.advance(bar))
            await stored.put(stack, manager, models)
            await fleet.await_routed(manager, client, models[0])
            await stored.await_heard(client, models)
            dealer = Dealer(generation_from_pb(await manager.get_generation()))
            yield Stage(stack, models, manager, dealer, load)
