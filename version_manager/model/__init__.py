"""What is served, as values: all that a router may import of the version manager.

`release` is what is served of one model and how a version is chosen from it, `ranges` what becomes of keys
when that changes, `encode`, `decode` and `encoded` a model's bytes, `catalog` all models at a revision,
`resolve` a request's way from a name to an artifact, `fleet` the cells as they registered, `residency` what
an operator wants kept, `limits` what a tenant may take, `family` what the models of one name have in common.
`history` has what changed lately, `wire` the messages of all of them, `family_wire` those of families. But
for `history` and the two `wire`s everything here is pure.
"""
