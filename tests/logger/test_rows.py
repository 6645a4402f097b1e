"""A feature is the caller's own unless somebody says otherwise."""

from logger.rows import Feature


def test_a_value_has_a_source() -> None:
    assert Feature("a", 1.0).source == "request"
