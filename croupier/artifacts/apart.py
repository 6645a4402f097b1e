"""Work for a process that is thrown away: what crashes, hangs or eats memory there costs that alone.

    ask(program, task, parts)     starts `program.main` in a fresh interpreter, and gives its answer
    serve(handle)                 is what that main does: limits first, then the task

    stdin     the task as one line of JSON, with its limits; then the parts, whose sizes the line tells
    stdout    one byte that says what follows: an answer, or a sentence that says why there is none

It is spawned and not forked, with the modules of this process but none of its descriptors and nothing of its
environment. Limits are set before anything of the task is read, hard, so that nothing there can raise them
again: memory, CPU time, descriptors, no file written, no core. The wall clock and the size of the answer are
watched from here. What a library prints goes nowhere: the reply's pipe is taken away from descriptor 1 first.
An answer is no more trusted than what was asked about.
"""

from __future__ import annotations

import json
import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from croupier.artifacts.format import InvalidArtifact
from croupier.errors import FailedPrecondition

_DONE, _REFUSED, _OUT_OF_MEMORY, _INCOMPLETE = b"P", b"R", b"M", b"I"

_CHUNK = 1 << 20
_FILES = 32
# Longer than any sentence of a packer.
_SENTENCE = 2_000

_BOOTSTRAP = (
    "import sys; program, sys.path[:] = sys.argv[1], sys.argv[2:]; "
    "import importlib; importlib.import_module(program).main()"
)
# Where libraries lie is all that the environment tells. Threads of theirs would help little and take memory.
_INHERITED = ("LD_LIBRARY_PATH", "LD_PRELOAD")
_SET = {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# How libraries, and the loader of libraries, say that they got no memory.
_STARVED = re.compile("bad_alloc|annot allocate memory|failed to map segment")

# Of a task: what it says, and what came with it.
Task = Mapping[str, Any]
Parts = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one task may take.

    `memory_bytes` is address space, of which the interpreter and its libraries take a part; `file_bytes`
    is for a file and for its artifact each.
    """

    memory_bytes: int = 2 << 30
    cpu_seconds: int = 60
    wall_seconds: float = 120.0
    file_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Words:
    """How a task is spoken of: what it does, with what, and what it gives."""

    doing: str
    subject: str
    worker: str
    answer: str


class PackerIncomplete(FailedPrecondition):
    """A library that is needed for this kind of file is not installed. The operator's."""

    reason = "PACKER_INCOMPLETE"


def ask(program: str, task: Task, parts: Parts, limits: Limits, words: Words) -> bytes:
    """What the module `program` answers. It blocks, for `limits.wall_seconds` at most.

    Raises:
        InvalidArtifact: it refused, crashed or went beyond a limit; the message says which.
        PackerIncomplete: a library is missing.
    """
    line = {
        **task,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
        "sizes": [len(part) for part in parts],
    }
    with tempfile.TemporaryFile() as told:
        told.write(json.dumps(line).encode() + b"\n")
        told.writelines(parts)
        told.seek(0)
        # Its own session: a Ctrl-C that is meant for us does not reach it, and all of it can be ended.
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and modules)
            [sys.executable, "-I", "-B", "-c", _BOOTSTRAP, program, *map(os.path.abspath, sys.path)],
            stdin=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(os.environ),
            start_new_session=True,
        )
    with process:
        try:
            answer = _answer(process, limits, words)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return _judged(process.returncode, answer[:1], answer[1:], limits, words)


def serve(handle: Callable[[Task, list[bytes]], bytes], *, refused: str) -> NoReturn:
    """Answer one task with `handle`, and end the process. `refused` begins the sentence for a stray error."""
    reply = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with open(reply, "wb") as stream:
        stream.writelines(_served(handle, sys.stdin.buffer.readline(), refused))
    # Libraries have nothing to tidy up that would be worth their crashing over it.
    os._exit(0)


def _served(handle: Callable[[Task, list[bytes]], bytes], line: bytes, refused: str) -> tuple[bytes, bytes]:
    task = json.loads(line)
    _limit(task["memory_bytes"], task["cpu_seconds"])
    try:
        return _DONE, handle(task, [sys.stdin.buffer.read(size) for size in task["sizes"]])
    except MemoryError:
        return _OUT_OF_MEMORY, b""
    except InvalidArtifact as error:
        return _said(_REFUSED, error.message)
    except ImportError as error:
        return _said(_INCOMPLETE, str(error))
    except Exception as error:  # noqa: BLE001 (whatever a file made its reader trip over)
        return _said(_REFUSED, f"{refused}: {type(error).__name__}: {str(error)[:200]}")


def _said(code: bytes, sentence: str) -> tuple[bytes, bytes]:
    return (_OUT_OF_MEMORY, b"") if _STARVED.search(sentence) else (code, sentence.encode(errors="replace"))


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_NOFILE, _FILES),
        # It writes no file at all; a pipe is none.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        # At the soft limit of CPU time comes SIGXCPU, which tells why; at the hard one only SIGKILL.
        lasting = most + (what == resource.RLIMIT_CPU)
        if hard != resource.RLIM_INFINITY:
            lasting = min(lasting, hard)
        resource.setrlimit(what, (min(most, lasting), lasting))


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: ours[name] for name in _INHERITED if name in ours} | _SET


def _answer(process: subprocess.Popen[bytes], limits: Limits, words: Words) -> bytes:
    """What the process says until it ends.

    Raises:
        InvalidArtifact: it took longer, or said more, than the limits allow.
    """
    assert process.stdout is not None
    deadline = time.monotonic() + limits.wall_seconds
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(answer) <= limits.file_bytes + 1:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise InvalidArtifact(_too_slow(limits, words))
            part = os.read(process.stdout.fileno(), _CHUNK)
            if not part:
                break
            answer += part
        else:
            raise InvalidArtifact(f"{words.answer} is larger than the limit of {limits.file_bytes} bytes")
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise InvalidArtifact(_too_slow(limits, words)) from None
    return bytes(answer)


def _judged(status: int, code: bytes, said: bytes, limits: Limits, words: Words) -> bytes:
    if status == 0 and code == _DONE:
        return said
    sentence = said[:_SENTENCE].decode(errors="replace")
    if status == 0 and code == _REFUSED:
        raise InvalidArtifact(sentence)
    if status == 0 and code == _INCOMPLETE:
        raise PackerIncomplete(f"a library for {words.doing} is not installed: {sentence}")
    if status == 0 and code == _OUT_OF_MEMORY:
        raise InvalidArtifact(
            f"{words.doing} takes more memory than the limit of {limits.memory_bytes} bytes"
        )
    if status == -signal.SIGXCPU:
        raise InvalidArtifact(f"{words.doing} takes more CPU time than the limit of {limits.cpu_seconds} s")
    if status < 0:
        raise InvalidArtifact(
            f"{words.subject} crashed its {words.worker} ({signal.Signals(-status).name}): "
            f"it is damaged or hostile, or takes more memory than the limit of {limits.memory_bytes} bytes"
        )
    raise InvalidArtifact(
        f"the {words.worker} of {words.subject} ended with status {status} and without an answer"
    )


def _too_slow(limits: Limits, words: Words) -> str:
    return f"{words.doing} takes longer than the limit of {limits.wall_seconds:g} s"
