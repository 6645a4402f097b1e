from croupier.transport.http2.frame_log import FrameLog
from croupier.transport.http2.wire import Wire

class Callbacks(Wire):
    frame_log: FrameLog | None
    now: float
    ping_at: float
    headers_since: float
    is_settled: bool
    is_going_away: bool
    is_broken: bool
    turn: float
    def terminate(self, error_code: int = 0) -> None: ...
