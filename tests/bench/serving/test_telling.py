from collections import Counter

import pytest

from bench.serving import telling
from bench.serving.asking import WRONG
from bench.serving.known import PEERS
from bench.serving.telling import Latency, Most, Seen


def seen(name: str, cpu_us: float, memory: dict[int, float]) -> Seen:
    return Seen(PEERS[name], mosts=[Most(1e3, cpu_us, 0.5)], memory=memory)


def test_others_are_told_by_what_they_take_to_what_ours_takes() -> None:
    ours = seen("croupier", 10.0, {10: 100.0, 1_010: 120.0})
    plain = seen("plain", 250.0, {10: 80.0, 1_010: 280.0})
    silent = Seen(PEERS["onnxruntime"], stopped="most: no right answer under load")
    found = telling.result([ours, plain, silent])
    assert found["ratios"] == {
        "predictions_per_cpu_s": {"plain": 25.0},
        "bytes_per_model": {"plain": pytest.approx(10.0)},
    }
    assert [row["stopped"] for row in found["rows"]] == [None, None, "most: no right answer under load"]
    assert found["rows"][2]["memory_mib"] == {"10": None, "1010": None}
    assert found["rows"][0]["bytes_per_model"] == pytest.approx(20 * 2**20 / 1_000)


def test_the_best_in_python_is_no_server_in_another_language(monkeypatch: pytest.MonkeyPatch) -> None:
    # It need not be installed.
    monkeypatch.setattr(type(PEERS["native"]), "version", lambda peer: "1")
    memory = {10: 80.0, 1_010: 280.0}
    all_seen = [
        seen("croupier", 10.0, {10: 100.0, 1_010: 120.0}),
        seen("native", 20.0, memory),
        seen("plain", 350.0, memory),
        seen("plain-fastpredict", 250.0, {}),
    ]
    assert telling.result(all_seen)["best_in_python"] == {
        "predictions_per_cpu_s": "plain-fastpredict",
        "bytes_per_model": "plain",
    }
    assert telling.result(all_seen[1:])["best_in_python"] == {
        "predictions_per_cpu_s": None,
        "bytes_per_model": None,
    }


def test_without_ours_there_are_no_ratios() -> None:
    assert telling.result([seen("plain", 250.0, {})])["ratios"] == {
        "predictions_per_cpu_s": {},
        "bytes_per_model": {},
    }


def test_a_round_that_was_disturbed_does_not_count() -> None:
    rounds = [Most(900.0, 11.0, 0.99), Most(100.0, 90.0, 0.2), Most(1_000.0, 10.0, 0.99)]
    assert Seen(PEERS["plain"], mosts=rounds).most == Most(900.0, 11.0, 0.99)


def test_wrong_answers_are_counted_apart_from_failures() -> None:
    one = Seen(PEERS["plain"], asked=100, answered=90, problems=Counter({WRONG: 3, "status 14: busy": 7}))
    assert (one.wrong, one.failures) == (3, 7)


@pytest.mark.parametrize(
    ("cold", "told"),
    [({10: 1.0, 1_000: 2.0, 10_000: 3.0}, 2.0), ({10: 1.0}, 1.0), ({5_000: 4.0}, 4.0), ({}, None)],
)
def test_the_cold_latency_is_that_of_a_thousand_models(
    cold: dict[int, float | None], told: float | None
) -> None:
    assert Seen(PEERS["plain"], cold=cold).cold_p99_ms == told


def test_of_a_server_that_had_time_left_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    busy = Seen(PEERS["plain"], mosts=[Most(4e3, 240.0, 0.3)])
    idle = Seen(PEERS["croupier"], mosts=[Most(9e4, 8.0, 0.99)], half_load=Latency(4.5e4, 0.1, 0.2, 0.01))
    assert [row["is_least"] for row in telling.result([busy, idle])["rows"]] == [False, True]
    telling.tell([busy, idle])
    out = capsys.readouterr().out
    assert "≥ 90,000" in out
    assert "≥ 4,000" not in out
