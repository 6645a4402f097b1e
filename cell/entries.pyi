from collections.abc import Iterator
from typing import Any

class Entry:
    digest: bytes
    model: Any
    group: Any
    queue: Queue
    newer: Entry
    older: Entry
    size: int
    used_at: float
    leases: int
    hits: int
    def __init__(self, digest: bytes, model: Any, size: int, used_at: float, group: Any = None) -> None: ...

def use(entry: Entry, when: float) -> Any: ...
def count_use(entry: Entry) -> None: ...

class Queue:
    bytes: int
    count: int
    end: Entry
    def __init__(self) -> None: ...
    def __iter__(self) -> Iterator[Entry]: ...
    def push(self, entry: Entry) -> None: ...
    def remove(self, entry: Entry) -> None: ...
    def renew(self, entry: Entry) -> None: ...

def move(entry: Entry, queue: Queue) -> None: ...
