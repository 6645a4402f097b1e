"""TLS for HTTP/2: contexts from PEM files, built anew when the files change.

Certificates are renewed every few weeks or hours, and a server must neither restart for that nor ever
serve without one. So the files are looked at, once a second at most and only when a connection
begins; connections that stand keep the context that they began with:

    files unchanged   the context that is there
    files changed     a context from the new files
    files broken      the context that is there; one warning and one count for each broken state. Certificate
                      and key are two files, so between two writes they do not fit for a moment.

HTTP/2 (RFC 9113, 9.2) asks for TLS 1.2 or later, forbids renegotiation and compression, and with TLS 1.2
allows ephemeral key exchange with an AEAD cipher only.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from croupier.files import stamp_of
from croupier.roles import AltNames
from croupier.settings import ClientTls, InvalidSettings, ServerTls
from croupier.telemetry.metrics import Counter

_log = logging.getLogger(__name__)
_FAILURES = Counter("croupier_tls_reload_failures_total", "Changed TLS files that could not be used")

PROTOCOL = "h2"
CHECK_SECONDS = 1.0
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

T = TypeVar("T")
# Of each file; see `stamp_of`.
_Stamp = tuple[tuple[int, ...] | None, ...]


class Followed(ABC, Generic[T]):
    """What is built from PEM files, and anew when they change."""

    def __init__(self, files: tuple[Path | None, ...], clock: Callable[[], float]) -> None:
        """Raises InvalidSettings when the files cannot be used."""
        self._files = tuple(path for path in files if path is not None)
        self._clock = clock
        # Before reading, so that a file which changes meanwhile is read again.
        self._stamp = self._look()
        self._checked = clock()
        self._made = self._load()

    def current(self) -> T:
        """What the next connection takes."""
        now = self._clock()
        if now - self._checked < CHECK_SECONDS:
            return self._made
        self._checked = now
        if (stamp := self._look()) != self._stamp:
            self._stamp = stamp
            self._reload()
        return self._made

    def _reload(self) -> None:
        try:
            self._made = self._load()
        except InvalidSettings as error:
            _FAILURES.inc()
            _log.warning("%s; the ones read before stay in use", error)
        else:
            _log.info("new TLS files are in use: %s", self._names())

    def _look(self) -> _Stamp:
        return tuple(stamp_of(path) for path in self._files)

    def _load(self) -> T:
        try:
            return self._build()
        except OSError as error:
            raise InvalidSettings(f"cannot use the TLS files {self._names()}: {error}") from error

    def _names(self) -> str:
        return ", ".join(str(path) for path in self._files)

    @abstractmethod
    def _build(self) -> T: ...


class ServerContext(Followed[ssl.SSLContext]):
    """For accepting connections; with `client_ca`, from callers with a certificate signed by it alone."""

    def __init__(self, tls: ServerTls, clock: Callable[[], float] = time.monotonic) -> None:
        self._tls = tls
        super().__init__((tls.certificate, tls.key, tls.client_ca), clock)

    def _build(self) -> ssl.SSLContext:
        context = _for_http2(ssl.PROTOCOL_TLS_SERVER)
        _load_pair(context, self._tls.certificate, self._tls.key)
        if self._tls.client_ca is not None:
            _trust(context, self._tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class ClientContext(Followed[ssl.SSLContext]):
    """For opening connections to servers whose certificate is signed by `ca` and names the host."""

    def __init__(self, tls: ClientTls, clock: Callable[[], float] = time.monotonic) -> None:
        self._tls = tls
        super().__init__((tls.ca, tls.certificate, tls.key), clock)

    def _build(self) -> ssl.SSLContext:
        context = _for_http2(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, self._tls.ca)
        if self._tls.certificate is not None:
            _load_pair(context, self._tls.certificate, self._tls.key)
        return context


def alt_names(transport: asyncio.BaseTransport) -> AltNames:
    """The names in the certificate that the peer has shown and TLS has verified; none without one."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    try:
        names: Any = (tls.getpeercert() or {}).get("subjectAltName", ())
    except (ValueError, OSError):
        # One that is no text, for example.
        return AltNames()
    return AltNames(
        tuple(name for kind, name in names if kind == "URI"),
        tuple(name for kind, name in names if kind == "DNS"),
    )


def _for_http2(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([PROTOCOL])
    return context


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    # Without a password at hand, OpenSSL would ask for that of an encrypted key on the terminal.
    context.load_cert_chain(certificate, key, password="")


def _trust(context: ssl.SSLContext, authority: Path) -> None:
    context.load_verify_locations(authority)
    # As grpcio does: an intermediate authority can be trusted without its root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
