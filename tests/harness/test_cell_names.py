"""The version manager says what tokens name."""

from __future__ import annotations

from typing import Any

import pytest

from croupier.debug_tokens import token
from croupier.errors import PermissionDenied
from croupier_bench import cell_names
from croupier_bench.cell_names import ask_names, names_of
from croupier_bench.keys import Table
from croupier_bench.target import Target
from protos.versions.v1 import versions_pb2 as pb


def generation(number: int, *cells: str, seed: int = 7) -> pb.Generation:
    return pb.Generation(number=number, seed=seed, seats=[pb.Seat(cell=cell) for cell in cells])


class Manager:
    """Keeps generations, the latest of which is active."""

    def __init__(self, *generations: pb.Generation, error: Exception | None = None) -> None:
        self._kept = {one.number: one for one in generations}
        self._error = error

    async def __aenter__(self) -> Manager:
        return self

    async def __aexit__(self, *error: object) -> None: ...

    async def get_generation(self, number: int = 0) -> pb.Generation:
        if self._error is not None:
            raise self._error
        return self._kept[number or max(self._kept)]

    async def get_shard_history(self) -> pb.ShardHistory:
        latest_first = sorted(self._kept, reverse=True)
        return pb.ShardHistory(generations=[pb.PastGeneration(number=number) for number in latest_first])


def target() -> Target:
    told = {"address": "127.0.0.1:1", "protocol": "croupier", "manager": "127.0.0.1:2"}
    return Target.read(Table(told))


async def test_cells_of_every_generation_that_is_kept_are_known() -> None:
    manager: Any = Manager(generation(1, "gone", "cell-0"), generation(2, "cell-0", "cell-1"))
    names = await names_of(manager)
    said = [token(7, "acme", *one) for one in ((1, "gone"), (1, "cell-0"), (2, "cell-1"))]
    assert [names.name("acme", one) for one in said] == ["gone", "cell-0", "cell-1"]
    assert names.name("acme", token(7, "acme", 3, "cell-0")) == token(7, "acme", 3, "cell-0")


async def test_generations_of_another_seed_name_nothing() -> None:
    manager: Any = Manager(generation(1, "cell-0", seed=6), generation(2, "cell-0"))
    assert (await names_of(manager)).seats == {2: ["cell-0"]}


def test_who_may_not_ask_sees_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses = Manager(generation(1, "cell-0"), error=PermissionDenied("an operator's"))
    monkeypatch.setattr(cell_names, "VersionManagerClient", lambda address, found: refuses)
    assert ask_names(target()) is None
    allows = Manager(generation(1, "cell-0"))
    monkeypatch.setattr(cell_names, "VersionManagerClient", lambda address, found: allows)
    found = ask_names(target())
    assert found is not None
    assert found.name("acme", token(7, "acme", 1, "cell-0")) == "cell-0"
