from collections.abc import Iterable

from croupier.errors import InvalidRequest

MAX_FIELDS: int

class TooManyFields(InvalidRequest):
    def __init__(self, most: int = ...) -> None: ...

class MalformedMessage(InvalidRequest):
    def __init__(self) -> None: ...

def join_first(parts: Iterable[bytes]) -> bytes: ...
