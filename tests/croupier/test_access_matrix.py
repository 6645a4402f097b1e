"""Every method of every server, asked by every role, in plaintext, with TLS and with mutual TLS.

The servers are whole ones, built by their own apps. What is expected stands in the tables here, which the
product's own do not feed: + is let in (whatever its handler then says of an empty request), - is refused
as Code.PERMISSION_DENIED, ? as Code.UNAUTHENTICATED.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.cell_server import open_cell
from support.certificates import Authority, Pair
from support.manager import Fleet
from support.worlds import world

from croupier import access
from croupier.codes import Code
from croupier.settings import ClientTls
from croupier.transport.client import Channel
from croupier.transport.status import RpcError
from protos.cell.v1 import cell_pb2
from protos.features.v1 import features_pb2
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from protos.versions.v1 import versions_pb2 as pb

CALLERS = {
    "cell": ["croupier://cell/cell-1"],
    "cell-10": ["croupier://cell/cell-10"],
    "router": ["croupier://router/r-1"],
    "manager": ["croupier://version-manager/m-1"],
    "publisher": ["croupier://publisher/ci"],
    "acme-publisher": ["croupier://publisher/ci", "croupier://tenant/acme", "croupier://tenant/initech"],
    "globex-publisher": ["croupier://publisher/ci", "croupier://tenant/globex"],
    "operator": ["croupier://operator/sre"],
    "acme-operator": ["croupier://operator/sre", "croupier://tenant/acme"],
    "viewer": ["croupier://viewer/dashboard"],
    "globex-viewer": ["croupier://viewer/dashboard", "croupier://tenant/globex"],
    "nobody": ["spiffe://elsewhere/cell/cell-1"],
    "two-roles": ["croupier://viewer/dashboard", "croupier://operator/sre"],
}

# In the order of CALLERS: cells, router, manager │ publishers │ operators │ viewers │ no role.
VERSION_MANAGER = """
Publish         ---- ++- ++ -- ??
PublishMany     ---- +++ ++ -- ??
ListModels      ---- ++- ++ +- ??
GetModel        ---- ++- ++ +- ??
GetUsage        ---- ++- ++ +- ??
DeleteVersion   ---- ++- ++ -- ??
DeleteModel     ---- ++- ++ -- ??
SetRelease      ---- ++- ++ -- ??
GetReleaseHistory ---- ++- ++ +- ??
RollbackRelease ---- ++- ++ -- ??
Resolve         ---- ++- ++ +- ??
Watch           --+- --- -- -- ??
SetGeneration   ---- --- +- -- ??
ReseedShards    ---- --- +- -- ??
Repair          ---- --- +- -- ??
GetFreeze       ---- +-- +- +- ??
Thaw            ---- --- +- -- ??
GetStatus       ---- +++ ++ ++ ??
GetTenant       ---- ++- ++ +- ??
ReportRouter    --+- --- -- -- ??
GetRates        ---- +++ ++ ++ ??
GetGeneration   ---- +-- +- +- ??
PlanGeneration  ---- +-- +- +- ??
GetShardHistory ---- +-- +- +- ??
SetRamp         ---- --- +- -- ??
OptimizeShards  ---- +-- +- +- ??
GetBlast        ---- +-- +- +- ??
ListCellTenants ---- +-- +- +- ??
Join            +--- --- -- -- ??
Report          +--- --- -- -- ??
ListCells       ---- +++ ++ ++ ??
LiftQuarantine  ---- --- +- -- ??
GetResidency    ---- ++- ++ +- ??
SetResidency    ---- --- ++ -- ??
GetLimits       ---- ++- ++ +- ??
SetLimits       ---- --- ++ -- ??
ApplyFamily     ---- ++- ++ -- ??
GetFamily       ---- ++- ++ +- ??
ListFamilies    ---- ++- ++ +- ??
GetFamilyHistory ---- ++- ++ +- ??
RollbackFamily  ---- ++- ++ -- ??
"""
CELL = """
ServerLive      ++++ +++ ++ ++ ++
ServerReady     ++++ +++ ++ ++ ++
ServerMetadata  ++++ +++ ++ ++ ++
ModelReady      --+- --- -- -- ??
ModelMetadata   --+- --- -- -- ??
ModelInfer      --+- --- -- -- ??
Predict         --+- --- -- -- ??
PredictStream   --+- --- -- -- ??
Warm            ---+ --- +- -- ??
Unpin           ---+ --- +- -- ??
Usage           ---+ --- +- -- ??
HotList         ---+ --- -- -- ??
"""
# Health and reflection, on every server.
OPEN = {
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.health.v1.Health/List",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}
ENDLESS = {"Watch", "Join", "Report", "ServerReflectionInfo"}

_API = pb.DESCRIPTOR.services_by_name["VersionManager"]
_DATA = [
    inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
    prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"],
]
SERVICES = {
    "version_manager": [_API],
    "cell": [*_DATA, cell_pb2.DESCRIPTOR.services_by_name["Cell"]],
    "router": [*_DATA, features_pb2.DESCRIPTOR.services_by_name["FeatureService"]],
}
RULES = {"version_manager": access.VERSION_MANAGER, "cell": access.CELL, "router": access.ROUTER}


def methods_of(server: str) -> dict[str, Any]:
    """The descriptor of each method that `server` serves, by its path."""
    return {
        f"/{service.full_name}/{method.name}": method
        for service in SERVICES[server]
        for method in service.methods
    }


def table(text: str) -> dict[str, dict[str, str]]:
    rows = (line.split(maxsplit=1) for line in text.strip().splitlines())
    return {name: dict(zip(CALLERS, marks.replace(" ", ""), strict=True)) for name, marks in rows}


EXPECTED = {"version_manager": table(VERSION_MANAGER), "cell": table(CELL)}


@pytest.mark.parametrize("server", SERVICES)
def test_every_method_has_a_rule_and_a_row_here(server: str) -> None:
    methods = methods_of(server)
    assert RULES[server].keys() == methods.keys() | OPEN
    if server in EXPECTED:
        assert EXPECTED[server].keys() == {method.name for method in methods.values()}


def test_a_method_without_a_rule_is_for_no_role() -> None:
    rule = access.Access(access.CELL).rule("/croupier.cell.v1.Cell/Forgotten")
    for uris in CALLERS.values():
        peer = access.Access(access.CELL).peer(access.AltNames(uris=tuple(uris)))
        assert rule.refusal(peer) is not None
    assert rule.refusal(None) is None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> dict[str, Pair]:
    return {name: authority.issue(name, uris=uris) for name, uris in CALLERS.items()}


@asynccontextmanager
async def running(server: str, folder: Path, told: dict[str, Any]) -> AsyncIterator[str]:
    """The address of a whole server with the settings `told`."""
    async with AsyncExitStack() as stack:
        if server == "version_manager":
            yield (await stack.enter_async_context(Fleet(folder, **told))).address
        elif server == "cell":
            yield (await stack.enter_async_context(open_cell(folder, metrics_listen="", **told))).cell.address
        else:
            told = {**told, "features_store": f"lmdb:{folder}/features"}
            yield (await stack.enter_async_context(world(cells=1, hand_size=1, **told))).router.address


@pytest.mark.parametrize("security", ["plaintext", "tls", "mtls"])
@pytest.mark.parametrize("server", SERVICES)
async def test_who_may_call_what(
    server: str, security: str, tmp_path: Path, authority: Authority, certificates: dict[str, Pair]
) -> None:
    own = authority.issue(f"{server}-{security}")
    told: dict[str, Any] = {}
    if security != "plaintext":
        told = {"tls_certificate": own.certificate, "tls_key": own.key}
    if security == "mtls":
        told["tls_client_ca"] = authority.certificate
    paths = {path: method.name for path, method in methods_of(server).items()}
    paths |= {path: path.rpartition("/")[2] for path in sorted(OPEN)}
    async with running(server, tmp_path, told) as address:
        found: dict[str, dict[str, str]] = {path: {} for path in paths}
        for caller, pair in certificates.items():
            tls = ClientTls(authority.certificate, pair.certificate, pair.key)
            channel = Channel(address, tls=None if security == "plaintext" else tls)
            # Two calls of Join at once would be about one cell.
            marks = await asyncio.gather(*(ask(channel, path, server) for path in paths))
            for path, mark in zip(paths, marks, strict=True):
                found[path][caller] = mark
            await channel.close()
    everybody = dict.fromkeys(CALLERS, "+")
    strict = EXPECTED.get(server, {}) if security == "mtls" else {}
    assert found == {
        path: everybody if path in OPEN else strict.get(name, everybody) for path, name in paths.items()
    }


async def ask(channel: Channel, path: str, server: str) -> str:
    """+, - or ?, by how the call of `path` ends, or begins if it would not end."""
    name = path.rpartition("/")[2]
    async with channel.stream(path, timeout=10, metadata=(("croupier-tenant", "acme"),)) as stream:
        code = Code.OK
        try:
            await stream.send(request_for(name if server == "version_manager" else "", path))
            if name not in ENDLESS:
                stream.end()
            await stream.receive()
        except RpcError as error:
            # A server of ours says why; a connection that breaks does not.
            if error.code == Code.UNAVAILABLE and not error.details:
                raise
            code = error.code
        stream.cancel()
    return {Code.OK: "+", Code.PERMISSION_DENIED: "-", Code.UNAUTHENTICATED: "?"}.get(code, "+")


def request_for(name: str, path: str) -> bytes:
    """About the tenant acme, or from the cell cell-1; as little as its rule can be about."""
    requests = {
        "Publish": pb.PublishRequest(header=pb.PublishRequest.Header(tenant="acme")),
        "ApplyFamily": pb.ApplyFamilyRequest(family=pb.Family(tenant="acme")),
        "Join": pb.JoinRequest(cell=pb.Cell(id="cell-1")),
        "Report": pb.JoinRequest(cell=pb.Cell(id="cell-1")),
    }
    if name in requests and path not in OPEN:
        return requests[name].SerializeToString()
    if name and path not in OPEN:
        kind = pb.DESCRIPTOR.message_types_by_name[f"{name}Request"]
        if "tenant" in kind.fields_by_name:
            return b"\x0a\x04acme"
    return b""
