"""What of a tenant's records an operator may write by hand, and what is said of the rest."""

import json

import pytest

from version_manager.map.keys import BadRecord, LimitsKey
from version_manager.map.records import carry_over, decode, encode
from version_manager.map.schema import PROTOCOLS, schema_of
from version_manager.model.limits import NO_LIMITS, UNLIMITED, Limits

KEY = LimitsKey("acme")


def test_limits_lie_there_as_people_write_them() -> None:
    record = Limits(rate=0.5, in_flight=3.0, rows=UNLIMITED, bytes=8.0 * 2**20)
    written = encode(record)
    assert written == b'{"schema":5,"rate":0.5,"in_flight":3,"rows":"none","bytes":8388608}'
    assert decode(KEY, written) == record


def test_limits_that_say_nothing_need_nobody_to_know_of_them() -> None:
    assert encode(NO_LIMITS) == b"{}"
    assert decode(KEY, b"{}") == NO_LIMITS


@pytest.mark.parametrize("name", ["rate", "in_flight", "cold_loads", "rows", "bytes"])
def test_any_limit_waits_until_every_part_keeps_limits(name: str) -> None:
    """A manager of the release before passes over the key, and a router over what it is told."""
    assert PROTOCOLS[schema_of(encode(Limits(**{name: 5})))] == 6


@pytest.mark.parametrize("value", [0, -1, 1e-9, 1e16, 10**400, "no", "None", "5", True, [5], {}])
@pytest.mark.parametrize("name", ["rate", "in_flight", "cold_loads", "rows", "bytes"])
def test_what_is_no_limit_is_named_by_its_field(name: str, value: object) -> None:
    with pytest.raises(BadRecord) as refused:
        decode(KEY, json.dumps({"schema": 5, name: value}).encode())
    assert refused.value.field == name


@pytest.mark.parametrize(
    ("value", "field"),
    [(b'{"rat": 5}', "rat"), (b'{"schema": 5, "in_flight": 1.5}', "in_flight"), (b"[]", ""), (b"?", "")],
)
def test_a_typing_error_is_refused(value: bytes, field: str) -> None:
    with pytest.raises(BadRecord) as refused:
        decode(KEY, value)
    assert refused.value.field == field


def test_what_the_next_release_adds_is_passed_over_and_kept() -> None:
    newer = b'{"schema":8,"burst":9,"rate":5}'
    assert decode(KEY, newer) == Limits(rate=5)
    assert json.loads(carry_over(KEY, newer, encode(Limits(rows=7)))) == {"schema": 8, "rows": 7, "burst": 9}
