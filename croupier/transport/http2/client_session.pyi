from collections.abc import Iterable, Sequence

from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.session import Session
from croupier.transport.http2.wire import Budget

HEADERS: int
CLOSED: int

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
    def open(self, call: ClientCall, pairs: Iterable[tuple[bytes, bytes]] = ()) -> bool: ...
    def take_completed(self) -> Sequence[ClientCall]: ...
    def take_begun(self) -> Sequence[ClientCall]: ...
