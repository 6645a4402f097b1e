"""Shuffle sharding: every tenant gets a hand of a few cells, and hardly two tenants the same one.

    generation.py   one immutable shard map: who may be dealt, in which zone, with what weight
    changes.py      what one changes in the one before, in words
    hashing.py      the keyed hash and the score that everything below is decided by
    dealer.py       tenant → hand
    pool.pyx        the same natively, which deals the hands; a whole population's at once
    population.py   the hands of a population as arrays; slots.pyx compares them
    ramp.py         which of two generations deals to a tenant, while one takes over from the other
    placement.py    (hand, model) → the order of its cells; the lookback to the previous generation
    overlap.py      what a deal is worth: the exact chances that two tenants share j cells
    plan.py         what another generation will move, load and even out; when to refuse it
    edits.py        the map that an operator wants of the one that deals, and the cells that this is about
    optimize.py     pins for the heaviest tenants
    blast.py        who is hurt when cells break, beside the chance of it

Everything here is pure and the same in every process: who has the generation knows every hand. What
holds, the caller must keep true:

1. Check a generation (`check_generation`) before it is published; a `Dealer` trusts it.
2. Never change the seed of a deployment: it deals every tenant anew.
3. Change hands by a new generation only. A cell that is down keeps its slots, and the router passes
   over it inside the hand: replacing it automatically would hand its poison tenant a fresh cell.
4. Change one thing a generation, and keep the previous one for lookback until the models of the
   moved slots are loaded where they are now dealt.
5. Drain a cell before its seat is removed: the removal itself then moves nothing.
"""
