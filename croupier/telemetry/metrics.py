"""Prometheus metrics: declared beside the code that counts, served here.

A metric's name begins with `croupier_`; labels are of bounded cardinality (never a tenant, a
model or a digest).
"""

from __future__ import annotations

import logging

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from croupier.settings import InvalidSettings

_log = logging.getLogger(__name__)

__all__ = ["Counter", "Gauge", "Histogram", "serve"]


def serve(listen: str) -> int:
    """Serve `/metrics` on `host:port` from a thread of its own; returns the port, 0 for none.

    Raises:
        InvalidSettings: the address cannot be bound.
    """
    if not listen:
        return 0
    host, _, port = listen.rpartition(":")
    try:
        server, _ = start_http_server(int(port), addr=host.strip("[]"))
    except (OSError, OverflowError, ValueError) as error:
        raise InvalidSettings(f"cannot serve metrics on {listen}: {error}") from error
    _log.info("metrics on http://%s:%d/metrics", host, server.server_port)
    return int(server.server_port)
