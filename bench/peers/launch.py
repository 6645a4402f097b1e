"""Start a proxy on the core that is measured: a peer from its template here, or our own router."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench import processes
from bench.certificate import Certificate
from bench.peers.known import Peer, configuration
from bench.rows import ROUTER
from croupierctl.stack_process import Process


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs before `cells` upstreams; `version` as it says it itself.

    `certificate` is what it shows its callers; None: it speaks plaintext.
    """

    who: str
    version: str
    cells: int
    process: Process
    certificate: Certificate | None

    @property
    def address(self) -> str:
        return self.process.address

    @property
    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.process.pid)


def start_peer(
    peer: Peer, folder: Path, upstreams: Sequence[str], certificate: Certificate | None, core: int
) -> Proxy:
    """Start `peer` before `upstreams` (host:port each), in a folder of its own below `folder`.

    Raises:
        StackFailed: it did not come up.
    """
    name = peer.name if certificate is None else f"{peer.name}-tls"
    home = folder / name
    home.mkdir()
    address = processes.free_address()
    file = home / peer.program.template
    file.write_text(configuration(peer.program, address, upstreams, certificate))
    argv = [peer.binary or peer.program.name, *peer.program.argv(home, file)]
    process = Process(name, argv, home / "log", address)
    processes.start_pinned(process, core)
    try:
        processes.wait_connectable(process)
    except BaseException:
        process.kill()
        raise
    return Proxy(peer.name, peer.said_version(), len(upstreams), process, certificate)


def start_router(
    folder: Path,
    snapshot: Path,
    cells: int,
    certificate: Certificate | None,
    core: int,
    *,
    module: str = "router.app",
    options: Sequence[str] = (),
) -> Proxy:
    """Start our router from the file `snapshot` of so many cells, with no version manager to be reached.

    `module` is what is run, and `options` what it is told besides.

    Raises:
        StackFailed: it did not come up.
    """
    name = ROUTER if certificate is None else f"{ROUTER}-tls"
    home = folder / name
    home.mkdir()
    # The router keeps its snapshot file up to date, so each has one of its own.
    copy = Path(shutil.copy(snapshot, home / "catalog.snapshot"))
    argv = [
        *(sys.executable, "-m", module, "--listen", "127.0.0.1:0"),
        *("--manager", processes.free_address(), "--snapshot", str(copy), "--log-level", "error"),
        *options,
    ]
    if certificate is not None:
        argv += ["--tls-certificate", str(certificate.certificate), "--tls-key", str(certificate.key)]
    process = Process(name, argv, home / "log")
    processes.start_pinned(process, core)
    try:
        process.wait_ready()
    except BaseException:
        process.kill()
        raise
    return Proxy(ROUTER, f"croupier {version('croupier')}", cells, process, certificate)
