"""Asks a version manager what tokens of replies name: the seed, and the cells of the generations it keeps."""

from __future__ import annotations

import asyncio

from croupier.errors import CroupierError
from croupier.grpcio.channels import credentials
from croupier.grpcio.manager import VersionManagerClient
from croupier_bench.cells import Names
from croupier_bench.target import Target

# Of a history, the latest first.
_MOST_GENERATIONS = 16
_SECONDS = 5.0


def ask_names(target: Target) -> Names | None:
    """As its version manager knows them; None where that does not say."""
    try:
        return asyncio.run(asyncio.wait_for(_asked(target), _SECONDS))
    except (CroupierError, OSError, TimeoutError):
        return None


async def _asked(target: Target) -> Names:
    tls = target.manager_tls
    found = None if tls is None else credentials(tls.ca, tls.certificate, tls.key)
    async with VersionManagerClient(target.manager, found) as manager:
        return await names_of(manager)


async def names_of(manager: VersionManagerClient) -> Names:
    """By the generations that are kept. Raises CroupierError."""
    active = await manager.get_generation()
    past = [one.number for one in (await manager.get_shard_history()).generations]
    numbers = [number for number in past if number != active.number][: _MOST_GENERATIONS - 1]
    generations = [active, *[await manager.get_generation(number) for number in numbers]]
    seats = {one.number: [seat.cell for seat in one.seats] for one in generations if one.seed == active.seed}
    return Names(active.seed, seats)
