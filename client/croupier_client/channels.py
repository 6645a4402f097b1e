"""Channels to a router, with options that suit connections which live for days."""

from __future__ import annotations

from pathlib import Path

import grpc

from croupier_client.errors import InvalidRequest

_OPTIONS = [
    # A channel of one's own: grpcio would otherwise share one connection among equal targets.
    ("grpc.use_local_subchannel_pool", 1),
    # Retries are decided in one layer, ours.
    ("grpc.enable_retries", 0),
    # A connection that carries nothing any more says so to nobody. gRPC pings when a call begins too, to
    # measure the way, and pings no second time before that is answered, which it would wait a minute for.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    # So long a connection may take to stand: TCP, TLS and the server's settings, from far away or of a server
    # that has much to do. Where nobody listens it is known at once.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def credentials(
    ca: Path | None, certificate: Path | None = None, key: Path | None = None
) -> grpc.ChannelCredentials | None:
    """TLS credentials from PEM files; None, which means plaintext, without `ca`.

    Raises:
        InvalidRequest: a certificate without its key, or the other way round.
        OSError: a file that cannot be read.
    """
    if (certificate is None) != (key is None):
        # gRPC ends the whole process over this.
        raise InvalidRequest("a certificate and its key go together", field="key")
    if ca is None:
        return None
    return grpc.ssl_channel_credentials(
        ca.read_bytes(),
        key.read_bytes() if key else None,
        certificate.read_bytes() if certificate else None,
    )


def open_async(target: str, tls: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """An asyncio channel to `host:port` or `unix:path`; connects when first used."""
    if tls is None:
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    return grpc.aio.secure_channel(target, tls, options=_OPTIONS)


def open_blocking(target: str, tls: grpc.ChannelCredentials | None = None) -> grpc.Channel:
    """The same for threads."""
    if tls is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.secure_channel(target, tls, options=_OPTIONS)
