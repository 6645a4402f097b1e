"""The router: a request's way to a cell, one file a stage, in the order that `pipeline` calls them.

    server      bytes in and out; errors become status, once
    identity    whose request (`tokens`, `keys`, `keyfile`)
    pipeline    the whole request on one screen, the only file that knows the order; `methods`: what differs
    admission   limits of all and of a tenant, kept in `buckets`; sheds early, large requests before they are
                taken in (`refusals`: their statuses; `comebacks`: when to come back; `pacing`: when a tenant
                that has very many is told; `pressure`: how many there may be of all while the loop is late)
    envelope    which model; the payload stays opaque
    routes      what was decided for a model already: `version_manager.model.resolve` and `route`; so much of
                it is `remembered`
    route       the tenant's hand, in this model's order
    rows        what a request costs a tenant that has limits; `cold_loads`: what it may have loaded
    families    what a family's config wants of requests
    features    what the family adds to them, by its `feature_plan`: `feature_reads` asks the store, and
                `feature_cache` remembers; `entities`: whose features they are. `feature_ingest` writes
                what services say of their own tenants' entities
    pick        which of the hand now, by `breakers` and `outliers`; `suspects` keeps a request from ending
                cell after cell, and `pushbacks` from asking a cell that said not to be asked yet
    balance     which of these has less to do, by `loads`; hot models have `copies` in more than one cell
    concurrency how many calls a cell may have in flight while its answers are late
    attempt     deadline, retries inside the hand (`budget`), one call to a cell (`hedges`: it is silent,
                `losses`: it died)
    fanout      many items: a call to each cell
    stale       what an old shard map dealt waits for a newer one; and how long a router may be behind
    cells       one connection to each cell (`latency`: how long its calls take; `tracing`: their spans)

All of it is synchronous: a request costs no task and no timer of its own (`wheel`), and `units` are made
and joined natively. `feeds` keeps the router's picture of the world current: `events` decodes what a
version manager says into `view`, which is immutable, `snapshot` keeps a checksummed copy on disk, `retired`
gives back catalogs that nobody reads any more, and
`revisions` has requests wait for a catalog that they name. `shares` says which part of tenants' limits is
this router's, `kept_shares` has that on disk. `stream` bounds what one stream may have in work, `access_log`
logs the slow requests, `latest` keeps some of them and of those that failed; `log` writes down what was
predicted, where families want it. `tallies` counts what comes of the requests of the `busiest`
tenants and models, `rates` says so. `reports` tells version managers that, and what this router serves and
what `troubles` it; `debug` tells operators. `app` builds all of it from `settings`.
"""
