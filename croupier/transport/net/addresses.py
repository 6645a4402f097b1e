"""Binding sockets to `host:port` or `unix:path`, without surprises.

- An address in use is an error, unless several processes mean to share it (`reuse_port`).
- A name may stand for several addresses: all of them are bound, to one port. Those that this machine
  does not have, like `::1` where IPv6 is off, are left out as long as one is left.
- `[::]` takes IPv4 as well, as it does with grpcio.
- The socket file of a process that is dead is replaced, that of a live one is not. Closing removes the
  file unless it is someone else's by then. Two processes that begin on one path in the same instant are
  not told apart.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from croupier.settings import InvalidSettings

_BACKLOG = 4096
_PORT_ATTEMPTS = 8
_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_PROBE_SECONDS = 1.0

# A family and an address as `socket.bind` takes it.
_Info = tuple[socket.AddressFamily, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Bound:
    """Listening sockets, the address by which they can be reached, and how to remove their file."""

    sockets: list[socket.socket]
    address: str
    remove_file: Callable[[], None]


def bind(listen: str, *, reuse_port: bool = False) -> Bound:
    """Listen on `host:port` or `unix:path`; sockets do not block.

    Raises:
        InvalidSettings: it is no address, not one of this machine, or in use.
    """
    try:
        if listen.startswith("unix:"):
            return _bind_path(listen)
        host, port = split_address(listen)
        sockets = _bind_host(host, port, reuse_port)
    except (OSError, ValueError, InvalidSettings) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidSettings(f"cannot serve on {listen}: {reason}") from error
    bound_port = sockets[0].getsockname()[1]
    return Bound(sockets, f"{listen.rpartition(':')[0]}:{bound_port}", lambda: None)


def split_address(address: str) -> tuple[str, int]:
    """Host, without brackets, and port of `host:port`.

    Raises:
        InvalidSettings: it is not of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        raise InvalidSettings(f"{address!r} is neither host:port nor unix:path")
    if int(port) > 65_535:
        raise InvalidSettings(f"there is no port {port}")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise InvalidSettings(f"the IPv6 address of {address!r} goes in brackets")
    return host, int(port)


def socket_path(address: str) -> str:
    """The path of `unix:path`, which may also be written `unix:///path`."""
    return address.removeprefix("unix:").removeprefix("//")


def _bind_host(host: str, port: int, reuse_port: bool) -> list[socket.socket]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    infos: list[_Info] = list(dict.fromkeys((info[0], info[4]) for info in found))
    # The free port of the first address may be taken on the second one.
    attempts = 1 if port or len(infos) == 1 else _PORT_ATTEMPTS
    while True:
        attempts -= 1
        try:
            return _bind_all(infos, port, reuse_port)
        except OSError as error:
            if not attempts or error.errno != errno.EADDRINUSE:
                raise


def _bind_all(infos: list[_Info], port: int, reuse_port: bool) -> list[socket.socket]:
    absent: OSError | None = None
    sockets: list[socket.socket] = []
    with ExitStack() as stack:
        for family, (host, _, *rest) in infos:
            try:
                bound = _bind_one(family, (host, port, *rest), reuse_port)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                continue
            sockets.append(stack.enter_context(bound))
            port = port or bound.getsockname()[1]
        if not sockets and absent is not None:
            raise absent
        stack.pop_all()
    return sockets


def _bind_one(family: socket.AddressFamily, where: tuple[Any, ...], reuse_port: bool) -> socket.socket:
    with ExitStack() as stack:
        bound = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        # On Linux this allows for connections that linger, and not for a second listener.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        # Accepted connections inherit it.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(where)
        _begin(bound)
        stack.pop_all()
    return bound


def _bind_path(listen: str) -> Bound:
    path = socket_path(listen)
    if not path:
        raise InvalidSettings("there is no path after unix:")
    _remove_stale(path)
    with ExitStack() as stack:
        bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        bound.bind(path)
        ours = _identity(path)
        _begin(bound)
        stack.pop_all()
    return Bound([bound], listen, lambda: _remove(path, ours))


def _begin(bound: socket.socket) -> None:
    bound.setblocking(False)
    bound.listen(_BACKLOG)


def _remove_stale(path: str) -> None:
    """Remove the socket file that a dead process left; anything else that is there makes `bind` fail."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            # Too busy to answer, or not ours to ask.
            return


def _remove(path: str, ours: tuple[int, int]) -> None:
    with suppress(OSError):
        if _identity(path) == ours:
            os.unlink(path)


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
