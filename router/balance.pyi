from typing import final

from router.copies import Copies
from router.loads import Loads
from router.units import Unit

@final
class Balance:
    def __init__(self, loads: Loads, copies: Copies) -> None: ...
    def place(self, units: list[Unit], now: float, priority: int = 0) -> None: ...
