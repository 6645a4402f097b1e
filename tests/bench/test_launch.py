import asyncio
import ssl
from pathlib import Path

import pytest

from bench import processes
from bench.certificate import self_signed
from bench.peers import launch
from bench.peers.known import PEERS, configuration


@pytest.mark.parametrize("name", PEERS)
def test_a_configuration_has_ports_and_no_gap(name: str, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    for files in (None, certificate):
        text = configuration(
            PEERS[name].program, "127.0.0.1:7002", ["127.0.0.1:7000", "127.0.0.2:7001"], files
        )
        for each in ("7002", "127.0.0.1", "7000", "127.0.0.2", "7001"):
            assert each in text
        assert "$" not in text
        assert (str(tmp_path) in text) == (files is not None)


@pytest.mark.system
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("tls", [False, True])
async def test_a_peer_starts_and_stops(name: str, tls: bool, tmp_path: Path) -> None:
    if PEERS[name].binary is None:
        pytest.skip(f"{name} is not installed")
    certificate = self_signed(tmp_path) if tls else None
    proxy = launch.start_peer(
        PEERS[name], tmp_path, ["127.0.0.1:1", "127.0.0.1:2"], certificate, processes.cores().proxy
    )
    try:
        assert await _protocol(proxy.address, certificate and certificate.certificate) == (
            "h2" if tls else None
        )
        assert proxy.cpu_seconds >= 0.0
        assert PEERS[name].program.name in proxy.version.lower()
        assert proxy.cells == 2
    finally:
        proxy.process.stop()
    assert not proxy.process.is_running


async def _protocol(address: str, authority: Path | None) -> str | None:
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(authority)) if authority else None
    if context is not None:
        context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    tls = writer.get_extra_info("ssl_object")
    writer.close()
    return tls.selected_alpn_protocol() if tls else None
