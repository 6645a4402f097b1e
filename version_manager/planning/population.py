"""The tenants of a catalog as arrays: how many models each has, what they take, and what it asks for.

They stand in the order of a hash of their names, so that every manager has them in one order, whatever came
first; that those who stand next to each other have nothing in common; and that a name is found in it without
an index that would take more memory than all else.

What is counted of a tenant's models are the artifacts that their releases name: what a cell loads.

Half a million tenants are looked at, so nothing here calls into C for long with the interpreter's lock held:
see `worker`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt

from sharding.plan import Population
from sharding.population import Counts, Indices, Keys, Loads, keys_of, slices
from version_manager.model.catalog import Catalog
from version_manager.model.release import Model
from version_manager.rates import Asked

# Of the names' order: any number, the same everywhere.
_SEED = 0

Held: TypeAlias = npt.NDArray[np.object_]


class Names(Sequence[str]):
    """Names, put together of `parts`, of which the garbage collector does not know.

    It walks a list whole, however long that is, and whatever made it look.
    """

    __slots__ = ("_held",)

    def __init__(self, parts: Iterable[Held]) -> None:
        parts = [*parts]
        self._held = np.empty(sum(map(len, parts)), np.object_)
        first = 0
        for part in parts:
            self._held[first : first + len(part)] = part
            first += len(part)

    def __len__(self) -> int:
        return len(self._held)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        found: str | list[str] = self._held[at].tolist() if isinstance(at, slice) else self._held[at]
        return found

    def __iter__(self) -> Iterator[str]:
        for some in slices(self._held):
            yield from some.tolist()

    def at(self, places: Indices) -> Held:
        return self._held[places]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """The tenants of one catalog, by the hashes of their names, which are `keys`."""

    names: Sequence[str]
    keys: Keys
    models: Counts
    model_bytes: Counts

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: str) -> int:
        """The number of a tenant; -1 if there is none of that name."""
        (key,) = keys_of([name], _SEED)
        first = int(np.searchsorted(self.keys, key))
        for number in range(first, len(self.names)):
            if self.keys[number] != key:
                break
            if self.names[number] == name:
                return number
        return -1

    def rates(self, asked: Asked) -> Loads | None:
        """Requests a second of each tenant; None if nobody asks for anything.

        Routers name the busiest. What they count of all others is shared out evenly among these.
        """
        named = {self.find(name): rate for name, rate in asked.tenants.items()}
        named.pop(-1, None)
        others = len(self) - len(named)
        rest = max(asked.total - sum(asked.tenants.values()), 0.0) / max(others, 1)
        rates = np.full(len(self), rest)
        rates[[*named]] = [*named.values()]
        return rates if rates.any() else None

    def population(self, rates: Loads | None) -> Population:
        return Population(self.names, rates, self.models, self.model_bytes)


def members_of(catalog: Catalog) -> Members:
    """Every tenant that has a model, released or not."""
    unordered: list[Held] = []
    # Numbers, not objects: to free a million of those takes long.
    models, model_bytes = array("q"), array("q")
    for bucket in catalog.buckets():
        # A bucket at a time: one dictionary of all tenants would stop everybody whenever it grows.
        found = _count(bucket)
        unordered.append(np.array([*found], np.object_))
        for count, size in found.values():
            models.append(count)
            model_bytes.append(size)
    named = Names(unordered)
    keys = keys_of(named, _SEED)
    order = np.argsort(keys, kind="stable")
    names = Names(named.at(some) for some in slices(order))
    counts, sizes = (np.frombuffer(numbers, np.int64)[order] for numbers in (models, model_bytes))
    return Members(names, keys[order], counts, sizes)


def _count(bucket: Iterable[Model]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for model in bucket:
        count, size = found.get(model.tenant, (0, 0))
        if model.release is not None:
            # By what it is: two versions may be the same bytes.
            sizes = {
                version.artifact: version.size
                for number in model.release.versions()
                if (version := model.versions.get(number)) is not None
            }
            count, size = count + len(sizes), size + sum(sizes.values())
        found[model.tenant] = count, size
    return found
