"""A deployment whose processes know each other by their certificates' roles alone."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.cell_server import CellServer, infer_request, open_cell
from support.certificates import Authority, Pair
from support.manager import Fleet, artifact, generation, release
from support.models import train_regressor
from support.waiting import eventually
from support.worlds import router

from croupier.errors import FailedPrecondition, PermissionDenied
from croupier.grpcio.bulk import BulkItem
from croupier.grpcio.certificate import alt_names
from croupier.grpcio.channels import credentials, open_async
from croupier.grpcio.manager import VersionManagerClient
from croupier.roles import Caller, Role, RoleNames
from protos.inference.v2 import inference_pb2_grpc

pytestmark = pytest.mark.system


class Deployment:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)

    def issue(self, who: str) -> Pair:
        return self.authority.issue(who.replace("/", "-"), uris=[f"croupier://{who}"])

    def told(self, who: str, *, serves_as: str = "") -> dict[str, Any]:
        """The settings of a process; `serves_as` gives it another certificate for its server."""
        own, serving = self.issue(who), self.issue(serves_as or who)
        return {
            "tls_certificate": serving.certificate,
            "tls_key": serving.key,
            "tls_client_ca": self.authority.certificate,
            "peer_ca": self.authority.certificate,
            "peer_certificate": own.certificate,
            "peer_key": own.key,
        }

    @asynccontextmanager
    async def cell(self, name: str, manager: str, **told: Any) -> AsyncIterator[CellServer]:
        settings = {"id": name, "zone": f"zone-{name}", "manager": (manager,), "metrics_listen": "", **told}
        async with open_cell(
            self.folder / name, store=f"file://{self.folder / 'objects'}", **settings
        ) as cell:
            yield cell

    @asynccontextmanager
    async def client(self, manager: str, who: str) -> AsyncIterator[VersionManagerClient]:
        pair = self.issue(who)
        shown = credentials(self.authority.certificate, pair.certificate, pair.key)
        async with VersionManagerClient(manager, shown) as client:
            yield client

    async def predict(self, address: str) -> list[float]:
        """Through the router at `address`, whose callers show a certificate of any role."""
        request = infer_request(b"", train_regressor()[1][:1])
        request.model_name, request.model_version = "churn", ""
        pair = self.issue("viewer/me")
        shown = credentials(self.authority.certificate, pair.certificate, pair.key)
        async with open_async(address, shown) as channel:
            stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            answer = await stub.ModelInfer(request, timeout=10, metadata=(("croupier-tenant", "acme"),))
        return list(answer.outputs[0].contents.fp32_contents)


async def test_certificates_with_roles_are_enough_and_needed(tmp_path: Path) -> None:
    made = Deployment(tmp_path)
    model, rows, packed = train_regressor()
    async with (
        Fleet(tmp_path, **made.told("version-manager/m-1")) as fleet,
        made.client(fleet.address, "operator/sre") as operator,
        made.client(fleet.address, "publisher/ci") as publisher,
    ):

        async def registered() -> list[str]:
            return [cell.id for cell in await operator.list_cells()]

        async with made.cell("cell-1", fleet.address, **made.told("cell/cell-1")):
            await eventually(registered, "the cell")
            await operator.set_generation(generation("cell-1"), 0)
            await publisher.publish("acme", "churn", packed)
            # The version manager has the cell load it, so it may call it.
            await publisher.set_release(release("acme", "churn", (1, 10_000)))
            with pytest.raises(PermissionDenied):
                await publisher.set_generation(generation("cell-1"), 1)
            async with router(fleet.address, **made.told("router/r-1")) as front:
                assert await made.predict(front.address) == pytest.approx(
                    list(model.predict(rows[:1]).ravel()), rel=1e-4
                )


async def test_a_publisher_of_some_tenants_publishes_many_models_of_these_alone(tmp_path: Path) -> None:
    made = Deployment(tmp_path)
    uris = ["croupier://publisher/ci", "croupier://tenant/acme", "croupier://tenant/globex"]
    pair = made.authority.issue("bound", uris=uris)
    shown = credentials(made.authority.certificate, pair.certificate, pair.key)
    tenants = ("acme", "initech", "globex", "ACME")
    items = [BulkItem(tenant, "churn", artifact(tenant)) for tenant in tenants]
    async with (
        Fleet(tmp_path, **made.told("version-manager/m-1")) as fleet,
        VersionManagerClient(fleet.address, shown) as bound,
        made.client(fleet.address, "publisher/ci") as free,
        made.client(fleet.address, "viewer/me") as viewer,
    ):
        found = {one.item.tenant: one async for one in bound.publish_many(items, release=True)}
        refused = {tenant: one.error.reason for tenant, one in found.items() if one.error is not None}
        assert refused == {"initech": "TENANT_NOT_ALLOWED", "ACME": "TENANT_NOT_ALLOWED"}
        published = (await fleet.raw.range("croupier/models/")).items
        assert {pair.key.split("/")[2] for pair in published} == {"acme", "globex"}
        with pytest.raises(PermissionDenied):
            [one async for one in viewer.publish_many(items)]
        assert all([one.error is None async for one in free.publish_many(items)])


async def test_a_cell_is_who_its_certificate_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Deployment(tmp_path)
    packed = train_regressor()[2]
    async with (
        Fleet(tmp_path, warm_seconds=3.0, **made.told("version-manager/m-1")) as fleet,
        made.client(fleet.address, "operator/sre") as operator,
    ):
        # One that joins as another is not taken.
        async with made.cell("cell-1", fleet.address, **made.told("cell/cell-10")):
            await eventually(lambda: "cell/cell-10, who can be nobody else" in caplog.text, "the refusal")
            assert await operator.list_cells() == []
        # One that joins as itself, and whose address is another's, is sent nothing.
        async with made.cell("cell-1", fleet.address, **made.told("cell/cell-1", serves_as="cell/cell-10")):

            async def registered() -> bool:
                return bool(await operator.list_cells())

            await eventually(registered, "the cell")
            await operator.set_generation(generation("cell-1"), 0)
            await operator.publish("acme", "churn", packed)
            with pytest.raises(FailedPrecondition, match="that of cell/cell-10, and not of cell/cell-1"):
                await operator.set_release(release("acme", "churn", (1, 10_000)))


def test_certificates_are_made_as_the_manual_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    begin = text.index("    openssl req -x509")
    script = text[begin : text.index("\n\n", begin)]
    subprocess.run(["sh", "-e"], input=script, text=True, check=True, cwd=tmp_path, capture_output=True)
    made = {path.stem: path for path in tmp_path.glob("*.pem") if path.stem != "ca"}
    # As strictly as Python's own clients do from 3.13 on.
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", *map(str, made.values())]
    subprocess.run(verify, check=True, cwd=tmp_path, capture_output=True)
    callers = {name: RoleNames().caller(alt_names(path.read_bytes())) for name, path in made.items()}
    assert callers == {
        "manager": Caller(Role.VERSION_MANAGER, "m-1"),
        "cell": Caller(Role.CELL, "cell-17"),
        "router": Caller(Role.ROUTER, "r-1"),
        "sre": Caller(Role.OPERATOR, "sre"),
        "ci": Caller(Role.PUBLISHER, "ci", frozenset({"acme", "globex"})),
    }
