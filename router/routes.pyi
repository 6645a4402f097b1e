from collections.abc import Callable
from typing import final

from router.families import Wanted
from router.units import Unit
from router.view import View
from version_manager.model.release import Model
from version_manager.model.resolve import Ask, Target

REMEMBERED_ROUTES: int

@final
class Route:
    # What 95 of 100 calls for it take, of how many; and which of `order` have answered it since `warm_since`,
    # and in the minute before that: see `hedges`.
    tail: float
    timed: int
    warm: int
    warm_before: int
    warm_since: float
    def __init__(
        self,
        model: Model,
        choices: tuple[tuple[int, Target], ...],
        order: tuple[str, ...],
        cells: tuple[str, ...],
        owner: bytes = b"",
        point: int = ...,
        generation: int = 0,
        near: int = 0,
        family: Wanted | None = None,
    ) -> None: ...
    @property
    def family(self) -> Wanted | None: ...
    @property
    def owner(self) -> bytes: ...
    @property
    def point(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def near(self) -> int: ...
    @property
    def copies(self) -> int: ...
    @property
    def model(self) -> Model: ...
    @property
    def choices(self) -> tuple[tuple[int, Target], ...]: ...
    @property
    def order(self) -> tuple[str, ...]: ...
    @property
    def cells(self) -> tuple[str, ...]: ...

@final
class Routes:
    def __init__(
        self,
        decide: Callable[[View, str, Ask], Route],
        random: Callable[[], float],
        *,
        remembered: int = ...,
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def view(self) -> View | None: ...
    def follow(self, view: View) -> None: ...
    def infer(self, tenant: str, request: bytes) -> list[Unit]: ...
    def model(self, tenant: str, request: bytes) -> list[Unit]: ...
    def items(self, tenant: str, request: bytes, most: int) -> list[Unit]: ...
