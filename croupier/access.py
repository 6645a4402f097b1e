"""Who may call what: one row for each method of each server, and no method without one.

Roles come from certificates (`croupier.roles`). A server that asks for none, on loopback or behind
`--insecure`, knows no callers and lets everybody in; so these rules hold where `--tls-client-ca` is set.

    OPEN             whoever TLS lets in: what probes and tools ask
    VERSION_MANAGER  by role; who is restricted to tenants may ask what names one of them, or tells of none
    CELL             routers, and what version managers and operators have it load
    ROUTER           everybody: tenants are known there by their tokens, request by request
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeAlias

from croupier.errors import CroupierError, PermissionDenied
from croupier.roles import AltNames, Caller, Role, RoleNames, UnknownCaller


class NotAllowed(PermissionDenied):
    """A role that may not do this. The operator's: another certificate."""

    reason = "ROLE_NOT_ALLOWED"


class OtherTenant(PermissionDenied):
    """A certificate for other tenants than the request is about. The operator's."""

    reason = "TENANT_NOT_ALLOWED"


Peer: TypeAlias = Caller | UnknownCaller | None
"""Whoever called: None where a server asks for no certificate, an error where one names no role."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call a method: `roles`, or everybody when None.

    `tenant` is where a request says whose it is, and `own` where it says who the caller is: fields of the
    first message, dotted. What is `common` tells nothing of any tenant.
    """

    roles: frozenset[Role] | None = None
    tenant: str = ""
    own: str = ""
    common: bool = False

    def refusal(self, peer: Peer) -> CroupierError | None:
        """Why `peer` may not call the method, whatever it asks; None if it may."""
        if peer is None or self.roles is None:
            return None
        if isinstance(peer, UnknownCaller):
            return peer
        if peer.role not in self.roles:
            return NotAllowed(f"this is not for the role {peer.role}")
        if peer.tenants and not (self.tenant or self.common):
            return OtherTenant("this is not for callers who are restricted to tenants")
        return None

    def check_request(self, peer: Peer, request: Any) -> None:
        """For the first message of a call that is not refused. Raises OtherTenant or NotAllowed."""
        if self.roles is None or not isinstance(peer, Caller):
            return
        if peer.tenants and self.tenant and attrgetter(self.tenant)(request) not in peer.tenants:
            raise OtherTenant("the certificate is for other tenants")
        if self.own and attrgetter(self.own)(request) != peer.id:
            raise NotAllowed(f"the certificate is that of {peer}, who can be nobody else")


def _for(*roles: Role, tenant: str = "", own: str = "", common: bool = False) -> Rule:
    return Rule(frozenset(roles), tenant, own, common)


def _of(service: str, **rules: Rule) -> dict[str, Rule]:
    return {f"/{service}/{method}": rule for method, rule in rules.items()}


_ANYBODY = Rule()
_NOBODY = Rule(frozenset())
_READERS = (Role.VIEWER, Role.PUBLISHER, Role.OPERATOR)
_PUBLISHERS = (Role.PUBLISHER, Role.OPERATOR)

OPEN = {
    **_of("grpc.health.v1.Health", Check=_ANYBODY, Watch=_ANYBODY, List=_ANYBODY),
    **_of("grpc.reflection.v1.ServerReflection", ServerReflectionInfo=_ANYBODY),
    **_of("grpc.reflection.v1alpha.ServerReflection", ServerReflectionInfo=_ANYBODY),
}

VERSION_MANAGER = OPEN | _of(
    "croupier.versions.v1.VersionManager",
    Publish=_for(*_PUBLISHERS, tenant="header.tenant"),
    # Each model of it is asked whose it is: version_manager/bulk_call.py.
    PublishMany=_for(*_PUBLISHERS, common=True),
    ListModels=_for(*_READERS, tenant="tenant"),
    GetModel=_for(*_READERS, tenant="tenant"),
    GetUsage=_for(*_READERS, tenant="tenant"),
    DeleteVersion=_for(*_PUBLISHERS, tenant="tenant"),
    DeleteModel=_for(*_PUBLISHERS, tenant="tenant"),
    SetRelease=_for(*_PUBLISHERS, tenant="tenant"),
    GetReleaseHistory=_for(*_READERS, tenant="tenant"),
    RollbackRelease=_for(*_PUBLISHERS, tenant="tenant"),
    Resolve=_for(*_READERS, tenant="tenant"),
    Watch=_for(Role.ROUTER),
    SetGeneration=_for(Role.OPERATOR),
    ReseedShards=_for(Role.OPERATOR),
    Repair=_for(Role.OPERATOR),
    GetFreeze=_for(*_READERS),
    Thaw=_for(Role.OPERATOR),
    # What of it is some tenant's is told to those alone who may see it: see version_manager/status.py.
    GetStatus=_for(*_READERS, common=True),
    GetTenant=_for(*_READERS, tenant="tenant"),
    ReportRouter=_for(Role.ROUTER),
    # As GetStatus: version_manager/server.py.
    GetRates=_for(*_READERS, common=True),
    GetGeneration=_for(*_READERS),
    PlanGeneration=_for(*_READERS),
    GetShardHistory=_for(*_READERS),
    SetRamp=_for(Role.OPERATOR),
    OptimizeShards=_for(*_READERS),
    GetBlast=_for(*_READERS),
    ListCellTenants=_for(*_READERS),
    Join=_for(Role.CELL, own="cell.id"),
    Report=_for(Role.CELL, own="cell.id"),
    ListCells=_for(*_READERS, common=True),
    LiftQuarantine=_for(Role.OPERATOR),
    GetResidency=_for(*_READERS, tenant="tenant"),
    SetResidency=_for(Role.OPERATOR, tenant="tenant"),
    # Of no tenant, everybody's: for no caller who is for some tenants.
    GetLimits=_for(*_READERS, tenant="tenant"),
    SetLimits=_for(Role.OPERATOR, tenant="tenant"),
    # As limits; who publishes models says too what they are fed with.
    ApplyFamily=_for(*_PUBLISHERS, tenant="family.tenant"),
    GetFamily=_for(*_READERS, tenant="tenant"),
    ListFamilies=_for(*_READERS, tenant="tenant"),
    GetFamilyHistory=_for(*_READERS, tenant="tenant"),
    RollbackFamily=_for(*_PUBLISHERS, tenant="tenant"),
)

_INFERENCE = "inference.GRPCInferenceService"
_PREDICTION = "croupier.prediction.v1.PredictionService"

CELL = (
    OPEN
    | _of(
        _INFERENCE,
        ServerLive=_ANYBODY,
        ServerReady=_ANYBODY,
        ServerMetadata=_ANYBODY,
        ModelReady=_for(Role.ROUTER),
        ModelMetadata=_for(Role.ROUTER),
        ModelInfer=_for(Role.ROUTER),
    )
    | _of(_PREDICTION, Predict=_for(Role.ROUTER), PredictStream=_for(Role.ROUTER))
    | _of(
        "croupier.cell.v1.Cell",
        Warm=_for(Role.VERSION_MANAGER, Role.OPERATOR),
        Unpin=_for(Role.VERSION_MANAGER, Role.OPERATOR),
        Usage=_for(Role.VERSION_MANAGER, Role.OPERATOR),
        HotList=_for(Role.VERSION_MANAGER),
    )
)

ROUTER = (
    OPEN
    | _of(
        _INFERENCE,
        ServerLive=_ANYBODY,
        ServerReady=_ANYBODY,
        ServerMetadata=_ANYBODY,
        ModelReady=_ANYBODY,
        ModelMetadata=_ANYBODY,
        ModelInfer=_ANYBODY,
    )
    | _of(_PREDICTION, Predict=_ANYBODY, PredictStream=_ANYBODY)
    | _of("croupier.features.v1.FeatureService", Write=_ANYBODY)
)


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of a server, and how it reads the certificates of its callers."""

    rules: Mapping[str, Rule]
    names: RoleNames = field(default_factory=RoleNames)

    def peer(self, names: AltNames) -> Peer:
        """Whose certificate has `names`."""
        try:
            return self.names.caller(names)
        except UnknownCaller as error:
            return error.with_traceback(None)

    def rule(self, method: str) -> Rule:
        """A method that was forgotten above is for no role at all."""
        return self.rules.get(method, _NOBODY)
