"""The wire contracts, `<part>/v<n>/<part>.proto`, and beside each the code that `make protos` makes of it.

    inference    the Open Inference Protocol: routers and cells serve it
    prediction   our own API for callers: items, streams
    cell         what a version manager asks of cells: to load, to pin, what they have
    versions     the version manager's: what is served, who joined, every change, the watch of routers
    status       an error's details, as Google publishes them
    etcd         as much of etcd's own as we use

`numbers.pxd` has the numbers of fields that native code reads by hand. `tests/protos` locks all of it.
"""
