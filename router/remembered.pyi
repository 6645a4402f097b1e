from typing import final

from router.families import Wanted
from version_manager.model.resolve import Target

BYTES_OF_MODEL: int
LEAST_BYTES: int

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
        record: bytes,
        choices: tuple[tuple[int, Target], ...],
        order: tuple[str, ...],
        cells: tuple[str, ...],
        *,
        near: int = 0,
        family: Wanted | None = None,
    ) -> None: ...
    @property
    def family(self) -> Wanted | None: ...
    @property
    def near(self) -> int: ...
    @property
    def copies(self) -> int: ...
    # Where there is no choice, as `Target` has them; None where there is one.
    @property
    def version(self) -> int | None: ...
    @property
    def artifact(self) -> bytes | None: ...
    @property
    def record(self) -> bytes: ...
    @property
    def choices(self) -> tuple[tuple[int, Target], ...]: ...
    @property
    def order(self) -> tuple[str, ...]: ...
    @property
    def cells(self) -> tuple[str, ...]: ...

@final
class Owner: ...

@final
class Split: ...

@final
class Remembered:
    def __init__(self, least: int) -> None: ...
    def __len__(self) -> int: ...
    @property
    def taken(self) -> int: ...
