"""The session under arbitrary bytes and arbitrary reads: the fuzz corpus, and Hypothesis' own ideas.

`tests/fuzz/session.py` says what an input is and what must hold; atheris searches further with the same.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random

import pytest
from fuzz import seeds
from fuzz.mutator import cut, mutate
from fuzz.pair import play
from fuzz.roles import BATCH, STREAM, UNARY, Client, Role, Server
from fuzz.session import CLIENT, CORPUS, RAW, replay, write_corpus
from hypothesis import given
from hypothesis import strategies as st
from support import http2_peer as http2

INPUTS = sorted(path.name for path in CORPUS.iterdir())
OPTIONS = range(256)


def input_of(name: str) -> bytes:
    return (CORPUS / name).read_bytes()


class TestCorpus:
    @pytest.mark.parametrize("name", INPUTS)
    def test_it_holds_with_every_option(self, name: str) -> None:
        sent = input_of(name)
        replay(sent)
        for options in OPTIONS:
            replay(bytes((options, options % 3)) + sent[2:])

    def test_it_is_what_the_seeds_say(self, tmp_path: Path) -> None:
        write_corpus(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
            name: input_of(name) for name in INPUTS
        }

    def test_its_good_requests_are_understood(self) -> None:
        paths = {
            seen[1]
            for name in INPUTS
            if name.startswith("server")
            for seen in replay(b"\0\0" + input_of(name)[2:]).seen
            if len(seen) == 5
        }
        assert paths == {BATCH, UNARY, STREAM}

    def test_its_good_answers_are_understood(self) -> None:
        codes = {
            seen[1]
            for name in INPUTS
            if name.startswith("client")
            for seen in replay(bytes((CLIENT, 0)) + input_of(name)[2:]).seen
            if len(seen) > 2
        }
        assert {0, 2, 5, 8, 13, 14, 16} <= codes


class TestArbitraryBytes:
    """None of these asserts: `replay` does."""

    @given(st.binary(max_size=300))
    def test_noise(self, data: bytes) -> None:
        replay(data)

    @given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300))
    def test_noise_after_a_good_beginning(self, options: int, splits: int, data: bytes) -> None:
        replay(bytes((options & ~RAW, splits)) + data)

    @given(
        st.integers(0, 255),
        st.integers(0, 255),
        st.lists(
            st.builds(
                http2.frame,
                st.integers(0, 11),
                st.sampled_from((0, 1, 2, 3, 5, 7, 9)),
                st.binary(max_size=20) | st.just(http2.block(http2.request_fields(STREAM))),
                st.integers(0, 255),
            ),
            max_size=12,
        ),
    )
    def test_frames_in_any_order(self, options: int, splits: int, frames: list[bytes]) -> None:
        replay(bytes((options & ~RAW, splits)) + b"".join(frames))

    @given(st.sampled_from(INPUTS), st.integers(0, 2**32), st.integers(1, 4))
    def test_changed_seeds(self, name: str, seed: int, times: int) -> None:
        data = input_of(name)[:2_000]
        for number in range(times):
            data = mutate(data, 4_000, seed + number, flip)
        replay(data)


@given(st.integers(0, 2**32))
def test_two_sessions_whose_owners_do_anything(seed: int) -> None:
    """Asserted by `play`."""
    play(seed)


def flip(data: bytes, most: int) -> bytes:
    """What atheris' own mutator does, and no more than a test needs."""
    rng = Random(data)
    changed = bytearray(data + rng.randbytes(rng.randrange(3)))
    for _ in range(rng.randrange(3)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[:most])


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**31 - 1), st.integers(0, 255), st.binary())))
def test_a_mutator_that_cuts_at_frames(frames: list[tuple[int, int, int, bytes]]) -> None:
    sent = b"".join(http2.frame(kind, stream, payload, flags) for kind, stream, flags, payload in frames)
    assert cut(http2.PREFACE + sent) == (http2.PREFACE, frames)


bodies = st.binary(max_size=60)
keys = st.sampled_from(("a", "key", "croupier-tenant"))
metadata = st.lists(st.tuples(keys, st.sampled_from(("", "acme", "x" * 40))), max_size=3)
encodings = st.sampled_from((None, "gzip", "deflate"))


@st.composite
def streams(draw: st.DrawFn, number: int) -> list[bytes]:
    """The frames of one valid request, in order."""
    path = draw(st.sampled_from((BATCH, UNARY, STREAM)))
    encoding = draw(encodings)
    fields = http2.request_fields(path, *draw(metadata), grpc_timeout=draw(st.none() | st.just("1S")))
    if encoding is not None:
        fields.append(("grpc-encoding", encoding))
    messages = draw(st.lists(bodies, min_size=1, max_size=1 if path != STREAM else 4))
    sent = b"".join(draw(as_message(body, encoding)) for body in messages)
    parts = draw(split(http2.block(fields)))
    kinds = itertools.chain((http2.HEADERS,), itertools.repeat(http2.CONTINUATION))
    head = [http2.frame(kind, number, part) for kind, part in zip(kinds, parts, strict=False)]
    head[-1] = head[-1][:4] + bytes((http2.END_HEADERS,)) + head[-1][5:]
    data = [http2.data(number, part, 0) for part in draw(split(sent))]
    # A header block stays in one piece: nothing may come between its frames.
    return [b"".join(head), *data, http2.data(number)]


@st.composite
def as_message(draw: st.DrawFn, body: bytes, encoding: str | None) -> bytes:
    if encoding is not None and draw(st.booleans()):
        return http2.message(http2.packed(encoding, body), 1)
    return http2.message(body)


@st.composite
def split(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    at = sorted(draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=4)))
    return [whole[begin:end] for begin, end in itertools.pairwise([0, *at, len(whole)])]


@st.composite
def connections(draw: st.DrawFn) -> bytes:
    """Valid requests on several streams, with their frames interleaved."""
    waiting = [draw(streams(number)) for number in range(1, 2 * draw(st.integers(1, 4)), 2)]
    # Streams are opened in the order of their numbers.
    sent = [http2.PREFACE, http2.settings(), *(frames.pop(0) for frames in waiting)]
    while waiting := [frames for frames in waiting if frames]:
        sent.append(draw(st.sampled_from(waiting)).pop(0))
    return b"".join(sent)


def seen_by(role: Role, reads: list[bytes]) -> list[tuple[object, ...]]:
    for read in reads:
        role.session.receive(read, role.now)
        role.handle()
    seen = list(role.seen)
    role.close()
    return seen


def per_stream(seen: list[tuple[object, ...]]) -> dict[object, list[tuple[object, ...]]]:
    """One read hands over batch calls ahead of the others; on a stream, the order is the same."""
    return {stream: [s for s in seen if s[0] == stream] for stream, *_ in seen}


@st.composite
def reads_of(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    if draw(st.booleans()):
        return [whole[at : at + 1] for at in range(len(whole))]
    at = sorted(draw(st.sets(st.integers(1, len(whole) - 1), max_size=8)))
    return [whole[begin:end] for begin, end in itertools.pairwise([0, *at, len(whole)])]


class TestReads:
    """However the bytes of a valid connection are cut into reads, the same comes out."""

    @given(st.data())
    def test_a_server_sees_the_same_calls(self, data: st.DataObject) -> None:
        sent = data.draw(connections())
        whole = seen_by(Server(late=True), [sent])
        assert len({entry[0] for entry in whole}) == len({entry[0] for entry in whole if len(entry) == 5}) > 0
        cut_up = seen_by(Server(late=True), data.draw(reads_of(sent)))
        assert per_stream(cut_up) == per_stream(whole)

    @given(st.data(), st.sampled_from([name for name in INPUTS if name.startswith("client")]))
    def test_a_client_sees_the_same_answers(self, data: st.DataObject, name: str) -> None:
        sent = http2.settings() + input_of(name)[2:]
        whole = seen_by(Client(), [sent])
        cut_up = seen_by(Client(), data.draw(reads_of(sent)))
        assert per_stream(cut_up) == per_stream(whole)

    @given(st.data(), st.sampled_from([name for name in INPUTS if name.startswith("server")]))
    def test_so_it_is_with_what_a_server_refuses(self, data: st.DataObject, name: str) -> None:
        sent = http2.PREFACE + http2.settings() + input_of(name)[2:]
        reads = data.draw(reads_of(sent)) if len(sent) < 5_000 else [sent[:9_000], sent[9_000:]]
        whole = per_stream(seen_by(Server(late=True), [sent]))
        cut_up = per_stream(seen_by(Server(late=True), reads))
        assert cut_up.keys() == whole.keys()
        # A call that is refused gives up what nobody took: in one read, what was ahead of the bad one.
        for stream, seen in whole.items():
            assert cut_up[stream][: len(seen)] == seen


def test_seeds_have_names_for_files() -> None:
    assert all(name.replace("-", "").isalnum() for name in seeds.inputs())
