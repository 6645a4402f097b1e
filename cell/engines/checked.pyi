from typing import TypeVar

from typing_extensions import Buffer

from cell.engines.native import Native
from cell.memory.arena import Arena

Model = TypeVar("Model", bound=Native)

class CheckedFile:
    def __buffer__(self, flags: int, /) -> memoryview: ...

def adopt(
    file: CheckedFile, section: Buffer, engine: str, made: type[Model], arena: Arena | None, digest: bytes
) -> Model | None: ...
