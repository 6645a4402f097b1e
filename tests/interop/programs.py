"""gRPC's own interop programs, of other languages: their client on our server, and our client on theirs.

Ruby's come with Debian's package; Go's, C++'s and Java's are built from the source of Debian's packages.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interop import cases
from interop.client import call
from interop.languages import LANGUAGES
from interop.report import Needed, Report
from support.ports import free_port

ROOT = Path(__file__).parents[2]
_RUBY = "/usr/lib/*/rubygems-integration/*/gems/grpc-*/src/ruby/pb/test"
_BUILD_SECONDS, _RUN_SECONDS, _START_SECONDS = 600, 60, 20
_OURS = cases.CASES | cases.SERVER_COMPRESSES
# Those of theirs that need no account anywhere, and no server that compresses.
CASES = (
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
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
)
_CLIENT_COMPRESSES = ("client_compressed_unary", "client_compressed_streaming")
_JARS = (
    *("grpc-netty", "netty-handler", "netty-tcnative", "perfmark-api", "junit4", "truth", "hdrhistogram"),
    "google-auth-library-oauth2-http",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """One language's; both take --port and the like, after `options`."""

    name: str
    needed: Needed
    cases: Sequence[str] = CASES
    # What its server does not do; what its client does not is not in `cases`.
    left_out: Sequence[str] = ()
    options: Sequence[str] = ()
    # What builds them; Ruby's are found.
    build: Path | None = None


def _built(name: str, key: str, found: Sequence[str], **more: Sequence[str]) -> Programs:
    build = ROOT / "tests" / "interop" / f"build_{key}"
    return Programs(name, Needed.of(build, found), build=build, **more)


PROGRAMS = (
    _built("Go", "go", ["go", "apt-get", "/usr/share/gocode/src/google.golang.org/grpc"]),
    Programs(
        "Ruby",
        LANGUAGES["ruby"].needed,
        cases=(*(case for case in CASES if case != "special_status_message"), *_CLIENT_COMPRESSES),
        left_out=["concurrent_large_unary"],
        options=["--use_tls=false"],
    ),
    _built(
        "C++",
        "cpp",
        ["g++", "apt-get", "pkg-config", "protoc", "grpc_cpp_plugin", "/usr/include/grpcpp/grpcpp.h"],
        cases=(*CASES, *_CLIENT_COMPRESSES),
    ),
    _built(
        "Java",
        "java",
        ["javac", "apt-get", "protoc", *(f"/usr/share/java/{name}.jar" for name in _JARS)],
        cases=(*CASES, *_CLIENT_COMPRESSES),
        options=["--use_tls=false"],
    ),
)


def run(folder: Path, report: Report) -> None:
    for programs in PROGRAMS:
        what = f"{programs.name}'s interop programs"
        if programs.needed.missing:
            report.skip(what, programs.needed)
            continue
        try:
            client, server = _build(programs.build, folder) if programs.build else _ruby()
        except subprocess.CalledProcessError as error:
            report.bad(f"{what} are to be had", error.stderr.strip()[-2000:] or error)
        except (subprocess.SubprocessError, LookupError) as error:
            report.bad(f"{what} are to be had", error)
        else:
            _their_client(programs, [*client, *programs.options], report)
            _their_server(programs, [*server, *programs.options], report)


def _build(build: Path, folder: Path) -> tuple[list[str], list[str]]:
    into = folder / build.name
    subprocess.run([build, into], capture_output=True, text=True, timeout=_BUILD_SECONDS, check=True)
    return [str(into / "client")], [str(into / "server")]


def _ruby() -> tuple[list[str], list[str]]:
    found = sorted(Path("/").glob(_RUBY[1:]))
    if not found:
        raise LookupError("ruby-grpc has no interop programs")
    command = ["ruby", "-I", str(found[-1].parent.parent)]
    return [*command, str(found[-1] / "client.rb")], [*command, str(found[-1] / "server.rb")]


def _their_client(programs: Programs, client: Sequence[str], report: Report) -> None:
    port = free_port()
    with _serving([sys.executable, "-P", "-m", "interop.server", "--port", str(port)], port):
        for case in programs.cases:
            command = [*client, "--server_host=127.0.0.1", f"--server_port={port}", f"--test_case={case}"]
            what = f"{programs.name}'s client on our server, {case}"
            done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
            if done.returncode:
                report.bad(what, done.stderr[-500:])
            else:
                report.good(what)


def _their_server(programs: Programs, server: Sequence[str], report: Report) -> None:
    port = free_port()
    with _serving([*server, f"--port={port}"], port):
        for case in [case for case in _OURS if case not in programs.left_out]:
            what = f"our client on {programs.name}'s server, {case}"
            try:
                asyncio.run(_our_client(f"127.0.0.1:{port}", case))
            except ExceptionGroup as errors:
                report.bad(what, f"{errors}: {errors.exceptions[0]!r}")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the case's result
                report.bad(what, error)
            else:
                report.good(what)


async def _our_client(target: str, case: str) -> None:
    async with call(target) as caller:
        await asyncio.wait_for(_OURS[case](caller), _RUN_SECONDS)


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
