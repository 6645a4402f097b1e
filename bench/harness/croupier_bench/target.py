"""Whom a scenario asks: its table [target]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from croupier.settings import ClientTls, InvalidSettings
from croupier.transport.metadata import encode_pairs
from croupier.transport.net.addresses import split_address
from croupier_bench.keys import Table

CROUPIER, OIP = "croupier", "oip"

_TENANT_HEADER = "croupier-tenant"
_MAX_ADDRESSES = 1_024
_MAX_METADATA = 64
# Enough to see how load lies, and too few to be felt.
_ASKING_CELLS = 0.01


@dataclass(frozen=True, slots=True)
class Target:
    """`manager` (host:port,…) is where models are published and released, if anywhere.

    `tls_name` is the name that the certificate must have, "" for the host of the address. `metadata` goes
    with each request; so does the tenant, in the header `tenant_header`, unless that is "". The share
    `cells` of them asks which cell answers.
    """

    addresses: tuple[str, ...]
    protocol: str = OIP
    tls: ClientTls | None = None
    tls_name: str = ""
    token_file: Path | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    tenant_header: str = ""
    manager: str = ""
    manager_tls: ClientTls | None = None
    cells: float = 0.0

    @classmethod
    def read(cls, table: Table) -> Self:
        """Raises ScenarioError."""
        addresses = _read_addresses(table)
        protocol = table.choice("protocol", (CROUPIER, OIP), OIP)
        tls, tls_name = _read_tls(table, "tls")
        manager_tls, _ = _read_tls(table, "manager_tls", named=False)
        token_file = table.text("token_file", "")
        manager = table.text("manager", "")
        for address in filter(None, manager.split(",")):
            _check_address(table, "manager", address.strip())
        metadata = table.pairs("metadata", most=_MAX_METADATA)
        _check_metadata(table, "metadata", metadata)
        header = table.text("tenant_header", _TENANT_HEADER if protocol == CROUPIER else "", most=128)
        _check_metadata(table, "tenant_header", {header: "tenant"} if header else {})
        cells = table.share("cells", _ASKING_CELLS if protocol == CROUPIER else 0.0)
        table.end()
        return cls(
            addresses,
            protocol,
            tls,
            tls_name,
            Path(token_file) if token_file else None,
            tuple(metadata.items()),
            header,
            manager,
            manager_tls,
            cells,
        )

    def write(self) -> dict[str, Any]:
        """The table that is read as this."""
        told: dict[str, Any] = {
            "addresses": list(self.addresses),
            "protocol": self.protocol,
            "tenant_header": self.tenant_header,
            "metadata": dict(self.metadata),
            "cells": self.cells,
        }
        if self.tls is not None:
            told["tls"] = _write_tls(self.tls) | ({"name": self.tls_name} if self.tls_name else {})
        if self.token_file is not None:
            told["token_file"] = str(self.token_file)
        if self.manager:
            told["manager"] = self.manager
        if self.manager_tls is not None:
            told["manager_tls"] = _write_tls(self.manager_tls)
        return told


def _read_addresses(table: Table) -> tuple[str, ...]:
    if table.has("address") and table.has("addresses"):
        raise table.error("addresses", "there is `address` too: one of them is enough")
    if table.has("addresses"):
        key, found = "addresses", table.texts("addresses", most=_MAX_ADDRESSES)
        if not found:
            raise table.error("addresses", "it is empty: there is one address at least")
    else:
        key, found = "address", (table.text("address", most=512),)
    for address in found:
        _check_address(table, key, address)
    return found


def _check_address(table: Table, key: str, address: str) -> None:
    if address.startswith("unix:"):
        return
    try:
        split_address(address)
    except InvalidSettings as error:
        raise table.error(key, str(error)) from None


def _check_metadata(table: Table, key: str, pairs: dict[str, str]) -> None:
    try:
        encode_pairs(pairs.items())
    except ValueError as error:
        raise table.error(key, str(error)) from None


def _read_tls(above: Table, name: str, *, named: bool = True) -> tuple[ClientTls | None, str]:
    table = above.table(name)
    if table is None:
        return None, ""
    ca, cert, key = table.text("ca"), table.text("cert", ""), table.text("key", "")
    tls_name = table.text("name", "", most=253) if named else ""
    if bool(cert) != bool(key):
        raise table.error("cert" if key else "key", "it is missing: `cert` and `key` go together")
    table.end()
    return ClientTls(Path(ca), Path(cert) if cert else None, Path(key) if key else None), tls_name


def _write_tls(tls: ClientTls) -> dict[str, str]:
    files = {"ca": tls.ca, "cert": tls.certificate, "key": tls.key}
    return {name: str(path) for name, path in files.items() if path is not None}
