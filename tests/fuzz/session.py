"""Arbitrary bytes for both roles of the HTTP/2 session, and what must hold whatever they are.

An input is an options byte, a splits byte, and what the peer sends:

    options   0x01 the session is a client, else a server      0x08 answers wait until everything is read
              0x02 the bytes are all there is, else they       0x10 half-way, a graceful end is announced
                   follow the preface and a SETTINGS frame     0x20 half-way, GOAWAY is sent
              0x04 bounds are tiny                             0x40 half-way, a call is cancelled
                                                               0x80 half-way, the connection is gone
    splits    0 for one read, else the seed of the sizes of reads

`replay` runs one input and raises AssertionError, or whatever the session raises: a session never raises
for what a peer does. `tests/croupier/transport/http2/test_session_fuzz.py` runs the corpus and random inputs.
To search for more (`build.py` says how the build that it needs is made):

    pip install -r requirements/fuzz.txt
    python tests/fuzz/build.py /tmp/fuzz
    export PYTHONPATH=/tmp/fuzz
    python -P tests/fuzz/session.py -max_total_time=300 /tmp/found tests/fuzz/corpus/session

`python tests/fuzz/session.py --write` writes the corpus again, from `seeds.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from fuzz import seeds
from fuzz.engine import fuzz
from fuzz.mutator import mutate
from fuzz.roles import Client, Role, Server
from support import http2_peer as http2

CORPUS = Path(__file__).parent / "corpus" / "session"
CLIENT, RAW, TINY, LATE, ANNOUNCE, GO_AWAY, CANCEL, GONE = (1 << bit for bit in range(8))


def replay(data: bytes) -> Role:
    """Run one input; returns what used the session, for a look at what it saw."""
    options, splits = (data[:2] + b"\0\0")[:2]
    kind = Client if options & CLIENT else Server
    role = kind(tiny=bool(options & TINY), late=bool(options & LATE))
    reads = list(_reads(data[2:], options, splits))
    for number, read in enumerate(reads):
        if number == len(reads) // 2:
            _disturb(role, options)
            if options & GONE:
                break
        role.read(read)
    else:
        role.settle()
    role.close()
    return role


def _reads(sent: bytes, options: int, splits: int) -> Iterator[bytes]:
    if not options & RAW:
        sent = (b"" if options & CLIENT else http2.PREFACE) + http2.settings() + sent
    rng = Random(splits)
    while sent:
        size = rng.choice((1, 2, 5, 9, 14, 60, 300)) if splits else len(sent)
        yield sent[:size]
        sent = sent[size:]


def _disturb(role: Role, options: int) -> None:
    if options & ANNOUNCE:
        role.session.announce_end()
        role.session.ping(role.now)
    if options & GO_AWAY:
        role.session.go_away()
    if options & CANCEL:
        role.cancel()
    if options & GONE:
        # Something was still to be sent.
        role.session.ping(role.now)


def write_corpus(folder: Path = CORPUS) -> None:
    """Write each seed to a file of its own, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in seeds.inputs().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write_corpus()
    else:
        fuzz(replay, mutate)
