"""What is measured, and how: `python -m bench --help` lists the benches, `results/` has what pages quote.

    route       the router beside proxies: `catalog` and `upstream` are what it is between, `measuring` takes
                one of the `peers`, `rows` reports; `checking` looks at answers, `h2load` loads
    telemetry   the router beside itself without (`bare_router`, `traced_router`)
    features    stored features: reads of them, and what a router takes for a request that has some; `answers`
                compares what comes of them with what is `planted`
    log         what is written down of predictions: what it costs; `logged`, whether it is what callers got
    cell, residency, storm      one cell: of `population`, many models
    serving     a cell beside servers in Python and C++
    engines     beside other engines (`engine_models`, `engine_peer`, `engine_peers`, `engine_compilers`), and
                `transforms`, the steps before them
    policies    who stays: `eviction` has policies to compare with, `traces` the requests
    placement   what dealing costs; `balance`: which cell of the hand gets a request
    scale       a catalog of very many models: what control plane and router take for it
    shards      the shard map: what hands and plans cost; its verbs, and a tenant that saturates its hand
    publish     many models by one call: how many a second are packed, compared, published
    fleet, outage, many, minutes      a whole stack of processes
    hostile     `attacks`, and the `attacker` that makes them
    fair        tenants that take more than their share, and overload
    system      router, cells, version manager and load together
    ceiling     the harness that people load-test with: what a request costs it, and what it hides
    demo        `make demo`

`load`, `openloop`, `streams` and `calling` ask, `training` has real models with their answers, `processes`
pins and measures, `echo` and `certificate` are to measure against. `report`, `series` and `about` write
results, `pictures` draws.
"""
