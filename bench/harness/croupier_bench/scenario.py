"""A scenario: what a load test asks, of whom, how much, and what happens meanwhile, as a TOML file says it.

    scenario = load(Path("retail.toml"))
    scenario.with_(rate=20_000.0).load.rate

Each table of the file is read where its meaning is: `target`, `load`, `classes`, `levels`; here are the
events, and what has to fit together. All that is wrong is a ScenarioError, which names the key and what it
may be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from croupier_bench.arrivals import expected
from croupier_bench.classes import Popularity, RequestClass
from croupier_bench.keys import ScenarioError, Table
from croupier_bench.levels import Level, Stop, level_of, read_level
from croupier_bench.load import CLOSED, MAX_SECONDS, STEPS, Load, Shape
from croupier_bench.target import Target

__all__ = [
    "Event",
    "Load",
    "Popularity",
    "RequestClass",
    "Scenario",
    "ScenarioError",
    "Shape",
    "Stop",
    "Target",
    "load",
]

_MAX_BYTES = 16 << 20
_MAX_CLASSES = 64
_MAX_EVENTS = 10_000
_KINDS = ("release", "map", "kill", "command")
_SIGNALS = ("KILL", "TERM", "STOP", "CONT")
# Values of metadata that are nobody's business.
_SECRET = ("auth", "cookie", "key", "password", "secret", "token")
_HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Event:
    """What happens `at` so many seconds; `events` says what each kind does with its fields.

    release: `tenant`, `model`, `version`, `manager`. map: `verb`, `arguments`, `manager`. kill: `signal` to
    `pid_file`, or to the `unit` of the local stack in `folder`. command: `argv`. A `required` one that fails
    ends the run; none has longer than `timeout`.
    """

    at: float
    kind: str
    label: str = ""
    required: bool = False
    timeout: float = 60.0
    tenant: str = ""
    model: str = ""
    version: int = 0
    manager: str = ""
    verb: str = ""
    arguments: tuple[str, ...] = ()
    pid_file: str = ""
    unit: str = ""
    folder: str = ""
    signal: str = "KILL"
    argv: tuple[str, ...] = ()

    @classmethod
    def read(cls, table: Table, manager: str) -> Self:
        """`manager` is the target's. Raises ScenarioError."""
        kind = table.choice("kind", _KINDS)
        common: dict[str, Any] = {
            "at": table.seconds("at", most=MAX_SECONDS),
            "kind": kind,
            "label": table.text("label", "", most=200),
            "required": table.flag("required", default=False),
            "timeout": table.seconds("timeout", 60.0, most=86_400, above=True),
        }
        fields = _FIELDS[kind](table)
        if kind in ("release", "map") and not (found := table.text("manager", manager)):
            raise table.error("manager", "neither it nor target.manager says where the version manager is")
        if kind in ("release", "map"):
            fields["manager"] = found
        table.end()
        return cls(**common, **fields)

    def write(self) -> dict[str, Any]:
        """The table that is read as this."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}
        if self.kind != "kill":
            del told["signal"]
        return {
            name: value for name, value in told.items() if name == "at" or value not in ("", [], 0, False)
        }


@dataclass(frozen=True, slots=True)
class Scenario:
    """All of it. `level` is what has to hold: seconds by "p99" and the like, and a share of "errors"."""

    target: Target
    load: Load
    classes: tuple[RequestClass, ...]
    name: str = "load"
    seed: int = 1
    events: tuple[Event, ...] = ()
    stop: Stop = field(default_factory=Stop)
    level: Level = field(default_factory=dict)

    @property
    def slo(self) -> dict[str, float]:
        """`level` as results have it: "p99_ms" and the like, and "errors"."""
        return {
            name if name == "errors" else f"{name}_ms": value if name == "errors" else round(value * 1e3, 9)
            for name, value in self.level.items()
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Raises ScenarioError."""
        table = Table(values)
        name, seed = table.text("name", "load", most=100), table.whole("seed", 1, least=0, most=2**63 - 1)
        target = Target.read(table.must("target"))
        load = Load.read(table.must("load"))
        classes = tuple(
            RequestClass.read(each, target.protocol) for each in table.tables("class", most=_MAX_CLASSES)
        )
        if not classes:
            raise ScenarioError("class", "it is missing: there is one [[class]] at least, what is asked for")
        events = tuple(Event.read(each, target.manager) for each in table.tables("event", most=_MAX_EVENTS))
        stop, level = table.table("stop"), table.table("slo")
        found = cls(
            target,
            load,
            classes,
            name,
            seed,
            events,
            Stop() if stop is None else Stop.read(stop),
            {} if level is None else read_level(level),
        )
        table.end()
        found._check_names()
        found._check_tenants()
        found._check_cold()
        return found

    def to_json(self) -> dict[str, Any]:
        """The scenario as given, with all defaults; without what metadata may have of secrets."""
        told = self._write()
        metadata = told["target"]["metadata"]
        for key in metadata:
            if any(word in key.lower() for word in _SECRET):
                metadata[key] = _HIDDEN
        return told

    def with_(
        self,
        *,
        rate: float | None = None,
        seconds: float | None = None,
        workers: int | None = None,
        connections: int | None = None,
        warm_up: float | None = None,
        seed: int | None = None,
        address: str | None = None,
        slo: str | Level | None = None,
    ) -> Scenario:
        """The same with something else; steps are scaled so that the highest has the `rate`.

        More workers have more connections, if there are too few. `slo` is a level, or words for one, as a
        command line has them. Raises ScenarioError as `read` does.
        """
        told = self._write()
        load = told["load"]
        changed = {"seconds": seconds, "warm_up": warm_up, "workers": workers, "connections": connections}
        load |= {name: value for name, value in changed.items() if value is not None}
        if workers is not None and connections is None:
            load["connections"] = max(load["connections"], workers)
        if rate is not None and self.load.shape.kind == STEPS:
            rates = self.load.shape.rates
            load["shape"]["rates"] = [each * (rate / max(rates)) for each in rates]
        elif rate is not None:
            load["rate"] = rate
        if seed is not None:
            told["seed"] = seed
        if address is not None:
            told["target"]["addresses"] = [address]
        if slo is not None:
            told["slo"] = dict(level_of(slo) if isinstance(slo, str) else slo)
        return Scenario.read(told)

    def _write(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "seed": self.seed,
            "target": self.target.write(),
            "load": self.load.write(),
            "class": [each.write() for each in self.classes],
            "event": [each.write() for each in self.events],
            "stop": self.stop.write(),
            "slo": dict(self.level),
        }

    def _check_tenants(self) -> None:
        """A header takes ASCII."""
        for at, asked in enumerate(self.classes):
            strange = next((name for name in asked.tenant_names if not name.isascii()), "")
            if strange and self.target.tenant_header:
                raise ScenarioError(
                    f"class[{at}].tenants", f"{strange!r} has other than ASCII, and goes in a header"
                )

    def _check_names(self) -> None:
        seen: dict[str, RequestClass] = {}
        for at, asked in enumerate(self.classes):
            if asked.name in seen:
                raise ScenarioError(f"class[{at}].name", f"another class is called {asked.name!r} too")
            for other in seen.values():
                if other.features != asked.features and other.may_share_models(asked):
                    raise ScenarioError(
                        f"class[{at}].features",
                        f"class {other.name!r} has models of the same names with {other.features} features: "
                        "give the models of one class another `prefix`, or tenants of their own",
                    )
            seen[asked.name] = asked

    def _check_cold(self) -> None:
        """Each cold model is asked once: there have to be as many as there are requests for them."""
        if self.load.mode == CLOSED:
            return
        total = sum(asked.weight for asked in self.classes)
        for at, asked in enumerate(self.classes):
            mean = expected(self.load) * asked.cold * asked.weight / total
            most = int(mean + 6 * mean**0.5) + 1
            if asked.cold and asked.cold_models < most:
                raise ScenarioError(
                    f"class[{at}].cold_models",
                    f"{asked.cold_models} are too few for some {mean:.0f} requests for models that nobody "
                    f"has asked for before: take {most}, or a smaller share",
                )


def load(source: Path | str) -> Scenario:
    """The scenario in a file, or in a text that is TOML itself: one of several lines.

    Raises:
        ScenarioError: what is wrong with it; its key is "" if it cannot be read, or is no TOML.
    """
    text = source if isinstance(source, str) and "\n" in source else _text_of(Path(source))
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError("", f"this is no TOML: {error}") from None
    scenario = Scenario.read(values)
    for at, event in enumerate(scenario.events):
        if event.at > scenario.load.seconds:
            raise ScenarioError(
                f"event[{at}].at", f"{event.at:g} s: the run is over after {scenario.load.seconds:g} s"
            )
    return scenario


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ScenarioError("", f"{path} has more than {_MAX_BYTES} bytes")
        return data.decode()
    except OSError as error:
        raise ScenarioError("", f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError("", f"{path} is no UTF-8, and so no TOML") from None


def _read_release(table: Table) -> dict[str, Any]:
    return {
        "tenant": table.name("tenant"),
        "model": table.name("model"),
        "version": table.whole("version", least=1, most=2**63 - 1),
    }


def _read_map(table: Table) -> dict[str, Any]:
    return {"verb": table.text("verb", most=200), "arguments": table.texts("arguments", (), most=100)}


def _read_kill(table: Table) -> dict[str, Any]:
    pid_file, unit = table.text("pid_file", ""), table.text("unit", "", most=200)
    if bool(pid_file) == bool(unit):
        raise table.error("unit", "there is either `unit`, of a local stack, or `pid_file`")
    return {
        "pid_file": pid_file,
        "unit": unit,
        "folder": table.text("folder", ""),
        "signal": table.choice("signal", _SIGNALS, "KILL"),
    }


def _read_command(table: Table) -> dict[str, Any]:
    argv = table.texts("argv", most=1_000)
    if not argv or not argv[0]:
        raise table.error("argv", "it is empty: a program and its arguments, as a list of texts")
    return {"argv": argv}


_FIELDS = {"release": _read_release, "map": _read_map, "kill": _read_kill, "command": _read_command}
assert tuple(_FIELDS) == _KINDS
