"""What the throwaway process of `process.py` runs: limits first, then one file from stdin to stdout.

    stdin     the task as one line of JSON, then the file
    stdout    one byte that says what follows: an artifact, or a sentence that says why there is none

Limits are set before anything of the file is read, hard, so that nothing here can raise them again.
What a parser prints goes nowhere: the reply's pipe is taken away from descriptor 1 first.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from typing import NoReturn

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.files import FileKind, pack_file

PACKED, REFUSED, OUT_OF_MEMORY, INCOMPLETE = b"P", b"R", b"M", b"I"

_FILES = 32
# How libraries, and the loader of libraries, say that they got no memory.
_STARVED = re.compile("bad_alloc|annot allocate memory|failed to map segment")


def main() -> NoReturn:
    """Serve one task, and end the process."""
    reply = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with open(reply, "wb") as stream:
        stream.writelines(_served(sys.stdin.buffer.readline()))
    # Libraries have nothing to tidy up that would be worth their crashing over it.
    os._exit(0)


def _served(line: bytes) -> tuple[bytes, bytes]:
    task = json.loads(line)
    _limit(task["memory_bytes"], task["cpu_seconds"])
    try:
        artifact = pack_file(
            sys.stdin.buffer.read(),
            FileKind(task["kind"]),
            features=task["features"],
            accepts_missing=task["accepts_missing"],
        )
    except MemoryError:
        return OUT_OF_MEMORY, b""
    except InvalidArtifact as error:
        return _said(REFUSED, error.message)
    except ImportError as error:
        return _said(INCOMPLETE, str(error))
    except Exception as error:  # noqa: BLE001 (whatever a file made its reader trip over)
        return _said(REFUSED, f"the file cannot be read: {type(error).__name__}: {str(error)[:200]}")
    return PACKED, artifact


def _said(code: bytes, sentence: str) -> tuple[bytes, bytes]:
    return (OUT_OF_MEMORY, b"") if _STARVED.search(sentence) else (code, sentence.encode(errors="replace"))


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
