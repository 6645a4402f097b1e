"""The admin port, and callers who would keep it from others."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import ExitStack

import pytest

from croupier.settings import InvalidSettings
from croupier.telemetry.admin import Admin
from croupier.telemetry.page import MAX_CONNECTIONS, MAX_HEAD_BYTES, serve


def _served(admin: Admin | None = None, **options: float) -> tuple[str, int]:
    return "127.0.0.1", serve("127.0.0.1:0", admin, **options)


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


def test_no_page() -> None:
    assert serve("") == 0


def test_ipv6() -> None:
    assert _asked(("::1", serve("[::1]:0")), b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:", "127.0.0.1:99999", "256.1.1.1:0"])
def test_no_address(listen: str) -> None:
    with pytest.raises(InvalidSettings, match=f"cannot serve metrics on {listen}"):
        serve(listen)


def test_an_address_in_use() -> None:
    port = serve("127.0.0.1:0")
    with pytest.raises(InvalidSettings, match="cannot serve metrics"):
        serve(f"127.0.0.1:{port}")


async def test_what_the_process_says_of_itself() -> None:
    admin = Admin()
    admin.debug["view"] = dict
    address = _served(admin)

    async def asked(target: bytes) -> tuple[bytes, bytes]:
        answer = await asyncio.to_thread(_asked, address, b"GET " + target + b" HTTP/1.1\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        return head.split(b" ")[1], body

    assert await asked(b"/healthz") == (b"200", b"ok\n")
    assert await asked(b"/readyz") == (b"503", b"it is starting\n")
    status, body = await asked(b"/debug/view?name=" + b"%1b[2J%0d%0a%00%ff" + b"x" * (MAX_HEAD_BYTES - 60))
    assert status == b"200"
    # In one line that no terminal obeys.
    assert body.decode("ascii").rstrip("\n").isprintable()
    assert json.loads(body)["name"].startswith("\x1b[2J\r\n\0\ufffdx")
    assert (await asked(b"/debug/other"))[0] == b"404"
    assert (await asked(b"/other"))[0] == b"404"


async def test_metrics_come_while_the_loop_hangs() -> None:
    # This test's thread is the loop that serves, and waits here.
    address = _served(Admin(seconds=0.01))
    assert _asked(address, b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")
    assert _asked(address, b"GET /debug/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")
    assert _asked(address, b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
