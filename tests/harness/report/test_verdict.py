from dataclasses import replace

import pytest
from support.load_results import invalid, killed, result

from croupier_bench.report.verdict import BAD, DOUBT, GOOD, verdict
from croupier_bench.result import Judged, Result

LEVEL = {"p99_ms": 10.0, "errors": 0.0001}


@pytest.mark.parametrize(
    ("run", "tone", "head"),
    [
        (result(), GOOD, "This run counts; no service level was asked for"),
        (result(slo=Judged(LEVEL, True, {"p99_ms": 4.2, "errors": 0.0})), GOOD, "The service level holds"),
        (
            result(slo=Judged(LEVEL, False, {"p99_ms": 14.2, "errors": 0.0})),
            BAD,
            "The service level does not hold",
        ),
        (result(stopped="errors over 5%"), DOUBT, "Stopped early"),
        (invalid(stopped="x"), BAD, "This run does not count"),
        (replace(invalid(), wrong={"another version": 1}), BAD, "1 wrong answer"),
    ],
)
def test_the_worst_comes_first(run: Result, tone: str, head: str) -> None:
    said = verdict(run).head
    assert (said.tone, said.words) == (tone, head)


def test_each_matter_is_said() -> None:
    run = killed(stopped="errors over 5%", unverified=1000)
    told = [one.words for one in verdict(run).more]
    wrong = sum(run.wrong.values())
    assert told == [
        "Valid: the load sent what was planned, when it was planned.",
        f"{wrong} of {run.answered - 1000:,} answers that were looked at were wrong.",
        "1,000 answers were not looked at.",
        "Stopped early: errors over 5%",
        "p99: 97.0 ms seen, at most 10.0 ms asked",
        "errors: 3.00 % seen, at most 0.01 % asked",
    ]


def test_why_a_run_does_not_count() -> None:
    told = [one.words for one in verdict(invalid()).more]
    assert told[1] == "Invalid: worker 1 used 99 % of a processor"
    assert not any(words.startswith("Valid") for words in told)


def test_what_nobody_looked_at_is_not_said_to_be_right() -> None:
    run = result()
    (*_, last) = verdict(replace(run, unverified=run.answered)).more
    assert (last.tone, last.words.split(",")[0]) == (DOUBT, "No answer was looked at")


def test_a_figure_that_was_never_seen_does_not_hold() -> None:
    (*_, last) = verdict(result(slo=Judged({"p99_ms": 1.0}, False, {"p99_ms": None}))).more
    assert (last.tone, last.words) == (BAD, "p99: none seen, at most 1.00 ms asked")
