"""The table [target]."""

from pathlib import Path
from typing import Any

import pytest

from croupier.settings import ClientTls
from croupier_bench.keys import ScenarioError, Table
from croupier_bench.target import Target

ADDRESS = "127.0.0.1:8500"


def read(**values: Any) -> Target:
    return Target.read(Table(values, "target"))


def test_what_is_left_out_is_plain() -> None:
    assert read(address=ADDRESS) == Target((ADDRESS,), "oip", tenant_header="")


def test_a_few_requests_ask_croupier_which_cell_answers() -> None:
    assert read(address=ADDRESS, protocol="croupier").cells == 0.01
    assert read(address=ADDRESS, protocol="croupier", cells=0).cells == 0.0
    assert read(address=ADDRESS).cells == 0.0


def test_croupier_has_tenants() -> None:
    assert read(address=ADDRESS, protocol="croupier").tenant_header == "croupier-tenant"
    assert read(address=ADDRESS, protocol="croupier", tenant_header="").tenant_header == ""
    assert read(address=ADDRESS, tenant_header="x-tenant").tenant_header == "x-tenant"


WHOLE = {
    "addresses": [ADDRESS, "unix:/run/router", "[::1]:1"],
    "protocol": "croupier",
    "tls": {"ca": "ca.pem", "cert": "c.pem", "key": "k.pem", "name": "router.internal"},
    "token_file": "token",
    "metadata": {"x-team": "load"},
    "manager": "127.0.0.1:8400,127.0.0.1:8401",
    "manager_tls": {"ca": "ca.pem"},
    "cells": "2%",
}


def test_all_of_it() -> None:
    assert read(**WHOLE) == Target(
        (ADDRESS, "unix:/run/router", "[::1]:1"),
        "croupier",
        ClientTls(Path("ca.pem"), Path("c.pem"), Path("k.pem")),
        "router.internal",
        Path("token"),
        (("x-team", "load"),),
        "croupier-tenant",
        "127.0.0.1:8400,127.0.0.1:8401",
        ClientTls(Path("ca.pem")),
        0.02,
    )


def test_what_is_written_reads_the_same() -> None:
    for target in (read(**WHOLE), read(address=ADDRESS)):
        assert read(**target.write()) == target


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({}, "address"),
        ({"address": "localhost"}, "address"),
        ({"address": "host:70000"}, "address"),
        ({"addresses": [ADDRESS, "::1:5"]}, "addresses"),
        ({"addresses": []}, "addresses"),
        ({"address": ADDRESS, "addresses": [ADDRESS]}, "addresses"),
        ({"address": ADDRESS, "protocol": "http"}, "protocol"),
        ({"address": ADDRESS, "tls": {}}, "tls.ca"),
        ({"address": ADDRESS, "tls": {"ca": "a", "cert": "b"}}, "tls.key"),
        ({"address": ADDRESS, "tls": {"ca": "a", "key": "b"}}, "tls.cert"),
        ({"address": ADDRESS, "manager_tls": {"ca": "a", "name": "b"}}, "manager_tls.name"),
        ({"address": ADDRESS, "manager": "nowhere"}, "manager"),
        ({"address": ADDRESS, "cells": 1.5}, "cells"),
        ({"address": ADDRESS, "metadata": {"Not-Lower": "x"}}, "metadata"),
        ({"address": ADDRESS, "metadata": {"x": "two\nlines"}}, "metadata"),
        ({"address": ADDRESS, "metadata": {"x": 1}}, "metadata"),
        ({"address": ADDRESS, "tenant_header": "content-type"}, "tenant_header"),
        ({"address": ADDRESS, "adress": ADDRESS}, "adress"),
    ],
)
def test_what_is_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read(**values)
    assert raised.value.key == f"target.{key}"
