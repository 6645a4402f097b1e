from collections import Counter

import numpy as np
import pytest

from bench.demo.loading import Seen
from bench.demo.sharing import Sharing
from bench.shards.poison import Shape, _judged
from bench.training import Recipe, Trained

SHAPE = Shape(8, 2, 1)
SHARING = Sharing("poison", ("a", "b"), {"none": 0, "one": 1, "both": 2}, (0.5, 0.4, 0.1))
MODELS = [
    Trained(Recipe(tenant, "m", "wine", "linear", 1), b"", np.zeros(0), np.zeros(0), ())
    for tenant in SHARING.shared
]


def seen(*latencies: float) -> Seen:
    """Two requests of each tenant."""
    count = len(latencies)
    models = np.arange(count) % 3
    return Seen(np.zeros(count), np.array(latencies), models, np.zeros(count, bool), Counter(), 0.0)


def test_each_group_of_tenants_is_judged_by_itself() -> None:
    quiet, held = seen(0.1, 0.1, 0.1), seen(0.2, 0.4, np.inf)
    found = _judged(SHAPE, True, SHARING, MODELS, [(quiet, held, quiet)] * 3, 7.0)
    assert found.disjoint_p99_ratio == pytest.approx(2)
    assert found.partial_p99_ratio == pytest.approx(4)
    assert (found.disjoint_errors, found.partial_errors, found.whole_errors) == (0, 0, 3)
    assert found.seen_share == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_the_median_of_the_rounds_counts() -> None:
    before, after = seen(0.1, 0.1, 0.1), seen(0.2, 0.1, 0.1)
    rounds = [(before, seen(factor, 0.1, 0.1), after) for factor in (0.1, 0.3, 9.0)]
    found = _judged(SHAPE, True, SHARING, MODELS, rounds, 7.0)
    assert found.disjoint_p99_ratio == pytest.approx(2)
    assert found.disjoint_spread == pytest.approx(2)
