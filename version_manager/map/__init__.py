"""etcd in memory: what lies where, what it says, and whether to believe it.

In this order: `keys` (where a thing lies), `schema`, `forms` and those of tenants, releases and families
(`tenant_forms`, `release_forms`, `family_forms`), `chunks` (of a shard map that one value cannot hold) and
`records` (its JSON, to the last field), `problems` (what is wrong with it), `seed`, `registrations`,
`generations`, `shard_image`, `tenant_image` and `family_image` (parts of the image), `entries` and `mods`
(what etcd says of a model that is not served so, and the revisions of keys), `image` (everything decoded,
with the last good word of whatever says nonsense now), `guard` (whether to believe that much is gone),
`outside` and `edits` (what was deleted, and written, by nobody of ours), `snapshot` (what was good, on
disk), `mirror` (follows etcd through all of these, and wakes whoever waits for a revision). `stored` is one
model as etcd has it at one moment, `audit` the entry that a change writes, `announcements` what everybody
understands, and so what may be written.
"""
