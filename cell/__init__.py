"""A cell: takes a request for a model, which it knows by its artifact's digest alone, to an answer.

It has no etcd, no catalog and no tenants, and never imports the router. From top to bottom, each importing
only what stands behind it:

    supervisor   the program: starts `app` again when a signal ended it
    trial        another program: tries an artifact before it is published
    app          builds every part, from `settings`
    server       messages in, messages out
    warm         the service that loads in advance; `register` keeps the cell known, `work` says what it is at
    debug        what the cell believes, for operators
    scoring      from a request to an answer
    loading      from a digest to a resident model
    engines      what scores models
    crash, residency, codec, memory    who harmed the process, who stays, what messages say, where bytes lie

To read it: `server`, then the docstrings of the rooms in this order.
"""
