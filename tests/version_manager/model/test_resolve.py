from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import digest, model

from croupier.errors import InvalidRequest
from croupier.names import InvalidName
from version_manager.model.catalog import Catalog, UnknownModel
from version_manager.model.release import UnknownVersion, split_point
from version_manager.model.resolve import Ask, Target, resolve

SPLIT = model(versions=(1, 2, 3), splits=((1, 9_000), (2, 1_000)), labels={"next": 3})
CATALOG = Catalog.build(
    "c", 1, [SPLIT, model("acme", "raw", (4,), released=False), model("globex", "other", (1,))]
)
ASK = Ask("churn")


def test_the_split_decides_by_the_point() -> None:
    expected = Target("acme", "churn", 1, digest("acme/churn/1"))
    assert resolve(CATALOG, "acme", ASK, 0) == expected
    assert resolve(CATALOG, "acme", ASK, 8_999) == expected
    assert resolve(CATALOG, "acme", ASK, 9_000) == Target("acme", "churn", 2, digest("acme/churn/2"))


@given(st.text(min_size=1, max_size=10), st.integers(0, 9_999), st.integers(0, 9_999))
def test_a_key_sticks_to_its_side(key: str, first: int, second: int) -> None:
    ask = replace(ASK, key=key)
    expected = 1 if split_point("acme", "churn", key) < 9_000 else 2
    assert resolve(CATALOG, "acme", ask, first).version == expected
    assert resolve(CATALOG, "acme", ask, second).version == expected


def test_an_exact_version_and_a_label_pass_the_split_by() -> None:
    assert resolve(CATALOG, "acme", Ask("churn", 3), 0).version == 3
    assert resolve(CATALOG, "acme", Ask("churn", label="next"), 0).version == 3
    assert resolve(CATALOG, "acme", Ask("raw", 4), 0).version == 4


@pytest.mark.parametrize(
    ("tenant", "ask", "error"),
    [
        ("nobody", ASK, UnknownModel),
        ("acme", Ask("other"), UnknownModel),
        ("acme", Ask("churn", 9), UnknownVersion),
        ("acme", Ask("churn", label="old"), UnknownVersion),
        ("acme", Ask("raw"), UnknownVersion),
        ("acme", Ask("churn", 1, "next"), InvalidRequest),
        ("acme", Ask(""), InvalidName),
        ("acme", Ask("../globex/other"), InvalidName),
        ("acme", Ask("a\0b"), InvalidName),
        ("acme", Ask("a\\b"), InvalidName),
        ("acme", Ask("e\u0301"), InvalidName),
        ("acme", Ask("x" * 129), InvalidName),
        ("acme", Ask("churn", label="a/b"), InvalidName),
    ],
)
def test_what_cannot_be_resolved(tenant: str, ask: Ask, error: type[Exception]) -> None:
    with pytest.raises(error):
        resolve(CATALOG, tenant, ask, 0)
