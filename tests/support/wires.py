"""A stack whose connections lead through proxies: to each cell, and from the version manager to etcd."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from support.ports import free_port
from support.proxy import TcpProxy

from croupierctl.stack import Stack


class Wires:
    """Proxies in a thread with an event loop of its own, by the name of what they lead to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._proxies: dict[str, TcpProxy] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for proxy in self._proxies.values():
            self._do(proxy.cut)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lay(self, name: str, target: str) -> str:
        """A proxy to `target`; returns its address."""
        proxy = TcpProxy(target)
        self._do(proxy.mend)
        self._proxies[name] = proxy
        return proxy.endpoint

    def cut(self, name: str) -> None:
        """Break every connection and refuse new ones."""
        self._do(self._proxies[name].cut)

    def hang(self, name: str) -> None:
        """Keep and accept connections, and carry nothing."""
        self._loop.call_soon_threadsafe(self._proxies[name].hang)

    def mend(self, name: str) -> None:
        self._do(self._proxies[name].mend)

    def _do(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)


@dataclass(slots=True)
class WiredStack(Stack):
    """Cells are advertised, and etcd is reached, at proxies."""

    wires: Wires = field(default_factory=Wires)

    def _cell_argv(self, number: int) -> list[str]:
        port = free_port()
        advertised = self.wires.lay(f"cell-{number}", f"127.0.0.1:{port}")
        argv = Stack._cell_argv(self, number)
        return [*argv, "--listen", f"127.0.0.1:{port}", "--advertise", advertised]

    def _manager_argv(self, name: str) -> list[str]:
        argv = Stack._manager_argv(self, name)
        return [*argv, "--etcd", self.wires.lay("etcd", self.process("etcd").address)]
