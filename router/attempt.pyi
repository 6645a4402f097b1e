from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVarTuple

from croupier.errors import CroupierError, Unavailable
from router.breakers import Breakers
from router.budget import RetryBudget
from router.suspects import Suspects
from router.units import Unit
from router.wheel import Item, Wheel

Args = TypeVarTuple("Args")

# For type checkers only, as are the protocols.
Outcome: TypeAlias = bytes | CroupierError

class CellUnreachable(Unavailable): ...
class CellLost(CellUnreachable): ...
class NoCell(Unavailable): ...

class Sent(Protocol):
    """A call that is under way."""

    def cancel(self) -> None:
        """Give it up: its flight will not land."""

class Line(Protocol):
    """How units travel to a cell, and what its answer says about each of them."""

    def send(self, flight: Flight, timeout: float | None) -> Sent:
        """Call `flight.cell` for `flight.units`; later, and once, `flight.land` or `flight.fail` is called.

        `timeout` in seconds is for the cell to know. Raises CroupierError if there is nobody to call.
        """

    def outcomes(self, flight: Flight, response: bytes) -> list[Outcome]:
        """An outcome for each unit of `flight`; raises CroupierError for all of them."""

    def refusal(self, outcome: bytes) -> CroupierError | None:
        """The error that an outcome is, if it is one."""

class Attempts:
    def __init__(
        self,
        breakers: Breakers,
        budget: RetryBudget,
        wheel: Wheel,
        *,
        clock: Callable[[], float],
        patience: float = 1.0,
        suspects: Suspects | None = None,
    ) -> None: ...
    @property
    def suspects(self) -> Suspects: ...
    @property
    def breakers(self) -> Breakers: ...
    @property
    def budget(self) -> RetryBudget: ...
    @property
    def wheel(self) -> Wheel: ...
    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def patience(self) -> float: ...
    def run(
        self,
        units: list[Unit],
        line: Line,
        deadline: float,
        now: float,
        ended: Callable[[*Args], None],
        *args: *Args,
    ) -> Run: ...

class Flight:
    @property
    def cell(self) -> str: ...
    @property
    def units(self) -> list[Unit]: ...
    def begin(self) -> None: ...
    def land(self, response: bytes) -> None: ...
    def fail(self, error: CroupierError) -> None: ...

class Run:
    slot: set[Item] | None
    def cancel(self) -> None: ...
    def expire(self, now: float) -> None: ...
