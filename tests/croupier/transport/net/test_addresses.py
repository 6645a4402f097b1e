"""Binding: every form of an address, and every way in which one cannot be bound."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from croupier.settings import InvalidSettings
from croupier.transport.net import addresses
from croupier.transport.net.addresses import Bound, bind, socket_path, split_address

Bind = Callable[..., Bound]


@pytest.fixture
def bound() -> Iterator[Bind]:
    opened: list[Bound] = []

    def remember(listen: str, **options: Any) -> Bound:
        opened.append(bind(listen, **options))
        return opened[-1]

    yield remember
    for one in opened:
        for listening in one.sockets:
            listening.close()


def reach(family: socket.AddressFamily, where: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(where)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65_535),
    ],
)
def test_split(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


@pytest.mark.parametrize("address", ["unix:/run/s", "unix:///run/s"])
def test_socket_path(address: str) -> None:
    assert socket_path(address) == "/run/s"


class TestHost:
    def test_port_zero_is_a_free_port(self, bound: Bind) -> None:
        found = bound("127.0.0.1:0")
        (listening,) = found.sockets
        host, port = listening.getsockname()
        assert found.address == f"127.0.0.1:{port}"
        assert host == "127.0.0.1"
        assert port > 0
        assert not listening.getblocking()
        reach(socket.AF_INET, (host, port))

    def test_connections_do_not_wait_for_full_packets(self, bound: Bind) -> None:
        found = bound("127.0.0.1:0")
        with socket.create_connection(found.sockets[0].getsockname()):
            found.sockets[0].setblocking(True)
            with found.sockets[0].accept()[0] as connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_ipv6(self, bound: Bind) -> None:
        found = bound("[::1]:0")
        port = found.sockets[0].getsockname()[1]
        assert found.address == f"[::1]:{port}"
        reach(socket.AF_INET6, ("::1", port))
        with pytest.raises(ConnectionRefusedError):
            reach(socket.AF_INET, ("127.0.0.1", port))

    def test_every_address_of_both_kinds(self, bound: Bind) -> None:
        port = bound("[::]:0").sockets[0].getsockname()[1]
        reach(socket.AF_INET6, ("::1", port))
        reach(socket.AF_INET, ("127.0.0.1", port))

    def test_a_name(self, bound: Bind) -> None:
        found = bound("localhost:0")
        host, _, port = found.address.rpartition(":")
        assert host == "localhost"
        for listening in found.sockets:
            assert listening.getsockname()[1] == int(port)
            reach(listening.family, listening.getsockname())


class TestNameOfSeveralAddresses:
    @pytest.fixture(autouse=True)
    def names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            both = [(socket.AF_INET6, "::1", 0, 0), (socket.AF_INET, "127.0.0.1")]
            absent = [(socket.AF_INET6, "2001:db8::1", 0, 0)]
            found = {"both": both, "partly": absent + both[1:], "absent": absent}[host]
            return [
                (family, 1, 6, "", (address, port, *rest)) for family, address, *rest in [*found, found[0]]
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    def test_all_are_bound_to_one_port(self, bound: Bind) -> None:
        found = bound("both:0")
        assert [listening.family for listening in found.sockets] == [socket.AF_INET6, socket.AF_INET]
        assert {f"both:{listening.getsockname()[1]}" for listening in found.sockets} == {found.address}

    def test_those_that_are_not_there_are_left_out(self, bound: Bind) -> None:
        assert [listening.family for listening in bound("partly:0").sockets] == [socket.AF_INET]

    def test_none_is_there(self) -> None:
        with pytest.raises(InvalidSettings, match="cannot serve on absent:0: "):
            bind("absent:0")

    def test_one_in_use_is_an_error(self, bound: Bind) -> None:
        port = bound("partly:0").sockets[0].getsockname()[1]
        with pytest.raises(InvalidSettings, match=f"both:{port}: Address already in use"):
            bind(f"both:{port}")
        # And the one that could be bound was let go.
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as again:
            again.bind(("::1", port))

    @pytest.mark.parametrize(("failures", "works"), [(3, True), (99, False)])
    def test_a_port_that_is_free_on_one_only(
        self, bound: Bind, monkeypatch: pytest.MonkeyPatch, failures: int, works: bool
    ) -> None:
        bind_one, left = addresses._bind_one, failures

        def fail(family: Any, *rest: Any) -> socket.socket:
            nonlocal left
            if family == socket.AF_INET and left:
                left -= 1
                raise OSError(errno.EADDRINUSE, "Address already in use")
            return bind_one(family, *rest)

        monkeypatch.setattr(addresses, "_bind_one", fail)
        if works:
            assert len(bound("both:0").sockets) == 2
        else:
            with pytest.raises(InvalidSettings, match="in use"):
                bind("both:0")


class TestInUse:
    def test_an_address_in_use(self, bound: Bind) -> None:
        address = bound("127.0.0.1:0").address
        with pytest.raises(InvalidSettings, match=f"cannot serve on {address}: Address already in use"):
            bind(address)

    def test_several_processes_may_share_a_port(self, bound: Bind) -> None:
        address = bound("127.0.0.1:0", reuse_port=True).address
        assert bound(address, reuse_port=True).address == address

    def test_only_if_all_of_them_say_so(self, bound: Bind) -> None:
        address = bound("127.0.0.1:0", reuse_port=True).address
        with pytest.raises(InvalidSettings, match="in use"):
            bind(address)


@pytest.mark.parametrize(
    ("listen", "problem"),
    [
        ("nonsense", "neither host:port nor unix:path"),
        ("", "neither"),
        (":80", "neither"),
        ("127.0.0.1:", "neither"),
        ("127.0.0.1:http", "neither"),
        ("127.0.0.1:-1", "neither"),
        ("127.0.0.1:²", "neither"),
        ("127.0.0.1:99999", "there is no port 99999"),
        ("::1:80", "in brackets"),
        ("256.1.1.1:0", ""),
        ("[nonsense]:0", ""),
        ("192.0.2.1:0", "Cannot assign requested address"),
        ("a" * 80 + ":0", ""),
        ("unix:", "no path"),
        ("unix:/no/such/folder/s", "No such file or directory"),
        ("unix:/" + "a" * 200, "too long"),
        ("unix:/tmp/a\0b", ""),
    ],
)
def test_no_address(listen: str, problem: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        bind(listen)
    assert str(caught.value).startswith(f"cannot serve on {listen}: ")
    assert problem in str(caught.value)


class TestUnix:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "s"

    @pytest.mark.parametrize("form", ["unix:{}", "unix://{}"])
    def test_it_is_bound_and_removed(self, bound: Bind, path: Path, form: str) -> None:
        found = bound(form.format(path))
        assert found.address == form.format(path)
        reach(socket.AF_UNIX, str(path))
        found.remove_file()
        assert not path.exists()
        found.remove_file()

    def test_the_file_of_a_dead_process_is_replaced(self, bound: Bind, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        bound(f"unix:{path}")
        reach(socket.AF_UNIX, str(path))

    def test_that_of_a_live_one_is_not(self, bound: Bind, path: Path) -> None:
        bound(f"unix:{path}")
        with pytest.raises(InvalidSettings, match=f"cannot serve on unix:{path}: Address already in use"):
            bind(f"unix:{path}")
        reach(socket.AF_UNIX, str(path))

    def test_one_that_is_too_busy_is_alive(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
            busy.bind(str(path))
            busy.listen(0)
            first.connect(str(path))
            with pytest.raises(InvalidSettings, match="in use"):
                bind(f"unix:{path}")

    def test_another_file_is_left_alone(self, path: Path) -> None:
        path.write_text("precious")
        with pytest.raises(InvalidSettings, match="in use"):
            bind(f"unix:{path}")
        assert path.read_text() == "precious"

    def test_the_file_of_a_successor_stays(self, bound: Bind, path: Path) -> None:
        found = bound(f"unix:{path}")
        path.rename(path.with_name("old"))
        bound(f"unix:{path}")
        found.remove_file()
        reach(socket.AF_UNIX, str(path))
