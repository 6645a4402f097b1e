"""Writes down what was predicted: from the spools of a host's routers to files in an object store.

    spool (croupier/stores/spool*) ── batches ── decoding ── hiding ── files (Parquet, or JSON lines) ── store
                                         │           │
                                      progress   signatures

`app` builds it from `settings`, `follow` says when something is written, by which `threads`; `batches` has
the order of steps by which each row is written once, `progress` what of that is on the disk. `decoding` makes
rows of what travelled as bytes, by the artifact's signature (`signatures`) and `tensors`; `hiding` hashes or
drops what is sensitive before it leaves the host; `rows` and `columns` are what a row is, `files` what a file
is. What nobody can read is kept aside (`aside`).

Imports nothing of routers and cells: it meets them in the spool.
"""
