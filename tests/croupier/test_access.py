"""One rule and one peer at a time; every method and every role: `test_access_matrix`."""

from types import SimpleNamespace
from typing import Any

import pytest

from croupier.access import CELL, Access, NotAllowed, OtherTenant, Rule
from croupier.roles import AltNames, Caller, Role, UnknownCaller

CELL_1 = Caller(Role.CELL, "cell-1")
PUBLISHER = Caller(Role.PUBLISHER, "ci")
OF_ACME = Caller(Role.PUBLISHER, "ci", frozenset({"acme"}))
PUBLISHERS = frozenset({Role.PUBLISHER})


@pytest.mark.parametrize("peer", [None, CELL_1, OF_ACME, UnknownCaller("nobody")])
def test_what_is_for_everybody_refuses_nobody(peer: Any) -> None:
    assert Rule().refusal(peer) is None
    Rule(tenant="tenant").check_request(peer, SimpleNamespace(tenant="globex"))


def test_a_server_that_asks_for_no_certificate_lets_everybody_in() -> None:
    rule = Rule(frozenset(), tenant="tenant", own="id")
    assert rule.refusal(None) is None
    rule.check_request(None, SimpleNamespace(tenant="globex", id="x"))


def test_who_has_no_role_is_told_why() -> None:
    why = UnknownCaller("the certificate names no role")
    assert Rule(PUBLISHERS).refusal(why) is why


def test_another_role_is_named() -> None:
    refusal = Rule(PUBLISHERS).refusal(CELL_1)
    assert isinstance(refusal, NotAllowed)
    assert (refusal.message, refusal.reason) == ("this is not for the role cell", "ROLE_NOT_ALLOWED")


def test_who_is_restricted_may_ask_for_its_own_and_for_what_is_of_nobody() -> None:
    assert Rule(PUBLISHERS, tenant="tenant").refusal(OF_ACME) is None
    assert Rule(PUBLISHERS, common=True).refusal(OF_ACME) is None
    assert isinstance(Rule(PUBLISHERS).refusal(OF_ACME), OtherTenant)
    assert Rule(PUBLISHERS).refusal(PUBLISHER) is None


# A tenant that is "", or another's whose name begins alike, is another.
@pytest.mark.parametrize("tenant", ["globex", "", "acme ", "acme-2", "ACME"])
def test_another_tenants_request_is_refused(tenant: str) -> None:
    rule = Rule(PUBLISHERS, tenant="header.tenant")
    rule.check_request(OF_ACME, SimpleNamespace(header=SimpleNamespace(tenant="acme")))
    rule.check_request(PUBLISHER, SimpleNamespace(header=SimpleNamespace(tenant=tenant)))
    with pytest.raises(OtherTenant):
        rule.check_request(OF_ACME, SimpleNamespace(header=SimpleNamespace(tenant=tenant)))


@pytest.mark.parametrize("said", ["cell-10", "cell-", "", "CELL-1"])
def test_nobody_says_to_be_somebody_else(said: str) -> None:
    rule = Rule(frozenset({Role.CELL}), own="id")
    rule.check_request(CELL_1, SimpleNamespace(id="cell-1"))
    with pytest.raises(NotAllowed, match="that of cell/cell-1, who can be nobody else"):
        rule.check_request(CELL_1, SimpleNamespace(id=said))


def test_a_method_without_a_rule_is_for_no_role() -> None:
    for role in Role:
        assert isinstance(
            Access(CELL).rule("/croupier.cell.v1.Cell/New").refusal(Caller(role, "x")), NotAllowed
        )


def test_a_peer_is_who_its_certificate_says() -> None:
    access = Access(CELL)
    assert access.peer(AltNames(("croupier://cell/cell-1",))) == CELL_1
    nobody = access.peer(AltNames(("spiffe://elsewhere/cell",)))
    # It is kept as long as the connection, and its traceback would keep what made it.
    assert (type(nobody), getattr(nobody, "__traceback__", "")) == (UnknownCaller, None)
