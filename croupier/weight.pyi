from google.protobuf.message import Message

from croupier.errors import InvalidRequest

class TooHeavy(InvalidRequest): ...

def check_weight(message_type: type[Message], data: bytes) -> None: ...
