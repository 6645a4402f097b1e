"""A store that refuses is the operator's to mend: nobody tries again, or takes it that nothing is there."""

from croupier.codes import Code
from croupier.errors import NotFound, Unavailable
from croupier.stores.refused import StoreRefused
from croupier.transport.status import from_error, to_error


def test_it_invites_no_retry_and_keeps_its_reason_over_the_wire() -> None:
    error = StoreRefused("the object store refuses: AccessDenied")
    assert not isinstance(error, Unavailable | NotFound)
    status = from_error(error)
    assert status.code == Code.FAILED_PRECONDITION
    seen = to_error(status.code, status.message, status.details)
    assert (seen.reason, seen.message) == ("STORE_REFUSED", "the object store refuses: AccessDenied")
