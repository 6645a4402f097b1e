from croupier.errors import InvalidRequest, QuotaExceeded
from croupier.transport.status import from_error
from router import refusals
from router.refusals import status_of


def test_refusals_that_say_the_same_have_one_status() -> None:
    def over(wait: float) -> QuotaExceeded:
        return QuotaExceeded("too much", retry_after=wait, limit="rate")

    assert status_of(over(0.5)) is status_of(over(0.5))
    assert status_of(over(0.5)) == from_error(over(0.5))
    assert status_of(over(0.25)) == from_error(over(0.25)) != status_of(over(0.5))


def test_what_says_something_else_each_time_is_not_kept() -> None:
    error = InvalidRequest("no such field", field="x")
    assert status_of(error) is not status_of(error)
    for number in range(refusals.MOST + 10):
        status_of(QuotaExceeded(f"{number}"))
    assert len(refusals._made) <= refusals.MOST
