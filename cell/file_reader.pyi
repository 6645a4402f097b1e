from typing import TypeVar

from typing_extensions import Buffer

from cell.arena import Arena
from cell.engines.native import Native

READ: int
ABSENT: int
CORRUPT: int
TOO_LARGE: int
FAILED: int

Model = TypeVar("Model", bound=Native)

class Gate:
    most: int
    def __init__(self, most: int = 0) -> None: ...
    @property
    def peak(self) -> int: ...

class Image:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def number(self) -> int: ...
    @property
    def outcome(self) -> int: ...
    @property
    def error(self) -> OSError: ...
    @property
    def size(self) -> int: ...
    @property
    def tables_size(self) -> int: ...
    @property
    def digest(self) -> bytes: ...
    @property
    def is_kept(self) -> bool: ...
    @property
    def keep_error(self) -> OSError | None: ...

class Reader:
    gate: Gate
    def __init__(self, gate: Gate, threads: int, *, nice: int = 10) -> None: ...
    def fileno(self) -> int: ...
    def submit(
        self,
        digest: bytes,
        most: int,
        *,
        path: bytes | None = None,
        file: int = -1,
        keep: bytes | None = None,
        part: bytes | None = None,
        keep_most: int = ...,
        drops_corrupt: bool = False,
    ) -> int: ...
    def populate(self, address: int, size: int) -> None: ...
    def take(self) -> list[Image]: ...
    def close(self, seconds: float = 1.0) -> None: ...

def adopt(
    image: Image, section: Buffer, engine: str, made: type[Model], arena: Arena | None, digest: bytes
) -> Model | None: ...
