"""Blocks that are larger than any slot: whole pages, which go back to the system with them."""

import gc
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arenas import mappings, resident_bytes

from cell.memory.arena import Arena
from cell.memory.block import Block
from cell.memory.ranges import ArenaFull, Ranges

KIB, MIB, PAGE = 1024, 1024 * 1024, 4096


def arena_of(capacity: int) -> Arena:
    """Whose slots end at a KiB."""
    return Arena(capacity, segment_bytes=4 * KIB)


def pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


@pytest.mark.parametrize("size", [64 * KIB + 1, 5_000_000])
def test_a_block_costs_the_pages_that_it_fills(size: int) -> None:
    arena = Arena(16 * MIB)
    assert arena.room(size) == pages(size)
    gc.collect()
    before = resident_bytes()
    block = Block.of(arena, b"x" * size)
    assert arena.used == arena.room(size)
    assert resident_bytes() - before <= arena.committed + PAGE
    assert resident_bytes() - before >= size
    block.close()
    assert resident_bytes() - before == arena.used == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "take", "give"]), st.integers(4 * KIB, 300 * KIB)), max_size=40
)


@settings(max_examples=60)
@given(STEPS)
def test_places_never_overlap_and_are_used_again(steps: list[tuple[str, int]]) -> None:
    arena = arena_of(4 * MIB)
    blocks: list[tuple[Block, bytes]] = []
    for number, (what, size) in enumerate(steps):
        if what == "take":
            data = bytes([number + 1]) * size
            try:
                blocks.append((Block.of(arena, data), data))
            except ArenaFull:
                assert arena.used > 4 * MIB // 2
        elif blocks:
            blocks.pop(size % len(blocks))[0].close()
        places = sorted((block.address, block.address + block.size) for block, _ in blocks)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(places))
        assert all(bytes(memoryview(block)) == data for block, data in blocks)
        assert arena.used == sum(arena.room(block.size) for block, _ in blocks)


def test_what_was_mapped_once_serves_for_good() -> None:
    arena = arena_of(4 * MIB)
    sizes = [random.Random(place).randrange(4 * KIB, 300 * KIB) for place in range(20)]
    for _ in range(2):
        blocks = [Block.of(arena, bytes(size)) for size in sizes]
        found = {block.address for block in blocks}
        blocks.clear()
        assert arena.used == 0
    blocks = [Block.of(arena, bytes(size)) for size in sizes]
    assert {block.address for block in blocks} == found


def test_a_place_that_was_given_back_comes_as_zeros_do_from_the_system() -> None:
    """What one customer's model was is nowhere when another's lies there."""
    arena = arena_of(MIB)
    block = Block.of(arena, b"secret!!" * 10_000)
    place = block.address
    block.close()
    again = Block.of(arena, b"y" * 70_000)
    assert again.address == place
    with memoryview(again) as found:
        assert b"secret" not in bytes(found)


def test_no_range_runs_out_within_the_capacity() -> None:
    """Whatever the sizes are: blocks fill more than half of their places."""
    for seed in range(10):
        rng, arena = random.Random(seed), arena_of(2 * MIB)
        blocks = []
        low = rng.choice([4 * KIB, 30 * KIB, 130 * KIB])
        while True:
            size = rng.randrange(low, 4 * low)
            if arena.used + arena.room(size) > arena.capacity:
                break
            blocks.append(Block.of(arena, bytes(size)))
        assert arena.used > arena.capacity - 4 * pages(4 * low)


@pytest.mark.parametrize("size", [2 * MIB + 1, 8 * MIB, 1 << 40])
def test_what_is_larger_than_the_arena_says_so(size: int) -> None:
    """`room` says what it would cost, and nothing is taken for it."""
    arena = arena_of(MIB)
    assert arena.room(size) == pages(size)
    if size < 10 * MIB:
        with pytest.raises(ArenaFull, match="do not fit"):
            Block.of(arena, bytes(size))
    assert (arena.used, arena.committed) == (0, 0)


def test_a_full_arena_is_a_bug_of_ours_that_memory_errors_tell_of() -> None:
    assert issubclass(ArenaFull, MemoryError)
    arena, blocks = arena_of(MIB), []

    def fill() -> None:
        while True:
            blocks.append(Block.of(arena, bytes(100 * KIB)))

    with pytest.raises(ArenaFull, match="place of 131072 bytes"):
        fill()
    used = arena.used
    blocks.pop().close()
    blocks.append(Block.of(arena, bytes(100 * KIB)))
    assert arena.used == used


def test_an_arena_that_goes_takes_its_mappings_along() -> None:
    gc.collect()
    before = [*mappings()]
    arena = arena_of(MIB)
    Block.of(arena, bytes(200 * KIB))
    del arena
    assert len([*mappings()]) == len(before)


@pytest.mark.parametrize(("above", "capacity"), [(0, 1), (4096, MIB), (64 * KIB, 1 << 40)])
def test_ranges_by_themselves_map_nothing(above: int, capacity: int) -> None:
    """The address space of a machine is larger than that of a process may be."""
    maps = Path("/proc/self/maps")
    before = maps.read_text().count("\n")
    ranges = [Ranges(above, capacity) for _ in range(100)]
    assert maps.read_text().count("\n") - before < 10
    del ranges
