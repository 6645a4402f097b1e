from collections.abc import Callable
from typing import final

HEADER_BYTES: int
FRAME_BYTES: int
HEAD_BYTES: int

def crc32c(data: bytes | memoryview, plain: bool = ...) -> int: ...

@final
class Appender:
    segment_size: int
    kept: int
    dropped: int
    segment: int
    def __init__(self, segment_size: int, full: Callable[[], object]) -> None: ...
    @property
    def has_spare(self) -> bool: ...
    def give(self, file: int, number: int) -> None: ...
    def let_go(self) -> None: ...
    def close(self) -> None: ...
    def append(
        self,
        *,
        kind: int,
        flags: int,
        item: int,
        time_us: int,
        version: int,
        number: int,
        took_us: int,
        request_id: str,
        tenant: str,
        model: str,
        family: str,
        shadow_of: str,
        rule: bytes,
        artifact: bytes,
        request: bytes,
        shared: bytes,
        added: bytes,
        reply: bytes,
    ) -> bool: ...
