"""The table of `cell/crash/quarantine.py`, and what holds whatever happens."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.crash.quarantine import HANG, SLOW, WINDOW, Condemned, Death, Named, Phase, Quarantine, Quarantined


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def one(name: str, seconds: float = 0.0, signal: str = "") -> Named:
    return Named(digest(name), Phase.SCORE, seconds, signal)


def condemned_by(*deaths: Death, every: float = 1.0) -> list[list[bytes]]:
    """Who is quarantined for each of the deaths, `every` seconds apart."""
    quarantine = Quarantine()
    return [
        [entry.digest for entry in quarantine.judge(death, 1000.0 + every * number)]
        for number, death in enumerate(deaths)
    ]


CRASH = Death((one("a", signal="SIGSEGV"), one("b"), one("c", 2 * HANG)), "SIGSEGV")
STRAY = Death((one("a"), one("b", HANG)), "SIGABRT")
BRIEF = Death((one("a", SLOW / 2),))
LONG = Death((one("a", SLOW),))
HUNG = Death((one("a", HANG), one("b", SLOW), one("c")))
WATCHED = Death((one("a", signal="hung"), one("b", HANG), one("c")))
ALL_WATCHED = Death((one("a", signal="hung"), one("b", signal="hung"), one("c", HANG)))
ALL_HUNG = Death((one("a", HANG), one("b", HANG), one("c", SLOW / 2)))


@pytest.mark.parametrize(
    ("death", "condemned"),
    [
        (Death(), [[], [], [], []]),
        (CRASH, [["a"], ["a"], ["a"], ["a"]]),
        (STRAY, [[], [], [], ["a", "b"]]),
        (BRIEF, [[], [], [], ["a"]]),
        (LONG, [[], ["a"], [], ["a"]]),
        (HUNG, [["a"], ["a"], ["a"], ["a"]]),
        (WATCHED, [["a"], ["a"], ["a"], ["a"]]),
        (ALL_WATCHED, [[], ["a", "b"], [], ["a", "b"]]),
        (ALL_HUNG, [[], ["a", "b"], [], ["a", "b", "c"]]),
    ],
)
def test_what_a_death_costs_the_first_time_and_the_times_after(
    death: Death, condemned: list[list[str]]
) -> None:
    found = condemned_by(*[death] * 4)
    assert found == [[digest(name) for name in names] for names in condemned]


def test_strikes_of_all_kinds_add_up() -> None:
    assert condemned_by(BRIEF, LONG, STRAY) == [[], [], [digest("a")]]


def test_old_strikes_are_forgotten() -> None:
    assert condemned_by(*[BRIEF] * 8, every=WINDOW / 3) == [[]] * 8
    assert condemned_by(*[BRIEF] * 4, every=WINDOW / 3.01)[3] == [digest("a")]


def test_a_clock_that_went_back_gives_nobody_strikes_for_ever() -> None:
    quarantine = Quarantine()
    quarantine.judge(LONG, 10_000.0)
    assert quarantine.judge(LONG, 5.0) == []


def test_an_artifact_on_several_lanes_is_one() -> None:
    death = Death((one("a", HANG), one("a"), one("b", signal="SIGBUS"), one("b")), "SIGBUS")
    assert condemned_by(death) == [[digest("b")]]
    assert condemned_by(Death((one("a", HANG), one("a", HANG)))) == [[digest("a")]]
    assert condemned_by(Death((one("a"), one("a"), one("a"), one("a")))) == [[]]


def test_it_is_refused_saying_why_until_it_is_lifted() -> None:
    quarantine = Quarantine()
    quarantine.judge(CRASH, 7.0)
    quarantine.refuse(digest("b"))
    with pytest.raises(Quarantined, match="SIGSEGV") as caught:
        quarantine.refuse(digest("a"))
    assert caught.value.reason == "QUARANTINED"
    assert caught.value.metadata == {"why": "SIGSEGV", "phase": "score"}
    assert quarantine.condemned == (Condemned(digest("a"), 7.0, "SIGSEGV", Phase.SCORE, 2.0),)
    assert quarantine.lift(digest("a"))
    assert not quarantine.lift(digest("a"))
    quarantine.refuse(digest("a"))
    # With a clean record.
    assert quarantine.judge(LONG, 8.0) == []


def test_lifting_takes_a_suspects_strikes_too() -> None:
    quarantine = Quarantine()
    quarantine.judge(LONG, 0.0)
    assert not quarantine.lift(digest("a"))
    assert quarantine.judge(LONG, 1.0) == []


def test_the_list_is_bounded() -> None:
    quarantine = Quarantine()
    for number in range(1100):
        quarantine.judge(Death((one(str(number), signal="SIGSEGV"), one(f"x{number}")), "SIGSEGV"), 0.0)
    assert len(quarantine) == 1000
    assert digest("99") not in quarantine
    assert digest("100") in quarantine
    for number in range(1100):
        quarantine.judge(Death((one(f"y{number}"),)), 0.0)
    assert len(quarantine.dump()["strikes"]) == 1000


NAMES = st.sampled_from("abcde")
NAMED = st.builds(one, NAMES, st.floats(0, 20), st.sampled_from(["", "", "SIGSEGV"]))
DEATHS = st.lists(
    st.tuples(
        st.builds(Death, st.lists(NAMED).map(tuple), st.sampled_from(["", "SIGABRT"])), st.floats(0, 300)
    )
)


@given(DEATHS)
def test_only_the_named_are_condemned_and_every_entry_is_remembered(
    deaths: list[tuple[Death, float]],
) -> None:
    quarantine, now, ever = Quarantine(), 1000.0, set()
    for death, pause in deaths:
        now += pause
        entries = quarantine.judge(death, now)
        named = {found.digest for found in death.named}
        marked = {found.digest for found in death.named if found.signal}
        condemned = {each.digest for each in entries}
        assert len(condemned) == len(entries)
        assert marked <= condemned <= named
        assert condemned == marked or not marked
        ever |= condemned
        assert {each.digest for each in quarantine.condemned} == ever
        assert all(entry.strikes >= 2.0 for entry in entries)


def test_whoever_is_there_each_time_is_condemned_in_the_end() -> None:
    quarantine = Quarantine()
    for number in range(4):
        quarantine.judge(Death((one("always"), one(str(number)))), 1000.0 + number)
    assert digest("always") in quarantine
    assert len(quarantine) == 1


@given(DEATHS)
def test_it_is_the_same_after_a_restart(deaths: list[tuple[Death, float]]) -> None:
    kept, now = Quarantine(), 1000.0
    for death, pause in deaths:
        now += pause
        read = Quarantine.read(json.loads(json.dumps(kept.dump())))
        assert read.dump() == kept.dump()
        assert read.judge(death, now) == kept.judge(death, now)


@pytest.mark.parametrize(
    "dumped",
    [
        {},
        [],
        {"entries": 1, "strikes": {}},
        {"entries": [{}], "strikes": {}},
        {"entries": [], "strikes": []},
        {"entries": [], "strikes": {"00": []}},
        {"entries": [], "strikes": {"zz": []}},
        {"entries": [], "strikes": {"00" * 32: [1]}},
        {
            "entries": [{"digest": "00" * 32, "when": 0, "why": "", "phase": "cook", "strikes": 0}],
            "strikes": {},
        },
    ],
)
def test_what_is_no_list_is_refused(dumped: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Quarantine.read(dumped)
