"""All entries of some queues, a page at a time, while entries come, go and are used between two pages.

What stays where it is comes once; what moves meanwhile may come again, or not at all. It ends all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cell.residency.entries import Entry, Queue


def pages(
    queues: Iterable[Queue], at_once: int, most: int, *, oldest_first: Iterable[Queue] = ()
) -> Iterator[list[Entry]]:
    """The entries of `queues`, of each the newest first, then of `oldest_first`, about `most` in all."""
    ways = [*((queue, False) for queue in queues), *((queue, True) for queue in oldest_first)]
    for queue, is_forward in ways:
        end = queue.end
        entry = end.newer if is_forward else end.older
        while entry is not end and most > 0:
            page: list[Entry] = []
            while entry is not end and len(page) < at_once:
                page.append(entry)
                entry = entry.newer if is_forward else entry.older
            most -= len(page)
            yield page
            # Who has left the queue meanwhile leads nowhere, and who was used back to the beginning.
            last = next((one for one in reversed(page) if one.queue is queue), None)
            entry = end if last is None else last.newer if is_forward else last.older
