from typing import Self

from cell.loading.file_image import Image
from cell.loading.gate import Gate

class Reader:
    gate: Gate
    def __new__(cls, gate: Gate, threads: int, *, nice: int = 10) -> Self: ...
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
