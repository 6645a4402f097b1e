"""Fields of protobuf messages that nobody defined."""

from __future__ import annotations

from hypothesis import strategies as st

from router import envelope


@st.composite
def loose_fields(draw: st.DrawFn, depth: int = 2) -> bytes:
    """Well-formed fields of any number and wire type, groups too: not what our messages expect."""
    encoded = []
    for _ in range(draw(st.integers(0, 4))):
        number = draw(st.one_of(st.integers(1, 7), st.just(1000), st.integers(1, 2**29 - 1)))
        kind = draw(st.sampled_from([0, 1, 2, 5, 3] if depth else [0, 1, 2, 5]))
        tag = envelope._encoded(number << 3 | kind)
        if kind == 0:
            encoded.append(tag + envelope._encoded(draw(st.integers(0, 2**64 - 1))))
        elif kind == 2:
            payload = draw(st.binary(max_size=5))
            encoded.append(tag + envelope._encoded(len(payload)) + payload)
        elif kind == 3:
            inner = draw(loose_fields(depth - 1))
            encoded.append(tag + inner + envelope._encoded(number << 3 | 4))
        else:
            encoded.append(tag + bytes(4 if kind == 5 else 8))
    return b"".join(encoded)
