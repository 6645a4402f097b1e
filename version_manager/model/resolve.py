"""What a request gets: catalog → model → exact version → the digest of its artifact.

Pure: everything that decides is an argument, so that the command line explains a route with the
same function that routed it.
"""

from __future__ import annotations

from dataclasses import dataclass

from croupier.names import check_name
from version_manager.model.catalog import Catalog
from version_manager.model.release import WHOLE, Version, split_point


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says about the model that it wants.

    `version` 0 leaves the choice to the release. `key` keeps one caller on one side of a traffic
    split. `tenant` is whose model the caller says it is; empty when it says nothing.
    """

    model: str
    version: int = 0
    label: str = ""
    key: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a cell is asked to score: an exact version, known to the cell by its SHA-256 alone."""

    tenant: str
    model: str
    version: int
    artifact: bytes


def select(catalog: Catalog, tenant: str, ask: Ask, random_point: int) -> Version:
    """The version of `tenant`'s model that `ask` gets.

    `random_point` (0 to 9,999) places a request without a key on the traffic split.

    Raises:
        InvalidRequest: a name that may not be one, or both a version and a label.
        UnknownModel, UnknownVersion: the tenant has nothing like that.
    """
    name = check_name(ask.model, "model_name")
    if ask.label:
        check_name(ask.label, "label")
    model = catalog.get(tenant, name)
    salt = model.release.salt if model.release else ""
    point = split_point(tenant, name, ask.key, salt) if ask.key else random_point
    return model.select(version=ask.version, label=ask.label, point=point)


def resolve(catalog: Catalog, tenant: str, ask: Ask, random_point: int) -> Target:
    """The same as a cell is asked for it.

    Raises:
        CroupierError: as `select`.
    """
    version = select(catalog, tenant, ask, random_point)
    return Target(tenant, ask.model, version.number, version.artifact)


def choices(catalog: Catalog, tenant: str, ask: Ask) -> tuple[tuple[int, Target], ...]:
    """Every target that requests which name the same as `ask` may get, whatever their key.

    Each stands behind the point of the traffic at which it ends: 10,000 for a single one.

    Raises:
        CroupierError: as `resolve`.
    """
    model = catalog.find(tenant, ask.model)
    spans = model.release.spans() if model is not None and model.release is not None else ()
    if model is None or ask.version or ask.label or len(spans) < 2:
        return ((WHOLE, resolve(catalog, tenant, ask, 0)),)
    check_name(ask.model, "model_name")
    # Of the model as it was read: to find it anew for each span takes longer than all the rest.
    found = [(one.end, model.select(point=one.end - 1)) for one in spans]
    return tuple([(end, Target(tenant, ask.model, one.number, one.artifact)) for end, one in found])
