import pytest

from croupier.errors import QuotaExceeded
from router.admission import Admission, Overloaded


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
