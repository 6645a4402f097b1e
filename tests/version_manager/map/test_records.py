import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.artifacts.comparison import UNCHECKED, Comparison
from croupier.errors import InvalidRequest
from croupier.names import MAX_VERSION
from sharding.generation import Generation, Override, Seat, Share
from version_manager.map.keys import (
    ActiveKey,
    BadRecord,
    CellKey,
    GenerationKey,
    LimitsKey,
    ManagerKey,
    ProtocolKey,
    ReleaseKey,
    ResidencyKey,
    SeedKey,
    SpentKey,
    VersionKey,
)
from version_manager.map.records import (
    Active,
    Announced,
    Spent,
    Spoken,
    carry_over,
    check_cell,
    decode,
    encode,
)
from version_manager.map.schema import CURRENT
from version_manager.map.seed import Era, Seed
from version_manager.model.fleet import Cell, CellState
from version_manager.model.limits import UNLIMITED, Limits
from version_manager.model.release import Release, Split, Version
from version_manager.model.residency import ResidencyRule

VERSION = VersionKey("acme", "churn", 3)
RELEASE = ReleaseKey("acme", "churn")
SPENT = SpentKey("acme", "churn")
GENERATION = GenerationKey(7)
CELL = CellKey("cell-1")
RESIDENCY = ResidencyKey("acme")
PROTOCOL = ProtocolKey("cell-1")
MANAGER = ManagerKey("00ab")
LIMITS = LimitsKey("acme")
KEYS = [VERSION, RELEASE, SPENT, GENERATION, ActiveKey(), SeedKey(), CELL, PROTOCOL, MANAGER, RESIDENCY]

DIGEST = "ab" * 32
SEAT = {"cell": "cell-1", "zone": "a"}
COMPARED = Comparison("xgboost", "3.2.0", 5, 31_500, 1e-7)

SOUND = [
    (VERSION, Version(3, bytes.fromhex(DIGEST), 10, "onnx", 1.5)),
    (VERSION, Version(3, bytes.fromhex(DIGEST), 10, "forest", 1.5, COMPARED)),
    (VERSION, Version(3, bytes.fromhex(DIGEST), 10, "forest", 1.5, UNCHECKED)),
    (RELEASE, Release(4, (Split(1, 9_999), Split(2, 1)), {"canary": 2})),
    (
        GENERATION,
        Generation(
            7,
            2**64 - 1,
            2,
            (Seat("cell-1", "a", 0.5), Seat("cell-2", "b", 1.0, draining=True)),
            {"acme": Override(("cell-1",), (), 1, "group")},
        ),
    ),
    (
        GENERATION,
        Generation(
            7,
            5,
            Share(20, 4),
            (Seat("cell-1", "a"), Seat("cell-2", "b", dedicated="acme")),
            {"acme": Override(hand_size=Share(50)), "globex": Override(hand_size=2)},
            author="ann",
            reason="rack 7 burns",
        ),
    ),
    (SPENT, Spent(3, 0)),
    (ActiveKey(), Active(7, 6)),
    (ActiveKey(), Active(7, 6, 250, 600.0, "3 % of requests fail", "ann", "rack 7 burns", 1.5)),
    (SeedKey(), Seed((Era(7),))),
    (SeedKey(), Seed((Era(2**64 - 1), Era(0, 4), Era(5, 9)))),
    (CELL, Cell("cell-1", "a", "127.0.0.1:9000", 2.0, CellState.DRAINING)),
    (PROTOCOL, Spoken(2)),
    (MANAGER, Announced(2, 1)),
    (RESIDENCY, ResidencyRule(2**30, ("churn", "fraud"))),
    (LIMITS, Limits(rate=0.5, in_flight=3, rows=UNLIMITED, bytes=2**53)),
    (LIMITS, Limits(cold_loads=1)),
    (LimitsKey(), Limits(rate=100)),
]


@pytest.mark.parametrize(("key", "record"), SOUND)
def test_records_survive_etcd(key, record):
    assert decode(key, encode(record)) == record


def test_what_a_version_was_compared_with_takes_a_later_schema():
    plain = Version(3, bytes.fromhex(DIGEST), 10, "onnx", 1.5)
    assert b"schema" not in encode(plain)
    written = json.loads(encode(replace(plain, checked=COMPARED)))
    assert (written["schema"], written["checked"]["library"]) == (2, "xgboost")
    assert json.loads(encode(replace(plain, checked=UNCHECKED)))["checked"] == {"unchecked": True}


@pytest.mark.parametrize(
    "checked", [{"made": 5}, {"library": "x", "made": -1}, {"library": "x", "difference": "a"}]
)
def test_a_comparison_that_says_nonsense(checked):
    record = {"schema": 2, "artifact": DIGEST, "size": 1, "engine": "onnx", "checked": checked}
    with pytest.raises(BadRecord, match="comparison"):
        decode(VERSION, json.dumps(record).encode())


def test_an_operator_can_read_and_write_them():
    written = b'{"number": 2, "splits": [{"version": 1, "basis_points": 10000}]}'
    assert decode(RELEASE, written) == Release(2, (Split(1, 10_000),), {})
    assert json.loads(encode(Active(7, 6))) == {"active": 7, "previous": 6}


def version(**changes):
    return {"artifact": DIGEST, "size": 1, "engine": "onnx"} | changes


def release(**changes):
    return {"number": 1, "splits": [{"version": 1, "basis_points": 10_000}]} | changes


def generation(**changes):
    return {"seed": 1, "hand_size": 1, "seats": [SEAT]} | changes


def cell(**changes):
    return {"zone": "a", "address": "127.0.0.1:9000"} | changes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (VERSION, version(artifact="ab")),
        (VERSION, version(artifact=DIGEST.upper())),
        (VERSION, version(artifact=DIGEST + "\n")),
        (VERSION, version(size=-1)),
        (VERSION, version(size=2**63)),
        (VERSION, version(size="1")),
        (VERSION, version(engine="")),
        (VERSION, version(engine="../x")),
        (VERSION, version(created=-1)),
        (VERSION, version(other=1)),
        (VERSION, {"artifact": DIGEST}),
        (RELEASE, release(number=0)),
        (RELEASE, release(number=MAX_VERSION + 1)),
        (RELEASE, release(splits=[{"version": 0, "basis_points": 10_000}])),
        (RELEASE, release(splits=[{"version": 1, "basis_points": 10_001}])),
        (RELEASE, release(splits=[{"version": 1, "basis_points": 1.5}])),
        (RELEASE, release(labels={"a/b": 1})),
        (RELEASE, release(labels={"canary": 0})),
        (RELEASE, release(lables={})),
        (SPENT, {"version": -1}),
        (SPENT, {"release": 1}),
        (SPENT, {"version": 1, "other": 1}),
        (GENERATION, generation(seats=[])),
        (GENERATION, generation(seats=[SEAT, SEAT])),
        (GENERATION, generation(seats=[SEAT | {"weight": 0}])),
        (GENERATION, generation(seats=[SEAT | {"zone": ".."}])),
        (GENERATION, generation(seed=2**64)),
        (GENERATION, generation(seed=-1)),
        (GENERATION, generation(hand_size=0)),
        (GENERATION, generation(hand_size=2**31)),
        (GENERATION, generation(overrides={"acme": {"pins": ["nobody"]}})),
        (GENERATION, generation(overrides={"a/b": {}})),
        (ActiveKey(), {"active": 0}),
        (ActiveKey(), {"active": 1, "previous": -1}),
        (ActiveKey(), {"active": 1, "previous": 1}),
        (ActiveKey(), {"schema": 4, "active": 1, "ramp": 250}),
        (ActiveKey(), {"schema": 4, "active": 2, "previous": 1, "ramp": 10_001}),
        (ActiveKey(), {"schema": 4, "active": 2, "previous": 1, "seconds": 1e9}),
        (CELL, cell(zone="")),
        (CELL, cell(address="127.0.0.1")),
        (CELL, cell(address="127.0.0.1:0")),
        (CELL, cell(address="127.0.0.1:65536")),
        (CELL, cell(address="a\0b:1")),
        (CELL, cell(address="a b:1")),
        (CELL, cell(weight=0)),
        (CELL, cell(state="asleep")),
        (CELL, cell(protocol=2)),
        (PROTOCOL, {"protocol": 0}),
        (PROTOCOL, {"protocol": 2**32}),
    ],
)
def test_what_is_out_of_range_is_bad(key, value):
    with pytest.raises(BadRecord):
        decode(key, json.dumps(value).encode())


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"{",
    b"\xff\xfe\x00",
    b'{"number":',
    b"[" * 100_000,
    b'{"number":' + b"[" * 100_000,
    b'{"zone":"\\ud800","address":"a:1"}',
    b'{"seed":1e999}',
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", GARBAGE)
def test_garbage_is_bad(key, value):
    with pytest.raises(BadRecord):
        decode(key, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["number", "splits", "labels", "seed", "seats", "active", "zone", "artifact", "rate", "rows"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.sampled_from([*KEYS, LIMITS]),
    st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_no_value_raises_anything_else(key, value):
    try:
        record = decode(key, value)
    except BadRecord:
        return
    assert decode(key, encode(record)) == record


@pytest.mark.parametrize(("key", "record"), SOUND)
def test_every_record_may_gain_fields(key, record):
    today = encode(record)
    newer = json.dumps({**json.loads(today), "schema": CURRENT + 1, "more": {"of": ["it"]}}).encode()
    assert decode(key, newer) == record
    assert json.loads(carry_over(key, newer, today)) == json.loads(newer)
    typo = json.dumps({**json.loads(today), "more": 1}).encode()
    with pytest.raises(BadRecord, match="`more`"):
        decode(key, typo)


@pytest.mark.parametrize("address", ["127.0.0.1:9000", "cell-1.cells:1", "[::1]:65535", "unix:/run/cell"])
def test_addresses_of_cells(address):
    assert check_cell(Cell("cell-1", "a", address)).address == address


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_a_weight_is_above_0_and_finite(weight):
    with pytest.raises(InvalidRequest):
        check_cell(Cell("cell-1", "a", "127.0.0.1:9000", weight))
