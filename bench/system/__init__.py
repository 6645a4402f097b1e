"""The whole system, measured: `python -m bench system`.

    steady     one router before four cells over very many models: the most that it does, the CPU time of a
               prediction, latencies at parts of the most; and how CPU time grows with models
    overload   the same stack asked for more than its cells can do (`bench.fair.overload`)
    growth     a router's CPU time as tenants, cells and hands grow; its cells are ports of one stub
    storm      cold models at once, of one cell (`bench.storm`)
    tail       the router's latencies beside the best proxy's, with a version manager and without; and what
               each long one came of (`stalls`)

`play` runs those that are asked for. `population` has the models, `records` puts them into store and etcd,
`asking` asks and compares every answer, `loading` is the process that does so; `joining` keeps stubs
registered.
"""
