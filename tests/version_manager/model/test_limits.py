"""What a tenant may take: its own words, the default's, and what neither may say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import names

from croupier.errors import InvalidRequest
from version_manager.model.limits import (
    FIELDS,
    LEAST,
    MOST,
    NO_LIMITS,
    UNLIMITED,
    Limits,
    TenantLimits,
    check_limits,
)

numbers = st.one_of(st.none(), st.just(UNLIMITED), st.floats(LEAST, MOST))
whole = st.one_of(st.none(), st.just(UNLIMITED), st.integers(1, int(MOST)).map(float))
limits = st.builds(Limits, rate=numbers, in_flight=whole, cold_loads=numbers, rows=numbers, bytes=numbers)


@given(limits)
def test_numbers_none_and_nothing_can_all_be_kept(found: Limits) -> None:
    assert check_limits(found) is found


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [0, -1, -math.inf, math.nan, LEAST / 2, MOST * 2])
def test_a_limit_is_a_number_within_bounds(name: str, value: float) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_limits(Limits(**{name: value}))
    assert refused.value.field == name


@pytest.mark.parametrize("value", [0.5, 1.5])
def test_requests_in_flight_are_counted_whole(value: float) -> None:
    with pytest.raises(InvalidRequest, match="in_flight is a whole number"):
        check_limits(Limits(in_flight=value))


def test_a_tenants_own_word_comes_before_the_defaults() -> None:
    told = TenantLimits(
        Limits(rate=100, in_flight=8), {"acme": Limits(rate=5, in_flight=UNLIMITED, rows=UNLIMITED)}
    )
    assert told.of("acme") == Limits(rate=5)
    assert told.of("other") is told.default == Limits(rate=100, in_flight=8)


@given(limits, limits)
def test_what_holds_is_a_number_or_nothing(own: Limits, default: Limits) -> None:
    held = own.over(default.over(NO_LIMITS))
    for said, other, found in zip(own.said(), default.said(), held.said(), strict=True):
        expected = other if said is None else said
        assert found == (None if expected == UNLIMITED else expected)


said = limits.filter(lambda found: found != NO_LIMITS)


@given(st.dictionaries(names, said, max_size=5), st.dictionaries(names, said, max_size=5), limits)
def test_changes_come_to_what_they_say_and_the_same_is_the_same_object(
    before: dict[str, Limits], wanted: dict[str, Limits], default: Limits
) -> None:
    held = TenantLimits().after(before)
    changed = dict.fromkeys(before, NO_LIMITS) | wanted
    after = held.after(changed, default)
    assert after.tenants == wanted
    assert after.default == default.over(NO_LIMITS)
    assert held.tenants == before
    assert after.after(changed, default) is after.after({"nobody": NO_LIMITS}) is after
    # What has changed leads there too, and is no more than that.
    told = held.changed_to(after, {*changed, "nobody"})
    assert held.after(told, default) == after
    assert all(before.get(name, NO_LIMITS) != one for name, one in told.items())


def test_nothing_is_limited_until_somebody_says_so() -> None:
    assert TenantLimits().of("acme") == NO_LIMITS == Limits(None, None, None, None, None)
