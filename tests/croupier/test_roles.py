"""Which role and id the names of a certificate stand for, and which stand for none."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.names import InvalidName, check_name
from croupier.roles import AltNames, Caller, Role, RoleNames, UnknownCaller, WrongPeer
from croupier.settings import InvalidSettings, ServerSettings

NAMES = RoleNames()


def read(*names: str, dns: tuple[str, ...] = ()) -> Caller:
    return NAMES.caller(AltNames(names, dns))


@pytest.mark.parametrize("role", Role)
def test_a_role_is_named_by_uri_or_dns(role: Role) -> None:
    caller = Caller(role, "one-1")
    assert read(f"croupier://{role}/one-1") == caller
    assert read(dns=("one-1.internal", f"one-1.{role}.croupier", "localhost")) == caller
    assert read(f"croupier://{role}/one-1", dns=(f"one-1.{role}.croupier",)) == caller
    assert str(caller) == f"{role}/one-1"


def test_tenants_restrict_callers_of_the_api() -> None:
    found = read("croupier://publisher/ci", "croupier://tenant/acme", dns=("globex.tenant.croupier",))
    assert found == Caller(Role.PUBLISHER, "ci", frozenset({"acme", "globex"}))
    assert read("croupier://viewer/x", "croupier://tenant/z%C3%BCrich").tenants == {"zürich"}


def test_foreign_names_say_nothing() -> None:
    assert read("spiffe://x/cell/cell-9", "https://croupier/", "croupier://cell/cell-1").id == "cell-1"
    hosts = ("cell.croupier", "a.b.c.croupier", "cell-9.cell.croupier.svc", "*.internal", "")
    assert read("croupier://cell/cell-1", dns=hosts).id == "cell-1"
    with pytest.raises(UnknownCaller, match="names no role"):
        read("spiffe://x/cell/cell-9", dns=hosts)


@pytest.mark.parametrize(
    "uri",
    [
        "croupier://cell/",
        "croupier://cell",
        "croupier:cell/cell-1",
        "croupier://cell/cell-1/",
        "croupier://cell/cell-1/cell-2",
        "croupier://cell//cell-1",
        "croupier://cell/cell-1?role=operator",
        "croupier://cell/cell-1#x",
        "croupier://x@cell/cell-1",
        "croupier://cell:443/cell-1",
        "croupier://Cell/cell-1",
        "CROUPIER://cell/cell-1",
        " croupier://cell/cell-1",
        "croupier://cell/cell-1 ",
        "croupier://cell/cell-1\n",
        "croupier://cell/cell-1\0",
        "croupier://cell/cell-1\0x",
        "croupier://nobody/x",
        "croupier://tenants/acme",
        "croupier://%63ell/cell-1",
        "croupier://cell/cell%2D1",
        "croupier://cell/%2E%2E",
        "croupier://cell/..",
        "croupier://cell/a%2Fb",
        "croupier://cell/a%5Cb",
        "croupier://cell/a%00b",
        "croupier://cell/a%ffb",
        "croupier://cell/z%c3%bcrich",
        "croupier://cell/zürich",
        "croupier://cell/*",
        "croupier://cell/%2A",
        "croupier://*/cell-1",
        "croupier://cell/" + "x" * 129,
    ],
)
def test_a_uri_that_is_like_one_of_ours_and_is_none_spoils_the_certificate(uri: str) -> None:
    for beside in ([], ["croupier://operator/sre"]):
        with pytest.raises(UnknownCaller):
            read(*beside, uri)


@pytest.mark.parametrize(
    "name",
    [
        "*.cell.croupier",
        "cell-1.*.croupier",
        "Cell-1.cell.croupier",
        "cell-1.cell.Croupier",
        "cell-1.cell.croupier.",
        ".cell.croupier",
        "-.cell.croupier",
        "cell-1.root.croupier",
        "a%2eb.cell.croupier",
        "a b.cell.croupier",
        "a\0.cell.croupier",
        "acme.tenants.croupier",
        "zürich.tenant.croupier",
    ],
)
def test_a_dns_name_that_is_like_one_of_ours_and_is_none_spoils_the_certificate(name: str) -> None:
    for beside in ([], ["croupier://operator/sre"]):
        with pytest.raises(UnknownCaller):
            read(*beside, dns=(name,))


@pytest.mark.parametrize(
    "names",
    [
        ("croupier://cell/cell-1", "croupier://cell/cell-2"),
        ("croupier://viewer/x", "croupier://operator/x"),
        ("croupier://cell/cell-1", "croupier://tenant/acme"),
        ("croupier://router/r", "croupier://tenant/acme"),
        ("croupier://tenant/acme",),
        (),
    ],
)
def test_a_certificate_is_for_one_role_and_one_id(names: tuple[str, ...]) -> None:
    with pytest.raises(UnknownCaller):
        read(*names)


def is_name(text: str) -> bool:
    try:
        return bool(check_name(text, "id")) and "*" not in text
    except InvalidName:
        return False


@given(st.sampled_from(list(Role)), st.text(st.characters(categories=["L", "N", "P", "S"])).filter(is_name))
def test_every_name_has_one_way_to_be_written(role: Role, name: str) -> None:
    assert read(f"croupier://{role}/{quote(name, safe='')}") == Caller(role, name)


@given(st.text(max_size=30))
def test_nothing_else_is_an_id(text: str) -> None:
    try:
        found = read(f"croupier://cell/{text}")
    except UnknownCaller:
        return
    assert quote(check_name(found.id, "id"), safe="") == text


def test_patterns_can_be_others() -> None:
    names = RoleNames(("spiffe://prod.example/croupier/{role}/{id}", "{role}-{id}.x".replace("-", ".")))
    assert names.caller(AltNames(("spiffe://prod.example/croupier/cell/c",))) == Caller(Role.CELL, "c")
    assert names.caller(AltNames(dns=("router.r.x",))) == Caller(Role.ROUTER, "r")
    for other in ("spiffe://prod.example/croupier/x/cell/c", "spiffe://test.example/croupier/cell/c"):
        with pytest.raises(UnknownCaller):
            names.caller(AltNames((other,)))


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "croupier://{role}",
        "croupier://{id}",
        "croupier://{role}/{id}/{id}",
        "{role}://{id}",
        "://{role}/{id}",
        "{role}.{id}",
        "{id}.croupier",
        "{id}.{role}.{id}.croupier",
        "x{id}.{role}.croupier",
        "{id}.{role}.*",
        "{id}.{role}.Croupier",
    ],
)
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(InvalidSettings, match="--role-names"):
        _ = ServerSettings(role_names=(pattern,)).roles
    with pytest.raises(InvalidSettings, match="no pattern"):
        _ = ServerSettings(role_names=()).roles


def test_a_peer_is_expected_to_be_exactly_one() -> None:
    check = NAMES.expect(Role.CELL, "cell-1")
    check(AltNames(("croupier://cell/cell-1",)))
    for wrong in ("croupier://cell/cell-10", "croupier://cell/cell", "croupier://router/cell-1"):
        with pytest.raises(WrongPeer):
            check(AltNames((wrong,)))
    with pytest.raises(UnknownCaller):
        check(AltNames(dns=("cell-1",)))
