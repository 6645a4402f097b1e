"""What is asked, and of which models: a scenario's tables [[class]]."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from croupier.artifacts.datatypes import DATATYPES
from croupier_bench.keys import Table
from croupier_bench.target import CROUPIER, OIP

UNARY, ITEMS, STREAM = "unary", "items", "stream"
ZIPF, UNIFORM = "zipf", "uniform"

MAX_MODELS = 1_000_000
MAX_MESSAGE = 16 << 20
MAX_ITEMS = 4_096
MAX_ROWS = 65_536
MAX_FEATURES = 32_768
_MAX_NAMES = 100_000
_MAX_PREFIX = 100

_NUMBERS = tuple(name for name, dtype in DATATYPES.items() if dtype.kind in "iuf")
# Those of a row of Croupier's own API.
_ROW_NUMBERS = ("FP32", "FP64")
_TENANT = re.compile(r"tenant-(\d{5,7})")


@dataclass(frozen=True, slots=True)
class Popularity:
    """How uneven the requests for models are.

    `drift`: the part of the ranks that changes hands, a minute. `scan`: the share of requests that go through
    all models in order, over and over.
    """

    kind: str = UNIFORM
    alpha: float = 0.0
    drift: float = 0.0
    scan: float = 0.0

    @classmethod
    def read(cls, table: Table) -> Self:
        """Raises ScenarioError."""
        kind = table.choice("kind", (UNIFORM, ZIPF))
        alpha = table.number("alpha", 1.0, least=0, most=10) if kind == ZIPF else 0.0
        drift, scan = table.share("drift", 0.0), table.share("scan", 0.0)
        table.end()
        return cls(kind, alpha, drift, scan)

    def write(self) -> dict[str, Any]:
        """The table that is read as this."""
        told = {"kind": self.kind, "drift": self.drift, "scan": self.scan}
        return told | ({"alpha": self.alpha} if self.kind == ZIPF else {})


@dataclass(frozen=True, slots=True)
class RequestClass:
    """Requests of one kind, and the models that they are for.

    A model is a number below `models`, or behind these one of `cold_models`; it belongs to the tenant of its
    number modulo that of tenants. Without `tenant_names` and `names` all have made-up ones. `cold` is the
    share of requests that are for one of the cold models, each of which is asked once.

    With `call` "unary" a request is a ModelInfer of `rows` rows; else one of `items` items, a Predict or a
    message of a PredictStream.
    """

    name: str
    weight: float = 1.0
    tenants: int = 1
    tenant_names: tuple[str, ...] = ()
    models: int = 1
    names: tuple[str, ...] = ()
    prefix: str = "model"
    popularity: Popularity = Popularity()
    cold: float = 0.0
    cold_models: int = 0
    call: str = UNARY
    items: int = 1
    rows: int = 1
    features: int = 20
    datatype: str = "FP32"
    input: str = "input"

    @property
    def all_models(self) -> int:
        """Cold ones too."""
        return self.models + self.cold_models

    @property
    def rows_of_each(self) -> int:
        """Rows of a request, however it carries them."""
        return self.rows if self.call == UNARY else self.items

    def tenant_number(self, model_index: int) -> int:
        return (model_index if model_index < self.models else model_index - self.models) % self.tenants

    def tenant(self, model_index: int) -> str:
        number = self.tenant_number(model_index)
        return self.tenant_names[number] if self.tenant_names else f"tenant-{number:05}"

    def model(self, model_index: int) -> str:
        """What its tenant calls the model."""
        if model_index >= self.models:
            return f"{self.prefix}-cold-{(model_index - self.models) // self.tenants:04}"
        number = model_index // self.tenants
        return self.names[number] if self.names else f"{self.prefix}-{number:04}"

    def may_share_models(self, other: RequestClass) -> bool:
        """Whether a model of this class is, by the names, one of the other's too, as far as easily told."""
        return self._shares_tenants(other) and self._may_share_names(other)

    @classmethod
    def read(cls, table: Table, protocol: str) -> Self:
        """Raises ScenarioError."""
        tenants, tenant_names = _read_tenants(table)
        models, names = _read_models(table, tenants)
        below = table.table("popularity")
        found = cls(
            name=table.name("name"),
            weight=table.number("weight", 1.0, least=0, above=True, most=1e9),
            tenants=tenants,
            tenant_names=tenant_names,
            models=models,
            names=names,
            prefix=_read_prefix(table),
            popularity=Popularity() if below is None else Popularity.read(below),
            cold=table.share("cold", 0.0),
            cold_models=table.whole("cold_models", 0, least=0, most=MAX_MODELS),
            call=_read_call(table, protocol),
            items=table.whole("items", 1, least=1, most=MAX_ITEMS),
            rows=table.whole("rows", 1, least=1, most=MAX_ROWS),
            features=table.whole("features", 20, least=1, most=MAX_FEATURES),
            datatype=table.choice("datatype", _NUMBERS, "FP32"),
            input=table.text("input", "input", most=256),
        )
        table.end()
        found._check_shares(table)
        found._check_size(table)
        return found

    def write(self) -> dict[str, Any]:
        """The table that is read as this."""
        told: dict[str, Any] = {
            "name": self.name,
            "weight": self.weight,
            "tenants": list(self.tenant_names) or self.tenants,
            "prefix": self.prefix,
            "popularity": self.popularity.write(),
            "cold": self.cold,
            "cold_models": self.cold_models,
            "call": self.call,
            "features": self.features,
            "datatype": self.datatype,
            "input": self.input,
        }
        told |= {"names": list(self.names)} if self.names else {"models": self.models}
        return told | ({"rows": self.rows} if self.call == UNARY else {"items": self.items})

    def _check_shares(self, table: Table) -> None:
        if bool(self.cold) != bool(self.cold_models):
            missing = "cold_models" if self.cold else "cold"
            raise table.error(missing, "`cold` and `cold_models` go together, and both are above 0")
        if self.cold + self.popularity.scan > 1:
            raise table.error("cold", "together with the share of the scan it is over 1")

    def _check_size(self, table: Table) -> None:
        several, other = ("rows", "items") if self.call == UNARY else ("items", "rows")
        if (self.items > 1 and self.rows > 1) or getattr(self, other) > 1:
            raise table.error(other, f'with call = "{self.call}" a request has `{several}`')
        if self.call != UNARY and self.datatype not in _ROW_NUMBERS:
            raise table.error("datatype", f'with call = "{self.call}" it is {" or ".join(_ROW_NUMBERS)}')
        size = self.rows_of_each * self.features * DATATYPES[self.datatype].itemsize
        if size > MAX_MESSAGE:
            raise table.error(
                several, f"a request would have {size} bytes of values, and may have {MAX_MESSAGE}"
            )

    def _shares_tenants(self, other: RequestClass) -> bool:
        if self.tenant_names and other.tenant_names:
            return not set(self.tenant_names).isdisjoint(other.tenant_names)
        if not self.tenant_names and not other.tenant_names:
            return True
        named, made_up = (self, other) if self.tenant_names else (other, self)
        found = (_TENANT.fullmatch(name) for name in named.tenant_names)
        return any(match is not None and int(match[1]) < made_up.tenants for match in found)

    def _may_share_names(self, other: RequestClass) -> bool:
        if self.names and other.names:
            return not set(self.names).isdisjoint(other.names)
        if not self.names and not other.names:
            return self.prefix == other.prefix
        named, made_up = (self, other) if self.names else (other, self)
        return any(name.startswith(f"{made_up.prefix}-") for name in named.names)


def _read_tenants(table: Table) -> tuple[int, tuple[str, ...]]:
    """How many, and their names if the scenario says them."""
    if table.is_list("tenants"):
        names = table.names("tenants", most=_MAX_NAMES)
        return len(names), names
    return table.whole("tenants", 1, least=1, most=MAX_MODELS), ()


def _read_models(table: Table, tenants: int) -> tuple[int, tuple[str, ...]]:
    if not table.has("names"):
        return table.whole("models", 1, least=1, most=MAX_MODELS), ()
    if table.has("models"):
        raise table.error("models", "with `names` each tenant has a model of each: leave `models` out")
    names = table.names("names", most=_MAX_NAMES)
    if (models := len(names) * tenants) > MAX_MODELS:
        raise table.error("names", f"all tenants would have {models} models, and may have {MAX_MODELS}")
    return models, names


def _read_prefix(table: Table) -> str:
    prefix = table.name("prefix", "model")
    if len(prefix.encode()) > _MAX_PREFIX:
        raise table.error("prefix", f"it has more than {_MAX_PREFIX} bytes")
    return prefix


def _read_call(table: Table, protocol: str) -> str:
    call = table.choice("call", (UNARY, ITEMS, STREAM), UNARY)
    if call != UNARY and protocol == OIP:
        raise table.error("call", f'"{call}" is Croupier\'s own: it takes target.protocol = "{CROUPIER}"')
    return call
