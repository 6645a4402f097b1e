"""What a process tells version managers of what it runs: release, protocol, when its certificates end.

A certificate that ends breaks what worked for months, everywhere at once, so whoever has one says when. The
files are looked at again each time, for they are replaced while we run. Those that a process reads once,
at its start, are held to what they said then: a new file does not help until it starts again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from cryptography import x509

from croupier import protocol
from croupier.files import stamp_of
from croupier.version import version
from protos.versions.v1 import versions_pb2 as pb

_AUTHORITIES = ("_ca",)
_CERTIFICATES = ("_certificate",)


class OwnPart:
    """Of the process with `settings`; those named in `read_once` are not read again by it."""

    def __init__(self, settings: Any, read_once: Collection[str] = ()) -> None:
        self._files = [
            _File(field.name, path, is_read_once=field.name in read_once)
            for field in fields(settings)
            if field.name.endswith(_AUTHORITIES + _CERTIFICATES)
            and isinstance(path := getattr(settings, field.name), Path)
        ]

    def told(self) -> pb.Part:
        """What to tell now."""
        found = ((file.setting, file.ends()) for file in self._files)
        certificates = [pb.Certificate(setting=setting, ends=ends) for setting, ends in found if ends]
        return pb.Part(release=version(), protocol=protocol.CURRENT, certificates=certificates)


class _File:
    """A PEM file, read again when it changes."""

    def __init__(self, name: str, path: Path, *, is_read_once: bool) -> None:
        self.setting = name.replace("_", "-")
        self._path = path
        self._pick = max if name.endswith(_AUTHORITIES) else min
        self._stamp: tuple[int, ...] | None = None
        self._ends = 0.0
        # That of the first look, where nobody looks again.
        self._limit = 0.0
        self.ends()
        if is_read_once:
            self._limit = self._ends

    def ends(self) -> float:
        """Seconds since 1970; 0 where the file is none: then nothing works by it, which tells itself."""
        if (stamp := stamp_of(self._path)) != self._stamp:
            self._stamp = stamp
            self._ends = self._read()
        return min(self._ends, self._limit) if self._limit else self._ends

    def _read(self) -> float:
        """Of a chain the first end, for it is good as a whole only; of authorities the last: one will do."""
        try:
            found = x509.load_pem_x509_certificates(self._path.read_bytes())
        except (OSError, ValueError):
            return 0.0
        return self._pick(one.not_valid_after_utc.timestamp() for one in found)
