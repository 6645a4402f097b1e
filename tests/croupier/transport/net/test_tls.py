"""TLS contexts: what they demand of a peer, and how they follow their files. No sockets: bytes in memory."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from support.certificates import Authority, Pair
from support.fakes import metric

from croupier.settings import ClientTls, InvalidSettings, ServerTls
from croupier.transport.net.tls import ClientContext, ServerContext

FAILURES = "croupier_tls_reload_failures_total"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost"
) -> tuple[ssl.SSLObject, ...]:
    """Both ends after a handshake; raises what the failing end raises."""
    wires = [ssl.MemoryBIO() for _ in range(2)]
    ends = (
        client.wrap_bio(wires[0], wires[1], server_hostname=host),
        server.wrap_bio(wires[1], wires[0], server_side=True),
    )
    for _ in range(5):
        for end in ends:
            try:
                end.do_handshake()
                # With TLS 1.3 a client learns of a refusal by reading.
                end.read()
            except ssl.SSLWantReadError:
                pass
    return ends


def server_tls(pair: Pair, client_ca: Path | None = None) -> ServerTls:
    return ServerTls(pair.certificate, pair.key, client_ca)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def serial(server: ServerContext, authority: Authority) -> str:
    client = ClientContext(ClientTls(authority.certificate))
    certificate = shake(server.current(), client.current())[0].getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


class TestHandshake:
    def test_they_agree_on_h2(self, authority: Authority) -> None:
        server = ServerContext(server_tls(authority.issue("server")))
        client = ClientContext(ClientTls(authority.certificate))
        for end in shake(server.current(), client.current()):
            assert end.selected_alpn_protocol() == "h2"
            assert end.version() == "TLSv1.3"

    def test_a_peer_with_another_protocol_gets_none(self, authority: Authority) -> None:
        server = ServerContext(server_tls(authority.issue("server")))
        client = ssl.create_default_context(cafile=authority.certificate)
        client.set_alpn_protocols(["http/1.1"])
        assert shake(server.current(), client)[1].selected_alpn_protocol() is None

    @pytest.mark.parametrize(
        ("cipher", "is_fit"),
        [
            ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
            ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
            ("ECDHE-ECDSA-AES128-SHA256", False),
        ],
    )
    def test_tls_1_2_with_a_fit_cipher_only(self, authority: Authority, cipher: str, is_fit: bool) -> None:
        server = ServerContext(server_tls(authority.issue("server")))
        client = ssl.create_default_context(cafile=authority.certificate)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(cipher)
        if is_fit:
            assert shake(server.current(), client)[1].cipher() == (
                cipher,
                "TLSv1.2",
                pytest.approx(192, abs=64),
            )
        else:
            with pytest.raises(ssl.SSLError):
                shake(server.current(), client)

    def test_nothing_older_than_1_2(self, authority: Authority) -> None:
        for context in (
            ServerContext(server_tls(authority.issue("server"))),
            ClientContext(ClientTls(authority.certificate)),
        ):
            assert context.current().minimum_version == ssl.TLSVersion.TLSv1_2

    def test_the_server_must_be_known_and_be_the_host(self, authority: Authority, tmp_path: Path) -> None:
        server = ServerContext(server_tls(authority.issue("server"))).current()
        stranger = Authority(tmp_path, "stranger")
        with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed|unable to get"):
            shake(server, ClientContext(ClientTls(stranger.certificate)).current())
        client = ClientContext(ClientTls(authority.certificate)).current()
        assert shake(server, client, "127.0.0.1")
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake(server, client, "elsewhere")


class TestCallersCertificates:
    def test_it_is_asked_for(self, authority: Authority) -> None:
        server = ServerContext(server_tls(authority.issue("server"), authority.certificate)).current()
        caller = authority.issue("caller")
        client = ClientContext(ClientTls(authority.certificate, caller.certificate, caller.key)).current()
        shown = shake(server, client)[1].getpeercert()
        assert shown is not None
        assert shown["subject"] == ((("commonName", "caller"),),)

    def test_none_and_a_strangers_are_refused(self, authority: Authority, tmp_path: Path) -> None:
        server = ServerContext(server_tls(authority.issue("server"), authority.certificate)).current()
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            shake(server, ClientContext(ClientTls(authority.certificate)).current())
        bad = Authority(tmp_path, "stranger").issue("impostor")
        client = ClientContext(ClientTls(authority.certificate, bad.certificate, bad.key)).current()
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(server, client)

    def test_without_client_ca_nobody_is_asked(self, authority: Authority) -> None:
        server = ServerContext(server_tls(authority.issue("server"))).current()
        caller = authority.issue("caller")
        client = ClientContext(ClientTls(authority.certificate, caller.certificate, caller.key)).current()
        assert shake(server, client)[1].getpeercert() is None

    def test_less_than_a_root_can_be_trusted(self, authority: Authority) -> None:
        caller = authority.issue("caller")
        server = ServerContext(server_tls(authority.issue("server"), caller.certificate)).current()
        client = ClientContext(ClientTls(authority.certificate, caller.certificate, caller.key)).current()
        assert shake(server, client)[1].getpeercert()


class TestFiles:
    def test_what_cannot_be_used_is_named(self, authority: Authority, tmp_path: Path) -> None:
        pair, other = authority.issue("server"), authority.issue("other")
        junk, absent, locked = tmp_path / "junk", tmp_path / "absent", tmp_path / "locked"
        junk.write_text("not a certificate")
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        locked.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        for tls in (
            ServerTls(junk, pair.key),
            ServerTls(absent, pair.key),
            ServerTls(pair.certificate, other.key),
            ServerTls(pair.certificate, locked),
            ServerTls(pair.certificate, pair.key, junk),
            ServerTls(pair.certificate, pair.key, absent),
        ):
            files = [tls.certificate, tls.key, *([tls.client_ca] if tls.client_ca else [])]
            names = ", ".join(str(path) for path in files)
            with pytest.raises(InvalidSettings, match=f"cannot use the TLS files {names}: "):
                ServerContext(tls)
        for bad in (
            ClientTls(junk),
            ClientTls(absent),
            ClientTls(authority.certificate, pair.certificate, junk),
        ):
            with pytest.raises(InvalidSettings, match="cannot use the TLS files"):
                ClientContext(bad)

    def test_a_client_keeps_certificate_and_key_in_one_file(self, authority: Authority) -> None:
        pair = authority.issue("caller")
        with pair.certificate.open("ab") as both:
            both.write(pair.key.read_bytes())
        ClientContext(ClientTls(authority.certificate, pair.certificate))


class TestReload:
    def test_a_renewed_certificate_is_for_the_next_connection(
        self, authority: Authority, clock: Clock
    ) -> None:
        server = ServerContext(server_tls(authority.issue("server")), clock)
        first, context = serial(server, authority), server.current()
        authority.issue("server")
        clock.now += 0.9
        assert serial(server, authority) == first
        clock.now += 0.1
        assert serial(server, authority) != first
        assert server.current() is not context

    def test_nothing_is_built_while_nothing_changes(self, authority: Authority, clock: Clock) -> None:
        server = ServerContext(server_tls(authority.issue("server")), clock)
        context = server.current()
        clock.now += 10
        assert server.current() is context

    def test_the_files_are_looked_at_once_a_second(
        self, authority: Authority, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = ServerContext(server_tls(authority.issue("server")), clock)
        looks: list[Path] = []
        stat = Path.stat
        monkeypatch.setattr(Path, "stat", lambda path, **kw: (looks.append(path), stat(path, **kw))[1])
        for _ in range(20):
            clock.now += 0.3
            server.current()
        assert len(looks) == 2 * 5

    def test_a_broken_file_keeps_the_old_context(
        self, authority: Authority, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        pair = authority.issue("server")
        server = ServerContext(server_tls(pair), clock)
        first, failures, key = serial(server, authority), metric(FAILURES), pair.key.read_bytes()
        pair.key.write_text("half a ke")
        for _ in range(3):
            clock.now += 1
            assert serial(server, authority) == first
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert f"cannot use the TLS files {pair.certificate}, {pair.key}" in caplog.text
        assert metric(FAILURES) == failures + 1
        pair.key.unlink()
        clock.now += 1
        assert serial(server, authority) == first
        assert metric(FAILURES) == failures + 2
        pair.key.write_bytes(key)
        clock.now += 1
        context = server.current()
        clock.now += 1
        assert server.current() is context
        assert metric(FAILURES) == failures + 2

    def test_certificate_and_key_written_one_after_the_other(
        self, authority: Authority, clock: Clock, tmp_path: Path
    ) -> None:
        pair = authority.issue("server")
        server = ServerContext(server_tls(pair), clock)
        first = serial(server, authority)
        (tmp_path / "new").mkdir()
        new = authority.issue("other")
        os.replace(new.certificate, pair.certificate)
        clock.now += 1
        assert serial(server, authority) == first
        os.replace(new.key, pair.key)
        clock.now += 1
        assert serial(server, authority) != first

    def test_a_folder_of_links_that_is_swapped(
        self, authority: Authority, clock: Clock, tmp_path: Path
    ) -> None:
        """As Kubernetes mounts secrets; sizes and times of the files may well be equal."""
        pair = authority.issue("server")
        for version in ("1", "2"):
            (tmp_path / version).mkdir()
            renewed = authority.issue("server")
            for path in (renewed.certificate, renewed.key):
                os.replace(path, tmp_path / version / path.name)
                os.utime(tmp_path / version / path.name, ns=(0, 0))
        (tmp_path / "data").symlink_to("1")
        files = ServerTls(tmp_path / "data" / pair.certificate.name, tmp_path / "data" / pair.key.name)
        server = ServerContext(files, clock)
        first = serial(server, authority)
        (tmp_path / "next").symlink_to("2")
        os.replace(tmp_path / "next", tmp_path / "data")
        clock.now += 1
        assert serial(server, authority) != first

    def test_a_client_follows_too(self, authority: Authority, clock: Clock, tmp_path: Path) -> None:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(authority.certificate.read_bytes())
        client = ClientContext(ClientTls(ca), clock)
        successor = Authority(tmp_path, "successor")
        server = ServerContext(server_tls(successor.issue("server"))).current()
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(server, client.current())
        ca.write_bytes(successor.certificate.read_bytes())
        clock.now += 1
        assert shake(server, client.current())
