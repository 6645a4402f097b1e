"""Every change of what etcd says. None is made without its audit entry, in the same transaction.

Each reads what it needs (`stored_models` for models), decides, and has `writer` commit compares, operations
and the entry; if a compare fails, it reads again. `publisher` makes and deletes versions, `bulk` makes many
at a time, `releases` moves traffic, `shards` makes generations, which take over as `ramping` has them (both
read `pointer` first, and `chunks` writes what one value cannot hold), `tenants` says what cells keep,
`limits` what tenants may take, `families` what models of one name have in common, `repair` puts back what
etcd lost, `thawing` has everybody accept a loss that is meant.
"""
