"""The blocking I/O of one stream: items in, answers out, a new connection when one breaks.

Items are pulled in the caller's thread, because theirs are the database cursors and the errors;
only the outbox is read by grpcio's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Optional

import grpc

from croupier_client.decode import Outcome
from croupier_client.encode import Item
from croupier_client.errors import CroupierError, Unavailable
from croupier_client.messages import prediction as pb
from croupier_client.status import from_rpc_error
from croupier_client.window import Window

# How long a server may take to end a stream that has nothing left to say.
_FAREWELL = 1.0

Connect = Callable[[Iterator[pb.PredictStreamRequest], Optional[float]], Any]


class BlockingExchange:
    """`answer()` until it returns None, then `close()`."""

    def __init__(self, connect: Connect, items: Iterable[Item], window: Window) -> None:
        self._connect = connect
        self._items = iter(items)
        self._window = window
        self._exhausted = False
        self._call: Any = None
        self._outbox: SimpleQueue[pb.PredictStreamRequest | None] = SimpleQueue()

    def answer(self) -> tuple[int, Outcome] | None:
        """The next item's id and outcome; None when every item has one.

        Raises:
            CroupierError: the stream failed for good.
            Exception: whatever `items` raised.
        """
        while True:
            if self._call is None:
                self._open()
            if (refused := self._fill()) is not None:
                return refused
            if not self._window:
                return None
            if (answered := self._read()) is not None:
                return answered

    def close(self) -> None:
        """End the call, gently when all was answered."""
        if self._call is not None and self._exhausted and not self._window:
            ended = threading.Event()
            if self._call.add_callback(ended.set):
                ended.wait(_FAREWELL)
        self._hang_up()

    def _fill(self) -> tuple[int, Outcome] | None:
        while self._window.has_room and not self._exhausted:
            item = next(self._items, None)
            if item is None:
                self._exhausted = True
                self._outbox.put(None)
                break
            id_, request = self._window.offer(item)
            if isinstance(request, CroupierError):
                return id_, request
            self._outbox.put(request)
        return None

    def _read(self) -> tuple[int, Outcome] | None:
        try:
            return self._window.accept(next(self._call))
        except StopIteration:
            self._lost(Unavailable("the server ended the stream before it had answered"))
        except grpc.RpcError as error:
            self._lost(from_rpc_error(error))
        return None

    def _lost(self, error: CroupierError) -> None:
        self._hang_up()
        time.sleep(self._window.broken(error, time.monotonic()))

    def _open(self) -> None:
        self._outbox = SimpleQueue()
        for request in self._window.unanswered():
            self._outbox.put(request)
        if self._exhausted:
            self._outbox.put(None)
        timeout = self._window.deadline.timeout(time.monotonic())
        self._call = self._connect(iter(self._outbox.get, None), timeout)

    def _hang_up(self) -> None:
        if self._call is not None:
            # grpcio's thread waits for requests until it is told that there are no more.
            self._outbox.put(None)
            self._call.cancel()
            self._call = None
