"""Publishing the models of a scenario: to a real version manager, again, and beside something else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from support.manager import Fleet

from croupier.artifacts.format import digest_of, view
from croupier.artifacts.packers.linear import pack_linear
from croupier.errors import CroupierError, Unavailable
from croupier.grpcio.manager import VersionManagerClient
from croupier_bench import publish as publishing
from croupier_bench.classes import RequestClass
from croupier_bench.models import Models
from croupier_bench.publish import OtherModels, Published, artifact, prepare, publish
from croupier_bench.scenario import Scenario, ScenarioError
from protos.versions.v1 import versions_pb2 as pb


def scenario(manager: str = "", *classes: dict[str, Any], events: Any = (), seed: int = 5) -> Scenario:
    named = [{"name": f"class-{at}", **each} for at, each in enumerate(classes or ({},))]
    target = {"address": "127.0.0.1:1", "protocol": "croupier", "manager": manager}
    load = {"rate": 1, "seconds": 1}
    return Scenario.read(
        {"target": target, "load": load, "class": named, "seed": seed, "event": list(events)}
    )


def release(version: int) -> dict[str, Any]:
    return {"at": 1, "kind": "release", "tenant": "tenant-00001", "model": "model-0000", "version": version}


@pytest.mark.parametrize("features", [1, 4, 300])
def test_it_is_what_the_packer_makes_of_such_a_model(features: int) -> None:
    models = Models(RequestClass("a", features=features, models=9), 5)
    fitted = LinearRegression().fit(np.zeros((2, features)), np.zeros(2))
    fitted.coef_ = models.weights(7)
    fitted.intercept_ = models.intercept(7, 3)
    assert artifact(models, 7, 3) == pack_linear(fitted)


def test_the_input_has_the_name_that_requests_give_it() -> None:
    models = Models(RequestClass("a", input="x"), 5)
    assert [tensor.name for tensor in view(artifact(models, 0, 1)).inputs] == ["x"]


async def test_models_are_published_and_released(tmp_path: Path) -> None:
    classes: list[dict[str, Any]] = [
        {"tenants": 3, "models": 7, "cold": 0.5, "cold_models": 20},
        {"tenants": 4, "models": 8, "call": "items"},
        {"tenants": ["acme"], "names": ["churn"], "features": 3},
    ]
    async with Fleet(tmp_path) as fleet:
        asked = scenario(fleet.address, *classes, events=[release(4)])
        seen: list[int] = []
        found = await publish(asked, at_once=4, watch=lambda so_far: seen.append(so_far.done))
        # The second class has 8 models, of which 6 are among the 7 of the first.
        count = 7 + 20 + 2 + 1
        assert found == Published(count, count, count + 1, count)
        assert seen == list(range(1, count + 1))

        model = await fleet.client.get_model("tenant-00001", "model-0000")
        assert [version.number for version in model.versions] == [1, 4]
        assert list(model.release.splits) == [pb.Split(version=1, basis_points=10_000)]
        made = Models(asked.classes[0], 5)
        assert model.versions[1].artifact == digest_of(artifact(made, 1, 4))
        assert (await fleet.client.get_model("tenant-00000", "model-cold-0006")).release.number == 1

        again = await publish(asked)
        assert again == Published(count, count, 0, 0)


async def test_it_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    async with Fleet(tmp_path) as fleet:
        asked = scenario(fleet.address, {"models": 5})
        made = Models(asked.classes[0], 5)
        await fleet.client.publish("tenant-00000", "model-0002", artifact(made, 2, 1))
        request = pb.SetReleaseRequest(tenant="tenant-00000", name="model-0003")
        await fleet.client.publish("tenant-00000", "model-0003", artifact(made, 3, 1))
        await fleet.client.publish("tenant-00000", "model-0003", artifact(made, 3, 2))
        request.splits.add(version=2, basis_points=10_000)
        request.labels["stable"] = 2
        await fleet.client.set_release(request)

        assert await publish(asked) == Published(5, 5, 3, 5)
        kept = (await fleet.client.get_model("tenant-00000", "model-0003")).release
        assert (kept.splits[0].version, dict(kept.labels)) == (1, {"stable": 2})


async def test_other_models_of_the_same_names_stay_as_they_are(tmp_path: Path) -> None:
    async with Fleet(tmp_path) as fleet:
        asked = scenario(fleet.address, {"models": 3})
        await publish(asked)
        with pytest.raises(OtherModels, match=r"another model model-000. of version 1"):
            await publish(scenario(fleet.address, {"models": 3}, seed=6))
        assert await publish(asked) == Published(3, 3, 0, 0)


async def test_a_manager_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_TRIES", 2)
    monkeypatch.setattr(publishing, "_BACKOFF", SimpleNamespace(spread=lambda failures, rng: 0.0))
    with pytest.raises(CroupierError):
        await publish(scenario("127.0.0.1:1"))


async def test_what_passes_by_itself_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_BACKOFF", SimpleNamespace(spread=lambda failures, rng: 0.0))
    failing = iter([True, False, True])
    real = VersionManagerClient.publish

    async def publish_or_not(self: VersionManagerClient, *told: Any, **more: Any) -> pb.Version:
        if next(failing, False):
            raise Unavailable("full")
        return await real(self, *told, **more)

    monkeypatch.setattr(VersionManagerClient, "publish", publish_or_not)
    async with Fleet(tmp_path) as fleet:
        assert (await publish(scenario(fleet.address, {"models": 3}), at_once=1)).versions == 3


@pytest.mark.parametrize(
    ("manager", "told", "key"),
    [("", {}, "target.manager"), ("127.0.0.1:1", {"datatype": "INT64"}, "class[0].datatype")],
)
def test_what_cannot_be_published(manager: str, told: dict[str, Any], key: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        prepare(scenario(manager, told))
    assert raised.value.key == key


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    target = {"address": "127.0.0.1:1", "manager": "a:1", "manager_tls": {"ca": str(tmp_path / "ca.pem")}}
    asked = Scenario.read({"target": target, "load": {"rate": 1}, "class": [{"name": "a"}]})
    with pytest.raises(ScenarioError, match=r"target\.manager_tls: cannot read"):
        prepare(asked)


def test_how_it_went_in_words() -> None:
    assert str(Published(30, 30, 12, 4)) == (
        "30 of 30 models are there: 12 versions were published, 4 released"
    )
