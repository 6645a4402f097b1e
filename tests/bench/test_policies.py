import json
from pathlib import Path

import numpy as np
import pytest

from bench import policies, traces
from bench.eviction import POLICIES
from bench.policies import SHARES
from bench.traces import TRACES


def test_sizes_are_a_mix_of_small_and_large() -> None:
    found = traces.sizes(20_000)
    assert found.tolist() == traces.sizes(20_000).tolist()
    assert (found.min(), found.max()) >= (200, 4_000_000)
    assert 0.2 < np.mean(found <= 4_000) < 0.3
    assert np.median(found) < 40_000 < found.mean()


@pytest.mark.parametrize("trace", TRACES)
def test_a_trace_is_the_same_each_time_and_within_its_models(trace: str) -> None:
    found = TRACES[trace](500, 4_000)
    assert found.tolist() == TRACES[trace](500, 4_000).tolist()
    assert len(found) == 4_000
    assert 0 <= found.min() < found.max() < 500


def test_popularity_follows_the_exponent() -> None:
    found = np.sort(np.bincount(TRACES["zipf-1.0"](1_000, 200_000), minlength=1_000))[::-1] / 200_000
    assert found[:5] == pytest.approx(traces.popularity(1_000, 1.0)[:5], rel=0.05)


def test_popularity_drifts() -> None:
    found = TRACES["drift"](1_000, 100_000)
    first, last = (np.bincount(part, minlength=1_000) for part in (found[:2_000], found[-2_000:]))
    hot = np.argsort(first)[-10:]
    assert last[hot].sum() < first[hot].sum() / 2


def test_a_scan_asks_for_every_model_in_a_quarter_of_the_requests() -> None:
    clean, scanned = TRACES["zipf-1.0"](1_000, 100_000), TRACES["scan"](1_000, 100_000)
    assert np.mean(clean != scanned) == pytest.approx(0.25, abs=0.01)
    assert len(np.unique(scanned[:25_000])) == 1_000


def test_lru_does_what_theory_says() -> None:
    rows = policies._replay("zipf-1.0", "lru", 3_000, 40_000)
    theory = policies._theory(3_000, 1.0)
    # A hundredth is about thirty models here, too few for an approximation.
    assert [row.hit_rate for row in rows][1:] == pytest.approx(theory[1:], abs=0.025)


def test_theory_at_300_000_models() -> None:
    assert policies._theory(300_000, 1.0) == pytest.approx([0.55, 0.69, 0.76, 0.83], abs=0.005)


def test_the_bench_tells_every_policy_at_every_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "_FINDS", 100)
    policies.run(models=200, requests=600, json=tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    seen = {(row["trace"], row["policy"], row["resident_share"]) for row in found["rows"]}
    assert seen == {(trace, policy, share) for trace in TRACES for policy in POLICIES for share in SHARES}
    assert all(0 <= row[rate] <= 1 for row in found["rows"] for rate in ("hit_rate", "byte_hit_rate"))
    assert found["find_ns"].keys() == POLICIES.keys()
