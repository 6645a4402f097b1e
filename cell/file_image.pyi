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

def adopt(
    image: Image, section: Buffer, engine: str, made: type[Model], arena: Arena | None, digest: bytes
) -> Model | None: ...
