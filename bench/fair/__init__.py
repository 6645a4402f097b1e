"""Fair shares, measured: `python -m bench fair`.

    offenders   a tenant takes more than its share in some way, beside ordinary ones on the same hand
    controls    what takes as much of the processors, and is no part of the fleet
    evasions    ways round a limit, of the same kind
    overload    everybody together asks for more than the cells can do: the `demand`
    routers     one tenant's limit over two routers
    restart     cells go and come: which share of the requests finds its model loaded

`play` runs those that are asked for on one fleet, and cells that go and come on others; `merging` puts what
several runs saw into one. `machines` has the router and those who ask stand for machines of their own. An
offender is a process of its own (`offender`) that does one of `acts` with what `wares` published for it;
`beside` has the ordinary tenants ask meanwhile. `noting` calls and notes how each call ended, `limiting`
tells a fleet what tenants may take, `judging` makes figures of it all, and `telling` shows them.
"""
