from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import TraceState

from croupier.codes import Code
from croupier.telemetry.traces import MOST_PER_SECOND, Kind, Parent, Span, Tracer, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()


def values(**metadata: bytes) -> Callable[[bytes], tuple[bytes, ...]]:
    return lambda key: (metadata[key.decode()],) if key.decode() in metadata else ()


class Traces:
    """A tracer with a clock that goes on by a microsecond, and the spans that have ended."""

    def __init__(self, ratio: float = 0.0, step: int = 1_000) -> None:
        self.step = step
        self.spans: list[Span] = []
        self.clock = 1_000_000
        self.tracer = Tracer(ratio, self.spans.append, rng=Random(1), now=self.now)

    def now(self) -> int:
        self.clock += self.step
        return self.clock


def test_a_parent_as_the_standard_has_it() -> None:
    assert parse([PARENT]) == Parent(int(TRACE, 16), int(SPAN, 16), True)
    assert parse([PARENT[:-2] + b"00"]) == Parent(int(TRACE, 16), int(SPAN, 16), False)
    assert parse([b"cc" + PARENT[2:] + b"-of-later"], [b"a=1", b"b=2"]) == Parent(
        int(TRACE, 16), int(SPAN, 16), True, b"a=1,b=2"
    )


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [b""],
        [PARENT, PARENT],
        [PARENT + b"-more"],
        [PARENT.upper()],
        [b"ff" + PARENT[2:]],
        [PARENT + b"\n"],
        [f"00-{'0' * 32}-{SPAN}-01".encode()],
        [f"00-{TRACE}-{'0' * 16}-01".encode()],
        [f"00-{TRACE}-{SPAN}-0g".encode()],
        [b"0" * 1_000_000],
    ],
)
def test_what_is_no_parent(parents: list[bytes]) -> None:
    assert parse(parents) is None


@given(st.binary(max_size=64))
def test_bytes_of_any_kind_are_a_parent_or_none(data: bytes) -> None:
    found = parse([data])
    assert found is None or (found.trace_id and found.span_id)


def test_too_much_state_is_not_carried_along() -> None:
    parent = parse([PARENT], [b"k=" + b"v" * 600])
    assert parent is not None
    assert parent.state == b""


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ([], b""),
        ([b"a=1", b" b=2 ,\t, c@d=x y"], b"a=1,b=2,c@d=x y"),
        ([b"0a@b=1"], b"0a@b=1"),
        ([b"a=1,nonsense"], b""),
        ([b"A=1"], b""),
        ([b"a=1", b"a=2"], b""),
        ([b"a=b=c"], b""),
        ([b"a=\xff"], b""),
        ([b",".join(b"a%d=1" % number for number in range(33))], b""),
        ([b"k=" + b"v" * 200] * 3, b""),
    ],
)
def test_what_others_want_to_have_carried_along(states: list[bytes], state: bytes) -> None:
    parent = parse([PARENT], states)
    assert parent is not None
    assert parent.state == state
    # As the SDK has it, which would warn of what it does not take.
    if state:
        assert TraceState.from_header([one.decode() for one in states]).to_header() == state.decode()


def test_a_sampled_caller_has_a_span_and_so_has_what_is_called() -> None:
    traces = Traces()
    span = traces.tracer.begin("Infer", values(traceparent=PARENT, tracestate=b"k=v"))
    assert span is not None
    assert (span.trace_id, span.parent_id, span.kind) == (int(TRACE, 16), int(SPAN, 16), Kind.SERVER)
    child = span.child("attempt", Kind.CLIENT)
    assert (child.trace_id, child.parent_id) == (span.trace_id, span.span_id)
    assert child.pairs() == (
        (b"traceparent", f"00-{TRACE}-{child.span_id:016x}-01".encode()),
        (b"tracestate", b"k=v"),
    )
    child.end(Code.UNAVAILABLE)
    span.end()
    span.end(Code.INTERNAL)
    assert traces.spans == [child, span]
    assert (child.code, span.code) == (Code.UNAVAILABLE, Code.OK)
    assert span.began < child.began < child.ended < span.ended


class Seed(Random):
    """Gives the seed with which SplitMix64 is published: https://prng.di.unimi.it/splitmix64.c."""

    def getrandbits(self, k: int, /) -> int:
        return 1234567


def test_ids_are_those_of_the_published_generator() -> None:
    tracer = Tracer(1.0, lambda span: None, rng=Seed())
    span = tracer.span("Infer", Kind.SERVER, None)
    assert span.trace_id == 6457827717110365317 << 64 | 3203168211198807973
    assert span.span_id == 9817491932198370423
    assert [span.child("attempt").span_id for _ in range(2)] == [4593380528125082431, 16408922859458223821]


def test_a_caller_that_is_not_sampled_has_none_whatever_the_ratio() -> None:
    assert Traces(1.0).tracer.begin("Infer", values(traceparent=PARENT[:-2] + b"00")) is None


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.1, 60, 140), (1.0, 1_000, 1_000)])
def test_of_those_without_a_trace_a_part_begins_one(ratio: float, least: int, most: int) -> None:
    tracer = Traces(ratio, step=10_000_000).tracer
    begun = [tracer.begin("Infer", values()) for _ in range(1_000)]
    spans = [span for span in begun if span is not None]
    assert least <= len(spans) <= most
    assert len({span.trace_id for span in spans}) == len(spans)
    assert {span.parent_id for span in spans} <= {0}


@given(
    st.sampled_from([0.0, 0.01, 0.3, 0.9, 1.0]),
    st.lists(st.integers(0, 300), max_size=30),
    st.integers(0, 99),
)
def test_the_same_requests_begin_traces_however_they_come(ratio: float, reads: list[int], seed: int) -> None:
    alone, together = (Tracer(ratio, lambda span: None, rng=Random(seed)) for _ in range(2))
    one_by_one, at_once, seen = [], [], 0
    for count in reads:
        together.until -= count
        at_once += [seen + place for place in together.due(count)]
        for number in range(seen, seen + count):
            alone.until -= 1
            one_by_one += [number for _ in alone.due(1)]
        seen += count
    assert at_once == one_by_one
    assert ratio > 0.0 or not at_once
    assert ratio < 1.0 or at_once == list(range(seen))


def test_what_cannot_be_read_is_no_trace() -> None:
    span = Traces(1.0).tracer.begin("Infer", values(traceparent=b"nonsense"))
    assert span is not None
    assert (span.parent_id, span.state) == (0, b"")


def test_what_turned_out_to_be_slow_gets_a_span_that_began_then() -> None:
    traces = Traces()
    traces.tracer.afterwards("Infer", values(traceparent=PARENT), 0.5, Code.INTERNAL, {"tenant": "t" * 999})
    (span,) = traces.spans
    assert span.ended - span.began == 500_000_000 + 1_000
    assert (span.parent_id, span.code) == (int(SPAN, 16), Code.INTERNAL)
    assert span.attributes == {"tenant": "t" * 256}


def test_what_has_just_ended_is_a_span_within() -> None:
    traces = Traces()
    span = traces.tracer.span("Infer", Kind.SERVER, None)
    span.past("score", 0.001, rows=3)
    (child,) = traces.spans
    assert (child.name, child.parent_id, child.attributes) == ("score", span.span_id, {"rows": 3})
    assert child.ended - child.began == 1_000_000


def test_callers_who_all_say_that_they_are_sampled_get_so_many_spans_a_second() -> None:
    traces = Traces()
    for expected in (MOST_PER_SECOND, MOST_PER_SECOND / 2):
        begun = [traces.tracer.begin("Infer", values(traceparent=PARENT)) for _ in range(5_000)]
        spans = len([span for span in begun if span is not None])
        # Some come while they are counted.
        assert expected <= spans <= expected + 10
        traces.clock += 500_000_000
