from collections.abc import Callable, Iterable, Sequence

from croupier.transport.http2.call import Call
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.session import Session
from croupier.transport.http2.wire import Budget

HEADERS: int
CLOSED: int

class ClientCall(Call):
    path: bytes
    request: bytes | None
    timeout: float
    done: Callable[[ClientCall], None] | None
    code: int
    is_broken: bool
    is_unprocessed: bool
    is_done: bool
    has_headers: bool
    def __init__(
        self,
        path: bytes,
        request: bytes | None = None,
        timeout: float | None = None,
        done: Callable[[ClientCall], None] | None = None,
    ) -> None: ...
    @property
    def message(self) -> bytes: ...
    @property
    def status_message(self) -> str: ...
    @property
    def details(self) -> bytes: ...
    def send(self, message: bytes, compressed: bool = False) -> None: ...
    def end(self) -> None: ...
    def cancel(self) -> None: ...
    def abort(self, code: int, message: str) -> None: ...
    def renew(self) -> bool: ...

class ClientSession(Session):
    def __init__(
        self,
        limits: Limits,
        now: float,
        budget: Budget | None = None,
        *,
        authority: str,
        secure: bool = False,
        user_agent: str = "croupier",
    ) -> None: ...
    @property
    def is_usable(self) -> bool: ...
    def skip_to(self, stream_id: int) -> None: ...
    def start(self, call: ClientCall) -> bool: ...
    def open(
        self, call: ClientCall, pairs: Iterable[tuple[bytes, bytes]] = (), encoding: bytes | None = None
    ) -> bool: ...
    def take_completed(self) -> Sequence[ClientCall]: ...
    def take_begun(self) -> Sequence[ClientCall]: ...
    def report(self, call: ClientCall) -> None: ...
