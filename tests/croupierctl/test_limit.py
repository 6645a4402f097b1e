"""What an operator says of a tenant's limits, and what a typing error comes to."""

import math

import pytest

from croupier.errors import Conflict
from protos.versions.v1 import versions_pb2 as pb

NOTHING = dict.fromkeys(("rate", "in_flight", "cold_loads", "rows", "bytes"))
CHANGE = ("tenants", "limit", "acme")


def test_a_tenant_without_a_record_has_no_limits(ask, run, manager):
    assert ask(*CHANGE) == {
        "tenant": "acme",
        "limits": NOTHING,
        "own": NOTHING,
        "default": NOTHING,
        "before": None,
        "revision": 0,
        "warnings": [],
    }
    assert run(*CHANGE, "--show").out.count("no limit") == 5
    assert not manager.limits


def test_what_is_not_mentioned_stays(ask, manager):
    ask(*CHANGE, "--rate", "100/s", "--bytes", "8MiB", "--in-flight", 20)
    told = ask(*CHANGE, "--rate", "2.5", "--rows", "none")
    assert told["own"] == {**NOTHING, "rate": 2.5, "bytes": 2**23, "in_flight": 20, "rows": "none"}
    assert told["limits"] == {**told["own"], "rows": None}
    assert told["before"]["rate"] == 100
    assert ask(*CHANGE, "--rate", "default")["own"]["rate"] is None
    assert ask(*CHANGE, "--clear", "--cold-loads", 3)["own"] == {**NOTHING, "cold_loads": 3}
    assert ask(*CHANGE, "--clear")["own"] == NOTHING
    assert [one.expected_revision for one in manager.asked_limits] == [0, 1, 2, 3, 4]


def test_the_default_holds_where_a_tenant_says_nothing(ask, run):
    assert ask("tenants", "limit", "--default", "--rate", 50, "--rows", 1000)["tenant"] is None
    ask(*CHANGE, "--rate", 7, "--rows", "none")
    told = ask(*CHANGE)
    assert told["limits"] == {**NOTHING, "rate": 7}
    assert (told["own"]["rows"], told["default"]["rows"]) == ("none", 1000)
    lines = [line.split() for line in run(*CHANGE).out.splitlines()]
    assert lines[0] == ["limit", "holds", "own", "default"]
    assert lines[1] == ["rate", "7", "requests/s", "7", "requests/s", "50", "requests/s"]


def test_a_change_says_what_for_and_by_whom(run, manager, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    run(*CHANGE, "--rate", 5, "--in-flight", "default")
    run(*CHANGE, "--rate", 6, "--reason", "they pay for it")
    assert [(one.reason, one.author) for one in manager.asked_limits] == [
        ("tenants limit acme --rate 5 --in-flight default", "ann"),
        ("they pay for it", "ann"),
    ]
    assert manager.limits["acme"].limits == pb.Limits(rate=6)


def test_a_dry_run_says_what_it_would_be_and_changes_nothing(run, ask, manager):
    run(*CHANGE, "--rate", 5)
    manager.warnings = ["acme has 12 requests/s now, more than the 3/s that it may have"]
    said = run(*CHANGE, "--rate", 3, "--dry-run")
    assert said.err == f"warning: {manager.warnings[0]}\na dry run: nothing was set\n"
    assert said.out.splitlines()[1].split()[:4] == ["rate", "5", "requests/s", "3"]
    told = ask(*CHANGE, "--rate", 3, "--dry-run")
    assert (told["limits"]["rate"], told["before"]["rate"], told["revision"]) == (3, 5, 1)
    assert told["warnings"] == manager.warnings
    assert manager.limits["acme"].limits.rate == 5


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "fast"),
        ("--rate", "-1"),
        ("--rate", "0"),
        ("--rate", "1e3"),
        ("--rate", "100/m"),
        ("--rate", "nan"),
        ("--rate", "inf"),
        ("--rate", ""),
        ("--rate", "9" * 400),
        ("--in-flight", "2.5"),
        ("--in-flight", "0"),
        ("--in-flight", "20/s"),
        ("--bytes", "8Mi"),
        ("--bytes", "8 apples"),
        ("--bytes", "99999999GiB"),
        ("--cold-loads", "0"),
        ("--rows", "1,000"),
        ("--rat", "5"),
        ("--show", "--rate", "5"),
        ("--show", "--clear"),
        ("--default",),
    ],
)
def test_a_typing_error_is_told_and_changes_nothing(run, manager, words):
    said = run(*CHANGE, *words, code=2)
    assert "Traceback" not in said.err + said.out
    assert not manager.asked_limits


def test_somebody_is_named(run, manager):
    assert "name a tenant" in " ".join(run("tenants", "limit", "--rate", 5, code=2).err.split())
    run("tenants", "limit", "../x", "--rate", 5, code=1)
    assert not manager.asked_limits
    manager.failures.append(None)
    manager.failures.append(Conflict("it has revision 9 by now"))
    assert "revision 9" in run(*CHANGE, "--rate", 5, code=1).err


@pytest.mark.parametrize(
    ("said", "count", "shown"),
    [
        ("8MiB", 2**23, "8 MiB/s"),
        ("500kB/s", 500_000, "500 kB/s"),
        ("1.5 gb", 1_500_000_000, "1500 MB/s"),
        ("1023", 1023, "1,023 B/s"),
        ("2GiB", 2**31, "2 GiB/s"),
    ],
)
def test_bytes_are_shown_in_a_unit_that_they_can_be_said_in(run, manager, said, count, shown):
    assert shown in run(*CHANGE, "--bytes", said).out
    assert manager.limits["acme"].limits.bytes == count


def test_usage_has_the_limits_beside_it(ask, run, manager):
    windows = [pb.RateWindow(seconds=10, counts=pb.Counts(requests=20))]
    manager.rates = pb.GetRatesResponse(rows=[pb.RateRow(tenant="acme", windows=windows)], routers=1)
    manager.limits["acme"] = pb.KeptLimits(limits=pb.Limits(rate=100, bytes=2**20))
    manager.limits[""] = pb.KeptLimits(limits=pb.Limits(in_flight=8, bytes=5))
    assert ask("tenants", "usage", "acme")[0]["limit/s"] == 100
    told = run("tenants", "usage", "acme").out
    assert "acme may take: 100 requests/s, 8 requests at a time, 1 MiB/s" in told
    manager.limits["acme"] = pb.KeptLimits(limits=pb.Limits(in_flight=math.inf, bytes=math.inf))
    assert "acme may take: what it likes, nothing is limited" in run("tenants", "usage", "acme").out
    # A manager of the release before knows of none.
    manager.can_limit = False
    assert "limit/s" not in ask("tenants", "usage", "acme")[0]
    assert "may take" not in run("tenants", "usage", "acme").out
