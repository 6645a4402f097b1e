import json
import re
from pathlib import Path

import pytest
from blocks import ROOT, benchmarks, front
from blocks.front import Peer
from blocks.results import measured, number, result, table, version


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((0, "0"), (12_345, "12,345"), (0.0, "0.00"), (0.01234, "0.0123"), (1.0, "1.00")),
        *((12.345, "12.3"), (123.4, "123"), (123456.7, "123,457"), (None, "")),
    ],
)
def test_measured_numbers_have_three_digits_that_count(value: float | None, said: str) -> None:
    assert said == number(value)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("HAProxy version 2.6.12-1+deb12u4 2026/10", "2.6.12"),
        ("?", "?"),
    ],
)
def test_of_a_version_the_number_counts(said: str, number: str) -> None:
    assert number == version({"versions": {"some": said}}, "some")


def test_a_table_aligns_numbers() -> None:
    assert table(["a", "b"], [["c", "1"]]) == "| a | b |\n| --- | --: |\n| c | 1 |\n"


@pytest.mark.parametrize("name", benchmarks.NAMES)
def test_each_result_says_how_it_was_measured_and_fills_a_section(name: str) -> None:
    found = result(name)
    assert f"python -m bench {name}" in measured(found)
    assert found["about"]["date"] in benchmarks.section(name)


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        (Peer("nginx 1.30", 5.0), "nginx 1.30: 5.00 (0.500×, we lose)"),
        (Peer("nginx 1.30", 20.0), "nginx 1.30: 20.0 (2.00×)"),
        (Peer("nginx 1.30", 20.0, failed=0.25), "nginx 1.30: 20.0 (2.00×, 25% failed)"),
        (Peer("nginx 1.30", 5.0, failed=0.25), "nginx 1.30: 5.00 (0.500×, we lose, 25% failed)"),
    ],
)
def test_the_front_page_says_where_we_lose_and_what_failed(peer: Peer, said: str) -> None:
    assert said == peer.beside(10.0)


def test_every_proxy_is_compared_under_the_same_load() -> None:
    def row(who: str, cells: int, cpu: float, **more: object) -> dict[str, object]:
        load = {"who": who, "cells": cells, "payload": 64, "tls": False, "requests": 100, "failures": 0}
        return {**load, "rotating_cpu_us_per_request": cpu, **more}

    versions = {"haproxy": "HAProxy version 3.4.7-1", "haproxy-debian": "2.6.12", "envoy": "1.40.0"}
    found = {
        "about": {"versions": versions},
        "rows": [
            *(row("croupier", 4, 20.0), row("haproxy", 4, 30.0), row("haproxy-debian", 4, 10.0, failures=50)),
            *(row("croupier", 64, 40.0), row("haproxy", 64, 20.0), row("croupier", 4, 1.0, items=32)),
            row("envoy", 4, 60.0, tls=True),
        ],
    }
    newest, debian = Peer("HAProxy 3.4.7", 30.0), Peer("HAProxy 2.6.12", 10.0, failed=0.5)
    assert front.proxied(64, 4)(found) == (20.0, [newest, debian])
    assert front.proxied(64, 64)(found) == (40.0, [Peer("HAProxy 3.4.7", 20.0)])


def test_the_front_page_has_six_rows_and_names_each_command() -> None:
    written = front.table_of_ratios()
    assert len(front.LINES) == 6
    for line in front.LINES:
        found = result(line.bench)
        _, peers = line.compare(found)
        assert f"`{found['about']['command']}`" in written
        assert peers


def test_storms_say_what_others_read() -> None:
    promised = {"hot_p99_ms_quiet", "hot_p99_ms_storm", "hot_errors", "cold_refused", "loads_per_s"}
    assert promised <= result("storm").keys()


def test_servers_are_told_with_settings_and_with_what_stopped_them() -> None:
    latency = {"rate": 500.0, "p50_ms": 0.25, "p99_ms": 1.5}
    ours = {
        "peer": "croupier",
        "kind": "ours",
        "version": "croupier 1",
        "settings": "defaults",
        "predictions_per_s": 90_000.0,
        "cpu_us": 5.0,
        "is_least": True,
        "cold_p99_ms": 2.0,
        "half_load": latency,
        "same_rate": latency,
        "memory_mib": {"10": 43.0, "10000": 240.0},
        "stopped": None,
        "wrong": 0,
        "failures": 0,
        "asked": 1_000,
    }
    theirs = {
        "peer": "other",
        "kind": "python",
        "version": "other 2",
        "settings": "one process",
        "predictions_per_s": None,
        "cpu_us": None,
        "is_least": False,
        "cold_p99_ms": None,
        "half_load": None,
        "same_rate": None,
        "memory_mib": {"10": 80.0, "10000": None},
        "stopped": "10,000 models: has more than 8,192 MiB",
        "wrong": 0,
        "failures": 7,
        "asked": 9,
    }
    ratios = {"predictions_per_cpu_s": {}, "bytes_per_model": {"other": 7.5}}
    found = {
        "rows": [ours, theirs],
        "ratios": ratios,
        "best_in_python": {"predictions_per_cpu_s": None, "bytes_per_model": "other"},
        "models": 100,
        "others_share_of_machine": 0.125,
    }
    said = benchmarks.serving(found)
    assert (
        "| croupier | 5.00 | ≥ 90,000 | 0.250, 1.50 | 0.250, 1.50 | 43.0 | 240 | 2.00 | 0 | 0 of 1,000 |"
        in said
    )
    assert "| other |  |  |  |  | 80.0 |  |  | 0 | 7 of 9 |" in said
    assert "other was stopped at 10,000 models: has more than 8,192 MiB." in said
    assert "| other |  | 7.50× |" in said
    assert "The best of those in Python: in memory of a model other, 7.50×." in said
    assert "| other | other 2 | one process |" in said
    assert "The one rate is 500 a second" in said


@pytest.mark.parametrize("path", sorted((ROOT / "bench/results").glob("*.json")), ids=lambda path: path.stem)
def test_each_result_says_what_it_was_measured_on_and_not_where_its_files_lay(path: Path) -> None:
    text = path.read_text()
    about = json.loads(text, parse_constant=pytest.fail)["about"]
    assert {"date", "commit", "command", "machine", "versions"} == about.keys()
    assert {"cpu", "cores", "memory", "system", "python"} == about["machine"].keys()
    assert about["command"].startswith(f"python -m bench {path.stem}")
    assert not re.search(r"/(tmp|home|root|work)/", text)
    assert len(text) < 100_000
