"""The journal as real processes leave it, and files that are none."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.crashing import die, named
from support.irregular import KINDS, put

from cell.crash import slots
from cell.crash.journal import JOURNAL, QUARANTINE, Journal, boot_id, constant, parse
from cell.crash.quarantine import HUNG, Condemned, Death, Named, Phase

BOOT = bytes(range(16))


def left_in(folder: Path) -> Death | None:
    return parse((folder / JOURNAL).read_bytes(), boot_id())


def reopened(folder: Path) -> tuple[Condemned, ...]:
    journal = Journal.open(folder, lambda: 1000.0)
    journal.close()
    return journal.quarantine.condemned


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("segv", signal.SIGSEGV),
        ("abort", signal.SIGABRT),
        ("fpe", signal.SIGFPE),
        ("overflow", signal.SIGSEGV),
        ("main-segv", signal.SIGSEGV),
        ("main-abort", signal.SIGABRT),
        ("faulthandler-segv", signal.SIGSEGV),
        ("segv-faulthandler", signal.SIGSEGV),
        ("faulthandler-abort", signal.SIGABRT),
        ("abort-faulthandler", signal.SIGABRT),
    ],
)
def test_the_thread_that_dies_of_a_signal_is_known_and_its_batch_mates_are_not_blamed(
    tmp_path: Path, how: str, number: signal.Signals
) -> None:
    code, said = die(tmp_path, how, mine="culprit", others=("a", "b"))
    assert code == -number, said
    assert ("Fatal Python error" in said) == ("faulthandler" in how)
    death = left_in(tmp_path)
    assert death is not None
    assert death.signal == number.name
    found = {one.digest: (one.phase, one.signal) for one in death.named}
    assert found == {
        named("culprit"): (Phase.SCORE, number.name),
        named("a"): (Phase.LOAD, ""),
        named("b"): (Phase.LOAD, ""),
    }
    assert reopened(tmp_path) == (Condemned(named("culprit"), 1000.0, number.name, Phase.SCORE, 2.0),)


def test_a_thread_that_names_nothing_condemns_nobody_at_once(tmp_path: Path) -> None:
    code, said = die(tmp_path, "segv", others=("a",))
    assert code == -signal.SIGSEGV, said
    death = left_in(tmp_path)
    assert death is not None
    assert death.signal == "SIGSEGV"
    assert [(one.digest, one.signal) for one in death.named] == [(named("a"), "")]
    assert reopened(tmp_path) == ()


@pytest.mark.parametrize(("how", "number"), [("kill", signal.SIGKILL), ("sent", signal.SIGSEGV)])
def test_a_kill_from_outside_marks_nobody_and_four_times_is_too_often(
    tmp_path: Path, how: str, number: signal.Signals
) -> None:
    for times in range(4):
        assert reopened(tmp_path) == (), times
        code, said = die(tmp_path, how, mine="hot")
        assert code == -number, said
        death = left_in(tmp_path)
        assert death is not None
        assert death.signal == ""
        assert [(one.digest, one.signal) for one in death.named] == [(named("hot"), "")]
    assert [entry.why for entry in reopened(tmp_path)] == ["killed"]


def test_an_end_in_peace_is_nobodys_fault(tmp_path: Path) -> None:
    code, said = die(tmp_path, "close", mine="x")
    assert code == 0, said
    assert left_in(tmp_path) is None


def test_a_quarantined_artifact_is_remembered_until_it_is_lifted(tmp_path: Path) -> None:
    die(tmp_path, "segv", mine="culprit")
    journal = Journal.open(tmp_path, lambda: 1000.0)
    journal.close()
    again = Journal.open(tmp_path, lambda: 2000.0)
    try:
        assert named("culprit") in again.quarantine
        assert again.lift(named("culprit"))
        assert not again.lift(named("culprit"))
    finally:
        again.close()
    assert reopened(tmp_path) == ()


def test_a_folder_that_another_process_works_in_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Journal.open(tmp_path, lambda: 0.0)
    try:
        with slots.Naming(named("working"), slots.SCORE):
            second = Journal.open(tmp_path, lambda: 0.0)
            assert [one.digest for one in left_in(tmp_path).named] == [named("working")]  # type: ignore[union-attr]
    finally:
        second.close()
        first.close()
    assert "no journal is kept" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\0" * slots.SIZE, b"\xff" * slots.SIZE, constant(BOOT)])
def test_a_file_that_is_no_journal_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOURNAL).write_bytes(content)
    (tmp_path / QUARANTINE).write_bytes(content)
    journal = Journal.open(tmp_path, lambda: 0.0)
    try:
        assert len(journal.quarantine) == 0
        assert left_in(tmp_path) == Death()
    finally:
        journal.close()


def page(boot: bytes = BOOT, *, closed: bool = False, slots_: bytes = b"", beat: int = 10**10) -> bytes:
    head = constant(boot) + struct.pack("<qii8x", beat, 0, closed)
    return (head + slots_).ljust(slots.SIZE, b"\0")


def test_another_boots_journal_says_nothing() -> None:
    one = struct.pack("<32sqiii12x", named("a"), 10**9, 7, slots.SCORE, 0)
    assert parse(page(slots_=one), BOOT) == Death((Named(named("a"), Phase.SCORE, 9.0),))
    assert parse(page(slots_=one), bytes(16)) is None
    assert parse(page(slots_=one, closed=True), BOOT) is None
    assert parse(page(slots_=one)[:-1], BOOT) is None


@given(st.integers(0, 39), st.integers(1, 255))
def test_a_damaged_head_is_no_journal(place: int, flip: int) -> None:
    data = bytearray(page())
    data[place] ^= flip
    assert parse(bytes(data), BOOT) is None


@given(st.binary(max_size=8 * 64))
def test_any_slots_are_read_without_an_error(slots_: bytes) -> None:
    death = parse(page(slots_=slots_), BOOT)
    assert death is not None
    assert all(len(one.digest) == 32 and one.seconds >= 0 for one in death.named)


def test_a_folder_that_cannot_be_written_costs_the_journal_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / JOURNAL).mkdir()
    journal = Journal.open(tmp_path, lambda: 0.0)
    journal.close()
    assert "no journal is kept" in caplog.text
    assert os.listdir(tmp_path) == [JOURNAL]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_not_waited_for(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (JOURNAL, QUARANTINE):
        put(kind, tmp_path / name)
    Journal.open(tmp_path, lambda: 0.0).close()
    assert "no journal is kept" in caplog.text
    assert "nothing is quarantined" in caplog.text


def test_the_watchdog_ends_what_does_not_end_and_blames_it_alone(tmp_path: Path) -> None:
    code, said = die(tmp_path, "hang", mine="culprit", others=("loads",))
    assert code == -signal.SIGKILL, said
    death = left_in(tmp_path)
    assert death is not None
    assert (death.signal, {one.digest: one.signal for one in death.named}) == (
        "",
        {named("culprit"): HUNG, named("loads"): ""},
    )
    (entry,) = reopened(tmp_path)
    assert (entry.digest, entry.why, entry.phase) == (named("culprit"), HUNG, Phase.SCORE)
