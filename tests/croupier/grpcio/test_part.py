"""What a process says of what it runs, and of certificates that end."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.certificates import Authority, Pair

from croupier import protocol
from croupier.grpcio.part import OwnPart
from croupier.settings import PeerSettings, ServerSettings
from croupier.version import version

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Settings(ServerSettings, PeerSettings):
    """As a router's."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def ends(part: OwnPart) -> dict[str, int]:
    """In hours from now, by setting."""
    return {one.setting: round((one.ends - time.time()) / HOUR) for one in part.told().certificates}


def put(path: Path, *pairs: Pair) -> None:
    path.write_bytes(b"".join(pair.certificate.read_bytes() for pair in pairs))


def test_without_certificates_there_is_a_release_and_a_protocol() -> None:
    told = OwnPart(Settings()).told()
    assert (told.release, told.protocol, list(told.certificates)) == (version(), protocol.CURRENT, [])


def test_each_certificate_is_told_by_its_setting(authority: Authority) -> None:
    server, peer = authority.issue("server", ends=72), authority.issue("peer", ends=48)
    settings = Settings(
        tls_certificate=server.certificate,
        tls_key=server.key,
        peer_ca=authority.certificate,
        peer_certificate=peer.certificate,
    )
    assert ends(OwnPart(settings)) == {"tls-certificate": 72, "peer-ca": 24, "peer-certificate": 48}


def test_a_chain_ends_with_its_first_and_authorities_with_their_last(
    authority: Authority, tmp_path: Path
) -> None:
    long, short = authority.issue("long", ends=100), authority.issue("short", ends=9)
    put(tmp_path / "both.pem", long, short)
    settings = Settings(tls_certificate=tmp_path / "both.pem", tls_client_ca=tmp_path / "both.pem")
    assert ends(OwnPart(settings)) == {"tls-certificate": 9, "tls-client-ca": 100}


def test_a_new_file_counts_unless_the_process_reads_it_once(authority: Authority, tmp_path: Path) -> None:
    old, new = authority.issue("old", ends=9), authority.issue("new", ends=100)
    put(tmp_path / "own.pem", old)
    settings = Settings(tls_certificate=tmp_path / "own.pem", peer_certificate=tmp_path / "own.pem")
    part = OwnPart(settings, read_once=("peer_certificate",))
    assert ends(part) == {"tls-certificate": 9, "peer-certificate": 9}
    put(tmp_path / "own.pem", new)
    assert ends(part) == {"tls-certificate": 100, "peer-certificate": 9}


def test_a_file_that_is_none_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "garbage.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    settings = Settings(tls_certificate=tmp_path / "garbage.pem", tls_client_ca=tmp_path / "missing.pem")
    assert ends(OwnPart(settings)) == {}
