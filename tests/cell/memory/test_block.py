"""Bytes in an arena as an object: readable while it is there, and given back once."""

import gc
import random

import pytest

from cell.memory.arena import Arena, ArenaFull
from cell.memory.block import Block

KIB = 1024


@pytest.fixture
def arena() -> Arena:
    return Arena(1024 * KIB, segment_bytes=4 * KIB)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 4096, 70_000, 500_000])
def test_a_block_is_a_copy_that_can_be_read(arena: Arena, size: int) -> None:
    data = bytearray(random.Random(size).randbytes(size))
    block, expected = Block.of(arena, data), bytes(data)
    data[:] = bytes(size)
    assert (block.size, block.is_closed, bytes(memoryview(block))) == (size, False, expected)
    assert memoryview(block).readonly
    assert block.address % 16 == 0
    with pytest.raises(TypeError):
        memoryview(block)[:1] = b"x"


def test_any_buffer_in_one_piece_is_taken(arena: Arena) -> None:
    block = Block.of(arena, b"ab")
    for data in (b"ab", bytearray(b"ab"), memoryview(b"xabx")[1:3], block):
        assert bytes(memoryview(Block.of(arena, data))) == b"ab"
    for bad in (memoryview(b"abcd")[::2], "ab", None, 7):
        with pytest.raises((TypeError, BufferError)):
            Block.of(arena, bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Block.of(None, b"ab")  # type: ignore[arg-type]
    assert arena.used == arena.room(2)


def test_a_closed_block_is_gone_and_may_be_closed_again(arena: Arena) -> None:
    block = Block.of(arena, b"data")
    block.close()
    block.close()
    assert (block.is_closed, block.address, block.size, arena.used) == (True, 0, 4, 0)
    with pytest.raises(BufferError, match="given back"):
        memoryview(block)


def test_one_that_somebody_reads_goes_with_the_last_reader(arena: Arena) -> None:
    block = Block.of(arena, b"data")
    one, two = memoryview(block), memoryview(block)
    place = block.address
    block.close()
    assert (block.is_closed, block.address) == (True, place)
    one.release()
    assert (bytes(two), arena.used > 0) == (b"data", True)
    # Who comes between the close and the end is one of them.
    three = memoryview(block)
    two.release()
    assert bytes(three) == b"data"
    three.release()
    assert (block.address, arena.used) == (0, 0)


def test_one_that_nobody_holds_is_given_back_when_its_reader_has_left(arena: Arena) -> None:
    reader = memoryview(Block.of(arena, b"data"))
    gc.collect()
    assert (bytes(reader), arena.used > 0) == (b"data", True)
    reader.release()
    assert arena.used == 0


def test_one_that_was_never_filled_is_closed() -> None:
    block = Block()
    assert (block.is_closed, block.address, block.size) == (True, 0, 0)
    with pytest.raises(BufferError):
        memoryview(block)
    block.close()


def test_a_block_for_which_there_is_no_room_takes_none(arena: Arena) -> None:
    with pytest.raises(ArenaFull):
        Block.of(arena, bytes(3 * 1024 * KIB))
    assert (arena.used, arena.committed) == (0, 0)


def test_a_block_keeps_its_arena() -> None:
    block = Block.of(Arena(1024 * KIB), b"data")
    gc.collect()
    assert bytes(memoryview(block)) == b"data"


def test_a_block_of_one_arena_is_no_other_s(arena: Arena) -> None:
    other = Arena(1024 * KIB)
    blocks = [Block.of(place, b"data" * 100) for place in (arena, other)]
    before = other.used
    blocks[0].close()
    assert (arena.used, other.used) == (0, before)
