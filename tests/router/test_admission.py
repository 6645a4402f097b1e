import pytest

from croupier.errors import QuotaExceeded
from croupier.recent import Noted
from router.admission import Admission, Overloaded, Pressed


def test_a_tenant_has_a_limit_of_its_own() -> None:
    admission = Admission(10, 2, retry_after=0.5)
    admission.enter("acme")
    admission.enter("acme")
    with pytest.raises(QuotaExceeded) as caught:
        admission.enter("acme")
    assert (caught.value.retry_after, caught.value.metadata) == (0.5, {"subject": "acme"})
    admission.enter("globex")
    admission.leave("acme")
    admission.enter("acme")


def test_all_together_have_a_limit() -> None:
    admission = Admission(3, 2, retry_after=0.5)
    for tenant in ("a", "b", "c"):
        admission.enter(tenant)
    with pytest.raises(Overloaded) as caught:
        admission.enter("d")
    assert caught.value.retry_after == 0.5
    admission.leave("b")
    admission.enter("d")


def test_a_refused_request_counts_for_nothing() -> None:
    admission = Admission(2, 1)
    admission.enter("acme")
    for _ in range(5):
        with pytest.raises(QuotaExceeded):
            admission.enter("acme")
    assert admission.in_flight == 1
    admission.leave("acme")
    assert admission.in_flight == 0
    assert admission._tenants == {}


def test_it_tells_who_was_refused_lately_and_who_is_at_the_limit() -> None:
    now = 100.0
    admission = Admission(3, 2, clock=lambda: now)
    assert admission.pressed(50)[0] == []
    for tenant in ("acme", "acme", "globex"):
        admission.enter(tenant)
    assert admission.pressed(50)[0] == [Pressed("acme", 2, Noted())]
    for second in range(3):
        now = 100.0 + second
        for _ in range(5):
            with pytest.raises(QuotaExceeded):
                admission.enter("acme")
    with pytest.raises(Overloaded):
        admission.enter("globex")
    assert admission.pressed(50)[0] == [Pressed("acme", 2, Noted(15, 3))]
    assert admission.refused == Noted(1, 1)
    admission.leave("acme")
    assert admission.pressed(50)[0] == [Pressed("acme", 1, Noted(15, 3))]
    now = 120.0
    assert admission.pressed(50)[0] == []
    assert admission.refused == Noted()


def test_what_it_knows_of_refused_tenants_is_bounded() -> None:
    admission = Admission(10, 0, clock=lambda: 100.0)
    for number in range(3_000):
        with pytest.raises(QuotaExceeded):
            admission.enter(f"tenant-{number}")
    assert admission.pressed(50)[1] == 200
