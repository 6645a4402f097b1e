from croupier.priorities import PRIORITIES, WORDS, Priority, known


def test_live_is_shed_last_and_batch_first() -> None:
    assert [*Priority] == sorted(Priority)
    assert (Priority.LIVE, Priority.BATCH) == (0, PRIORITIES - 1)


def test_a_number_of_a_later_release_is_the_lowest_of_this_one() -> None:
    assert [known(number) for number in (0, 3, PRIORITIES, 2**32 - 1)] == [0, 3, 4, 4]


def test_callers_may_lower_theirs_and_no_more() -> None:
    assert {*WORDS.values()} == {Priority.LIVE, Priority.BATCH}
