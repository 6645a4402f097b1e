"""The sections of RFC 9113 and RFC 7541, told to a server of ours by sockets, in the clear and over TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from interop.report import Report
from support.certificates import Authority
from support.echo import add_echo
from support.http2_peer import RawPeer
from support.http2_sections import CASES, MOST_STREAMS

from croupier.settings import ServerTls
from croupier.transport.http2.limits import Limits
from croupier.transport.serving import Server

_LIMITS = Limits(max_concurrent_streams=MOST_STREAMS)


def run(folder: Path, report: Report) -> None:
    authority = Authority(folder, "http2")
    pair = authority.issue("http2-server")
    client = ssl.create_default_context(cafile=str(authority.certificate))
    client.set_alpn_protocols(["h2"])
    for how, server_tls, client_tls in (
        ("in the clear", None, None),
        ("over TLS", ServerTls(pair.certificate, pair.key), client),
    ):
        asyncio.run(_play(how, server_tls, client_tls, report))


async def _play(
    how: str, server_tls: ServerTls | None, client_tls: ssl.SSLContext | None, report: Report
) -> None:
    server = Server(tls=server_tls, limits=_LIMITS)
    add_echo(server)
    address = await server.start("127.0.0.1:0")
    passed = 0
    try:
        for case in CASES:
            try:
                async with RawPeer.connect(address, case.first, client_tls) as peer:
                    await case.play(peer)
            except (AssertionError, TimeoutError) as error:
                report.bad(f"HTTP/2 {how}, {case.name} ({case.what})", error)
            else:
                passed += 1
    finally:
        await server.stop(0)
    if passed:
        report.good(f"HTTP/2 {how}", f"{passed} of {len(CASES)} cases of h2spec's")
