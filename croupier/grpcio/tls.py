"""Certificates of grpcio's servers, which follow their files as those of our own servers do (`tls.py`)."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any

import grpc

from croupier.settings import ServerTls
from croupier.transport.net.tls import Followed


def server_credentials(tls: ServerTls, clock: Callable[[], float] = time.monotonic) -> grpc.ServerCredentials:
    """Raises InvalidSettings when the files cannot be used."""
    certificates = _Certificates(tls, clock)
    return grpc.dynamic_ssl_server_credentials(
        certificates.current(), certificates.changed, require_client_authentication=tls.client_ca is not None
    )


class _Certificates(Followed[grpc.ServerCertificateConfiguration]):
    def __init__(self, tls: ServerTls, clock: Callable[[], float]) -> None:
        self._tls = tls
        super().__init__((tls.certificate, tls.key, tls.client_ca), clock)
        self._given = self.current()

    def changed(self) -> Any:
        """For grpcio, which asks at each handshake: None while it has the current configuration."""
        current = self.current()
        if current is self._given:
            return None
        self._given = current
        return current

    def _build(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        _check(tls)
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        return grpc.ssl_server_certificate_configuration(
            [pair], root_certificates=tls.client_ca.read_bytes() if tls.client_ca else None
        )


def _check(tls: ServerTls) -> None:
    """Raises OSError for what grpcio would say no more of than that the port could not be added."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
