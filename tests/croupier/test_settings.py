from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from croupier.settings import (
    ClientTls,
    InvalidSettings,
    PeerSettings,
    ServerSettings,
    ServerTls,
    home,
    is_loopback,
    load,
    load_known,
    misspelt,
    option,
)

PEM = Path("a.pem")


@dataclass(frozen=True, kw_only=True)
class Told(ServerSettings, PeerSettings):
    listen: str = option("127.0.0.1:8500", "where to serve")
    hand_size: int = option(4, "cells in a hand")
    patience: float = option(1.5, "seconds")
    snapshot: Path | None = option(None, "file")
    etcd: tuple[str, ...] = option(("127.0.0.1:2379",), "host:port,…")
    eager: bool = option(True, "load at once")


def told(*argv: str, **environ: str) -> Told:
    return load(Told, "croupier-router", argv, environ)


class TestLoad:
    def test_defaults(self) -> None:
        assert told() == Told()

    def test_a_part_of_them_leaves_other_flags_alone(self) -> None:
        argv = ["--id=c", "--list", "x", "-h", "--hand-size=8", "--no-eager"]
        environ = {"CROUPIER_ROUTER_PATIENCE": "2"}
        got = load_known(Told, "croupier-router", argv, environ)
        assert got == Told(hand_size=8, eager=False, patience=2.0)

    def test_flags(self) -> None:
        got = told(
            "--listen=h:1", "--hand-size=8", "--patience", "2", "--snapshot=s", "--etcd=a:1,b:2", "--no-eager"
        )
        expected = Told(
            listen="h:1", hand_size=8, patience=2.0, snapshot=Path("s"), etcd=("a:1", "b:2"), eager=False
        )
        assert expected == got

    def test_the_environment_fills_what_no_flag_says(self) -> None:
        environ = {
            "CROUPIER_ROUTER_HAND_SIZE": "6",
            "CROUPIER_ROUTER_PATIENCE": "0.5",
            "CROUPIER_ROUTER_SNAPSHOT": "s",
            "CROUPIER_ROUTER_ETCD": "a:1,b:2",
            "CROUPIER_ROUTER_EAGER": "false",
            "CROUPIER_ROUTER_INSECURE": "TRUE",
            "CROUPIER_CELL_LISTEN": "another program's",
        }
        expected = Told(
            hand_size=6, patience=0.5, snapshot=Path("s"), etcd=("a:1", "b:2"), eager=False, insecure=True
        )
        assert expected == told(**environ)

    def test_a_flag_outranks_the_environment(self) -> None:
        assert told("--hand-size=8", CROUPIER_ROUTER_HAND_SIZE="6").hand_size == 8
        assert told("--eager", CROUPIER_ROUTER_EAGER="0").eager
        assert not told("--no-insecure", CROUPIER_ROUTER_INSECURE="1").insecure

    def test_the_processs_own_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CROUPIER_ROUTER_HAND_SIZE", "9")
        assert load(Told, "croupier-router", []).hand_size == 9

    @pytest.mark.parametrize(
        ("argv", "environ", "says"),
        [
            (["--hand-size=four"], {}, "invalid int value: 'four'"),
            (["--no-such-flag"], {}, "--no-such-flag"),
            ([], {"CROUPIER_ROUTER_HAND_SIZE": "four"}, "CROUPIER_ROUTER_HAND_SIZE is no int: 'four'"),
            (
                [],
                {"CROUPIER_ROUTER_INSECURE": "perhaps"},
                "CROUPIER_ROUTER_INSECURE is neither true nor false: 'perhaps'",
            ),
            (["--log-level=loud"], {}, "invalid choice: 'loud'"),
            ([], {"CROUPIER_ROUTER_LOG_LEVEL": "loud"}, "CROUPIER_ROUTER_LOG_LEVEL is none of frames, debug"),
        ],
    )
    def test_what_cannot_be_read_stops_the_program(
        self, argv: list[str], environ: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            told(*argv, **environ)
        assert caught.value.code == 2
        assert says in capsys.readouterr().err

    def test_a_misspelt_variable_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert told(CROUPIER_ROUTER_HAND_SISE="6", CROUPIER_HOMES="secret", PATH="/bin") == Told()
        assert capsys.readouterr().err == (
            "croupier-router: warning: CROUPIER_HOMES is no setting: is CROUPIER_HOME meant?\n"
            "croupier-router: warning: CROUPIER_ROUTER_HAND_SISE is no setting: "
            "is CROUPIER_ROUTER_HAND_SIZE meant?\n"
        )

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("CROUPIER_ROUTR_LISTEN", "is CROUPIER_ROUTER_LISTEN meant?"),
            ("CROUPIER_LISTEN", "CROUPIER_LISTEN is no setting"),
            ("CROUPIER_ROUTER_WHAT_IS_THIS", "CROUPIER_ROUTER_WHAT_IS_THIS is no setting"),
            ("CROUPIER_ROUTER_HAND_SIZE", ""),
            ("CROUPIER_CELL_LISTN", ""),
            ("CROUPIER_VERSION_MANAGER_ETCD", ""),
            ("CROUPIER_HOME", ""),
            ("CROUPIERCTL_MANAGER", ""),
            ("OTHER_CROUPIER_ROUTER_LISTN", ""),
            ("CROUPIER_ROUTER_PORT", ""),
            ("CROUPIER_ROUTER_PORT_8500_TCP_ADDR", ""),
            ("CROUPIER_ROUTER_SERVICE_HOST", ""),
            ("CROUPIER_ROUTER_SERVICE_PORT_GRPC", ""),
        ],
    )
    def test_what_looks_like_a_variable_of_ours(self, name: str, said: str) -> None:
        found = misspelt(Told, "croupier-router", [name])
        assert len(found) == bool(said)
        assert all(words.endswith(said) for words in found)

    def test_help_tells_flags_and_defaults(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            told("--help")
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert "usage: croupier-router" in out
        assert "cells in a hand [$CROUPIER_ROUTER_HAND_SIZE] (default: 4)" in " ".join(out.split())


class TestExposure:
    @pytest.mark.parametrize(
        "listen", ["127.0.0.1:0", "127.8.8.8:1", "[::1]:80", "localhost:80", "unix:/run/croupier"]
    )
    def test_loopback_needs_nothing(self, listen: str) -> None:
        assert is_loopback(listen)
        Told(listen=listen).check_exposure()

    @pytest.mark.parametrize(
        "listen",
        [
            "0.0.0.0:80",
            "[::]:80",
            ":80",
            "192.168.1.2:80",
            "example.com:80",
            "localhost.evil:80",
            "127.0.0.1",
        ],
    )
    def test_a_wider_address_is_refused(self, listen: str) -> None:
        assert not is_loopback(listen)
        with pytest.raises(InvalidSettings, match="is not loopback: it needs TLS"):
            Told(listen=listen).check_exposure()

    def test_metrics_beyond_loopback_are_refused(self, caplog: pytest.LogCaptureFixture) -> None:
        for told in (Told(metrics_listen="0.0.0.0:80"), Told(metrics_listen="0.0.0.0:80", insecure=True)):
            with pytest.raises(InvalidSettings, match="--insecure-metrics"):
                told.check_exposure()
        Told(metrics_listen="").check_exposure()
        assert not caplog.records
        Told(metrics_listen="0.0.0.0:80", insecure_metrics=True).check_exposure()
        assert "INSECURE METRICS: anyone who can reach 0.0.0.0:80" in caplog.text

    def test_open_metrics_do_not_open_the_port_behind_them(self) -> None:
        with pytest.raises(InvalidSettings, match="it needs TLS"):
            Told(listen="0.0.0.0:80", metrics_listen="0.0.0.0:81", insecure_metrics=True).check_exposure()

    def test_a_wider_address_with_tls_and_known_callers(self) -> None:
        tls = Told(listen="0.0.0.0:80", tls_certificate=PEM, tls_key=PEM)
        with pytest.raises(InvalidSettings):
            tls.check_exposure()
        tls.check_exposure(knows_callers=True)
        Told(listen="0.0.0.0:80", tls_certificate=PEM, tls_key=PEM, tls_client_ca=PEM).check_exposure()

    def test_known_callers_without_tls_are_not_enough(self) -> None:
        with pytest.raises(InvalidSettings):
            Told(listen="0.0.0.0:80").check_exposure(knows_callers=True)

    def test_insecure_is_allowed_and_said(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            Told(listen="0.0.0.0:80", insecure=True).check_exposure()
        assert "INSECURE" in caplog.text


class TestTls:
    def test_server(self) -> None:
        assert Told().server_tls is None
        assert Told(tls_certificate=PEM, tls_key=PEM).server_tls == ServerTls(PEM, PEM)
        full = Told(tls_certificate=PEM, tls_key=PEM, tls_client_ca=PEM)
        assert full.server_tls == ServerTls(PEM, PEM, PEM)

    @pytest.mark.parametrize(
        "half",
        [Told(tls_certificate=PEM), Told(tls_key=PEM), Told(tls_client_ca=PEM)],
        ids=["no key", "no certificate", "authority only"],
    )
    def test_half_a_server(self, half: Told) -> None:
        with pytest.raises(InvalidSettings):
            _ = half.server_tls
        with pytest.raises(InvalidSettings):
            half.check_exposure()

    def test_peers(self) -> None:
        assert Told().peer_tls is None
        assert Told(peer_ca=PEM).peer_tls == ClientTls(PEM)
        full = Told(peer_ca=PEM, peer_certificate=PEM, peer_key=PEM)
        assert full.peer_tls == ClientTls(PEM, PEM, PEM)

    @pytest.mark.parametrize(
        "half",
        [
            Told(peer_ca=PEM, peer_certificate=PEM),
            Told(peer_ca=PEM, peer_key=PEM),
            Told(peer_certificate=PEM, peer_key=PEM),
        ],
        ids=["no key", "no certificate", "no authority"],
    )
    def test_half_a_peer_never_means_plaintext(self, half: Told) -> None:
        with pytest.raises(InvalidSettings):
            _ = half.peer_tls


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CROUPIER_HOME", str(tmp_path / "house"))
    assert home() == tmp_path / "house"
    monkeypatch.delenv("CROUPIER_HOME")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / ".croupier"
