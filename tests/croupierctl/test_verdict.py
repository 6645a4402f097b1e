"""What is made of faults, for people and for programs."""

from __future__ import annotations

import pytest

from croupier.errors import DeadlineExceeded, Unavailable, Unimplemented
from croupierctl.seen import Fault
from croupierctl.verdict import Verdict, ago, answer, failure, objects, rows, wrapped
from protos.versions.v1 import versions_pb2 as pb

NOTE = Fault("cell", "a", "cell a is draining")


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def test_why_a_manager_does_not_tell_is_said_in_few_words() -> None:
    assert failure(Unimplemented("method not found")) == "it is of a release before this one"
    assert failure(Unavailable("failed to connect to all addresses")) == "it cannot be connected to"
    assert failure(Unavailable("etcd is away", reason="ETCD_UNAVAILABLE")) == "etcd is away"
    assert failure(DeadlineExceeded("")) == "DEADLINE_EXCEEDED"
    assert answer("a:1", DeadlineExceeded("late")).failure == "late"
    assert answer("a:1", pb.Status(revision=7)).status == pb.Status(revision=7)


def test_what_is_wrong_decides_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    well, wrong = Verdict.of([NOTE]), Verdict.of([NOTE, Fault("cell", "b", "cell b hangs", "end it")])
    assert (well.code, wrong.code) == (0, 1)
    assert wrong.document() == {
        "well": False,
        "faults": [{"part": "cell", "name": "b", "words": "cell b hangs", "advice": "end it"}],
        "notes": [{"part": "cell", "name": "a", "words": "cell a is draining"}],
    }
    well.say()
    assert capsys.readouterr().out == "note: cell a is draining.\n\nAll is well.\n"
    well.say(is_known=False)
    assert "All is well" not in capsys.readouterr().out
    wrong.say()
    assert "One thing is wrong:\n\n1. cell b hangs.\n   → end it.\n" in capsys.readouterr().out
    Verdict.of([Fault("tenant", "acmee", "there is no acmee: did you mean acme?", "look")]).say()
    assert "did you mean acme?\n" in capsys.readouterr().out


def test_of_many_faults_the_first_are_said_unless_all_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict.of([Fault("cell", str(n), f"cell {n} hangs", "end it") for n in range(30)])
    verdict.say()
    assert "30 things are wrong:" in (shown := capsys.readouterr().out)
    assert "and 10 more: --all" in shown
    verdict.say(everything=True)
    assert "30. cell 29 hangs." in capsys.readouterr().out


def test_what_comes_from_others_begins_no_line_and_steers_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrapped("1. ", "cell \x1b[31ma\n2. all is well\n" + "word " * 30)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert all(len(line) <= 60 for line in shown.splitlines())
    assert not any(line.startswith("2.") for line in shown.splitlines())


def test_rows_are_cut_and_are_objects_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    found: list[tuple[object, ...]] = [("a", 1), ("b", 2), ("c", 3)]
    rows(("cell", "models"), found, 2)
    assert "and 1 more: --all" in capsys.readouterr().out
    rows(("cell", "models"), [], 2)
    assert capsys.readouterr().out == ""
    assert objects(("cell", "models"), found)[1] == {"cell": "b", "models": 2}


@pytest.mark.parametrize(("seconds", "words"), [(0.42, "0.4 s"), (59.7, "60 s"), (1200, "20 min")])
def test_how_long_ago_it_was(seconds: float, words: str) -> None:
    assert (ago(seconds).value, ago(seconds).text) == (seconds, words)
