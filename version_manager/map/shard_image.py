"""The shard map as etcd says it: which generations deal, which seed they have, and what of it makes no sense.

A part of `image`, whose rules hold here: what does not fit is passed over and told once, what deals stays.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sharding.generation import Generation
from version_manager.map.chunks import Chunked
from version_manager.map.generations import Generations
from version_manager.map.keys import ActiveKey, GenerationKey, Key, Keys, SeedKey
from version_manager.map.problems import Misfits, Problem
from version_manager.map.records import Active, Record
from version_manager.map.seed import Era, Seed


@dataclass(frozen=True, slots=True)
class Shards:
    """`generations` is active first, then previous; `archive` every generation of the deployment in etcd.

    `pointer` is what says which of them deal, `chunked` has those that lie in chunks.
    """

    generations: tuple[Generation, ...] = ()
    archive: Mapping[int, Generation] = field(default_factory=dict)
    seed: Seed | None = None
    pointer: Active | None = None
    chunked: Mapping[int, Chunked] = field(default_factory=dict)


class ShardImage:
    """`shards` is what to serve."""

    def __init__(self, keys: Keys, misfits: Misfits) -> None:
        self._keys = keys
        self._misfits = misfits
        self.shards = Shards()
        self._generations = Generations(keys, misfits)
        # What etcd says, as far as it decodes.
        self._active: Active | None = None
        # Whether etcd still has what `_active` says.
        self._is_pointed = False
        self._seed: Seed | None = None

    def take(self, said: Mapping[Key, Record | None], problems: list[Problem]) -> Shards:
        """Take what is said of the shard map; returns all of it."""
        if self._enter(said, problems):
            seed = self._settle_seed(problems)
            archive = self._of_deployment(seed, problems)
            generations, pointer = self._that_deal(archive, problems)
            chunked = self._generations.keep_chunked(
                {*archive, *(generation.number for generation in generations)}
            )
            self.shards = Shards(generations, archive, seed, pointer, chunked)
        return self.shards

    def is_deployments(self, said: Seed) -> bool:
        """Whether `said` is the known seed or follows it; the first fits a generation, if any is there."""
        known = self.shards.seed
        if known is not None:
            return said == known or said.follows(known)
        in_etcd = self._generations.known
        return not in_etcd or any(said.of(number).seed == one.seed for number, one in in_etcd.items())

    def regresses(self, key: Key, record: Record) -> bool:
        """Whether `record` says less than what is known, or another thing where content is immutable."""
        match key, record:
            case GenerationKey(), _:
                return self._is_other(key.number, record)
            case _, Active():
                deals = self.shards.generations
                return bool(deals) and record.active < deals[0].number
            case _, Seed():
                return not self.is_deployments(record)
            case _:
                return False

    def _is_other(self, number: int, record: Record) -> bool:
        """Whether generation `number` is known, and not as `record`."""
        known, whole = self.shards.archive.get(number), self.shards.chunked.get(number)
        if known is None:
            return False
        if isinstance(record, Generation):
            return replace(known, seed_since=record.seed_since) != record
        return whole is None or whole.head != record

    def _enter(self, said: Mapping[Key, Record | None], problems: list[Problem]) -> bool:
        """Note what is said; returns whether anything is."""
        touched = self._generations.enter(said, problems)
        for key, record in said.items():
            match key, record:
                case ActiveKey(), Active():
                    self._active, self._is_pointed = record, True
                case ActiveKey(), _ if self.shards.generations:
                    self._is_pointed = False
                    message = "it is gone, and what it said still holds"
                    self._misfits.blame(Problem(self._keys.active, "active", message), problems)
                case SeedKey(), Seed():
                    self._seed = record
                case SeedKey(), _:
                    self._seed = None
                    self._misfits.clear(self._keys.seed)
                case _:
                    continue
            touched = True
        return touched

    def _settle_seed(self, problems: list[Problem]) -> Seed | None:
        """The deployment's seed: etcd's word, if it makes sense, else what is known, or the active one's."""
        if self._seed is not None:
            if self.is_deployments(self._seed):
                self._misfits.clear(self._keys.seed)
                return self._seed
            message = f"{self._seed.current.seed} is not the seed of this deployment"
            self._misfits.blame(Problem(self._keys.seed, "seed", message, "seed"), problems)
        if self.shards.seed is not None or self._active is None:
            return self.shards.seed
        active = self._generations.known.get(self._active.active)
        return Seed((Era(active.seed),)) if active else None

    def _of_deployment(self, seed: Seed | None, problems: list[Problem]) -> dict[int, Generation]:
        """The generations in etcd that have the deployment's seed, and the last good ones of others."""
        archive: dict[int, Generation] = {}
        for number, generation in self._generations.known.items():
            key = self._keys.generation(number)
            era = seed.of(number) if seed else Era(generation.seed)
            if generation.seed == era.seed:
                archive[number] = replace(generation, seed_since=era.since)
                self._misfits.clear(key, "seed")
                continue
            message = f"its seed is {generation.seed}, and that of the deployment {era.seed}"
            self._misfits.blame(Problem(key, "generation", message, "seed"), problems)
            if number in self.shards.archive:
                archive[number] = self.shards.archive[number]
        return archive

    def _that_deal(
        self, archive: Mapping[int, Generation], problems: list[Problem]
    ) -> tuple[tuple[Generation, ...], Active | None]:
        held = self.shards.generations
        if self._active is None:
            return held, self.shards.pointer
        if self._active.active not in archive:
            message = f"there is no generation {self._active.active}"
            self._misfits.blame(Problem(self._keys.active, "active", message, "active"), problems)
            return held, self.shards.pointer
        if self._is_pointed:
            self._misfits.clear(self._keys.active)
        known = {generation.number: generation for generation in held} | dict(archive)
        numbers = (self._active.active, self._active.previous)
        return tuple(known[number] for number in numbers if number in known), self._active
