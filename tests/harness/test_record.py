"""Requests come out of the log as callers sent them, and what is hidden is left out."""

import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from croupier.errors import FailedPrecondition
from croupier_bench import record as recording
from croupier_bench.record import NothingLogged, NotInstalled, record, write
from logger.columns import table_of
from logger.files import Parquet
from logger.hiding import Hiding
from logger.rows import MODEL_INFER, PREDICT, STORE, Feature, Row

BEGIN = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
NOON = datetime(2026, 11, 28, 9, tzinfo=UTC)


def row(at, request_id, features=(), *, took_ms=10, **fields):
    """Answered `at` seconds after BEGIN, and arrived `took_ms` before."""
    made = {
        "item": 0,
        "row": 0,
        "api": PREDICT,
        "tenant": "acme",
        "datatype": "FP64",
        "entity": None,
    } | fields
    return Row(
        time_us=round((BEGIN.timestamp() + at) * 1e6),
        request_id=request_id,
        model="churn",
        config=1,
        version=1,
        artifact="00" * 32,
        took_us=took_ms * 1_000,
        degraded=False,
        defaults=0,
        shadow_of="",
        features=list(features),
        **made,
    )


def number(name, value, source="request"):
    return Feature(name, number=value, source=source)


AGE = [number("age", 31.0)]


@pytest.fixture
def log(tmp_path):
    """Writes rows as a logger does, with the rule of what is sensitive; the log's URL."""

    def put(*rows, rule=None, key=b"", hour=BEGIN, name="a"):
        for one in rows:
            Hiding(key).hide(one, json.dumps(rule or {}).encode())
        folder = tmp_path / f"family=churn/date={hour:%Y-%m-%d}/hour={hour:%H}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.parquet").write_bytes(Parquet().encode([list(rows)]))
        return f"file://{tmp_path}"

    return put


def taken(url, **options):
    return record(url, "churn", NOON, **options)


def test_a_request_is_what_the_caller_sent_when_it_arrived(log):
    url = log(
        row(1.0, "b", [number("age", 40.0), Feature("plan", text="basic")], entity="c-1"),
        row(0.5, "a", [*AGE, number("spend", 7.0, STORE), number("visits", 0.0, "missing")], tenant="other"),
    )
    found = taken(url)
    assert found.left_out == {}
    assert found.requests == [
        {"t": 0.0, "tenant": "other", "items": [{"model": "churn", "features": {"age": 31.0}}]},
        {
            "t": 0.5,
            "tenant": "acme",
            "items": [{"model": "churn", "entity": "c-1", "features": {"age": 40.0, "plan": "basic"}}],
        },
    ]


def test_times_are_those_of_arrival(log):
    found = taken(log(row(1.0, "slow", AGE, took_ms=900), row(0.5, "quick", AGE, took_ms=100)))
    assert [one["t"] for one in found.requests] == [0.0, pytest.approx(0.3)]


def test_items_and_rows_of_a_request_are_together_in_their_order(log):
    rows = [row(1.0 + at / 1e5, "a", [number("age", float(at))], item=at) for at in (2, 0, 1)]
    (found,) = taken(log(*rows)).requests
    assert [item["features"]["age"] for item in found["items"]] == [0.0, 1.0, 2.0]
    rows = [row(1.0, "b", [number("age", float(at))], row=at, api=MODEL_INFER) for at in (1, 0)]
    (found,) = taken(log(*rows)).requests
    assert [item["features"]["age"] for item in found["items"]] == [0.0, 1.0]


def test_an_id_that_is_used_again_is_another_request(log):
    found = taken(
        log(
            row(1.0, "same", AGE),
            row(1.1, "same", AGE),
            row(5.0, "same", AGE, item=1),
            row(1.0, "same", AGE, tenant="other"),
        )
    )
    assert [len(one["items"]) for one in found.requests] == [1, 1, 1, 1]


def test_a_whole_row_of_float32_is_dense(log):
    both = [number("b", 1.5), number("a", 2.5)]
    url = log(
        row(1.0, "dense", both, datatype="FP32"),
        row(2.0, "wide", both, datatype="FP64"),
        row(3.0, "some", [*both, number("c", 1.0, STORE)], datatype="FP32"),
    )
    dense, wide, some = (one["items"][0] for one in taken(url).requests)
    assert dense == {"model": "churn", "row": [1.5, 2.5]}
    assert wide["features"] == some["features"] == {"b": 1.5, "a": 2.5}


def test_what_is_no_number_is_null(log):
    url = log(row(1.0, "a", [number("age", math.nan), Feature("plan"), Feature("id", 2.0**60, 2**60 + 1)]))
    (item,) = taken(url).requests[0]["items"]
    assert item["features"] == {"age": None, "plan": None, "id": 2.0**60}


def test_tensors_without_names_are_as_they_came(log):
    url = log(
        row(1.0, "a", api=MODEL_INFER, request=b"\x00tensors"),
        row(1.0, "a", api=MODEL_INFER, row=1),
    )
    assert taken(url).requests == [{"t": 0.0, "tenant": "acme", "tensors": "AHRlbnNvcnM="}]


def test_an_item_that_was_refused_is_asked_again(log):
    assert len(taken(log(row(1.0, "a", AGE, code=5))).requests) == 1


# What is hidden


@pytest.mark.parametrize("key", [b"", b"secret"])
@pytest.mark.parametrize("action", ["drop", "hash"])
def test_a_request_of_which_something_is_hidden_is_left_out_and_counted(log, action, key):
    url = log(
        row(1.0, "a", [*AGE, Feature("plan", text="basic")]),
        row(2.0, "b", AGE),
        rule={"plan": action},
        key=key,
    )
    found = taken(url)
    assert found.left_out == {"the log hides plan": 1}
    assert len(found.requests) == 1


def test_what_the_caller_did_not_send_may_be_hidden(log):
    url = log(row(1.0, "a", [*AGE, number("spend", 7.0, STORE)]), rule={"spend": "hash"}, key=b"secret")
    assert taken(url).requests[0]["items"] == [{"model": "churn", "features": {"age": 31.0}}]


def test_an_output_may_be_hidden(log):
    from logger.rows import Output

    url = log(row(1.0, "a", AGE, outputs=[Output("score", numbers=[1.0])]), rule={"score": "hash"}, key=b"k")
    assert len(taken(url).requests) == 1


def test_an_entity_that_is_hidden_matters_if_its_stored_features_were_used(log):
    url = log(
        row(1.0, "a", AGE, entity="c-1"),
        row(2.0, "b", [*AGE, number("spend", 7.0, STORE)], entity="c-1"),
        rule={"entity": "hash"},
        key=b"secret",
    )
    found = taken(url)
    assert found.requests[0]["items"] == [{"model": "churn", "features": {"age": 31.0}}]
    assert found.left_out == {"the log hides the entity, whose stored features it was answered with": 1}


def test_of_several_items_one_that_is_hidden_takes_all_along(log):
    url = log(
        row(1.0, "a", AGE), row(1.0, "a", [*AGE, Feature("plan", text="x")], item=1), rule={"plan": "drop"}
    )
    assert taken(url).requests == []


def test_tensors_that_are_hidden_are_left_out(log):
    url = log(row(1.0, "a", api=MODEL_INFER, request=b"x", entity="e"), rule={"entity": "drop"})
    assert taken(url).left_out == {"the log has no tensors of it: its family hides something": 1}


# Which


def test_the_time_decides_and_so_does_the_tenant(log):
    url = log(row(1.0, "a", AGE), row(100.0, "b", AGE, tenant="other"))
    log(row(-7_200.0, "old", AGE), hour=BEGIN - timedelta(hours=2))
    log(row(3_600.0, "new", AGE), hour=BEGIN + timedelta(hours=1))
    assert len(record(url, "churn", BEGIN - timedelta(hours=3)).requests) == 4
    assert len(record(url, "churn", BEGIN).requests) == 3
    assert len(record(url, "churn", BEGIN, BEGIN + timedelta(minutes=1)).requests) == 1
    assert len(record(url, "churn", BEGIN, tenants=["other"]).requests) == 1


def test_there_may_be_nothing(log):
    url = log(row(1.0, "a", AGE))
    with pytest.raises(NothingLogged, match="nothing of churn since 2026-11-29"):
        record(url, "churn", BEGIN + timedelta(days=1))
    with pytest.raises(NothingLogged, match="nothing of other"):
        record(url, "other", BEGIN)


def test_there_may_be_too_much(log):
    with pytest.raises(FailedPrecondition, match="more than 1 rows"):
        taken(log(row(1.0, "a", AGE), row(2.0, "b", AGE)), most=1)


def test_without_its_parts_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.dataset", None)
    with pytest.raises(NotInstalled, match=r"pip install 'croupier-bench\[replay\]'"):
        taken("file:///nowhere")


def test_the_columns_that_are_read_are_the_loggers():
    names = table_of([]).column_names
    assert set(recording._COLUMNS) <= set(names)


# The file


@pytest.mark.parametrize("name", ["requests.jsonl", "requests.jsonl.gz"])
def test_a_recording_is_lines_of_json(log, tmp_path: Path, name):
    found = taken(log(row(1.0, "a", [number("age", math.inf)]), row(3.0, "b", AGE)))
    path = tmp_path / name
    write(found, path)
    text = gzip.decompress(path.read_bytes()).decode() if name.endswith(".gz") else path.read_text()
    head, *lines = map(json.loads, text.splitlines())
    assert head == {
        "kind": "requests",
        "format": 1,
        "family": "churn",
        "requests": 2,
        "seconds": 2.0,
        "left_out": {},
    }
    assert lines == found.requests
