"""Look at the answers with another implementation's client: grpcio sees what h2load does not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import grpc

from bench.catalog import Load
from bench.peers.launch import Proxy

_AT_ONCE = 32
_TIMEOUT = 10.0


def wrong_answers(proxy: Proxy, load: Load, requests: int) -> Counter[str]:
    """Send `load` so many times; what was wrong, by its description. Blocks: not for an event loop."""
    wrong: Counter[str] = Counter()
    with _channel(proxy) as channel:
        call: Any = channel.unary_unary(load.path.decode())
        for first in range(0, requests, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, requests))
            under_way = [
                call.future(
                    load.message(number),
                    timeout=_TIMEOUT,
                    metadata=(("croupier-tenant", load.tenant(number).decode()),),
                )
                for number in numbers
            ]
            wrong.update(
                problem for future in under_way if (problem := _problem(future, load.expected or b""))
            )
    return wrong


def _problem(future: Any, expected: bytes) -> str:
    """What is wrong with an answer; empty when nothing is."""
    try:
        answer = future.result()
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "" if answer == expected else f"{len(answer)} other bytes than the expected {len(expected)}"


def _channel(proxy: Proxy) -> grpc.Channel:
    if proxy.certificate is None:
        return grpc.insecure_channel(proxy.address)
    trusted = grpc.ssl_channel_credentials(proxy.certificate.certificate.read_bytes())
    return grpc.secure_channel(proxy.address, trusted)
