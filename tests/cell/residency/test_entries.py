import gc

from hypothesis import given
from hypothesis import strategies as st

from cell.residency.entries import Entry, Queue, move


def entry(number: int) -> Entry:
    return Entry(bytes([number]), None, number, 0.0)


def sizes(queue: Queue) -> list[int]:
    return [each.size for each in queue]


def test_a_queue_goes_from_the_oldest_to_the_newest() -> None:
    queue = Queue()
    for number in (1, 2, 3):
        queue.push(entry(number))
    assert sizes(queue) == [1, 2, 3]
    assert (queue.end.newer.size, queue.end.older.size) == (1, 3)
    assert (queue.bytes, queue.count) == (6, 3)


def test_who_is_met_may_be_removed() -> None:
    queue = Queue()
    for number in range(6):
        queue.push(entry(number))
    for each in queue:
        if each.size % 2:
            queue.remove(each)
    assert sizes(queue) == [0, 2, 4]


def test_an_entry_that_left_knows_no_neighbour() -> None:
    queue = Queue()
    first = entry(1)
    queue.push(first)
    queue.remove(first)
    assert (first.newer, first.older, first.queue) == (None, None, None)


def test_the_garbage_collector_does_not_know_of_entries() -> None:
    assert not gc.is_tracked(entry(1))


@given(
    st.lists(st.tuples(st.sampled_from(["push", "remove", "renew", "move"]), st.integers(1, 9)), max_size=40)
)
def test_queues_are_lists(steps: list[tuple[str, int]]) -> None:
    entries = {number: entry(number) for number in range(1, 10)}
    queues = (Queue(), Queue())
    plain: tuple[list[int], list[int]] = ([], [])
    for step, number in steps:
        at = next((place for place in (0, 1) if number in plain[place]), None)
        if at is None:
            queues[0].push(entries[number])
            plain[0].append(number)
            continue
        plain[at].remove(number)
        if step == "renew":
            queues[at].renew(entries[number])
            plain[at].append(number)
        elif step == "move":
            move(entries[number], queues[1 - at])
            plain[1 - at].append(number)
        else:
            queues[at].remove(entries[number])
        for queue, numbers in zip(queues, plain, strict=True):
            assert sizes(queue) == numbers
            assert (queue.count, queue.bytes) == (len(numbers), sum(numbers))
