from typing import final

from croupier.request_ids import Named
from croupier.stores.spool_writer import Appender
from router.units import Unit

SEED: int

@final
class PredictionLog:
    def __init__(self, appender: Appender, word: str, slow: float) -> None: ...
    def ended(self, method: str, caller: Named, tenant: str, units: list[Unit], seconds: float) -> None: ...
