from typing import Any

from croupier.errors import TooLarge

MESSAGE_EVENT: int
WRITABLE_EVENT: int

def too_much() -> TooLarge: ...

class Budget:
    used: int
    limit: int
    def __init__(
        self, limit: int, *, growth_burst: float = 4_194_304, growth_rate: float = 4_194_304
    ) -> None: ...

class Wire:
    wake: Any
    held: int

class Call:
    tag: Any
    stream_id: int
    encoding: str | None
    @property
    def is_writable(self) -> bool: ...
    @property
    def has_message(self) -> bool: ...
    @property
    def is_remote_ended(self) -> bool: ...
    def values(self, name: bytes) -> tuple[bytes, ...]: ...
    def raw_metadata(self, trailing: bool = False) -> list[tuple[bytes, bytes]]: ...
    def take(self) -> bytes | None: ...
