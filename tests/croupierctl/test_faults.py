"""Each thing that can be wrong is named, with what to do about it; and what is well is not."""

from collections.abc import Callable

import pytest
from support.statuses import NOW, cell, router, status

from croupierctl.faults import faults
from croupierctl.seen import Answer, Fault, Seen
from protos.versions.v1 import versions_pb2 as pb

Harm = Callable[[pb.Status], object]


def found(*told: pb.Status) -> list[Fault]:
    return list(faults(Seen([Answer(f"m-{number}:8400", one) for number, one in enumerate(told)])))


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert found(status()) == []
    assert found(status(), status()) == []


def bad(told: pb.Status, key: str, kind: str, field: str, message: str) -> None:
    told.bad_records.add(key=key, kind=kind, field=field, message=message)
    told.bad_records_total += 1


def quarantine(told: pb.Status) -> None:
    load = told.cells[0].cell.load
    load.quarantined_total = 2
    load.quarantined.add(artifact=b"\xab" * 32, why="SIGSEGV", phase="score")


def full(told: pb.Status) -> None:
    load = told.cells[0].cell.load
    load.used_bytes, load.oldest_seconds = 950, 4.0


def missing(told: pb.Status) -> None:
    told.cells[0].CopyFrom(pb.CellStatus(cell=pb.Cell(id="cell-1", zone="a"), seated=True, seat_zone="a"))


def ramp(told: pb.Status, **parts: object) -> None:
    told.ramp.CopyFrom(pb.Ramp(active=9, previous=8, basis_points=250, **parts))


FAULTS: list[tuple[Harm, str, str]] = [
    (
        lambda s: setattr(s.etcd.members[0], "failure", "gone"),
        "e:2379 does not answer any",
        "see to that",
    ),
    (lambda s: s.etcd.members[0].errors.append("alarm:NOSPACE"), "complains: alarm:NOSPACE", "alarm disarm"),
    (lambda s: s.etcd.members[0].errors.append("alarm:CORRUPT"), "complains: alarm:CORRUPT", "alarm list"),
    (lambda s: setattr(s.etcd.members[0], "has_leader", False), "e:2379 has no leader", "bring the other"),
    (lambda s: setattr(s.etcd.members[0], "quota_bytes", 2100), "is 95% full", "etcdctl defrag"),
    (lambda s: setattr(s.etcd, "watched", 200.0), "m-0:8400 has not heard etcd for 3 minutes", "restart"),
    (lambda s: s.etcd.ClearField("watched"), "m-0:8400 has not heard etcd at all", "restart"),
    (
        lambda s: ramp(s, seconds=600, paused="2.0 % of the requests fail"),
        "generation 9 deals to 2.5 % of the tenants and goes no further: 2.0 % of the requests fail",
        "croupierctl shards ramp --resume",
    ),
    (ramp, "goes no further: it has no time for it", "--finish"),
    (lambda s: setattr(s, "frozen", "etcd lost 3 of 3"), "lets the map stand: etcd lost 3", "catalog thaw"),
    (
        lambda s: bad(s, "croupier/models/a/b/release", "release", "lables", "unknown field `lables`"),
        "croupier/models/a/b/release in etcd is passed over, field lables: unknown field `lables`",
        "catalog repair",
    ),
    (lambda s: bad(s, "croupier/x", "unknown", "", "no key"), "croupier/x in etcd", "etcdctl del"),
    (lambda s: setattr(s, "bad_records_total", 1201), "1,201 further keys", "catalog repair"),
    (lambda s: setattr(s, "generation", 0), "no shard map deals", "cells add --all"),
    (lambda s: setattr(s.routers[0], "heard", 20.0), "(host:7) has not reported for 20 s", "start it again"),
    (lambda s: setattr(s.routers[0].report, "serving", False), "serves nothing", "--manager"),
    (lambda s: s.routers[0].report.ClearField("view_age"), "serves from its snapshot", "--manager"),
    (lambda s: setattr(s.routers[0].report, "view_age", 30.0), "heard no watch for 30 s", "--manager"),
    (lambda s: setattr(s.routers[0].report, "refuses", "it is empty"), "takes no other: it is empty", "thaw"),
    (
        lambda s: setattr(s.routers[0].report, "not_ready", "cells refuse what shard map 7 deals"),
        "(host:7) is not ready: cells refuse what shard map 7 deals",
        "restart it if it stays so",
    ),
    (lambda s: setattr(s.routers[0], "behind", True), "is behind: it serves revision 9 of c", "restart it"),
    (missing, "cell cell-1 in a has a seat and is not registered", "cells remove cell-1"),
    (lambda s: setattr(s.cells[0], "heard", 9.0), "cell cell-1 hangs", "look at it at h:1"),
    (lambda s: s.cells[0].ClearField("heard"), "reports to no version manager", "--manager"),
    (
        lambda s: setattr(s.cells[0].cell, "zone", "b"),
        "in b, and the shard map has it in a",
        "cells add --all",
    ),
    (
        quarantine,
        "refuses 2 artifacts that crashed or hung it, last abababababab (SIG",
        "quarantine cell-1",
    ),
    (
        lambda s: setattr(s.routers[0].report.troubles, "feature_store", "gone"),
        "h:8500 gets nothing of the feature store: gone",
        "--features-store",
    ),
    (full, "gives up models that are in use: it is 95% full", "shards hand-size"),
]


@pytest.mark.parametrize(("harm", "words", "advice"), FAULTS, ids=[words for _, words, _ in FAULTS])
def test_each_fault_is_named_with_what_to_do(harm: Harm, words: str, advice: str) -> None:
    told = status()
    harm(told)
    (fault,) = found(told)
    assert words in fault.words
    assert advice in fault.advice
    assert fault.is_wrong


NOTES: list[tuple[Harm, str]] = [
    (lambda s: setattr(s.cells[0].cell, "state", "draining"), "cell cell-1 is draining"),
    (lambda s: setattr(s.cells[0], "seated", False), "cell cell-1 has no seat"),
    (lambda s: s.routers.pop(), "no router reports here"),
    (lambda s: setattr(s, "cells_total", 1_202), "1,200 further cells are not looked at"),
]


@pytest.mark.parametrize(("harm", "words"), NOTES, ids=[words for _, words in NOTES])
def test_what_is_worth_knowing_is_no_fault(harm: Harm, words: str) -> None:
    told = status()
    harm(told)
    if not told.cells[0].seated:
        told.cells[0].seat_zone = ""
    note = next(one for one in found(told) if not one.is_wrong)
    assert words in note.words


def test_a_manager_that_does_not_tell_is_a_fault_and_its_word_is_not_needed() -> None:
    (fault,) = faults(Seen([Answer("a:1", None, "it hangs"), Answer("b:1", status())]))
    assert fault.words == "version manager a:1 does not tell: it hangs"


def test_what_one_manager_cannot_hear_another_one_does() -> None:
    deaf = status()
    deaf.cells[0].heard = 9.0
    deaf.cells[1].ClearField("heard")
    deaf.routers[0].heard = 99.0
    assert found(deaf, status()) == []
    assert found(status(), deaf) == []
    deaf.etcd.members[0].failure = "gone"
    (fault,) = found(status(), deaf)
    assert "e:2379 does not answer m-1:8400: gone" in fault.words


def test_one_fault_that_both_tell_is_told_once() -> None:
    first, second = status(), status()
    for told in (first, second):
        bad(told, "croupier/x", "unknown", "", "no key")
        told.cells[0].cell.load.quarantined_total = 1
    assert len(found(first, second)) == 2


def test_managers_of_two_catalogs_are_told() -> None:
    other = status()
    other.catalog = "d"
    (fault,) = found(status(), other)
    assert "do not serve one catalog: m-0:8400 serves c, m-1:8400 serves d" in fault.words


def test_a_freeze_says_how_long_it_stands() -> None:
    told = status()
    told.frozen, told.frozen_since = "etcd is another one", NOW - 600
    (fault,) = found(told)
    assert "lets the map stand for 10 minutes" in fault.words


def test_a_router_is_behind_if_any_manager_says_so() -> None:
    first = status()
    first.routers[0].behind = True
    first.routers[0].heard = 0.9
    (fault,) = found(first, status())
    assert "is behind" in fault.words


def test_one_of_many_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told = status()
    told.cells.extend(cell(f"cell-{number}") for number in range(3, 500))
    told.routers.extend(router(f"host:{number}") for number in range(100, 140))
    told.cells_total = len(told.cells)
    told.cells[77].heard = 5.0
    (fault,) = found(told)
    assert fault.name == told.cells[77].cell.id


def test_a_ramp_that_runs_is_a_note() -> None:
    told = status()
    ramp(told, seconds=600)
    (note,) = found(told, told)
    assert (note.is_wrong, note.words) == (
        False,
        "generation 9 takes over from 8: it deals to 2.5 % of the tenants, and to all within 10 minutes",
    )
