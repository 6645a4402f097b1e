from typing import Self

class Gate:
    most: int
    def __new__(cls, most: int = 0) -> Self: ...
    @property
    def peak(self) -> int: ...
