from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.session import Session
from croupier.transport.http2.wire import Budget

OPENED: int
READY: int
ENDED: int
CANCELLED: int

class ServerSession(Session):
    routes: dict[bytes, Route]
    def __init__(
        self, limits: Limits, now: float, routes: dict[bytes, Route], budget: Budget | None = None
    ) -> None: ...
    def take_batch(self) -> list[ServerCall]: ...
    def expire(self, arrived: float, answered: float) -> None: ...
