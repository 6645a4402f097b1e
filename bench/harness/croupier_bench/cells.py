"""Which cells answered: counted by what replies to `croupier-debug: 1` say, named where the seed is known.

A part of the requests asks (`target.cells`). A reply's token is another one for each tenant and generation,
so that without the deployment's seed nobody can put cells together: then each token is told for itself.
Whoever may ask the version manager (`target.manager`) may have the seed, and sees names.

    worker: Sample.look(call) ──▶ Counter by (tenant, token, whether a model was loaded for it)
    run: Names.name(tenant, token) ──▶ {cell: {"answered", "resident_hits"}}

Streams say so at their end alone, and are not counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from croupier.debug_tokens import COLD, DEBUG, named
from croupier.transport.http2.counted_call import CountedCall

ASKING = (DEBUG, b"1")
# Of one worker: more pairs of a tenant and a token are counted as one.
MOST_TOKENS = 10_000
OTHERS = "others"
_TOKEN = re.compile(rb"[0-9a-f]{16}\Z")

# Tenant, token, and whether a model was loaded first.
Said = tuple[str, str, bool]
# The cells of a generation, by its number.
Seats = Mapping[int, Sequence[str]]
ByCell = dict[str, dict[str, int]]


class Sample:
    """What a worker's replies said since it was taken last; `tenant_of` knows whose a request was."""

    def __init__(self, tenant_of: Callable[[int, int], str]) -> None:
        self._tenant_of = tenant_of
        self._counted: Counter[Said] = Counter()
        self._known: set[tuple[str, str]] = set()

    def look(self, call: CountedCall) -> None:
        """A call was answered."""
        said = call.values(DEBUG)
        if not said:
            return
        tenant, is_cold = self._tenant_of(call.kind, call.model), bool(call.values(COLD))
        for one in said[0].split(b","):
            if _TOKEN.match(one):
                self._counted[(*self._bounded(tenant, one.decode()), is_cold)] += 1

    def take(self) -> Counter[Said]:
        taken, self._counted = self._counted, Counter()
        return taken

    def _bounded(self, tenant: str, said: str) -> tuple[str, str]:
        """A peer may say something else each time."""
        if (tenant, said) not in self._known:
            if len(self._known) >= MOST_TOKENS:
                return "", OTHERS
            self._known.add((tenant, said))
        return tenant, said


@dataclass(slots=True)
class Names:
    """Which cell a token names, the likeliest generation first; without a `seed` it stands for itself."""

    seed: int | None = None
    seats: Seats = field(default_factory=dict)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def name(self, tenant: str, said: str) -> str:
        found = self._known.get((tenant, said))
        if found is None:
            found = self._known[tenant, said] = self._find(tenant, said) or said
        return found

    def _find(self, tenant: str, said: str) -> str:
        if self.seed is None:
            return ""
        tried = (named(self.seed, tenant, said, number, cells) for number, cells in self.seats.items())
        return next(filter(None, tried), "")

    def by_cell(self, counted: Mapping[Said, int]) -> ByCell:
        """How many answers each had a part in, and of these, for how many nothing had to be loaded."""
        found: ByCell = {}
        for (tenant, said, is_cold), count in counted.items():
            one = found.setdefault(self.name(tenant, said), {"answered": 0, "resident_hits": 0})
            one["answered"] += count
            one["resident_hits"] += 0 if is_cold else count
        return found
