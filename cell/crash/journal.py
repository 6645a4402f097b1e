"""What the last process of this cell died of, and the list of artifacts that this one refuses for it.

    start ──▶ lock the file ──▶ read what is left ──▶ judge ──▶ save the list ──▶ empty the file, share it
                    │                                                                   │
                    └─ another process has it: no journal, the list all the same        ▼
                                                                      `slots.pyx` writes into it

The file is one small mapping that native code writes names into (see there) and the kernel keeps whatever
becomes of the process. Its first 40 bytes say who wrote it and are covered by a checksum: a file of another
version, boot or program, a torn one and none are all the same, and are written anew. The boot matters because
slots hold times of a clock that starts with the machine, and because a power cut is nobody's fault.

A cell without a journal serves as well as any; a crash then condemns nobody. So nothing that goes wrong here
fails a start.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from cell.crash import slots
from cell.crash.quarantine import HUNG, Death, Named, Phase, Quarantine
from croupier.files import open_regular, own_folder, read_regular, write_whole
from croupier.names import DIGEST_BYTES
from croupier.telemetry.metrics import Counter, Gauge

_log = logging.getLogger(__name__)
_CRASHES = Counter("croupier_cell_crashes_total", "Ends of the process before, read in its journal")
_QUARANTINED = Gauge("croupier_cell_quarantined_artifacts", "Artifacts that this cell refuses")

JOURNAL = "journal"
QUARANTINE = "quarantine.json"

_MAGIC = b"croupier journal"
_VERSION = 1
# Magic, version, slots, the boot's id, checksum of what stands before it.
_CONSTANT = struct.Struct("<16sHH16sI")
# After it: the last beat in ns, the signal that the process died of, whether it ended of its own accord.
_HEAD = struct.Struct("<40sqii8x")
# Digest, since when in ns, thread, phase, signal.
_SLOT = struct.Struct("<32sqiii12x")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_WATCHDOG = "its own watchdog: what was named as hung did not end"
# Of a model whose digest nobody said.
_UNNAMED = bytes(DIGEST_BYTES)
_PHASES = {slots.LOAD: Phase.LOAD, slots.SCORE: Phase.SCORE}


class Journal:
    """The journal of a cell in its folder, and the quarantine that came of it; `close` it at the end."""

    def __init__(self, folder: Path, quarantine: Quarantine) -> None:
        self.quarantine = quarantine
        self._path = folder / QUARANTINE
        self._file: int | None = None

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float], boot: bytes | None = None) -> Journal:
        """Judge what is left in `folder`, and name artifacts there from now on.

        `clock` is in seconds since 1970; `boot` is the machine's, unless a test says another.

        Raises:
            OSError: the folder cannot be made.
        """
        own_folder(folder)
        boot = boot_id() if boot is None else boot
        journal = cls(folder, _load(folder / QUARANTINE))
        try:
            journal._begin(folder / JOURNAL, clock, boot)
        except (OSError, ValueError) as error:
            _log.warning("no journal is kept, a crash will condemn no model: %s", error)
        _QUARANTINED.set(len(journal.quarantine))
        return journal

    def lift(self, digest: bytes) -> bool:
        """Serve the artifact again; whether it was quarantined."""
        lifted = self.quarantine.lift(digest)
        if lifted:
            _log.warning("%s is lifted out of quarantine", digest.hex())
            self._save()
        _QUARANTINED.set(len(self.quarantine))
        return lifted

    def close(self) -> None:
        """Say that the process ends of its own accord."""
        if self._file is not None:
            slots.detach()
            os.close(self._file)
            self._file = None

    def _begin(self, path: Path, clock: Callable[[], float], boot: bytes) -> None:
        file = open_regular(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            death = parse(os.pread(file, slots.SIZE, 0), boot)
            if death is not None:
                self._take(death, clock())
            os.ftruncate(file, slots.SIZE)
            # Blocks for all of it: a full disk would be SIGBUS in the midst of a prediction.
            os.pwrite(file, bytes(slots.SIZE), 0)
            slots.attach(file, constant(boot))
        except BaseException:
            os.close(file)
            raise
        self._file = file
        slots.catch_signals()

    def _take(self, death: Death, now: float) -> None:
        _CRASHES.inc()
        is_hung = any(one.signal == HUNG for one in death.named)
        names = ", ".join(
            f"{one.digest.hex()} ({one.phase}, {one.seconds:.1f} s{', ' + one.signal if one.signal else ''})"
            for one in death.named
        )
        _log.warning(
            "the process before died of %s; in native code: %s",
            death.signal or (_WATCHDOG if is_hung else "a signal from outside"),
            names or "nothing",
        )
        for condemned in self.quarantine.judge(death, now):
            _log.error("%s is quarantined: %s (%s)", condemned.digest.hex(), condemned.why, condemned.phase)
        if death.named:
            self._save()

    def _save(self) -> None:
        try:
            write_whole(self._path, json.dumps(self.quarantine.dump(), indent=1).encode())
        except OSError as error:
            _log.error("the list of quarantined artifacts cannot be written: %s", error)


def constant(boot: bytes) -> bytes:
    """The 40 bytes that a journal of this machine's boot begins with."""
    fields = (_MAGIC, _VERSION, slots.COUNT, boot)
    return _CONSTANT.pack(*fields, zlib.crc32(_CONSTANT.pack(*fields, 0)))


def parse(data: bytes, boot: bytes) -> Death | None:
    """What a process left; None if it ended in peace, or if this is no journal of this boot."""
    if len(data) != slots.SIZE:
        return None
    begins, beat, number, is_closed = _HEAD.unpack_from(data)
    if begins != constant(boot) or is_closed:
        return None
    named = []
    for digest, since, _, phase, marked in _SLOT.iter_unpack(data[_HEAD.size :]):
        if phase in _PHASES and digest != _UNNAMED:
            seconds = max(0, beat - since) / 1e9
            named.append(Named(digest, _PHASES[phase], seconds, _name(marked)))
    return Death(tuple(named), _name(number))


def boot_id() -> bytes:
    """16 bytes that another boot of the machine has not; zeros where the kernel tells none."""
    try:
        return bytes.fromhex(_BOOT.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)


def _name(number: int) -> str:
    if not number:
        return ""
    if number == slots.HUNG:
        return HUNG
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _load(path: Path) -> Quarantine:
    try:
        return Quarantine.read(json.loads(read_regular(path)))
    except FileNotFoundError:
        return Quarantine()
    except (OSError, ValueError) as error:
        _log.error("%s cannot be read, nothing is quarantined: %s", path, error)
        return Quarantine()
