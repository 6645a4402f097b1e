from prometheus_client import REGISTRY

from cell.scoring import latency


def test_each_way_has_a_series_of_its_own() -> None:
    names = ("HOT_QUEUE", "COLD_QUEUE", "BATCH_QUEUE", "HOT_SCORE", "BATCH_SCORE")
    before = [getattr(latency, name).sum for name in names]
    for place, name in enumerate(names):
        getattr(latency, name).observe(2.0**place)
    after = [getattr(latency, name).sum for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1.0, 2.0, 4.0, 8.0, 16.0]
    queued = [
        REGISTRY.get_sample_value("croupier_cell_queue_seconds_sum", {"way": way})
        for way in ("hot", "cold", "batch")
    ]
    assert queued == after[:3]
