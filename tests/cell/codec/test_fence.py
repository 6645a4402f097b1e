import pytest

from cell.codec.fence import Fence, StaleMap


def test_everybody_is_let_in_before_anything_is_heard() -> None:
    fence = Fence()
    fence.hear("manager", 0, 0)
    assert not any(map(fence.refuses, (0, 1, 2**64 - 1)))


def test_what_is_older_than_the_previous_generation_is_kept_out() -> None:
    fence = Fence()
    fence.hear("manager", 9, 7)
    assert [number for number in range(12) if fence.refuses(number)] == [1, 2, 3, 4, 5, 6]
    # Of a map that the cell has not heard of yet.
    assert not fence.refuses(2**64 - 1)
    fence.hear("manager", 9, 0)
    assert (fence.refuses(8), fence.refuses(9)) == (True, False)


def test_who_says_no_number_is_let_in() -> None:
    fence = Fence()
    fence.hear("manager", 9, 8)
    fence.check(0)
    with pytest.raises(StaleMap) as caught:
        fence.check(7)
    assert (caught.value.reason, caught.value.retry_after > 0) == ("STALE_MAP", True)


def test_the_manager_that_is_furthest_on_counts() -> None:
    fence = Fence()
    fence.hear("one", 9, 8)
    fence.hear("behind", 4, 3)
    fence.hear("empty", 0, 0)
    assert fence.floor == 8


def test_what_was_heard_last_stands_while_nobody_answers() -> None:
    fence = Fence()
    fence.hear("one", 9, 8)
    fence.forget("one")
    fence.forget("one")
    assert fence.floor == 8


def test_numbers_that_begin_lower_after_a_restored_backup_count_once_all_say_so() -> None:
    fence = Fence()
    fence.hear("one", 9, 8)
    fence.hear("other", 9, 8)
    fence.hear("one", 4, 3)
    assert fence.floor == 8
    fence.hear("other", 4, 3)
    assert fence.floor == 3
    # And one that is gone for good keeps nobody out.
    fence.hear("gone", 9, 8)
    fence.forget("gone")
    assert fence.floor == 3


def test_a_pointer_that_an_operator_set_back_keeps_out_neither_of_its_generations() -> None:
    fence = Fence()
    fence.hear("manager", 9, 8)
    fence.hear("manager", 4, 9)
    assert (fence.floor, fence.refuses(4)) == (4, False)
