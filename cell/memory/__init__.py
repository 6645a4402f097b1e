"""Where models' bytes lie, and how many there may be. Imports no other room.

`arena` is equal slots in segments that go back to the system when they are empty, and are emptied by moving
models when they are sparse (docs/decisions/0008); `ranges` has room for what is larger than any slot, `block`
is bytes in either. `capacity` says what the process may use when nobody sets it, `keeper` measures what it
takes, `pressure` (pure) says what models may take then. Whoever evicts a model closes it.

To read it: `arena`, then `keeper` and `pressure`.
"""
