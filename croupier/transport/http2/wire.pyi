from typing import Any, Self

from croupier.errors import TooLarge

def too_much() -> TooLarge: ...

class Budget:
    used: int
    limit: int
    def __new__(
        cls, limit: int, *, growth_burst: float = 4_194_304, growth_rate: float = 4_194_304
    ) -> Self: ...

class Wire:
    wake: Any
    held: int
