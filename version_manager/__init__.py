"""The version manager: the only part that speaks to etcd. It follows, changes, and tells routers.

    app         builds the parts, serves, stops          settings   what it can be told
    server      the API: checks, converts, delegates     uploads    how much may be on its way in
    bulk_call   a call that publishes many models
    feed        what one watcher gets                    listing    models in pages
    doubts      what is allowed and probably not meant   debug      what this manager believes, for operators
    routers     those that watch                         status     what is held and heard of everybody
    rates       what routers count, added up             rate_table counts, and what they were seconds ago
    shares      the part of limits that is a router's  dividing     who is told which
    ramper      has a new shard map take over           ramp_bounds  when that does harm, of what
                                                        ramp_tally   adds up
    handovers   has cells load before they are asked    shard_answers  the map's ramp and its history
    tenant_answers  a tenant's records and its use
    family_methods  the API of families                  fits       whether models fit a config
    release_methods  the API of releases
    calling     who calls, and whose fault an error is
    reported    the stream of a cell's messages          tenant_status  and what of it bears on one tenant
    kept        how much of a report is kept
    planning/   what the map would do, and whom it serves: counted over all tenants, in a thread
    writes/     every change: publisher, releases, shards, tenants, repair, thawing, by one writer
    cells/      who joined, and what they are told: to warm, to pin, to hand over
    map/        etcd in memory: keys, records, images, the guard, the mirror
    model/      what a router may import: catalog, release, resolve, fleet, and their form on the wire

Imports go down this list. Any number of managers may work at once: every write compares.
"""
