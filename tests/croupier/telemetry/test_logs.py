from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InternalError
from croupier.request_ids import RequestId, current
from croupier.telemetry.logs import ACCESS, JsonLine, Limiter, OneLine, configure, without_folders

PROGRAM = """
import logging, sys
from croupier.telemetry.logs import configure
configure("croupier-test", *sys.argv[1:])
logging.getLogger("part").debug("a detail")
logging.getLogger("part").info("served %d", 3)
logging.getLogger("part").error("failed")
for number in range(25):
    logging.getLogger("croupier.transport.frames").debug("frame %d", number)
configure("croupier-test", *sys.argv[1:])
logging.getLogger("part").critical("once")
"""
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def lines(*argv: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        env={"TZ": "Asia/Tokyo"},
    )
    assert done.stdout == ""
    found = done.stderr.splitlines()
    assert all(re.match(STAMP + " ", line) for line in found)
    return [line.partition(" ")[2] for line in found]


def test_one_line_an_event_on_standard_error() -> None:
    assert lines() == [
        "INFO croupier-test part: served 3",
        "ERROR croupier-test part: failed",
        "CRITICAL croupier-test part: once",
    ]


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("warning", 2), ("error", 2)])
def test_levels(level: str, count: int) -> None:
    assert len(lines(level)) == count


def test_an_unknown_level_changes_nothing() -> None:
    before = logging.getLogger().handlers.copy()
    with pytest.raises(ValueError, match="CHATTY"):
        configure("croupier-test", "chatty")
    assert logging.getLogger().handlers == before


def told(*records: logging.LogRecord, limiter: Limiter | None = None) -> list[str]:
    formatter = OneLine("%(levelname)s %(name)s: %(message)s")
    return [formatter.format(each) for each in records if limiter is None or limiter.filter(each)]


def record(words: str, *values: object, name: str = "cell", failure: Any = None) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file.py", 1, words, values, failure)


@given(st.text())
def test_no_value_makes_a_second_line_or_speaks_to_a_terminal(text: str) -> None:
    (line,) = told(record("passed over %s", text))
    assert not any(unicodedata.category(each) == "Cc" for each in line)
    assert len(line.splitlines()) == 1


def test_a_forged_line_is_seen_to_be_one() -> None:
    forged = "x\n2026-01-01T00:00:00.000Z ERROR croupier-cell cell: all is lost\x1b[2J"
    assert told(record("passed over %s", forged)) == [
        "ERROR cell: passed over x\\n2026-01-01T00:00:00.000Z ERROR croupier-cell cell: all is lost\\x1b[2J"
    ]


def test_a_traceback_stands_behind_bars() -> None:
    try:
        raise ValueError("x\nERROR cell: all is lost")
    except ValueError:
        (text,) = told(record("failed", failure=sys.exc_info()))
    first, *others = text.split("\n")
    assert first == "ERROR cell: failed"
    assert others
    assert all(line.startswith("  | ") for line in others)


def test_a_traceback_is_neither_taken_from_another_formatter_nor_left_for_one() -> None:
    try:
        raise ValueError("a secret")
    except ValueError:
        failed = record("failed", failure=sys.exc_info())
    (alone,) = told(failed)
    assert "a secret" in logging.Formatter().format(failed)
    assert told(failed) == [alone]
    assert "a secret" not in alone


def test_what_repeats_is_left_out_and_counted() -> None:
    now = 0.0
    limiter = Limiter(lambda: now, burst=3, per_second=1.0)
    many = [record("item %d failed", number) for number in range(10)]
    assert told(*many, limiter=limiter) == [f"ERROR cell: item {number} failed" for number in range(3)]
    assert told(record("another"), record("item %d failed", 1, name="router"), limiter=limiter) == [
        "ERROR cell: another",
        "ERROR router: item 1 failed",
    ]
    now = 1.0
    assert told(record("item %d failed", 11), limiter=limiter) == [
        "ERROR cell: item 11 failed (and 7 more like it)"
    ]
    now = 100.0
    assert len(told(*many, limiter=limiter)) == 3


def test_kinds_are_bounded() -> None:
    limiter = Limiter(lambda: 0.0)
    told(*[record(f"kind {number}") for number in range(3_000)], limiter=limiter)
    assert len(limiter._kinds) == 1_000


@pytest.mark.parametrize(("level", "frames"), [("debug", 0), ("frames", 25)])
def test_frames_are_logged_by_a_level_of_their_own_and_all_of_them(level: str, frames: int) -> None:
    said = lines(level)
    assert sum("croupier.transport.frames: frame " in line for line in said) == frames
    assert any(line.endswith("part: a detail") for line in said)


# Fields, and lines for programs


def about(words: str, *values: object, failure: Any = None, **extra: Any) -> logging.LogRecord:
    found = record(words, *values, failure=failure)
    found.__dict__.update(extra)
    return found


def parsed(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonLine("croupier-test").format(made)
    assert line.isascii()
    assert line.isprintable()
    found: dict[str, Any] = json.loads(line)
    return found


def test_fields_stand_behind_the_words() -> None:
    made = about(
        "slow", request_id="mine-7", fields={"ms": 12, "cells": "a,b", "name": "", "odd": 'x y="z"\n'}
    )
    assert told(made) == ['ERROR cell: slow request_id=mine-7 ms=12 cells=a,b name="" odd="x y=\\"z\\"\\n"']


@given(st.text(), st.text())
def test_no_value_forges_a_field_or_a_line(first: str, second: str) -> None:
    (line,) = told(about("slow", fields={"first": first, "second": second}))
    values = re.fullmatch(r'ERROR cell: slow first=("(?:[^"\\]|\\.)*"|[!#-<>-~]+) second=(.*)', line)
    assert values
    assert [json.loads(value) if value[0] == '"' else value for value in values.groups()] == [first, second]


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_a_json_line_is_one_object_whatever_is_in_it(text: str, fields: dict[str, str]) -> None:
    found = parsed(about("passed over %s", text.replace("/", "|"), fields=fields))
    assert found["message"] == f"passed over {text}".replace("/", "|")
    assert (found["level"], found["program"], found["logger"]) == ("ERROR", "croupier-test", "cell")
    assert {name: found[name] for name in fields if name not in FIXED} == {
        name: value for name, value in fields.items() if name not in FIXED
    }


FIXED = {"time", "level", "program", "logger", "message", "traceback"}


def test_a_traceback_is_a_field() -> None:
    try:
        raise InternalError("no luck")
    except InternalError:
        found = parsed(record("failed", failure=sys.exc_info()))
    assert found["traceback"].endswith("\ncroupier.errors.InternalError: no luck")
    assert re.fullmatch(STAMP, found["time"])
    assert "traceback" not in parsed(record("failed", failure=(None, None, None)))["message"]


def test_the_program_says_it_in_the_form_that_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "info", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(each["level"], each["message"]) for each in found] == [
        ("INFO", "served 3"),
        ("ERROR", "failed"),
        ("CRITICAL", "once"),
    ]
    assert {tuple(each) for each in found} == {("time", "level", "program", "logger", "message")}


def test_what_a_task_says_has_the_id_of_its_request() -> None:
    token = current.set(RequestId("mine-7"))
    try:
        assert told(record("failed")) == ["ERROR cell: failed request_id=mine-7"]
        assert parsed(record("failed"))["request_id"] == "mine-7"
        assert told(about("failed", request_id="its-own")) == ["ERROR cell: failed request_id=its-own"]
    finally:
        current.reset(token)
    assert told(record("failed")) == ["ERROR cell: failed"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot read '/etc/croupier/key.pem': no", "cannot read '…/key.pem': no"),
        ("file:///srv/objects/ab and unix:/run/croupier/router.sock", "…/ab and …/router.sock"),
        ("http://127.0.0.1:9100/metrics/all", "http://127.0.0.1:9100/metrics/all"),
        ("croupier/models/acme/churn/release", "croupier/models/acme/churn/release"),
        ("/metrics and and/or //", "/metrics and and/or //"),
    ],
)
def test_folders_are_left_out(text: str, left: str) -> None:
    assert without_folders(text) == left
    assert told(record("%s", text)) == [f"ERROR cell: {left}"]
    assert parsed(record("%s", text))["message"] == left


def test_requests_that_are_to_be_seen_are_bounded_more_widely() -> None:
    limiter = Limiter(lambda: 0.0)
    assert len(told(*[record("request", name=ACCESS) for _ in range(1_000)], limiter=limiter)) == 100
