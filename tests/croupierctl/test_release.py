import pytest

from croupier.errors import Conflict
from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
def churn(manager):
    model = pb.Model(tenant="acme", name="churn", versions=[pb.Version(number=1), pb.Version(number=2)])
    manager.models["acme", "churn"] = model
    return model


def splits(model):
    return {split.version: split.basis_points for split in model.release.splits}


def test_one_version_gets_all_traffic(run, churn):
    run("release", "set", "acme", "churn", 2)
    assert splits(churn) == {2: 10_000}
    assert churn.release.number == 1


def test_traffic_is_split_and_labelled(ask, churn):
    printed = ask(
        *("release", "set", "acme", "churn"),
        *("--split", "1=9000", "--split", "2=10%", "--label", "stable=1"),
    )
    assert splits(churn) == {1: 9000, 2: 1000}
    assert printed == {
        "release": 1,
        "splits": [{"version": 1, "basis_points": 9000}, {"version": 2, "basis_points": 1000}],
        "labels": {"stable": 1},
        "revision": "fake:99",
    }


def test_what_is_not_mentioned_stays(run, churn):
    run("release", "set", "acme", "churn", 1, "--label", "stable=1", "--label", "old=1")
    run("release", "set", "acme", "churn", "--label", "new=2", "--unlabel", "old")
    assert splits(churn) == {1: 10_000}
    assert dict(churn.release.labels) == {"stable": 1, "new": 2}
    run("release", "set", "acme", "churn", 2)
    assert dict(churn.release.labels) == {"stable": 1, "new": 2}


def test_the_release_is_shown(run, ask, churn):
    run("release", "set", "acme", "churn", 1, "--label", "stable=1")
    assert ask("release", "show", "acme", "churn")["release"] == 1
    shown = run("release", "show", "acme", "churn").out
    assert "version 1: 100 %" in shown
    assert "stable: version 1" in shown


def test_a_conflict_is_told(run, manager, churn):
    manager.failures.append(Conflict("the release is number 9 by now"))
    assert "number 9" in run("release", "set", "acme", "churn", 2, code=1).err


def test_nothing_is_released(run, churn):
    assert "has no release" in run("release", "show", "acme", "churn", code=1).err


def test_a_label_that_is_not_there(run, churn):
    assert "no label old" in run("release", "set", "acme", "churn", 1, "--unlabel", "old", code=1).err


@pytest.mark.parametrize(
    ("shares", "problem"),
    [
        (["1=90%"], "add up to 90 %, not 100 % (9,000 of 10,000 basis points)"),
        (["1=90%", "2=100"], "add up to 91 %"),
        (["1=9000", "2=20%"], "add up to 110 %"),
        (["1=50%", "1=50%"], "version 1 has more than one --split"),
        (["1=33.333%", "2=66.667%"], "'1=33.333%': traffic is split in steps of 0.01 %"),
        (["1=0.5"], "steps of 0.01 %"),
        (["1=-5"], "'1=-5': a version is at least 1, its share above 0 %"),
        (["1=0%", "2=100%"], "its share above 0 %"),
        (["1=100.5%"], "at most 100 %"),
        (["1=Infinity%"], "at most 100 %"),
        (["1=nan%"], "is not VERSION=SHARE, like 1=90%"),
        (["0=100%"], "a version is at least 1"),
        ([f"{2**64}=100%"], "a version is at least 1"),
        (["1"], "is not VERSION=SHARE"),
        (["1=%"], "is not VERSION=SHARE"),
        (["1=90 percent"], "is not VERSION=SHARE"),
    ],
)
def test_splits_that_are_none(run, churn, manager, shares, problem):
    words = [word for share in shares for word in ("--split", share)]
    said = " ".join(run("release", "set", "acme", "churn", *words, code=2).err.split())
    assert problem in said
    assert manager.releases == []


@pytest.mark.parametrize(
    ("shares", "points"),
    [
        (["1=90%", "2=10%"], {1: 9000, 2: 1000}),
        (["1=9000", "2=10%"], {1: 9000, 2: 1000}),
        (["1=99.99%", "2=1"], {1: 9999, 2: 1}),
        (["1=0.29%", "2=99.71%"], {1: 29, 2: 9971}),
        (["2=1e2%"], {2: 10_000}),
    ],
)
def test_percent_and_basis_points(run, churn, shares, points):
    run("release", "set", "acme", "churn", *[word for share in shares for word in ("--split", share)])
    assert splits(churn) == points


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["2", "--split", "1=5000"],
        ["--split", "1"],
        ["--split", "one=50%"],
        ["--label", "stable"],
        ["--label", "=1"],
        ["--label", "stable=first"],
    ],
)
def test_a_wrong_command_line(run, churn, words):
    run("release", "set", "acme", "churn", *words, code=2)


def test_a_release_that_waits_for_no_cell(run, churn, manager):
    run("release", "set", "acme", "churn", 1)
    run("release", "set", "acme", "churn", 2, "--no-warm")
    assert [request.skip_warming for request in manager.releases] == [False, True]


def test_a_change_says_what_it_is_for(run, manager, churn):
    run("release", "set", "acme", "churn", 1, "--reason", "the first", "--salt", "autumn")
    run("release", "set", "acme", "churn", 2)
    first, second = manager.releases
    assert (first.reason, first.salt, bool(first.author)) == ("the first", "autumn", True)
    assert (second.reason, second.HasField("salt")) == ("release set acme churn", False)


def test_the_newest_on_trial_is_promoted(run, manager, churn):
    run("release", "set", "acme", "churn", "--split", "1=90%", "--split", "2=10%", "--label", "stable=1")
    run("release", "promote", "acme", "churn", "--no-warm")
    assert splits(churn) == {2: 10_000}
    assert dict(churn.release.labels) == {"stable": 1}
    assert manager.releases[-1].skip_warming
    run("release", "promote", "acme", "churn", 1)
    assert splits(churn) == {1: 10_000}


def test_nothing_on_trial_is_not_promoted(run, churn):
    assert "has no release" in run("release", "promote", "acme", "churn", code=1).err


def test_an_earlier_release_is_asked_for_again(run, ask, manager, churn):
    run("release", "set", "acme", "churn", 2)
    assert ask("release", "rollback", "acme", "churn", "--to", 1, "--reason", "worse")["restores"] == 1
    (asked,) = manager.rollbacks
    assert (asked.number, asked.reason, asked.skip_warming) == (1, "worse", False)


@pytest.fixture
def releases(manager, churn):
    first = pb.Release(number=1, splits=[pb.Split(version=1, basis_points=10_000)], labels={"stable": 1})
    second = pb.Release(
        number=2,
        splits=[pb.Split(version=1, basis_points=9_000), pb.Split(version=2, basis_points=1_000)],
        labels={"stable": 1, "canary": 2},
        salt="autumn",
        author="ann",
        reason="a trial",
        at=1.7e9,
    )
    manager.release_history.releases.extend([second, first])


def test_the_history_says_who_and_why(run, ask, releases):
    rows = ask("release", "history", "acme", "churn")
    assert [(row["release"], row["author"], row["reason"]) for row in rows] == [
        (2, "ann", "a trial"),
        (1, "", ""),
    ]
    shown = run("release", "history", "acme", "churn").out
    assert "version 1: 90 %, version 2: 10 %" in shown
    assert "2023-11-14" in shown


def test_two_releases_are_compared(run, ask, releases):
    rows = ask("release", "diff", "acme", "churn", 1)
    assert [tuple(row.values()) for row in rows] == [
        ("version", "1", 10_000, 9_000),
        ("version", "2", 0, 1_000),
        ("label", "canary", "", "2"),
        ("salt", "", "", "autumn"),
    ]
    assert "serves what 2 did" in run("release", "diff", "acme", "churn", 2, 2).err
    assert "there are 1 to 2" in run("release", "diff", "acme", "churn", 7, code=1).err
