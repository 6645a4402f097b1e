import math
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import PermissionDenied, Unauthenticated
from croupier.names import InvalidName
from router.identity import HeaderIdentity, Memory, TokenIdentity, Values, WrongTenant, check_claim
from router.keys import secret_key

KEY = b"k" * 32
KEYS = {"": secret_key(KEY)}
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
    return TokenIdentity(KEYS, clock, memory=Memory(2))


def token(
    key: Any = KEY, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any
) -> str:
    claimed = {"sub": "acme", "aud": "croupier", "exp": NOW + 60, **claims}
    claimed = {name: value for name, value in claimed.items() if value is not None}
    return jwt.encode(claimed, key, algorithm=algorithm, headers=headers)


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
        token(exp=math.nan),
        token(exp=math.inf),
        token(exp=True),
        token(exp=str(NOW + 60)),
        token(exp=NOW + 367 * 86_400),
        token(nbf=math.nan),
        token(nbf=-math.inf),
        token(nbf="0"),
        token(headers={"crit": ["x"], "x": 1}),
        token(headers={"kid": "unknown"}),
        token(headers={"kid": "../../dev/null"}),
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


def test_tokens_of_a_key_that_goes_are_forgotten(clock: Clock) -> None:
    other = secret_key(b"o" * 32, "other")
    identity = TokenIdentity(KEYS | {"other": other}, clock)
    ours, theirs = bearer(token()), bearer(token(b"o" * 32, headers={"kid": "other"}, sub="globex"))
    for _ in range(2):
        assert [identity.tenant(ours), identity.tenant(theirs)] == ["acme", "globex"]
    identity.use(KEYS)
    assert len(identity._known) == 1
    assert identity.tenant(ours) == "acme"
    with pytest.raises(Unauthenticated, match="not known here"):
        identity.tenant(theirs)
    # Another key under the same id.
    identity.use({"": secret_key(b"n" * 32)})
    assert not identity._known
    with pytest.raises(Unauthenticated, match="not valid"):
        identity.tenant(ours)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40), st.booleans())))
def test_what_is_remembered_is_bounded(steps: list[tuple[int, int, bool]]) -> None:
    memory: Memory[int] = Memory(5, 60)
    for number, size, drops in steps:
        values = (b"%d" % number, b"x" * size)
        if drops:
            memory.drop(values)
        else:
            assert memory.put(values, number) == number
        assert memory.size == sum(len(part) for known in memory.known for part in known) <= 60
        assert len(memory.known) <= 5
        assert drops or memory.known[values] == number


def test_what_is_larger_than_all_that_may_be_is_not_remembered() -> None:
    memory: Memory[int] = Memory(5, 60)
    memory.put((b"a",), 1)
    assert memory.put((b"x" * 61,), 2) == 2
    assert memory.known == {(b"a",): 1}


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
    identity = HeaderIdentity(Memory(2))
    for number in range(5):
        assert identity.tenant(metadata(("croupier-tenant", f"tenant-{number}"))) == f"tenant-{number}"
        assert len(identity._known) <= 2


def test_a_claim_about_another_tenant_is_refused() -> None:
    check_claim("acme", "")
    check_claim("acme", "acme")
    with pytest.raises(WrongTenant):
        check_claim("acme", "globex")
