"""The shard map, measured: `python -m bench sharding`.

    costs    what hands, populations and plans take
    poison   one tenant saturates its hand: who feels it, beside who should
    moves    an operator changes the map, by the command line, under load

`play` runs all of them; `quota` holds cells to a share of a processor, so that a fleet on one
machine behaves as one on many, and `heavy` has a model that takes much of it.
"""
