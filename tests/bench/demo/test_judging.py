"""Acts that were never played: what was seen is made up, and what is said of it is looked at."""

from collections import Counter

import numpy as np
import pytest

from bench.demo import judging
from bench.demo.act_two import CRASHED, DEAD, HELD, KILLED, PAUSE, QUIET, Phase
from bench.demo.judging import Bound, Column, Tenancy
from bench.demo.loading import Seen

HOLD_MS = 45.0
EXPECTED = (0.5, 0.3, 0.15, 0.05)
# Ten tenants that share 0, 1, 2 and 3 cells, with two models each; of those who share, the first one waits.
SHARED = (0, 0, 0, 0, 1, 1, 1, 2, 2, 3)
TENANCY = Tenancy(
    tenants=[f"tenant-{number // 2}" for number in range(20)],
    shared=[SHARED[number // 2] for number in range(20)],
    waits=[SHARED[number // 2] > 0 and number % 2 == 0 for number in range(20)],
)
PHASES = [
    Phase(name, float(second), second + 1.0)
    for second, name in enumerate([QUIET, HELD, PAUSE, HELD, PAUSE, CRASHED, KILLED, DEAD])
]
# Requests of each model in each second.
EACH = 40


class Play:
    """What a load sees of a fleet without faults, to be made worse."""

    def __init__(self, quiet_ms: float = 1.0) -> None:
        random = np.random.default_rng(5)
        per_second = EACH * len(TENANCY.tenants)
        self.due = np.sort(random.uniform(0, len(PHASES), per_second * len(PHASES)))
        self.models = random.integers(len(TENANCY.tenants), size=len(self.due))
        self.latencies = quiet_ms * 1e-3 * random.lognormal(sigma=0.5, size=len(self.due))
        self.wrong = np.zeros(len(self.due), dtype=bool)
        self.shared = np.array(TENANCY.shared)[self.models]
        self.fail(DEAD, self.shared == 3)

    def during(self, name: str) -> np.ndarray:
        return np.any(
            [(self.due >= p.began) & (self.due < p.ended) for p in PHASES if p.name == name], axis=0
        )

    def fail(self, name: str, which: np.ndarray) -> None:
        self.latencies[self.during(name) & which] = np.inf

    def slow(self, name: str, which: np.ndarray, by_ms: float) -> None:
        self.latencies[self.during(name) & which] += by_ms * 1e-3

    @property
    def seen(self) -> Seen:
        return Seen(self.due, self.latencies, self.models, self.wrong, Counter(), 0.0)

    def columns(self) -> list[Column]:
        felt = judging.who_felt(self.seen, PHASES, TENANCY)
        return judging.columns(self.seen, PHASES, TENANCY, EXPECTED, felt)

    def bounds(self) -> list[Bound]:
        return judging.bounds(self.seen, PHASES, TENANCY, self.columns(), HOLD_MS)

    def broken(self) -> list[str]:
        return [bound.what for bound in self.bounds() if not bound.holds]


def test_a_play_without_faults_passes_and_everybody_is_counted_once() -> None:
    columns = Play().columns()
    assert [column.tenants for column in columns] == [4, 3, 2, 1]
    assert [column.expected for column in columns] == list(EXPECTED)
    assert [column.felt for column in columns] == [column.waited for column in columns] == [0, 0, 0, 0]
    assert [column.waiting for column in columns] == [0, 3, 2, 1]
    assert [column.unanswered for column in columns] == [0, 0, 0, 1]
    assert [column.errors[KILLED] for column in columns] == [0, 0, 0, 0]
    assert columns[3].errors[DEAD] > EACH
    assert Play().broken() == []


@pytest.mark.parametrize("shared", [0, 1, 2, 3])
@pytest.mark.parametrize("phase", [QUIET, HELD, PAUSE, KILLED])
def test_one_error_breaks_a_bound(shared: int, phase: str) -> None:
    play = Play()
    play.latencies[np.flatnonzero(play.during(phase) & (play.shared == shared))[0]] = np.inf
    assert play.broken() == ["errors: threads held, or one cell killed"]


@pytest.mark.parametrize(("shared", "holds"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_request_that_two_crashed_cells_took_along_may_be_refused(shared: int, holds: bool) -> None:
    play = Play()
    play.latencies[np.flatnonzero(play.during(CRASHED) & (play.shared == shared))[0]] = np.inf
    assert (play.broken() == []) is holds


def test_who_keeps_a_cell_is_answered_and_who_keeps_none_is_not() -> None:
    play = Play()
    play.fail(DEAD, play.shared == 2)
    assert play.broken() == [
        "errors: hand killed; not all of it shared",
        "no answer, hand killed: who shares all of it",
    ]
    answered = Play()
    answered.latencies[np.isinf(answered.latencies)] = 0.001
    assert answered.broken() == ["no answer, hand killed: who shares all of it"]


def test_who_shares_the_dead_hand_and_does_not_ask_is_not_waited_for() -> None:
    play = Play()
    play.due[play.during(DEAD) & (play.shared == 3)] = 100.0
    assert play.columns()[3].unanswered == 0
    assert play.broken() == []


def test_one_wrong_answer_breaks_a_bound() -> None:
    play = Play()
    play.wrong[7], play.latencies[7] = True, np.inf
    assert play.broken() == ["act two: wrong answers"]


def test_tenants_that_share_no_cell_must_not_feel_it() -> None:
    play = Play()
    play.slow(HELD, np.isin(play.models, [0, 2]), HOLD_MS)
    assert play.columns()[0].felt == 2
    assert play.broken() == ["  of these, who shares none: at most by chance"]


def test_all_that_share_no_cell_together_must_not_feel_it_in_every_round() -> None:
    play = Play()
    play.slow(HELD, play.shared == 0, 3.0)
    assert play.broken() == [
        # What they all feel is taken for the machine's, so that it is more than the third that it takes.
        "slower then: all who share no cell, by round"
    ]
    once = Play()
    once.latencies[(once.due >= 1.0) & (once.due < 2.0) & (once.shared == 0)] += 0.003
    assert once.broken() == []


def test_a_busy_machine_breaks_nothing() -> None:
    """Where everything takes 20 ms, held threads are hardly felt, and nobody is held to see them."""
    play = Play(quiet_ms=20.0)
    play.latencies[play.during(HELD)] *= 1.8
    assert play.broken() == []
    said = {bound.what: bound.predicted for bound in play.bounds()}
    assert said["  of these, who needs a thread there"] == "6, too busy to tell"


@pytest.mark.parametrize("seed", range(8))
def test_a_machine_that_stalls_now_and_then_breaks_nothing(seed: int) -> None:
    """Everybody waits at the same moments, whoever shares what, and more so with threads held."""
    play, random = Play(), np.random.default_rng(seed)
    stalls = random.lognormal(sigma=1.0, size=int(play.due.max() * 10) + 1)
    play.latencies *= stalls[(play.due * 10).astype(int)]
    play.latencies[play.during(HELD)] *= 1.5
    assert play.columns()[0].felt == 0
    assert play.broken() == []


def test_who_needs_a_thread_must_not_wait_for_held_ones() -> None:
    play = Play()
    play.slow(HELD, np.array(TENANCY.waits)[play.models], HOLD_MS)
    columns = play.columns()
    assert [column.felt for column in columns] == [column.waited for column in columns] == [0, 3, 2, 1]
    assert play.broken() == ["  of these, who needs a thread there"]


def test_nothing_seen_and_nobody_outside_is_told_all_the_same() -> None:
    nothing = Seen(np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0, bool), Counter(), 0.0)
    tenancy = Tenancy(["acme"], [3], [False])
    columns = judging.columns(nothing, PHASES, tenancy, EXPECTED, set())
    broken = [
        bound.what for bound in judging.bounds(nothing, PHASES, tenancy, columns, HOLD_MS) if not bound.holds
    ]
    assert broken == []
