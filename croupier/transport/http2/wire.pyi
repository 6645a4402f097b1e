from typing import Any

from croupier.errors import TooLarge

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
