"""The seed that keys the hash by which hands are dealt: one for a whole deployment, for as long as it lives.

Another seed deals every tenant a new hand, so it changes by one decision only (`Shards.reseed`), which is
counted: from a generation on. A seed that is other than what is known and does not follow it so is a
mistake, wherever it stands. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Era:
    """Generations from number `since` on have this `seed`; 0: from the first one on."""

    seed: int
    since: int = 0


@dataclass(frozen=True, slots=True)
class Seed:
    """The eras of a deployment, oldest first, never none; `since` rises from one to the next."""

    eras: tuple[Era, ...]

    def of(self, generation: int) -> Era:
        """The era that generation number `generation` belongs to."""
        return next((era for era in reversed(self.eras) if era.since <= generation), self.eras[0])

    @property
    def current(self) -> Era:
        return self.eras[-1]

    def follows(self, known: Seed) -> bool:
        """Whether this is `known` after one or more changes that were meant."""
        return len(self.eras) > len(known.eras) and self.eras[: len(known.eras)] == known.eras

    def changed(self, seed: int, since: int) -> Seed:
        """What follows when generations from `since` on have another `seed`."""
        return Seed((*self.eras, Era(seed, since)))
