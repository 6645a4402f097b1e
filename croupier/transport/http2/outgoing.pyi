from croupier.transport.http2.headers import Headers

WRITABLE_EVENT: int

class Outgoing(Headers):
    stream_id: int
    @property
    def is_writable(self) -> bool: ...
