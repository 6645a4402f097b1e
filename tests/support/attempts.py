"""Cells that follow a script, for attempts, by a clock that only the tests move."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from croupier.errors import CroupierError, InternalError
from protos.inference.v2 import inference_pb2
from router.attempt import Attempts, CellCall, Run
from router.breakers import Breakers
from router.budget import RetryBudget
from router.loads import Loads
from router.losses import CellLost, CellUnreachable
from router.remembered import Route
from router.routes import Routes
from router.units import Unit
from router.view import EMPTY
from router.wheel import Wheel
from version_manager.model.encode import write_model
from version_manager.model.release import WHOLE, Model
from version_manager.model.resolve import Target

TIMEOUT = 1.0
HAND = ("a", "b", "c")
HANG = "hang"
# Hangs, and says before long that it is at work.
WORK = "work"
SAID_SECONDS = 0.05


class Sent:
    """A call to a fake cell."""

    def __init__(self, fleet: Fleet, call: CellCall, line: Any) -> None:
        self.fleet, self.call, self.line = fleet, call, line
        self.since = fleet.now

    def cancel(self) -> None:
        self.fleet.cancelled.append(self.call.cell)
        self.fleet.under_way.remove(self)


class Fleet:
    """Cells that do, call by call, what their script says; the last line again and again.

    `at_once`: errors are raised as the call is made, not told later.
    """

    def __init__(
        self,
        *,
        budget: float = 100.0,
        timeout: float = TIMEOUT,
        threshold: int = 3,
        at_once: bool = False,
        loads: Loads | None = None,
        **scripts: Any,
    ) -> None:
        self.now = 1000.0
        self.wheel = Wheel()
        self.breakers = Breakers(threshold=threshold, first=60.0, longest=60.0)
        tokens = RetryBudget(now=self.now, share=0.0, per_second=0.0, most=budget)
        tokens._tokens = budget
        self.attempts = Attempts(
            self.breakers, tokens, self.wheel, clock=lambda: self.now, timeout=timeout, loads=loads
        )
        self.at_once = at_once
        self.play(**scripts)
        self.under_way: list[Sent] = []
        self.calls: list[tuple[str, list[bytes]]] = []
        self.timeouts: list[float | None] = []
        self.cancelled: list[str] = []
        # That of the model `m`, for tests that ask for it again and again.
        self.route = route_of("m")

    def play(self, **scripts: Any) -> None:
        self.scripts = {cell: list(lines) for cell, lines in scripts.items()}

    # The exchange of the attempts

    def start(self, call: CellCall, timeout: float | None) -> Sent:
        self.calls.append((call.cell, [unit.payload for unit in call.units]))
        self.timeouts.append(timeout)
        lines = self.scripts.get(call.cell, [b"ok"])
        line = lines.pop(0) if len(lines) > 1 else lines[0]
        if isinstance(line, Exception) and (self.at_once or not isinstance(line, CroupierError)):
            raise line
        sent = Sent(self, call, line)
        self.under_way.append(sent)
        return sent

    def outcomes(self, call: CellCall, response: bytes) -> list[Any]:
        if response == b"unreadable":
            raise InternalError("unreadable")
        if response == b"bug":
            raise ZeroDivisionError
        if response == b"few":
            return [response]
        [line] = [sent.line for sent in self.under_way if sent.call is call] or [response]
        if isinstance(line, dict):
            return [line.get(unit.payload, unit.payload + call.cell.encode()) for unit in call.units]
        return [response + b" " + call.cell.encode()] * len(call.units)

    def refusal(self, outcome: bytes) -> CroupierError | None:
        return None

    # What tests do

    def ask(self, *units: Unit, seconds: float = 10.0) -> Asking:
        return Asking(self, list(units) or [Unit(b"?", HAND)], self.now + seconds)

    def deliver(self, *, late: bool = False) -> None:
        """Let every call end that is not told to hang, or what hangs as well."""
        for sent in self.under_way:
            if sent.line == WORK and self.now >= sent.since + SAID_SECONDS:
                sent.call.begin()
        while ready := [sent for sent in self.under_way if late or sent.line not in (HANG, WORK)]:
            sent = ready[0]
            if isinstance(sent.line, Exception):
                self.under_way.remove(sent)
                sent.call.fail(sent.line)  # type: ignore[arg-type]
            else:
                if not isinstance(sent.line, dict):
                    self.under_way.remove(sent)
                sent.call.answer(sent.line if isinstance(sent.line, bytes) else b"late")
                if sent in self.under_way:
                    self.under_way.remove(sent)

    def wait(self, seconds: float) -> None:
        """Let time pass in small steps, and let end what ends meanwhile."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.01)
            self.wheel.advance(self.now)
            self.deliver()

    def is_open(self, cell: str) -> bool:
        return self.breakers.is_open(cell, self.now)

    @property
    def asked(self) -> list[str]:
        return [cell for cell, _ in self.calls]


class Asking:
    """A run, and how often it has ended."""

    def __init__(self, fleet: Fleet, units: list[Unit], deadline: float) -> None:
        self.fleet, self.units, self.ends = fleet, units, 0
        self.run: Run = fleet.attempts.run(units, fleet, deadline, fleet.now, self._end, 1)

    def _end(self, count: int) -> None:
        self.ends += count

    def answers(self) -> Sequence[Any]:
        """Let every call end; the outcomes."""
        self.fleet.deliver()
        assert self.ends == 1, "it has not ended, or more than once"
        assert self.run.slot is None, "it waits in the wheel still"
        return [unit.outcome for unit in self.units]

    def answer(self) -> Any:
        [outcome] = self.answers()
        return outcome


def down() -> CellUnreachable:
    return CellUnreachable("down")


def lost() -> CellLost:
    return CellLost("lost")


def artifact(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def route_of(name: str) -> Route:
    """The route of the model `name`, any cell of whose hand may be chosen."""
    target = Target("acme", name, 1, artifact(name))
    return Route(write_model(Model("acme", name, {})), ((WHOLE, target),), HAND, HAND, near=len(HAND))


def routed(name: str, route: Route | None = None) -> Unit:
    """A unit of the model `name`, whose artifact may be asked of the whole hand."""
    route = route_of(name) if route is None else route
    routes = Routes(lambda view, tenant, ask: route, lambda: 0.0)
    routes.follow(EMPTY)
    [unit] = routes.infer("acme", inference_pb2.ModelInferRequest(model_name=name).SerializeToString())
    return unit
