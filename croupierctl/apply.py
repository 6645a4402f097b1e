"""`croupierctl shards plan` and `shards apply`: a shard map from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from croupier.errors import TooLarge
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import generation_file
from croupierctl.change import change, stale
from croupierctl.how import Force, How, changing
from sharding.edits import Edit, between
from sharding.generation import Generation, check_generation

File: TypeAlias = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        allow_dash=True,
        help="YAML or JSON, as `shards export` writes it; - is standard input.",
        show_default=False,
    ),
]
Base: TypeAlias = Annotated[
    int, typer.Option(min=0, help="The generation that is changed, if not the one that the file says.")
]


def plan(file: File, base: Base = 0, force: Force = "") -> None:
    """Say what a shard map from a file would do.

    Who moves, what is loaded, how even the load is. Nothing is changed. It fails if `shards apply` would
    refuse the file.
    """
    _apply(file, base, How(dry_run=True, force=force))


@changing()
def apply(file: File, base: Base = 0, *, how: How) -> None:
    """Make a shard map from a file the next generation.

    What the file leaves out stays: overrides, hand size, seed. It changes the generation whose number it
    has: if another one is active by now, that is a conflict, and what changed since is listed. A seat
    that it takes away has to be drained first.
    """
    _apply(file, base, how)


def _apply(file: Path, base: int, how: How) -> None:
    data = _read(file)

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        wanted = generation_file.parse(data, active)
        expected = base or wanted.number
        if active.number and not expected:
            raise generation_file.InvalidFile(
                "the file does not say which generation it changes: give it a number, as "
                f"`croupierctl shards export` writes it, or give --base; {active.number} is active",
                field="number",
            )
        if active.number and expected != active.number:
            raise await stale(manager, active, expected)
        return between(active, check_generation(wanted))

    change(f"shards apply {file.name}", make, how)


def _read(file: Path) -> bytes:
    with sys.stdin.buffer if file == Path("-") else file.open("rb") as source:
        data = source.read(generation_file.MAX_BYTES + 1)
    if len(data) > generation_file.MAX_BYTES:
        raise TooLarge(f"{file} is larger than any shard map")
    return data
