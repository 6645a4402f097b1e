"""`croupierctl hand T --debug TOKEN`: which generation and cell a reply to `croupier-debug: 1` named."""

from __future__ import annotations

from collections.abc import AsyncIterator

from croupier.debug_tokens import named
from croupier.errors import InvalidRequest, NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.servers import ask_manager
from sharding.generation import Generation
from version_manager.model.wire import generation_from_pb


def show(tenant: str, said: str) -> None:
    """Print what each of the tokens in `said`, with commas between them, names.

    Raises:
        NotFound: one names no seat of any generation that is kept: it is another tenant's, or older.
    """
    tokens = list(dict.fromkeys(filter(None, said.split(","))))
    if not tokens:
        raise InvalidRequest("a token is 16 hexadecimal digits, as a reply has it", field="debug")

    async def ask(manager: VersionManagerClient) -> dict[str, tuple[int, str]]:
        found: dict[str, tuple[int, str]] = {}
        async for generation in _generations(manager):
            cells = [seat.cell for seat in generation.seats]
            for one in (one for one in tokens if one not in found):
                if cell := named(generation.seed, tenant, one, generation.number, cells):
                    found[one] = generation.number, cell
            if len(found) == len(tokens):
                break
        return found

    found = ask_manager(ask)
    if unknown := [one for one in tokens if one not in found]:
        raise NotFound(
            f"{', '.join(unknown)} names no cell of {tenant} in any generation that is kept: "
            "it is another tenant's, or older"
        )
    output.table(("token", "generation", "cell"), [(one, *found[one]) for one in tokens])


async def _generations(manager: VersionManagerClient) -> AsyncIterator[Generation]:
    """Those that are kept, the latest first."""
    for past in (await manager.get_shard_history()).generations:
        yield generation_from_pb(await manager.get_generation(past.number))
