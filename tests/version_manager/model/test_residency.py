"""What cells can be made to keep for a tenant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import names

from croupier.errors import InvalidRequest, TooLarge
from croupier.names import MAX_VERSION
from version_manager.model.residency import MAX_PINNED, ResidencyRule, check_residency


@given(st.integers(0, MAX_VERSION), st.lists(names, unique=True, max_size=20))
def test_any_floor_and_any_models_of_names_of_their_own_can_be_kept(floor: int, pinned: list[str]) -> None:
    rule = ResidencyRule(floor, tuple(pinned))
    assert check_residency(rule) is rule


def test_a_rule_that_says_nothing_keeps_nothing() -> None:
    assert check_residency(ResidencyRule()) == ResidencyRule(0, ())


@pytest.mark.parametrize("floor", [-1, MAX_VERSION + 1])
def test_a_floor_is_a_number_of_bytes(floor: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_residency(ResidencyRule(floor))
    assert refused.value.field == "floor_bytes"


@pytest.mark.parametrize(
    "pinned", [("churn", "fraud", "churn"), ("",), ("a/b",), ("..",), ("a\0b",), ("x" * 129,), ("e\u0301",)]
)
def test_what_is_pinned_are_names_and_each_once(pinned: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_residency(ResidencyRule(pinned=pinned))
    assert refused.value.field == "pinned"


def test_a_tenant_pins_so_many_and_no_more() -> None:
    most = tuple(f"model-{number}" for number in range(MAX_PINNED))
    check_residency(ResidencyRule(pinned=most))
    with pytest.raises(TooLarge, match=f"{MAX_PINNED + 1} models are pinned; a tenant may have {MAX_PINNED}"):
        check_residency(ResidencyRule(pinned=(*most, "one-more")))
