"""Routes of a small fleet, and how often one was decided."""

from collections.abc import Callable
from typing import Any

from support.fakes import generation, model, view

from croupier.errors import InvalidRequest
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.families import Wanted
from router.remembered import Route
from router.route import route
from router.routes import Routes
from router.units import Unit
from router.view import View
from version_manager.model.fleet import Cell
from version_manager.model.resolve import Ask, choices

NAMES = ["a", "b", "c", "d"]
SPLIT = model(versions=(1, 2, 3), splits=((1, 5_000), (2, 5_000)), labels={"next": 3})
VIEW = view(
    [SPLIT, model(name="price"), model("globex", "secret")],
    (generation(NAMES),),
    [Cell(name, "zone-0", f"{name}:1") for name in NAMES],
)
HALF = 0.25


class Desk:
    """Decides, and says how often."""

    def __init__(
        self,
        found: View = VIEW,
        random: Callable[[], float] = lambda: HALF,
        family: Wanted | None = None,
        **settings: Any,
    ) -> None:
        self.family, self.wanted = family, settings.get("wanted")
        self.asked: list[tuple[str, Ask]] = []
        self.routes = Routes(self.decide, random, **settings)
        self.routes.follow(found)

    def decide(self, found: View, tenant: str, ask: Ask) -> Route:
        self.asked.append((tenant, ask))
        if ask.tenant not in ("", tenant):
            raise InvalidRequest("another tenant's")
        options = choices(found.catalog, tenant, ask)
        order = route(found, tenant, ask.model)
        family = self.family if self.wanted is None else self.wanted(found, tenant, ask.model)
        return Route(found.catalog.record(tenant, ask.model), options, order, order, family=family)

    def infer(self, name: str = "churn", tenant: str = "acme", version: str = "", **texts: str) -> Unit:
        [unit] = self.routes.infer(tenant, infer(name, version, **texts))
        return unit

    def items(self, *items: pb.Item, tenant: str = "acme") -> list[Unit]:
        return self.routes.items(tenant, pb.PredictRequest(items=items).SerializeToString(), 100)


def infer(name: str, version: str = "", **texts: str) -> bytes:
    request = inference_pb2.ModelInferRequest(model_name=name, model_version=version, id="7")
    for key, text in texts.items():
        request.parameters[key].string_param = text
    return request.SerializeToString()
