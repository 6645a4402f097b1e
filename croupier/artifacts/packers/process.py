"""Packs a foreign file in a throwaway process: a parser that crashes, hangs or eats memory costs that alone.

    pack_file_apart(data)     as `files.pack_file`, in a fresh interpreter of its own

The parsers are native code of other projects, made for files that their own library wrote: treelite 4.8.1
takes SIGSEGV for an XGBoost model whose `tree_info` is empty. Nobody should have to trust a tenant's file.

The process is spawned and not forked, with the modules of this one but none of its descriptors and nothing
of its environment. It limits itself (`child.py`): memory, CPU time, descriptors, no file written, no core.
The wall clock and the size of its answer are watched from here. Its answer is no more trusted than the file:
it is checked like any artifact.

A start costs 0.3 s of CPU time for LightGBM, 0.6 for ONNX and 1 for XGBoost, nearly all of it imports.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers import child
from croupier.artifacts.packers.files import FileKind, pack_file, told_by
from croupier.errors import FailedPrecondition

_CHUNK = 1 << 20
# Longer than any sentence of a packer.
_SENTENCE = 2_000

_BOOTSTRAP = (
    "import sys; sys.path[:] = sys.argv[1:]; from croupier.artifacts.packers.child import main; main()"
)
# Where libraries lie is all that the environment tells. Threads of theirs would help little and take memory.
_INHERITED = ("LD_LIBRARY_PATH", "LD_PRELOAD")
_SET = {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What packing one file may take.

    `memory_bytes` is address space, of which the interpreter and its libraries take 200 MB; `file_bytes`
    is for the file and for its artifact each.
    """

    memory_bytes: int = 2 << 30
    cpu_seconds: int = 60
    wall_seconds: float = 120.0
    file_bytes: int = 256 << 20


class PackerIncomplete(FailedPrecondition):
    """A library that reads this kind of file is not installed. The operator's."""

    reason = "PACKER_INCOMPLETE"


def pack_file_apart(
    data: bytes,
    kind: FileKind | None = None,
    *,
    features: Sequence[str] = (),
    accepts_missing: bool = False,
    limits: Limits | None = None,
) -> bytes:
    """The artifact of a model's file, as `files.pack_file` makes it, from a process of its own.

    It blocks, for `limits.wall_seconds` at most.

    Raises:
        InvalidArtifact: the file is none of its kind, it cannot be served, or its reader crashed or went
            beyond a limit; the message says which.
        PackerIncomplete: a library is missing.
    """
    limits = limits or Limits()
    if len(data) > limits.file_bytes:
        raise InvalidArtifact(f"the file is larger than the limit of {limits.file_bytes} bytes")
    kind = kind or told_by(data)
    if kind is FileKind.ARTIFACT:
        # `view` is all that reads it.
        artifact = pack_file(data, kind, features=features, accepts_missing=accepts_missing)
    else:
        task = {
            "kind": kind,
            "features": [str(name) for name in features],
            "accepts_missing": accepts_missing,
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
        }
        artifact = _packed(json.dumps(task).encode(), data, limits)
    view(artifact)
    return artifact


def _packed(task: bytes, data: bytes, limits: Limits) -> bytes:
    with tempfile.TemporaryFile() as told:
        told.write(task + b"\n")
        told.write(data)
        told.seek(0)
        # Its own session: a Ctrl-C that is meant for us does not reach it, and all of it can be ended.
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and modules)
            [sys.executable, "-I", "-B", "-c", _BOOTSTRAP, *map(os.path.abspath, sys.path)],
            stdin=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(os.environ),
            start_new_session=True,
        )
    with process:
        try:
            answer = _answer(process, limits)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return _judged(process.returncode, answer[:1], answer[1:], limits)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: ours[name] for name in _INHERITED if name in ours} | _SET


def _answer(process: subprocess.Popen[bytes], limits: Limits) -> bytes:
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
                raise InvalidArtifact(_too_slow(limits))
            part = os.read(process.stdout.fileno(), _CHUNK)
            if not part:
                break
            answer += part
        else:
            raise InvalidArtifact(f"the artifact is larger than the limit of {limits.file_bytes} bytes")
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise InvalidArtifact(_too_slow(limits)) from None
    return bytes(answer)


def _judged(status: int, code: bytes, said: bytes, limits: Limits) -> bytes:
    if status == 0 and code == child.PACKED:
        return said
    sentence = said[:_SENTENCE].decode(errors="replace")
    if status == 0 and code == child.REFUSED:
        raise InvalidArtifact(sentence)
    if status == 0 and code == child.INCOMPLETE:
        raise PackerIncomplete(f"what reads this file is not installed: {sentence}")
    if status == 0 and code == child.OUT_OF_MEMORY:
        raise InvalidArtifact(
            f"reading this file takes more memory than the limit of {limits.memory_bytes} bytes"
        )
    if status == -signal.SIGXCPU:
        raise InvalidArtifact(
            f"reading this file takes more CPU time than the limit of {limits.cpu_seconds} s"
        )
    if status < 0:
        raise InvalidArtifact(
            f"this file crashed its reader ({signal.Signals(-status).name}): it is damaged or hostile, "
            f"or takes more memory than the limit of {limits.memory_bytes} bytes"
        )
    raise InvalidArtifact(f"the reader of this file ended with status {status} and without an answer")


def _too_slow(limits: Limits) -> str:
    return f"reading this file takes longer than the limit of {limits.wall_seconds:g} s"
