from typing import Any

import jwt
import pytest

from croupier.errors import PermissionDenied, Unauthenticated
from croupier.names import InvalidName
from croupier.settings import InvalidSettings
from router.identity import HeaderIdentity, TokenIdentity, WrongTenant, check_claim

KEY = b"k" * 32
NOW = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def identity(clock: Clock) -> TokenIdentity:
    return TokenIdentity(KEY, clock, remembered=2)


def token(key: bytes = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    given = {"sub": "acme", "aud": "croupier", "exp": NOW + 60, **claims}
    return jwt.encode({k: v for k, v in given.items() if v is not None}, key, algorithm=algorithm)


def bearer(text: str, *more: tuple[str, str]) -> list[tuple[str, str | bytes]]:
    return [("user-agent", "test"), ("authorization", f"Bearer {text}"), *more]


def test_a_good_token_names_the_tenant(identity: TokenIdentity) -> None:
    assert identity.tenant(bearer(token())) == "acme"
    assert identity.tenant(bearer(token(sub="globex", aud=["croupier", "other"]))) == "globex"
    assert identity.tenant([("authorization", f"bearer {token()}")]) == "acme"


@pytest.mark.parametrize(
    "bad",
    [
        token(key=b"x" * 32),
        token(aud="other"),
        token(aud=None),
        token(exp=None),
        token(exp="soon"),
        token(exp=[]),
        token(exp=10**400),
        token(sub=None),
        token(sub=""),
        token(sub="../globex"),
        token(sub="acme\0globex"),
        token(sub=7),
        token(nbf=NOW + 10),
        jwt.encode({"sub": "acme", "aud": "croupier", "exp": NOW + 60}, None, algorithm="none"),
        token(key=b"k" * 64, algorithm="HS512"),
        token()[:-2],
        "a.b.c",
        "",
    ],
)
def test_a_bad_token_is_refused(identity: TokenIdentity, bad: str) -> None:
    with pytest.raises(Unauthenticated):
        identity.tenant(bearer(bad))


def test_metadata_without_one_token_are_refused(identity: TokenIdentity) -> None:
    for metadata in ([], [("authorization", "Basic abc")], bearer(token(), *bearer(token(sub="globex")))):
        with pytest.raises(Unauthenticated):
            identity.tenant(metadata)


def test_a_remembered_token_expires(identity: TokenIdentity, clock: Clock) -> None:
    short = token(exp=NOW + 5)
    assert identity.tenant(bearer(short)) == "acme"
    clock.now += 4.9
    assert identity.tenant(bearer(short)) == "acme"
    clock.now += 0.1
    with pytest.raises(Unauthenticated, match="expired"):
        identity.tenant(bearer(short))
    with pytest.raises(Unauthenticated, match="expired"):
        identity.tenant(bearer(short))


def test_only_so_many_tokens_are_remembered(identity: TokenIdentity) -> None:
    for number in range(5):
        assert identity.tenant(bearer(token(sub=f"tenant-{number}"))) == f"tenant-{number}"
        assert len(identity._known) <= 2


def test_a_header_beside_a_token_must_name_the_same_tenant(identity: TokenIdentity) -> None:
    assert identity.tenant(bearer(token(), ("croupier-tenant", "acme"))) == "acme"
    with pytest.raises(PermissionDenied):
        identity.tenant(bearer(token(), ("croupier-tenant", "globex")))
    for order in (("acme", "globex"), ("globex", "acme")):
        with pytest.raises(PermissionDenied):
            identity.tenant(bearer(token(), *(("croupier-tenant", name) for name in order)))


def test_a_short_key_is_refused(clock: Clock) -> None:
    with pytest.raises(InvalidSettings, match="shorter than 32 bytes"):
        TokenIdentity(b"short", clock)


def test_a_header_names_the_tenant() -> None:
    identity = HeaderIdentity()
    assert identity.tenant([("croupier-tenant", "acme"), ("x", "y")]) == "acme"
    for metadata in ([], [("croupier-tenant", "acme"), ("croupier-tenant", "globex")]):
        with pytest.raises(Unauthenticated):
            identity.tenant(metadata)
    with pytest.raises(InvalidName):
        identity.tenant([("croupier-tenant", "../acme")])


def test_a_claim_about_another_tenant_is_refused() -> None:
    check_claim("acme", "")
    check_claim("acme", "acme")
    with pytest.raises(WrongTenant):
        check_claim("acme", "globex")
