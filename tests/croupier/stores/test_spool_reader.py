"""Each record is read once, whenever a reader looks; what is missing is counted."""

from pathlib import Path
from random import Random

import pytest
from support.spool_twin import SEGMENT, append, record

from croupier.stores.spool import Record, unpack
from croupier.stores.spool_folder import Spool
from croupier.stores.spool_reader import Place, Range, ahead, path_of, payloads, segments, sweep, writers

EVERYTHING = 2**40


class Reader:
    """Reads one writer's folder, and remembers its place."""

    def __init__(self, spool: Path) -> None:
        self.spool, self.place = spool, Place()
        self.records: list[Record] = []
        self.lost = self.dropped = 0

    def read(self, most_bytes: int = EVERYTHING) -> list[Range]:
        ranges, self.place = ahead(self.spool, "a", self.place, most_bytes)
        for part in ranges:
            found = [unpack(one) for one in payloads(self.spool, part)]
            assert len(found) == part.count
            self.records += found
            self.lost += part.lost
            self.dropped += part.dropped
        return ranges

    def sweep(self) -> bool:
        return sweep(self.spool, "a", self.place)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_kept_is_read_once_and_in_order(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    writer, reader = Spool(tmp_path, "a", 5 * SEGMENT, SEGMENT), Reader(tmp_path)
    kept = []
    for _ in range(400):
        chance = rng.random()
        if chance < 0.8:
            if append(writer.appender, one := record(rng, 400)):
                kept.append(one)
        elif chance < 0.9:
            writer.tend()
        elif chance < 0.97:
            reader.read(rng.choice([1, 500, 10_000]))
        else:
            reader.sweep()
    writer.close()
    reader.read()
    assert reader.records == kept
    assert (reader.lost, reader.dropped) == (0, writer.appender.dropped)
    assert reader.sweep()
    assert writers(tmp_path) == []


def test_a_segment_that_fills_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path, "a", 5 * SEGMENT, SEGMENT), Reader(tmp_path)
    one = record(Random(1), request=bytes(1000))
    append(writer.appender, one)
    reader.read()
    while writer.appender.segment == 0:
        append(writer.appender, one)
    assert [part.segment for part in reader.read()] == [0, 1]
    assert len(reader.records) == writer.appender.kept
    assert reader.lost == 0
    writer.close()


def test_nothing_is_read_twice_where_nothing_came(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path, "a", 5 * SEGMENT, SEGMENT), Reader(tmp_path)
    append(writer.appender, record(Random(1)))
    assert len(reader.read()) == 1
    assert reader.read() == []
    writer.close()


def test_what_is_damaged_is_counted_as_lost_once(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path, "a", 9 * SEGMENT, SEGMENT), Reader(tmp_path)
    one = record(Random(1), request=bytes(1000))
    while writer.appender.segment < 2:
        append(writer.appender, one)
        writer.tend()
    first = ahead(tmp_path, "a", Place(), EVERYTHING)[0][0]
    # The size of the first record, so that the rest of its segment is given up.
    path = path_of(tmp_path, "a", 0)
    data = bytearray(path.read_bytes())
    data[first.begin] ^= 0x55
    path.write_bytes(data)
    reader.read()
    reader.read()
    assert reader.lost == first.count
    assert len(reader.records) == writer.appender.kept - first.count
    writer.close()


def test_a_segment_that_somebody_removed_is_lost(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path, "a", 9 * SEGMENT, SEGMENT), Reader(tmp_path)
    one = record(Random(1), request=bytes(1000))
    while writer.appender.segment < 2:
        append(writer.appender, one)
        writer.tend()
    path_of(tmp_path, "a", 0).unlink()
    reader.read()
    assert reader.lost + len(reader.records) == writer.appender.kept
    assert reader.lost > 0
    writer.close()


def test_a_range_that_is_gone_has_nothing(tmp_path: Path) -> None:
    assert list(payloads(tmp_path, Range("a", 0, 64, 100, 1, 0, 0))) == []


def test_what_was_read_goes_and_the_last_one_stays_while_its_writer_lives(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path, "a", 9 * SEGMENT, SEGMENT), Reader(tmp_path)
    one = record(Random(1), request=bytes(1000))
    while writer.appender.segment < 2:
        append(writer.appender, one)
        writer.tend()
    reader.read()
    assert not reader.sweep()
    assert segments(writer.folder)[0] == 2
    writer.close()
    append(writer.appender, one)
    assert reader.sweep()


def test_what_an_ended_writer_left_stays_until_it_is_read(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path, "a", 9 * SEGMENT, SEGMENT), Reader(tmp_path)
    append(writer.appender, record(Random(1)))
    writer.close()
    assert not reader.sweep()
    assert len(reader.read()) == 1
    assert reader.sweep()


def test_a_spool_that_nobody_made_has_no_writers(tmp_path: Path) -> None:
    assert writers(tmp_path / "none") == []
