"""The examples in other languages, built from what this machine has:
against a real stack, and a scripted router."""

from __future__ import annotations

import asyncio
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from interop.report import Needed, Report
from interop.scripted import GOOD, SILENCE, Answer, Refused, Scripted
from support.certificates import Authority

from croupier.errors import QuotaExceeded, Unavailable
from croupierctl.stack import Process, Stack

ROOT = Path(__file__).parents[2]
_BUILD_SECONDS, _RUN_SECONDS = 300, 60
TENANT = "acme"
# Java takes a second to connect on a busy machine.
_PATIENT = ["--timeout", "20"]


_JARS = ("grpc-netty", "netty-handler", "netty-tcnative", "perfmark-api")


@dataclass(frozen=True, slots=True)
class Language:
    """One of the examples; `version` is the command that tells which compiler or interpreter it was."""

    name: str
    needed: Needed
    version: Sequence[str]


def _language(name: str, folder: str, found: Sequence[str], version: Sequence[str]) -> Language:
    return Language(name, Needed.of(ROOT / "examples" / folder / "build", found), version)


LANGUAGES = {
    "go": _language(
        "Go",
        "go",
        [
            "go",
            "protoc",
            "protoc-gen-go",
            "protoc-gen-go-grpc",
            "/usr/share/gocode/src/google.golang.org/grpc",
        ],
        ["go", "version"],
    ),
    "java": _language(
        "Java",
        "java",
        ["javac", "protoc", "grpc_java_plugin", *(f"/usr/share/java/{name}.jar" for name in _JARS)],
        ["javac", "-version"],
    ),
    "node": _language("Node.js", "node", ["node", "npm"], ["node", "--version"]),
    "ruby": _language("Ruby", "ruby", ["ruby", "grpc_tools_ruby_protoc"], ["ruby", "--version"]),
    "cpp": _language(
        "C++",
        "cpp",
        ["g++", "pkg-config", "protoc", "grpc_cpp_plugin", "/usr/include/grpcpp/grpcpp.h"],
        ["g++", "--version"],
    ),
}

_BUSY = Unavailable("the hand is busy", retry_after=0.3)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a router says, and what a caller is to make of it: so many attempts, at least as many seconds
    apart as the answers ask for, and the error that it ends with, if any."""

    what: str
    answers: Sequence[Answer]
    attempts: int
    ends_with: str = ""
    apart: float = 0.0
    timeout: float = 5.0


SCENARIOS = (
    Scenario("is busy twice", (Refused(_BUSY), Refused(_BUSY), GOOD), 3, apart=0.3),
    Scenario("is too busy for an item", (Refused(_BUSY, is_of_item=True), GOOD), 2, apart=0.3),
    Scenario("stays busy", (Refused(_BUSY),), 3, "UNAVAILABLE", apart=0.3),
    Scenario(
        "is busy beyond the deadline",
        (Refused(Unavailable("the hand is down", retry_after=60.0)),),
        1,
        "UNAVAILABLE",
    ),
    Scenario(
        "has a quota",
        (Refused(QuotaExceeded("the quota is used up", retry_after=0.1)),),
        1,
        "RESOURCE_EXHAUSTED",
    ),
    Scenario("is silent", (SILENCE,), 1, "DEADLINE_EXCEEDED", timeout=3.0),
)


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    printed: str
    complained: str


def run(names: Sequence[str], folder: Path, report: Report) -> None:
    """Build what can be built into `folder`, and ask a stack that runs there."""
    built = {}
    for name in names:
        if program := _build(name, folder, report):
            built[name] = program
    if not built:
        return
    with Stack(folder / "stack", cells=2, zones=2, hand_size=2) as stack:
        _publish(stack)
        plain = ["--router", stack.router, "--tenant", TENANT, *_PATIENT]
        secured, stranger = _secured(stack, folder)
        for name, program in built.items():
            language = LANGUAGES[name].name
            for what, arguments, expected in (
                ("predicts as a tenant, plaintext", plain, ""),
                ("predicts with a token, over TLS", secured, ""),
                ("is refused with another's token", stranger, "UNAUTHENTICATED"),
            ):
                _judge(report, f"{language} {what}", _check_stack(_ended(program, arguments), expected))
            for scenario in SCENARIOS:
                what = f"{language} when a router {scenario.what}"
                _judge(report, what, asyncio.run(_check_scenario(program, scenario)))


def _build(name: str, folder: Path, report: Report) -> Path | None:
    language = LANGUAGES[name]
    what = f"{language.name} example"
    if language.needed.missing:
        report.skip(what, language.needed)
        return None
    command = [str(ROOT / "examples" / name / "build"), str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    if done.returncode:
        report.bad(f"{what} builds", done.stderr.strip() or done.stdout.strip())
        return None
    told = subprocess.run(language.version, capture_output=True, text=True, check=True)
    report.good(f"{what} builds", (told.stdout or told.stderr).splitlines()[0])
    return folder / name / "predict"


def _publish(stack: Stack) -> None:
    command = [sys.executable, "-P", "examples/train_and_publish.py", "--manager", stack.manager]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=_BUILD_SECONDS, check=True)


def _secured(stack: Stack, folder: Path) -> tuple[list[str], list[str]]:
    """Start a router with TLS that checks tokens: what its callers say, and who has another key's token."""
    authority = Authority(folder)
    pair = authority.issue("router")
    tokens = []
    for name in ("key", "other-key"):
        (folder / name).write_bytes(secrets.token_bytes(32).hex().encode())
        command = [sys.executable, "-m", "croupierctl", "token", TENANT, "--key-file", str(folder / name)]
        tokens.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    argv = [
        *(sys.executable, "-m", "router.app", "--listen", "127.0.0.1:0", "--manager", stack.manager),
        *("--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)),
        *("--token-key", str(folder / "key"), "--snapshot", str(folder / "secured.snapshot")),
    ]
    router = stack.processes["secured"] = Process("secured", argv, stack.folder / "logs" / "secured.log")
    router.start()
    router.wait_ready()
    # A name, because that is what certificates are for: Node.js warns of addresses.
    address = f"localhost:{router.address.rpartition(':')[2]}"
    told = ["--router", address, "--ca", str(authority.certificate), *_PATIENT]
    own, others = ([*told, "--token", token] for token in tokens)
    return own, others


def _ended(program: Path, arguments: Sequence[str]) -> Ended:
    command = [str(program), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Ended(-1, "", f"it did not end within {_RUN_SECONDS} seconds")
    return Ended(done.returncode, done.stdout, done.stderr)


def _check_stack(ended: Ended, expected: str) -> str:
    if expected:
        return _has_failed(ended, expected)
    if ended.code:
        return ended.complained
    label, probabilities, unknown = ended.printed.splitlines()
    numbers = [float(number) for number in re.findall(r"[-+.eE0-9]*[0-9]", probabilities)]
    if re.findall(r"\d+", label) != ["0"] or len(numbers) != 3 or abs(sum(numbers) - 1) > 1e-5:
        return ended.printed
    return "" if unknown.endswith("NOT_FOUND: model wine has no version 99") else unknown


def _has_failed(ended: Ended, code: str) -> str:
    """Go writes its codes in one word."""
    said = ended.complained.replace("_", "").upper()
    is_right = ended.code == 1 and said.startswith(code.replace("_", ""))
    return "" if is_right else f"exit code {ended.code}: {ended.printed}{ended.complained}"


async def _check_scenario(program: Path, scenario: Scenario) -> str:
    scripted = Scripted(scenario.answers)
    async with scripted.serve() as address:
        arguments = ["--router", address, "--timeout", str(scenario.timeout)]
        ended = await asyncio.to_thread(_ended, program, arguments)
    asked = scripted.asked
    if len(asked) != scenario.attempts:
        return f"{len(asked)} attempts in place of {scenario.attempts}: {ended.complained}"
    if any(after - before < scenario.apart for before, after in pairwise(asked)):
        return f"an attempt came sooner than {scenario.apart} s after the last one"
    if scenario.ends_with:
        return _has_failed(ended, scenario.ends_with)
    return "" if ended.code == 0 and ended.printed.startswith("label") else ended.complained


def _judge(report: Report, what: str, why: str) -> None:
    if why:
        report.bad(what, why.strip())
    else:
        report.good(what)
