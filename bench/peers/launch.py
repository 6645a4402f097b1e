"""Start a proxy on the core that is measured: a peer from its template here, or our own router."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench import processes
from bench.certificate import Certificate
from bench.rows import ROUTER
from croupierctl.stack import Process

_HERE = Path(__file__).parent
# Where Debian installs servers, which may not be on the PATH of everybody.
_ROOTS_PATH = "/usr/local/sbin:/usr/sbin"
# Where `make peers` puts what Debian has no package of.
_VENV = _HERE.parents[1] / ".venv-peers" / "bin"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs. `certificate` is what it shows its callers; None: it speaks plaintext."""

    who: str
    process: Process
    certificate: Certificate | None

    @property
    def address(self) -> str:
        return self.process.address

    @property
    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.process.pid)


@dataclass(frozen=True, slots=True)
class Peer:
    """`argv` are the arguments to run with a configuration file in a folder."""

    name: str
    install: str
    template: str
    argv: Callable[[Path, Path], Sequence[str]]
    tls: Callable[[Certificate], dict[str, str]]
    version: str = "--version"

    @property
    def binary(self) -> str | None:
        """The one that `make peers` installed, else any on the PATH."""
        found = shutil.which(self.name, path=str(_VENV)) or shutil.which(self.name)
        return found or shutil.which(self.name, path=_ROOTS_PATH)

    def said_version(self) -> str:
        ended = subprocess.run([self.binary or self.name, self.version], capture_output=True, text=True)
        lines = (ended.stdout + ended.stderr).strip().splitlines()
        # Envoy begins with the path that it was called by.
        return lines[0].removeprefix(self.binary or "").strip() if lines else "unknown"


def _envoy_tls(files: Certificate) -> dict[str, str]:
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    pair = f"certificate_chain: {{filename: {files.certificate}}}, private_key: {{filename: {files.key}}}"
    common = f"{{alpn_protocols: [h2], tls_certificates: [{{{pair}}}]}}"
    typed = f'{{"@type": {kind}, common_tls_context: {common}}}'
    return {"tls": f"transport_socket: {{name: envoy.transport_sockets.tls, typed_config: {typed}}}"}


def _nginx_tls(files: Certificate) -> dict[str, str]:
    certificate = f"ssl_certificate {files.certificate}; ssl_certificate_key {files.key};"
    return {"tls": "ssl", "certificate": certificate}


def _haproxy_tls(files: Certificate) -> dict[str, str]:
    return {"tls": f"ssl crt {files.both} alpn h2"}


PEERS = {
    "envoy": Peer(
        "envoy",
        "make peers",
        "envoy.yaml",
        lambda folder, file: [
            # Without a hot restart, two of them need no numbers to tell them apart.
            *("-c", str(file), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"),
        ],
        _envoy_tls,
    ),
    "haproxy": Peer(
        "haproxy",
        "make peers, or apt-get install haproxy",
        "haproxy.cfg",
        lambda folder, file: ["-f", str(file), "-db"],
        _haproxy_tls,
        version="-v",
    ),
    "nginx": Peer(
        "nginx",
        "make peers, or apt-get install nginx",
        "nginx.conf",
        lambda folder, file: ["-p", str(folder), "-e", "stderr", "-c", str(file)],
        _nginx_tls,
        version="-v",
    ),
}

# How the templates say that callers speak plaintext.
_PLAINTEXT = {
    "envoy": {"tls": ""},
    "haproxy": {"tls": "proto h2"},
    "nginx": {"tls": "", "certificate": ""},
}


def configuration(peer: Peer, address: str, upstream: str, certificate: Certificate | None) -> str:
    """What `peer` is told to serve `address` before `upstream`, both host:port on loopback."""
    ports = {"port": address.rpartition(":")[2], "upstream": upstream.rpartition(":")[2]}
    tls = _PLAINTEXT[peer.name] if certificate is None else peer.tls(certificate)
    return Template((_HERE / peer.template).read_text()).substitute(**ports, **tls)


def start_peer(peer: Peer, folder: Path, upstream: str, certificate: Certificate | None, core: int) -> Proxy:
    """Start `peer` before `upstream` (host:port), in a folder of its own below `folder`.

    Raises:
        StackFailed: it did not come up.
    """
    name = peer.name if certificate is None else f"{peer.name}-tls"
    home = folder / name
    home.mkdir()
    address = processes.free_address()
    file = home / peer.template
    file.write_text(configuration(peer, address, upstream, certificate))
    process = Process(name, [peer.binary or peer.name, *peer.argv(home, file)], home / "log", address)
    processes.start_pinned(process, core)
    try:
        processes.wait_connectable(process)
    except BaseException:
        process.kill()
        raise
    return Proxy(peer.name, process, certificate)


def start_router(folder: Path, snapshot: Path, certificate: Certificate | None, core: int) -> Proxy:
    """Start our router from the file `snapshot`, with no version manager to be reached.

    Raises:
        StackFailed: it did not come up.
    """
    name = ROUTER if certificate is None else f"{ROUTER}-tls"
    home = folder / name
    home.mkdir()
    # The router keeps its snapshot file up to date, so each has one of its own.
    copy = Path(shutil.copy(snapshot, home / "catalog.snapshot"))
    argv = [
        *(sys.executable, "-m", "router.app", "--listen", "127.0.0.1:0"),
        *("--manager", processes.free_address(), "--snapshot", str(copy), "--log-level", "error"),
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
    return Proxy(ROUTER, process, certificate)
