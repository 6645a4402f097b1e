"""`croupierctl explain`: the route of a request, decision by decision."""

from __future__ import annotations

from contextlib import suppress

from croupier.errors import NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupier.names import check_name
from croupierctl import output
from croupierctl.arguments import Key, Label, Model, Tenant, Version
from croupierctl.reasons import Decision, explain
from croupierctl.servers import ask_manager, current
from router.view import EMPTY, View, successor
from sharding.generation import Generation
from version_manager.model.catalog import Catalog
from version_manager.model.resolve import Ask
from version_manager.model.wire import cell_from_pb, generation_from_pb, model_from_pb


def explain_route(
    tenant: Tenant, model: Model, key: Key = "", version: Version = 0, label: Label = ""
) -> None:
    """Say where a request would go, and why: version, artifact, hand and cell.

    A router also passes over cells that failed it in the last seconds; that is not known here.
    """
    check_name(tenant, "tenant")
    check_name(model, "model")
    view = ask_manager(lambda manager: _view(manager, tenant, model))
    decisions = explain(view, tenant, Ask(model, version, label, key))
    if current().as_json:
        output.emit({"tenant": tenant, "model": model, "decisions": [_facts(found) for found in decisions]})
        return
    width = max(len(found.about) for found in decisions)
    for found in decisions:
        output.say(f"{found.about:<{width}}  {found.words}")


def _facts(decision: Decision) -> dict[str, object]:
    return {"about": decision.about, "words": decision.words, **decision.facts}


async def _view(manager: VersionManagerClient, tenant: str, name: str) -> View:
    """What a router knows that bears on one model."""
    found = model_from_pb(await manager.get_model(tenant, name))
    cells = [cell_from_pb(cell) for cell in await manager.list_cells()]
    catalog = Catalog.build("", 0, [found])
    return successor(EMPTY, catalog, await _generations(manager), cells)


async def _generations(manager: VersionManagerClient) -> tuple[Generation, ...]:
    """The active one and the one before it, as far as there are any."""
    found: list[Generation] = []
    with suppress(NotFound):
        active = await manager.get_generation()
        found.append(generation_from_pb(active))
        if active.previous:
            found.append(generation_from_pb(await manager.get_generation(active.previous)))
    return tuple(found)
