"""How many threads compute at a time, over all readers that share a gate."""

import hashlib
import os
import select
from pathlib import Path

import pytest
from support.loading import read

from cell.loading.file_image import READ
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.sources import in_memory


def key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize("most", [0, -1, -(2**31)])
def test_one_core_is_left_for_the_event_loop(most: int) -> None:
    assert Gate(most).most == Gate().most == max(1, len(os.sched_getaffinity(0)) - 1)


def test_a_gate_lets_so_many_in_as_it_is_told() -> None:
    assert (Gate(3).most, Gate(3).peak, Gate(2**31 - 1).most) == (3, 0, 2**31 - 1)
    for bad in (2**31, "1", None):
        with pytest.raises((OverflowError, TypeError)):
            Gate(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [1, 2])
def test_as_many_compute_as_it_lets_in_whoever_reads(tmp_path: Path, most: int) -> None:
    content = os.urandom(2**20)
    (tmp_path / "file").write_bytes(content)
    gate = Gate(most)
    readers = [Reader(gate, 3), Reader(gate, 3)]
    for reader in readers:
        for _ in range(20):
            reader.submit(key(content), 2**21, path=os.fsencode(tmp_path / "file"))
    for reader in readers:
        left = 20
        while left:
            assert select.select([reader], [], [], 10.0)[0]
            left -= len(reader.take())
    assert 1 <= gate.peak <= most


def test_a_gate_of_its_own_is_nobody_else_s() -> None:
    used, unused = Gate(1), Gate(1)
    assert read(Reader(used, 1), key(b"a"), file=in_memory(b"a")).outcome == READ
    assert (used.peak, unused.peak) == (1, 0)


def test_readers_keep_a_gate_that_nobody_else_does() -> None:
    readers = [Reader(gate, 1) for gate in [Gate(1)] for _ in range(3)]
    for reader in readers:
        assert read(reader, key(b"a"), file=in_memory(b"a")).outcome == READ
    while readers:
        readers.pop().close()
        assert all(read(reader, key(b"b"), file=in_memory(b"b")).outcome == READ for reader in readers)


def test_who_waits_for_a_file_is_not_in_the_gate(tmp_path: Path) -> None:
    """What is absent, or no file, never comes so far."""
    gate = Gate(1)
    reader = Reader(gate, 1)
    for where in (tmp_path, tmp_path / "absent"):
        read(reader, key(b""), path=os.fsencode(where))
    assert gate.peak == 0
