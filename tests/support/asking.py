"""Callers of a router that ask on and on, from a thread, whatever they are answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from croupier_client import AsyncClient, PredictError


@contextmanager
def asking(
    router: str,
    tenant: str,
    model: str,
    row: Sequence[float],
    *,
    at_once: int = 1,
    pause: float = 0.05,
    **told: Any,
) -> Iterator[None]:
    """For the block, `at_once` callers of `tenant`, each with a `pause` after an answer.

    `told` goes to `predict`.
    """
    done = threading.Event()

    async def one(client: AsyncClient) -> None:
        while not done.is_set():
            with suppress(PredictError):
                await client.predict(model, row, **told)
            await asyncio.sleep(pause)

    async def ask() -> None:
        async with AsyncClient(router, tenant=tenant) as client:
            await asyncio.gather(*(one(client) for _ in range(at_once)))

    thread = threading.Thread(target=lambda: asyncio.run(ask()))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
