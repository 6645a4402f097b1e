"""gRPC's own interop programs, of other languages: their client on our server, and our client on theirs.

Ruby's come with Debian's package; Go's are built from its source. Of C++ and Java Debian has none.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from interop import cases
from interop.client import call
from interop.languages import LANGUAGES
from interop.report import Report
from support.ports import free_port

ROOT = Path(__file__).parents[2]
_RUBY = "usr/lib/*/rubygems-integration/*/gems/grpc-*/src/ruby/pb/test"
_BUILD_SECONDS, _RUN_SECONDS, _START_SECONDS = 600, 60, 20
_ALL = cases.CASES | cases.SERVER_COMPRESSES
# What each server of theirs does not do.
LEFT_OUT: dict[str, set[str]] = {"Go": set(), "Ruby": {"concurrent_large_unary"}}
# Those of theirs that need no account anywhere.
CASES = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "status_code_and_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
]


def run(folder: Path, report: Report) -> None:
    for name, key in (("Go", "go"), ("Ruby", "ruby")):
        language = LANGUAGES[key]
        what = f"{name}'s interop programs"
        if language.needed.missing:
            report.skip(what, language.needed)
            continue
        try:
            client, server = _go(folder) if name == "Go" else _ruby()
        except (subprocess.SubprocessError, LookupError) as error:
            report.bad(f"{what} are to be had", error)
            continue
        _their_client(name, client, report)
        _their_server(name, server, report)


def _go(folder: Path) -> tuple[list[str], list[str]]:
    command = [str(ROOT / "tests/interop/build_go"), str(folder / "go-programs")]
    subprocess.run(command, capture_output=True, timeout=_BUILD_SECONDS, check=True)
    client, server = (str(folder / "go-programs" / name) for name in ("client", "server"))
    return [client], [server]


def _ruby() -> tuple[list[str], list[str]]:
    found = sorted(Path("/").glob(_RUBY))
    if not found:
        raise LookupError("ruby-grpc has no interop programs")
    command = ["ruby", "-I", str(found[-1].parent.parent)]
    plain = ["--use_tls", "false"]
    return [*command, str(found[-1] / "client.rb"), *plain], [*command, str(found[-1] / "server.rb"), *plain]


def _their_client(name: str, client: Sequence[str], report: Report) -> None:
    port = free_port()
    with _serving([sys.executable, "-P", "-m", "interop.server", "--port", str(port)], port):
        for case in CASES:
            where = ["--server_host", "127.0.0.1", "--server_port", str(port)]
            command = [*client, *where, "--test_case", case]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
            if done.returncode:
                report.bad(f"{name}'s client on our server, {case}", done.stderr[-500:])
            else:
                report.good(f"{name}'s client on our server, {case}")


def _their_server(name: str, server: Sequence[str], report: Report) -> None:
    port = free_port()
    with _serving([*server, "--port", str(port)], port):
        for case in _ALL:
            if case in LEFT_OUT[name]:
                continue
            what = f"our client on {name}'s server, {case}"
            try:
                asyncio.run(_our_client(f"127.0.0.1:{port}", case))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the case's result
                report.bad(what, error)
            else:
                report.good(what)


async def _our_client(target: str, case: str) -> None:
    async with call(target) as caller:
        await asyncio.wait_for(_ALL[case](caller), _RUN_SECONDS)


@contextmanager
def _serving(command: Sequence[str], port: int) -> Iterator[None]:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + _START_SECONDS
        while not _listens(port) and time.monotonic() < give_up and child.poll() is None:
            time.sleep(0.05)
        yield
    finally:
        child.terminate()
        child.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
