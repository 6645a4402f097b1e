"""The proxies that the router is compared with: where each is found, and what it is told.

HAProxy and nginx are there twice: in the newest version that Debian has built, which `make peers` unpacks
into a folder of its own, and in the one of this machine's Debian, which is what most people run.

Each spreads its requests over its upstreams by the power of two choices: the better of two picked at random.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench.certificate import Certificate

_HERE = Path(__file__).parent
# Where Debian installs servers, which may not be on the PATH of everybody.
_ROOTS_PATH = "/usr/local/sbin:/usr/sbin"
# Where `make peers` puts what this machine's Debian has not.
_NEWEST = _HERE.parents[1] / ".venv-peers" / "bin"


@dataclass(frozen=True, slots=True)
class Program:
    """`argv` are the arguments to run with a configuration file in a folder.

    `server` is how the template names one upstream (host, port); `tls` and `plaintext` fill its other gaps.
    """

    name: str
    template: str
    argv: Callable[[Path, Path], Sequence[str]]
    server: str
    tls: Callable[[Certificate], dict[str, str]]
    plaintext: dict[str, str]
    version: str = "--version"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program in one version: the one that `make peers` brings, or else this machine's own."""

    name: str
    program: Program
    is_newest: bool = True

    @property
    def binary(self) -> str | None:
        if self.is_newest:
            return shutil.which(self.program.name, path=str(_NEWEST))
        return shutil.which(self.program.name) or shutil.which(self.program.name, path=_ROOTS_PATH)

    def said_version(self) -> str:
        """The first line that the program says of itself."""
        binary = self.binary or self.program.name
        ended = subprocess.run([binary, self.program.version], capture_output=True, text=True)
        lines = (ended.stdout + ended.stderr).strip().splitlines()
        # Envoy begins with the path that it was called by.
        return lines[0].removeprefix(f"{Path(binary).parent}/") if lines else "unknown"


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


_ENVOY = Program(
    "envoy",
    "envoy.yaml",
    lambda folder, file: [
        # Without a hot restart, two of them need no numbers to tell them apart.
        *("-c", str(file), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"),
    ],
    "        - endpoint: {address: {socket_address: {address: $host, port_value: $port}}}\n",
    _envoy_tls,
    {"tls": ""},
)
_HAPROXY = Program(
    "haproxy",
    "haproxy.cfg",
    lambda folder, file: ["-f", str(file), "-db"],
    "  server s$number $host:$port proto h2\n",
    _haproxy_tls,
    {"tls": "proto h2"},
    version="-v",
)
_NGINX = Program(
    "nginx",
    "nginx.conf",
    lambda folder, file: ["-p", str(folder), "-e", "stderr", "-c", str(file)],
    "    server $host:$port;\n",
    _nginx_tls,
    {"tls": "", "certificate": ""},
    version="-v",
)

PEERS = {
    peer.name: peer
    for peer in (
        Peer("envoy", _ENVOY),
        Peer("haproxy", _HAPROXY),
        Peer("haproxy-debian", _HAPROXY, is_newest=False),
        Peer("nginx", _NGINX),
        Peer("nginx-debian", _NGINX, is_newest=False),
    )
}


def configuration(
    program: Program, address: str, upstreams: Sequence[str], certificate: Certificate | None
) -> str:
    """What `program` is told to serve `address` before `upstreams`, all of them host:port on loopback."""
    server = Template(program.server)
    servers = ""
    for number, upstream in enumerate(upstreams):
        host, _, port = upstream.rpartition(":")
        servers += server.substitute(number=number, host=host, port=port)
    tls = program.plaintext if certificate is None else program.tls(certificate)
    template = Template((_HERE / program.template).read_text())
    return template.substitute(port=address.rpartition(":")[2], servers=servers, **tls)
