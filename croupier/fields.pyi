from collections.abc import Iterable

from croupier.errors import InvalidRequest

class MalformedMessage(InvalidRequest):
    def __init__(self) -> None: ...

def join_first(parts: Iterable[bytes]) -> bytes: ...
