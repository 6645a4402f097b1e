"""Segments are written natively as they are plainly, and what was appended outlives whoever did."""

import os
import signal
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from random import Random

import pytest
from support.spool_twin import SEGMENT, PlainAppender, append, record

from croupier.stores.spool import HEADER, records_from, unpack
from croupier.stores.spool_writer import FRAME_BYTES, HEAD_BYTES, HEADER_BYTES, Appender, crc32c


class Files:
    """Segments as files, given one after the other."""

    def __init__(self, folder: Path, size: int = SEGMENT) -> None:
        self.folder, self.size, self.turns = folder, size, 0
        self.appender = Appender(size, self.turned)
        self.paths: list[Path] = []

    def turned(self) -> None:
        self.turns += 1

    def give(self) -> None:
        path = self.folder / f"{len(self.paths)}"
        path.write_bytes(bytes(self.size))
        with path.open("r+b") as file:
            self.appender.give(file.fileno(), len(self.paths))
        self.paths.append(path)


def test_the_parts_have_the_sizes_that_readers_expect() -> None:
    found = HEADER_BYTES, FRAME_BYTES, HEAD_BYTES
    assert found == (HEADER.size, 16, 72)


@pytest.mark.parametrize("plain", [False, True])
def test_the_checksum_is_that_of_the_rfc(plain: bool) -> None:
    # RFC 3720, B.4.
    assert crc32c(bytes(32), plain=plain) == 0x8A9136AA
    assert crc32c(b"\xff" * 32, plain=plain) == 0x62A8AB43
    assert crc32c(bytes(range(32)), plain=plain) == 0x46DD794E
    assert crc32c(b"", plain=plain) == 0


def test_both_ways_to_the_checksum_agree() -> None:
    rng = Random(1)
    for size in range(200):
        data = rng.randbytes(size)
        assert crc32c(data) == crc32c(data, plain=True) != zlib.crc32(data) or size == 0


@pytest.mark.parametrize("seed", range(30))
def test_it_writes_what_the_twin_writes(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    native, plain = Files(tmp_path), PlainAppender(SEGMENT)
    for _ in range(300):
        if rng.random() < 0.1 and not native.appender.has_spare:
            native.give()
            plain.give()
        native.appender.let_go()
        one = record(rng, rng.choice([10, 300, 2000]))
        assert append(native.appender, one) == plain.append(one)
    assert (native.appender.kept, native.appender.dropped) == (plain.kept, plain.dropped)
    assert native.turns == len(plain.segments)
    for path, segment in zip(native.paths, plain.segments, strict=False):
        assert path.read_bytes() == segment


def test_what_is_full_is_unmapped_before_the_next_one_is(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.give()
    one = record(Random(1), 5)
    for _ in range(2):
        files.give()
        while files.appender.segment != len(files.paths) - 1:
            if not append(files.appender, one):
                break
    assert files.appender.dropped == 1
    files.appender.let_go()
    assert append(files.appender, one)


def test_a_closed_one_drops_all(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.give()
    files.appender.close()
    assert not append(files.appender, record(Random(1)))


def test_a_name_that_no_record_holds_is_refused(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.give()
    with pytest.raises(ValueError, match="too long"):
        append(files.appender, record(Random(1), request_id="x" * 70_000))
    assert append(files.appender, record(Random(1)))


def test_no_spare_is_given_twice(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.give()
    files.give()
    with pytest.raises(ValueError, match="spare"):
        files.give()


def test_a_folder_in_place_of_a_segment_is_no_segment(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="mapped"):
        Appender(SEGMENT, print).give(descriptor, 0)
    os.close(descriptor)


_WRITES = """
import sys
from pathlib import Path
from random import Random
from support.spool_twin import append, record
from croupier.stores.spool_writer import Appender
appender = Appender(2**20, lambda: None)
with open(sys.argv[1], "r+b") as file:
    appender.give(file.fileno(), 0)
rng = Random(1)
while True:
    if appender.kept == 50:
        print("now", flush=True)
    append(appender, record(rng))
"""


def test_a_process_that_is_killed_leaves_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "0"
    path.write_bytes(bytes(2**20))
    argv = [sys.executable, "-c", _WRITES, str(path)]
    environment = {**os.environ, "PYTHONPATH": f"{os.getcwd()}:{os.getcwd()}/tests"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    data = memoryview(path.read_bytes())
    found = list(records_from(data, HEADER.size))
    rng = Random(1)
    assert [unpack(data[one.begin : one.end]) for one in found] == [record(rng) for _ in found]
    assert [one.sequence for one in found] == list(range(len(found)))
    assert len(found) >= 50
    # Nothing of a record that came after the last whole one is taken for one.
    assert data[found[-1].after : found[-1].after + 4].tobytes() in (bytes(4), b"")


def test_a_spool_on_a_temporary_file_system_is_as_good() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(SEGMENT)
        appender = Appender(SEGMENT, lambda: None)
        appender.give(file.fileno(), 0)
        assert append(appender, record(Random(3)))
