from typing import Any

import jwt
import pytest

from croupier.errors import PermissionDenied, Unauthenticated
from croupier.names import InvalidName
from croupier.settings import InvalidSettings
from router.identity import HeaderIdentity, TokenIdentity, Values, WrongTenant, check_claim

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


def metadata(*pairs: tuple[str, str]) -> Values:
    """The metadata of a call, as its `values`."""

    def values(name: bytes) -> tuple[bytes, ...]:
        return tuple(value.encode() for key, value in pairs if key.encode() == name)

    return values


def bearer(text: str, *more: tuple[str, str]) -> Values:
    return metadata(("user-agent", "test"), ("authorization", f"Bearer {text}"), *more)


def test_a_good_token_names_the_tenant(identity: TokenIdentity) -> None:
    assert identity.tenant(bearer(token())) == "acme"
    assert identity.tenant(bearer(token(sub="globex", aud=["croupier", "other"]))) == "globex"
    assert identity.tenant(metadata(("authorization", f"bearer {token()}"))) == "acme"


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
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            identity.tenant(bearer(bad))
    assert not identity._known


def test_metadata_without_one_token_are_refused(identity: TokenIdentity) -> None:
    second = ("authorization", "Bearer " + token(sub="globex"))
    for values in (metadata(), metadata(("authorization", "Basic abc")), bearer(token(), second)):
        with pytest.raises(Unauthenticated):
            identity.tenant(values)
    good = ("authorization", "Bearer " + token())
    assert identity.tenant(metadata(good, good)) == "acme"


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
    identity, acme, globex = HeaderIdentity(), ("croupier-tenant", "acme"), ("croupier-tenant", "globex")
    for _ in range(2):
        assert identity.tenant(metadata(acme, ("x", "y"))) == "acme"
        assert identity.tenant(metadata(acme, acme)) == "acme"
        assert identity.tenant(metadata(globex)) == "globex"
        for values in (metadata(), metadata(acme, globex)):
            with pytest.raises(Unauthenticated):
                identity.tenant(values)
    for bad in (metadata(("croupier-tenant", "../acme")), lambda name: (b"\xff\xfe",)):
        with pytest.raises(InvalidName):
            identity.tenant(bad)


def test_only_so_many_headers_are_remembered() -> None:
    identity = HeaderIdentity(remembered=2)
    for number in range(5):
        assert identity.tenant(metadata(("croupier-tenant", f"tenant-{number}"))) == f"tenant-{number}"
        assert len(identity._known) <= 2


def test_a_claim_about_another_tenant_is_refused() -> None:
    check_claim("acme", "")
    check_claim("acme", "acme")
    with pytest.raises(WrongTenant):
        check_claim("acme", "globex")
