from collections.abc import Callable, Iterable
from typing import Any

from croupier.errors import CroupierError
from croupier.request_ids import RequestId
from croupier.telemetry.durations import Durations
from croupier.telemetry.traces import Span, Tracer
from croupier.transport.http2.call import Call
from croupier.weight import Scale

class Route:
    path: str
    is_batch: bool
    is_streaming: bool
    handler: Any
    refusal: CroupierError | None
    max_message: int
    max_open: int
    scale: Scale | None
    durations: Durations | None
    uploads: Callable[[ServerCall, int], Callable[[], None] | None] | None
    def __init__(
        self,
        path: str,
        handler: Any = None,
        *,
        batch: bool = False,
        streaming: bool = False,
        refusal: CroupierError | None = None,
        max_message: int = 0,
        max_open: int = 0,
        scale: Scale | None = None,
        durations: Durations | None = None,
        uploads: Callable[[ServerCall, int], Callable[[], None] | None] | None = None,
    ) -> None: ...

class ServerCall(Call):
    route: Route
    arrived: float
    deadline: float
    took: float
    on_cancel: Callable[[], None] | None
    span: Span | None
    is_named: bool
    has_parent: bool
    priority: int
    noted: list[tuple[bytes, bytes]] | None
    @property
    def path(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def message(self) -> bytes: ...
    @property
    def request_id(self) -> RequestId: ...
    def reply(self, message: bytes) -> None: ...
    def fail(
        self, code: int, message: str, details: bytes = b"", trailing: Iterable[tuple[bytes, bytes]] = ()
    ) -> None: ...
    def begin(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None: ...
    def send(self, message: bytes) -> None: ...
    def finish(self, trailing: Iterable[tuple[bytes, bytes]] = ()) -> None: ...
    def refuse_http(self, status: int) -> None: ...

def trace(tracer: Tracer, calls: list[ServerCall]) -> None: ...
