from hypothesis import given
from hypothesis import strategies as st

from croupier.telemetry.trace_parent import trace_parent

ids = st.integers(0, 2**64 - 1)


@given(ids, ids, ids)
def test_it_is_what_formatting_makes(high: int, low: int, span: int) -> None:
    assert trace_parent(high, low, span) == b"00-%016x%016x-%016x-01" % (high, low, span)
