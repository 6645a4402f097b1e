from croupier.errors import InvalidRequest

class MalformedMessage(InvalidRequest):
    def __init__(self) -> None: ...
