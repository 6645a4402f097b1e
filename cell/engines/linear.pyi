from typing_extensions import Buffer

from cell.engines.native import Native

class Linear(Native):
    def __init__(self, buffer: Buffer) -> None: ...
