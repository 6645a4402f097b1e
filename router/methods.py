"""What differs between the methods that the pipeline answers: units, how they travel, what they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from croupier.errors import CroupierError, InternalError, InvalidRequest
from croupier.fields import join_first
from croupier.request_ids import Named
from router import envelope
from router.cells import MODEL_INFER, MODEL_METADATA, Cells
from router.entities import infer_facts, item_facts
from router.fanout import Fanout, Whole, stitch
from router.features import Facts
from router.routes import Routes
from router.rows import rows_of
from router.units import Unit
from router.view import View

if TYPE_CHECKING:
    from router.attempt import Outcome


@dataclass(frozen=True, slots=True)
class Method:
    """How a tenant's request becomes units, how they travel, and what they answer."""

    units: Callable[[str, bytes], list[Unit]]
    exchange: Whole | Fanout
    answer: Callable[[View, list[Unit], Named], Outcome]
    # A request that makes these units again.
    joined: Callable[[list[Unit]], bytes]
    # How many rows they are to score.
    rows: Callable[[list[Unit]], int]
    # Whose features a unit is about; None: it is about nobody's.
    facts: Callable[[Unit], Facts] | None = None


def infer(routes: Routes, cells: Cells, max_rows: int) -> Method:
    """ModelInfer, of at most so many rows if each has an entity of its own."""
    whole, facts = Whole(cells, MODEL_INFER), partial(_facts, max_rows)
    return Method(routes.infer, whole, _first, _alone, _rows, facts)


def predict(routes: Routes, cells: Cells, max_items: int) -> Method:
    """Predict, of so many items at most."""
    return Method(
        lambda tenant, request: routes.items(tenant, request, max_items),
        Fanout(cells),
        lambda view, units, caller: stitch(units, caller),
        _joined,
        len,
        lambda unit: item_facts(unit.request, unit.told),
    )


def model_metadata(routes: Routes, cells: Cells) -> Method:
    """ModelMetadata, which is answered with all versions of the model."""
    whole = Whole(cells, MODEL_METADATA)
    return Method(routes.model, whole, _with_versions, _alone, lambda units: 0)


def _alone(units: list[Unit]) -> bytes:
    return units[0].request


def _joined(units: list[Unit]) -> bytes:
    told = units[0].told
    items = join_first([unit.request for unit in units])
    return items if told is None else items + envelope.shared_field(told)


def _facts(max_rows: int, unit: Unit) -> Facts:
    """Raises InvalidRequest: as `infer_facts` does, or there are neither one entity nor as many as rows."""
    entities, parameters = infer_facts(unit.request, max_rows)
    if len(entities) > 1 and len(entities) != (rows := rows_of(unit.request)):
        raise InvalidRequest(f"{len(entities)} entities for {rows} rows", field="inputs")
    return entities, parameters


def _rows(units: list[Unit]) -> int:
    return rows_of(units[0].request)


def _first(view: View, units: list[Unit], caller: Named) -> Outcome:
    outcome = units[0].outcome
    return InternalError("a prediction was never tried") if outcome is None else outcome


def _with_versions(view: View, units: list[Unit], caller: Named) -> Outcome:
    outcome, target = _first(view, units, caller), units[0].target
    if isinstance(outcome, CroupierError):
        return outcome
    return envelope.append_versions(outcome, sorted(view.catalog.get(target.tenant, target.model).versions))
