"""The page of metrics, and callers who would keep it from others."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from croupier.telemetry import page
from croupier.telemetry.page import MAX_CONNECTIONS, MAX_HEAD_BYTES


def _served(**options: float) -> tuple[str, int]:
    listening = socket.create_server(("127.0.0.1", 0))
    page.serve(listening, **options)
    address: tuple[str, int] = listening.getsockname()
    return address


def _asked(address: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request)
        return _rest(connection)


def _rest(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    heard = b""
    try:
        while part := connection.recv(65_536):
            heard += part
    except ConnectionResetError:
        pass
    return heard


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK"),
        (b"GET /?name=x HTTP/1.0", b"200 OK"),
        (b"GET /other HTTP/1.1", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed"),
        (b"\xff\xfe", b"405 Method Not Allowed"),
    ],
)
def test_answers(request_line: bytes, status: bytes) -> None:
    answer = _asked(_served(), request_line + b"\r\nHost: x\r\nAccept: text/plain\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert (b"python_info" in body) == (status == b"200 OK")


def test_openmetrics_for_who_wants_it() -> None:
    answer = _asked(_served(), b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n")
    assert answer.endswith(b"# EOF\n")


def test_a_head_that_is_too_long() -> None:
    answer = _asked(_served(), b"GET /metrics HTTP/1.1\r\nx: " + bytes(MAX_HEAD_BYTES) + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_who_says_nothing_is_dropped() -> None:
    address = _served(seconds=0.05)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"GET /metrics HT")
        assert _rest(connection) == b""


def test_many_that_are_slow_keep_nobody_out() -> None:
    address = _served(seconds=60.0)
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(address, timeout=10))
            for _ in range(2 * MAX_CONNECTIONS)
        ]
        for connection in slow:
            connection.sendall(b"G")
        assert _asked(address, b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
        # The oldest have given way.
        assert _rest(slow[0]) == b""
