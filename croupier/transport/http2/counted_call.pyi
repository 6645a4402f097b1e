from collections.abc import Iterable, Sequence
from typing import Self, final

from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import ClientSession

@final
class CountedCall(ClientCall):
    kind: int
    model: int
    number: int
    due: float
    sent: float
    is_kept: bool
    has_failed_item: bool
    def __init__(
        self,
        path: bytes,
        request: bytes,
        timeout: float,
        pairs: tuple[tuple[bytes, bytes], ...],
        kind: int,
        model: int,
        number: int,
        due: float,
        is_kept: bool,
    ) -> None: ...

@final
class Counts:
    start: float
    kinds: int
    late: int
    since: int
    failed: int
    ended: int
    def __new__(cls, predicts: Sequence[bool], *, timeout: float) -> Self: ...
    def sent(self, calls: list[CountedCall], at: float) -> None: ...
    def take(self, completed: Iterable[ClientCall], now: float) -> list[CountedCall]: ...
    def answer(self, kind: int, due: float, sent: float, now: float) -> int: ...
    def fail(self, due: float, now: float) -> int: ...
    def send(self, due: float, at: float) -> int: ...
    def harvest(self) -> list[tuple[int, int, int, float, float, bytes]]: ...

def is_answered(response: bytes) -> bool: ...
def expired(session: ClientSession, before: float) -> list[CountedCall]: ...
