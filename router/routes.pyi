from collections.abc import Callable
from typing import final

from router.families import Wanted
from router.remembered import Remembered, Route
from router.route import Deal
from router.units import Unit
from router.view import View
from version_manager.model.resolve import Ask

@final
class Routes:
    def __init__(
        self,
        decide: Callable[[View, str, Ask], Route],
        random: Callable[[], float],
        *,
        deal: Callable[[View, str], Deal] = ...,
        wanted: Callable[[View, str, str], Wanted | None] | None = None,
        least: int = ...,
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def view(self) -> View | None: ...
    @property
    def remembered(self) -> Remembered: ...
    def follow(self, view: View) -> None: ...
    def infer(self, tenant: str, request: bytes) -> list[Unit]: ...
    def model(self, tenant: str, request: bytes) -> list[Unit]: ...
    def items(self, tenant: str, request: bytes, most: int) -> list[Unit]: ...
