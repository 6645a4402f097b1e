"""What a deployment is due for is told in time: certificates, and releases too far apart."""

import pytest
from support.statuses import part, status

from croupierctl.seen import Answer, Fault, Seen
from croupierctl.upkeep import due
from protos.versions.v1 import versions_pb2 as pb


def found(*told: pb.Status) -> list[Fault]:
    return list(due(Seen([Answer(f"m-{number}:8400", one) for number, one in enumerate(told)])))


def releases(manager: str, router: str, cell: str) -> pb.Status:
    told = status()
    told.part.release = manager
    told.routers[0].report.part.release = router
    for one in told.cells:
        one.part.release = cell
    return told


def test_nothing_is_due_where_all_is_well() -> None:
    assert found(status(), status()) == []


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (3, "ends in 3 days"),
        (13.9, "ends in 14 days"),
        (0.01, "ends in 14 min"),
        (-2, "ended 2 days ago"),
    ],
)
def test_a_certificate_that_ends_is_named_by_its_process_and_setting(days: float, words: str) -> None:
    told = status()
    told.cells[1].part.CopyFrom(part(tls_certificate=days, peer_ca=100))
    (fault,) = found(told)
    assert fault.words.startswith(f"the certificate of cell cell-2 (--tls-certificate) {words}")
    assert fault.is_wrong
    assert "--tls-certificate" in fault.advice
    assert "restart" not in fault.advice


def test_everybodys_certificates_are_looked_at() -> None:
    told = status()
    told.part.CopyFrom(part(etcd_ca=1, tls_certificate=14.1))
    told.routers[0].report.part.CopyFrom(part(peer_certificate=2))
    manager, router = found(told)
    assert manager.words == "the authority of version manager m-0:8400 (--etcd-ca) ends in 24 hours"
    assert router.words == "the certificate of router host:7 (--peer-certificate) ends in 2 days"
    assert "restart the process" in router.advice


@pytest.mark.parametrize(
    ("told", "is_wrong"),
    [
        (("0.1.0", "0.1.0", "0.1.9"), None),
        (("0.2.0", "0.1.0", "0.1.0"), False),
        (("1.0.0", "0.9.0", "1.0.1"), False),
        (("0.3.0", "0.1.0", "0.1.0"), True),
        (("0.3.0", "0.2.0", "0.1.0"), True),
        (("2.1.0", "1.9.0", "2.1.0"), True),
        (("unknown", "0.1.0", ""), None),
    ],
)
def test_releases_may_be_one_apart(told: tuple[str, str, str], is_wrong: bool | None) -> None:
    assert [fault.is_wrong for fault in found(releases(*told))] == ([] if is_wrong is None else [is_wrong])


def test_releases_are_told_with_who_runs_them() -> None:
    (fault,) = found(releases("0.3.0", "0.3.0", "0.1.0"))
    assert "0.1: cell cell-1, cell cell-2; 0.3: version manager m-0:8400, router host:7" in fault.words


def test_a_part_that_does_not_say_its_release_is_a_note() -> None:
    told = status()
    told.cells[0].ClearField("part")
    (note,) = found(told)
    assert (note.words, note.is_wrong) == ("cell cell-1 is of a release that does not say which", False)
