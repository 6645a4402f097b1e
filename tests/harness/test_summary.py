"""A run in a few lines."""

from dataclasses import replace

from harness.made import made

from croupier_bench import summary
from croupier_bench.result import Happened, Judged


def lines(**fields):
    return list(summary.lines(replace(made(), **fields)))


def test_it_says_how_many_how_fast_and_how_late():
    first, latency, late = lines()[:3]
    assert first.startswith("made: 200 requests planned in 2.00 s, 200 answered (100/s), 0 failed")
    assert "p99 " in latency
    assert "p99.9 " in latency
    assert "at p99" in late
    assert "at 50% of a core" in late


def test_it_counts_what_failed_and_what_was_wrong_the_most_first():
    said = "\n".join(
        lines(errors={"UNAVAILABLE: a": 1, "DEADLINE_EXCEEDED": 9}, wrong={"another version": 3})
    )
    assert said.index("DEADLINE_EXCEEDED") < said.index("UNAVAILABLE: a")
    assert "WRONG     3 (1.50 %)  another version" in said
    many = lines(errors={f"reason {at}": 1 for at in range(20)})
    assert sum("failed    " in line for line in many) == 9
    assert "12 requests for other reasons" in "\n".join(many)


def test_it_says_what_was_verified():
    assert any("verified  150 answers, all right" in line for line in lines(unverified=50))
    assert not any("verified" in line for line in lines(unverified=200))
    assert not any("all right" in line for line in lines(unverified=0, wrong={"another version": 1}))


def test_it_says_what_happened():
    events = [
        Happened(1.0, "kill cell-1", True, "SIGKILL"),
        Happened(2.0, "deploy\x1b[2J", False, "exit code 3"),
    ]
    said = lines(events=events)
    assert any(line.endswith("1.0 s  kill cell-1: ok. SIGKILL") for line in said)
    assert any("deploy\\x1b[2J: FAILED. exit code 3" in line for line in said)
    assert "and 5 events more" in "\n".join(lines(events=events[:1] * 13))


def test_it_ends_with_what_has_to_hold_and_what_makes_it_doubtful():
    slo = Judged({"p999_ms": 10.0, "errors": 0.001}, holds=False, seen={"p999_ms": 12.0, "errors": 0.0})
    said = lines(slo=slo, stopped="5 % errors", why_invalid=["it was late"])
    assert said[-3] == "service level DOES NOT HOLD: p99.9 10.0 ms (seen 12.0 ms), errors 0.1 % (seen 0 %)"
    assert said[-2:] == ["stopped early: 5 % errors", "INVALID: it was late"]


STEP = {
    "rate": 2_000.0,
    "valid": True,
    "why_invalid": [],
    "holds": True,
    "sure": True,
    "runs": 1,
    "over": {"p99_ms": [3, 10_000]},
}


def test_a_step_is_a_line():
    assert summary.step(STEP) == "2,000/s: holds (p99 3 of 10,000 over; 1 run)"
    assert "does not hold, by the bare figures" in summary.step(STEP | {"holds": False, "sure": False})
    assert "tells nothing: late" in summary.step(STEP | {"valid": False, "why_invalid": ["late"]})
    assert "(stopped early; 2 runs)" in summary.step(STEP | {"over": {}, "runs": 2})


def test_a_search_ends_with_a_sentence():
    holds = replace(made(), slo=Judged({"p99_ms": 1.0}, holds=True, seen={}))
    assert summary.found(holds) == "the service level holds up to 100/s"
    assert summary.found(replace(holds, valid=False)).endswith(
        "at least: beyond, the load itself was the bottleneck"
    )
    missed = replace(holds, slo=Judged({"p99_ms": 1.0}, holds=False, seen={}))
    assert summary.found(missed) == "the service level holds at no rate that was tried"
