"""gRPC's header rules: round trips, and what the specification wants accepted or refused."""

from __future__ import annotations

import base64
import contextlib
import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from croupier.transport.metadata import (
    decode_pairs,
    decode_timeout,
    encode_pairs,
    encode_timeout,
    percent_decode,
    percent_encode,
)

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
plain_keys = st.from_regex(r"x[0-9a-z_.-]{0,12}", fullmatch=True).filter(lambda key: not key.endswith("-bin"))
plain = st.tuples(plain_keys, st.text(PRINTABLE).map(lambda text: text.strip(" ")))
binary = st.tuples(plain_keys.map(lambda key: key + "-bin"), st.binary())


class TestPairs:
    @given(st.lists(plain | binary).map(tuple))
    def test_there_and_back(self, pairs: tuple[tuple[str, str | bytes], ...]) -> None:
        encoded = encode_pairs(pairs)
        assert decode_pairs(encoded) == pairs
        for name, value in encoded:
            assert re.fullmatch(rb"[0-9a-z_.-]+", name)
            assert re.fullmatch(rb"([!-~]([ -~]*[!-~])?)?", value)

    @given(st.lists(st.tuples(st.binary(), st.binary())))
    def test_whatever_is_received_can_be_sent_back(self, raw: list[tuple[bytes, bytes]]) -> None:
        try:
            pairs = decode_pairs(raw)
        except ValueError:
            return
        assert decode_pairs(encode_pairs(pairs)) == pairs

    def test_binary_goes_without_padding(self) -> None:
        assert encode_pairs([("a-bin", b"\0")]) == [(b"a-bin", b"AA")]

    @pytest.mark.parametrize("raw", [b"+/8", b"+/8=", b" +/8= "])
    def test_binary_comes_with_or_without_padding(self, raw: bytes) -> None:
        assert decode_pairs([(b"a-bin", raw)]) == (("a-bin", b"\xfb\xff"),)

    @given(st.lists(st.binary(), min_size=1), st.booleans(), st.sampled_from([b",", b", "]))
    def test_joined_binary_values_are_split(self, values: list[bytes], padded: bool, comma: bytes) -> None:
        parts = [base64.b64encode(value) for value in values]
        raw = comma.join(parts if padded else [part.rstrip(b"=") for part in parts])
        assert decode_pairs([(b"a-bin", raw)]) == tuple(("a-bin", value) for value in values)

    @pytest.mark.parametrize("raw", [b"A", b"A===", b"AA=", b"AA==AA", b"-_8=", b"AAAA A", b"A\xff", b"AA,A"])
    def test_broken_base64(self, raw: bytes) -> None:
        with pytest.raises(ValueError, match="'a-bin' is not base64"):
            decode_pairs([(b"a-bin", raw)])

    def test_what_is_not_metadata_is_left_out(self) -> None:
        raw = [
            (b":path", b"/a/B"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            (b"user-agent", b"grpc-python"),
            (b"grpc-timeout", b"1S"),
            (b"grpc-trace-bin", b"!"),
            (b"Upper", b"a"),
            (b"sp ace", b"a"),
            (b"caf\xe9", b"a"),
            (b"", b"a"),
            (b"latin", b"caf\xe9"),
            (b"tab", b"a\tb"),
            (b"kept", b"a"),
        ]
        assert decode_pairs(raw) == (("kept", "a"),)

    def test_white_space_at_the_ends_goes(self) -> None:
        assert encode_pairs([("a", "  b c ")]) == [(b"a", b"b c")]
        assert decode_pairs([(b"a", b" \tb c\t ")]) == (("a", "b c"),)

    @pytest.mark.parametrize(
        "key", ["", "Upper", ":path", "grpc-timeout", "te", "content-type", "user-agent", "é", "a b", "a\n"]
    )
    def test_a_key_that_cannot_be_sent(self, key: str) -> None:
        with pytest.raises(ValueError, match="cannot be a metadata key"):
            encode_pairs([(key, "a")])

    @pytest.mark.parametrize(
        ("key", "value", "problem"),
        [
            ("a", b"bytes", "printable ASCII"),
            ("a", "é", "printable ASCII"),
            ("a", "line\nbreak", "printable ASCII"),
            ("a", "\x7f", "printable ASCII"),
            ("a-bin", "text", "must be bytes"),
        ],
    )
    def test_a_value_that_cannot_be_sent(self, key: str, value: str | bytes, problem: str) -> None:
        with pytest.raises(ValueError, match=problem):
            encode_pairs([(key, value)])


class TestTimeout:
    @given(st.floats(min_value=0, exclude_min=True, allow_nan=False, max_value=3e11))
    @example(99_999_999e-6)
    @example(math.nextafter(99_999_999e-6, 0))
    @example(math.nextafter(99_999_999e-6, 1e9))
    @example(99_999_998.000_000_01)
    @example(math.nextafter(0.1, 1))
    @example(5e-324)
    def test_never_shorter_than_asked_and_hardly_longer(self, seconds: float) -> None:
        value = encode_timeout(seconds)
        assert re.fullmatch(rb"[0-9]{1,8}[HMSmu]", value)
        assert seconds <= decode_timeout(value) <= max(seconds + 1.1e-6, seconds * 1.000011)

    @pytest.mark.parametrize(
        ("seconds", "value"),
        [
            (0, b"0n"),
            (-1.5, b"0n"),
            (-math.inf, b"0n"),
            (1e-9, b"1u"),
            (0.005, b"5000u"),
            (1.0, b"1000000u"),
            (60, b"60000000u"),
            (3600, b"3600000m"),
            (1e6, b"1000000S"),
            (6e9, b"1666667H"),
            (1e300, b"99999999H"),
            (math.inf, b"99999999H"),
        ],
    )
    def test_encoded(self, seconds: float, value: bytes) -> None:
        assert encode_timeout(seconds) == value

    def test_not_a_number(self) -> None:
        with pytest.raises(ValueError, match="not a number"):
            encode_timeout(math.nan)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (b"1H", 3600.0),
            (b"2M", 120.0),
            (b"00000003S", 3.0),
            (b"250m", 0.25),
            (b"7u", 7e-6),
            (b"99999999n", 0.099999999),
            (b"0n", 0.0),
        ],
    )
    def test_decoded(self, value: bytes, seconds: float) -> None:
        assert decode_timeout(value) == seconds

    @pytest.mark.parametrize(
        "value", [b"", b"1", b"S", b"123456789m", b"1s", b"-1S", b"+1S", b"1.5S", b" 1S", b"1S\n", b"1 S"]
    )
    def test_refused(self, value: bytes) -> None:
        with pytest.raises(ValueError, match="eight digits and a unit"):
            decode_timeout(value)

    @given(st.binary(max_size=12))
    def test_any_bytes_are_a_time_or_refused(self, value: bytes) -> None:
        with contextlib.suppress(ValueError):
            assert decode_timeout(value) >= 0


class TestMessage:
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    @example("100% sure")
    @example(" ends ")
    @example(" ")
    @example("%41")
    @example("line\nbreak é 漢")
    def test_there_and_back(self, text: str) -> None:
        raw = percent_encode(text)
        assert percent_decode(raw) == text
        assert re.fullmatch(rb"([!-~]([ -~]*[!-~])?)?", raw)
        assert not re.search(rb"%(?![0-9A-F]{2})", raw)

    def test_encoded(self) -> None:
        assert percent_encode("no model 'é' (50%)\n") == b"no model '%C3%A9' (50%25)%0A"
        assert percent_encode("\ud800") == b"?"

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            (b"a%2", "a%2"),
            (b"%", "%"),
            (b"%zz%41", "%zzA"),
            (b"%c3%A9", "é"),
            (b"caf\xc3\xa9", "café"),
            (b"%C3!", "�!"),
            (b"%25%34%31", "%41"),
        ],
    )
    def test_decoded(self, raw: bytes, text: str) -> None:
        assert percent_decode(raw) == text

    @given(st.binary())
    def test_any_bytes_are_some_text(self, raw: bytes) -> None:
        percent_encode(percent_decode(raw))
