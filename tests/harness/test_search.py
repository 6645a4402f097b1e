"""Rates are searched for as bisection does, and each step is decided by evidence."""

import numpy as np
import pytest

from croupier_bench.histogram import Histogram
from croupier_bench.result import Judged, Loads, OfWorker, Rates, Result, Second
from croupier_bench.scenario import Load, RequestClass, Scenario, ScenarioError, Shape, Target
from croupier_bench.search import Bounds, Verdict, dispersion, judge, of_counts, search

FAST, SLOW = 0.001, 0.1
SLO = {"p99_ms": 10.0, "errors": 0.001}


def scenario(rate=1_000.0, **load):
    return Scenario(
        Target(("127.0.0.1:1",), "croupier"), Load(rate=rate, seconds=5.0, **load), (RequestClass("all"),)
    )


def seen(rate, counts, *, failed=0, late=(), sent=None, wrong=(), stopped=None, mean=1.0):
    """A run: `counts` are (slow, all) of each second; the first has the failed ones too."""
    rows = []
    whole = Histogram()
    for at, (slow, of) in enumerate(counts):
        one = Histogram()
        one.record(np.repeat([SLOW, FAST], [slow, of - slow]))
        whole.merge(one)
        rows.append(
            Second(
                t=float(at), due=of, sent=of, answered=of, failed=0 if at else failed, histogram=one.pairs()
            )
        )
    answered = sum(of for _, of in counts)
    planned = answered + failed
    return Result(
        name="made",
        seed=1,
        about={},
        scenario={"load": {"rate": rate}},
        valid=not late,
        why_invalid=list(late),
        stopped=stopped,
        planned=planned,
        sent=planned if sent is None else sent,
        answered=answered,
        errors={"UNAVAILABLE": failed} if failed else {},
        wrong=dict(wrong),
        unverified=0,
        rate=Rates(rate, rate, rate),
        latency_ms={"mean": mean, "p99": whole.quantile(0.99) * 1e3},
        failed_latency_ms={},
        lateness_ms={},
        since_sent_ms={},
        histogram=whole.to_json(),
        series=rows,
        slo=Judged(),
        load=Loads([OfWorker(0.5, 0.01, planned)]),
    )


class Server:
    """Up to `most` requests a second it is quick; beyond, so many more of them are slow. Runs are kept."""

    def __init__(self, most, noise=0.0, seed=1, **of_rate):
        self.most, self.noise, self.of_rate = most, noise, of_rate
        self.rng = np.random.default_rng(seed)
        self.rates = []

    def __call__(self, scenario, *, verify_share=0.0):
        rate = scenario.load.rate
        self.rates.append(rate)
        assert scenario.events == ()
        if (made := self.of_rate.get(f"at_{rate:g}")) is not None:
            return made(rate)
        share = 0.002 * (rate / self.most) ** 8 * 5
        counts = []
        for _ in range(5):
            mine = min(1.0, share * np.exp(self.rng.normal(0, self.noise)))
            counts.append((int(self.rng.binomial(int(rate), mine)), int(rate)))
        return seen(rate, counts)


def searched(server, rate=1_000.0, slo=SLO, tell=lambda step: None, **bounds):
    paused = []
    found = search(scenario(rate), slo, server, Bounds(**bounds), tell=tell, pause=paused.append)
    found.about["paused"] = paused
    return found


def rate_of(found):
    return found.scenario["load"]["rate"]


# The search


@pytest.mark.parametrize("begin", [100.0, 1_000.0, 9_000.0, 100_000.0])
@pytest.mark.parametrize("most", [700.0, 8_000.0, 30_000.0])
def test_it_comes_near_from_wherever_it_begins(begin, most):
    found = searched(Server(most), begin)
    assert found.slo.holds
    assert found.valid
    assert 0.9 * most < rate_of(found) < 1.05 * most
    assert [step["rate"] for step in found.steps] == sorted({step["rate"] for step in found.steps})


@pytest.mark.parametrize("seed", range(8))
def test_it_comes_near_beside_noise(seed):
    found = searched(Server(5_000.0, noise=0.5, seed=seed))
    assert 0.8 * 5_000 < rate_of(found) < 1.1 * 5_000


def test_the_gap_is_halved_until_it_is_as_small_as_was_asked():
    wide, narrow = (Server(5_000.0) for _ in range(2))
    searched(wide, precision=0.5)
    found = searched(narrow, precision=0.01)
    assert len(wide.rates) < len(narrow.rates)
    low = rate_of(found)
    high = min(step["rate"] for step in found.steps if not step["holds"])
    assert high <= low * 1.02


def test_a_rate_that_is_not_to_be_passed_is_not():
    server = Server(1e9)
    found = searched(server, most=3_000.0)
    assert max(server.rates) == rate_of(found) == 3_000.0
    assert found.slo.holds


def test_a_level_that_holds_nowhere_is_said_with_the_lowest_rate_that_was_tried():
    found = searched(Server(0.001), rate=4_096.0)
    assert not found.slo.holds
    assert found.valid
    assert rate_of(found) == min(step["rate"] for step in found.steps) <= 8


def test_after_each_rate_that_was_too_high_there_is_quiet():
    found = searched(Server(5_000.0), settle=0.25)
    assert set(found.about["paused"]) == {0.25}
    assert len(found.about["paused"]) >= sum(not step["holds"] for step in found.steps)


def test_the_best_rate_is_run_once_more():
    server = Server(5_000.0)
    found = searched(server)
    assert server.rates.count(rate_of(found)) >= 2


def test_a_rate_that_was_lucky_is_not_found():
    """It holds when it is tried first, and not when it is tried again."""
    tries = []

    def lucky(rate):
        tries.append(rate)
        return seen(rate, [(0 if len(tries) == 1 else 400, int(rate))] * 5)

    found = searched(Server(5_000.0, at_8000=lucky), most=8_000.0)
    assert len(tries) >= 2
    assert 0.9 * 5_000 < rate_of(found) < 1.05 * 5_000


def test_each_step_is_told_and_in_the_result():
    told = []
    found = searched(Server(5_000.0), tell=lambda step: told.append(step.to_json()))
    assert {step["rate"] for step in told} == {step["rate"] for step in found.steps}
    step = found.steps[0]
    assert (step["valid"], step["why_invalid"], step["cpu_share"]) == (True, [], 0.5)
    assert set(step["over"]) == {"p99_ms", "errors"}
    assert step["sent"] == step["over"]["errors"][1]
    assert step["seconds"] == 5.0 * step["runs"]


@pytest.mark.parametrize(
    ("load", "slo", "key"),
    [
        ({"mode": "closed"}, SLO, "load.mode"),
        ({"shape": Shape("steps", (1.0, 2.0), 1.0)}, SLO, "load.shape.kind"),
        ({}, {}, "slo"),
    ],
)
def test_what_cannot_be_searched_is_refused(load, slo, key):
    with pytest.raises(ScenarioError) as caught:
        search(scenario(**load), slo, Server(1.0))
    assert caught.value.key == key


# What ends it


def late(rate):
    return seen(rate, [(200, int(rate))] * 5, late=["it was late"])


def test_a_load_that_is_the_bottleneck_ends_it_and_is_said():
    server = Server(1e9, at_4000=late)
    found = searched(server)
    assert not found.valid
    assert found.why_invalid == ["at 4000/s: it was late"]
    assert rate_of(found) == 2_000.0
    assert found.slo.holds
    assert server.rates == [1_000.0, 2_000.0, 4_000.0, 4_000.0]
    assert [step["valid"] for step in found.steps] == [True, True, False]


def test_one_late_run_is_no_bottleneck():
    tries = []

    def once(rate):
        tries.append(rate)
        return late(rate) if len(tries) == 1 else seen(rate, [(0, int(rate))] * 5)

    found = searched(Server(1e9, at_4000=once), most=8_000.0)
    assert found.valid
    assert rate_of(found) == 8_000.0


def test_a_level_that_holds_although_the_load_was_late_holds():
    def slack(rate):
        return seen(rate, [(0, int(rate))] * 5, late=["it was late"])

    found = searched(Server(1e9, at_4000=slack), most=4_000.0)
    assert found.valid
    assert rate_of(found) == 4_000.0


def test_but_not_if_much_was_never_sent():
    def lazy(rate):
        return seen(rate, [(0, int(rate))] * 5, late=["not sent"], sent=int(rate * 4.9))

    found = searched(Server(1e9, at_4000=lazy), most=4_000.0)
    assert not found.valid
    assert rate_of(found) == 2_000.0


def test_a_wrong_answer_ends_it():
    def lie(rate):
        return seen(rate, [(0, int(rate))] * 5, wrong={"another tenant": 1})

    found = searched(Server(1e9, at_2000=lie))
    assert found.wrong == {"another tenant": 1}
    assert len(found.steps) == 2


def test_a_run_that_was_stopped_does_not_hold():
    def stop(rate):
        return seen(rate, [(0, int(rate))], stopped="5 % errors")

    found = searched(Server(1e9, at_4000=stop), precision=0.5)
    assert 2_000.0 <= rate_of(found) < 4_000.0


# A step


def many(over, of):
    """Evenly over ten seconds."""
    return [(over // 10, of // 10)] * 10


def test_few_and_many_are_sure_and_those_between_are_not():
    assert of_counts(many(0, 1_000), 0.01) == Verdict(holds=True, is_sure=True)
    assert of_counts(many(90, 10_000), 0.01) == Verdict(holds=True, is_sure=False)
    assert of_counts(many(110, 10_000), 0.01) == Verdict(holds=False, is_sure=False)
    assert of_counts(many(200, 10_000), 0.01) == Verdict(holds=False, is_sure=True)


def test_more_of_the_same_makes_it_sure():
    assert not of_counts([(8, 1_000)] * 5, 0.01).is_sure
    assert of_counts([(8, 1_000)] * 20, 0.01).is_sure


def test_few_requests_tell_little():
    assert not of_counts(many(0, 100), 0.01).is_sure
    assert not of_counts(many(0, 1_000), 0.0001).is_sure


def test_few_seconds_tell_less_than_as_many_requests_of_many():
    """Two dozen slow ones of one second may be one stall."""
    assert not of_counts([(20, 4_000)], 0.01).is_sure
    assert of_counts(many(20, 4_000), 0.01).is_sure
    assert of_counts([(2_000, 4_000)], 0.01) == Verdict(holds=False, is_sure=True)


def test_slow_ones_that_come_together_tell_less():
    apart = [(4, 1_000)] * 10
    together = [(40, 1_000)] + [(0, 1_000)] * 9
    assert of_counts(apart, 0.01).is_sure
    assert not of_counts(together, 0.01).is_sure
    assert dispersion(np.array(together, float)) > 10
    assert dispersion(np.array(apart, float)) == 1.0


@pytest.mark.parametrize("share", [0.5, 0.01, 0.001])
def test_what_is_just_at_the_limit_is_seldom_called_sure(share):
    """Once in twenty on each side, of requests that are slow by themselves."""
    rng = np.random.default_rng(5)
    sure = [
        of_counts([(int(rng.binomial(2_000, share)), 2_000) for _ in range(10)], share).is_sure
        for _ in range(2_000)
    ]
    assert np.mean(sure) < 0.13


def test_and_of_slow_ones_that_come_in_stalls():
    rng = np.random.default_rng(6)
    sure = []
    for _ in range(1_000):
        # One second in ten has all of them.
        counts = [(int(rng.binomial(1_000, 0.1)) if rng.random() < 0.1 else 0, 1_000) for _ in range(30)]
        sure.append(of_counts(counts, 0.01).is_sure)
    assert np.mean(sure) < 0.2


def test_no_errors_at_all_may_be_asked_for():
    assert of_counts([(0, 10)], 0.0).holds
    assert not of_counts([(1, 1_000_000)], 0.0).holds
    assert not of_counts([], 0.01).holds


def test_what_failed_was_not_in_time():
    run = seen(100.0, [(0, 100)] * 5, failed=50)
    holds, is_sure, over = judge([run], {"p99_ms": 10.0})
    assert (holds, is_sure) == (False, True)
    assert over == {"p99_ms": [50, 550]}


def test_runs_count_together():
    runs = [seen(100.0, [(1, 100)] * 5), seen(100.0, [(0, 100)] * 5)]
    assert judge(runs, {"p99_ms": 10.0})[2] == {"p99_ms": [5, 1_000]}


def test_a_run_without_histograms_of_its_seconds_counts_as_one():
    run = seen(100.0, [(1, 100)] * 5)
    run.series[:] = [Second(t=row.t, answered=row.answered) for row in run.series]
    assert judge([run], {"p99_ms": 10.0})[2] == {"p99_ms": [5, 500]}


def test_the_bucket_of_the_limit_is_in_time():
    run = seen(100.0, [(100, 100)])
    assert judge([run], {"p99_ms": SLOW * 1e3})[2]["p99_ms"] == [0, 100]
    assert judge([run], {"p99_ms": SLOW * 1e3 * 0.98})[2]["p99_ms"] == [100, 100]


@pytest.mark.parametrize(
    ("means", "holds", "is_sure"),
    [
        ([5.0], True, True),
        ([9.5], True, False),
        ([9.5, 9.4], True, True),
        ([9.5, 11.0], False, False),
        ([20.0], False, True),
    ],
)
def test_a_mean_is_sure_if_runs_agree_or_it_is_far_off(means, holds, is_sure):
    runs = [seen(10.0, [(0, 10)], mean=mean) for mean in means]
    assert judge(runs, {"mean_ms": 10.0})[:2] == (holds, is_sure)


def test_a_whole_number_is_not_taken_for_more_than_it_is():
    """Half a request was to be expected: two come by chance about once in eleven times."""
    quiet = [(0, 1_000)] * 8
    assert not of_counts([(1, 1_000), (1, 1_000), *quiet], 0.00005).is_sure
    assert of_counts([(2, 1_000), (2, 1_000), *quiet], 0.00005).is_sure


def test_errors_have_a_limit_of_their_own():
    run = seen(100.0, [(0, 100)] * 5, failed=50)
    assert judge([run], {"errors": 0.01}) == (False, True, {"errors": [50, 550]})
