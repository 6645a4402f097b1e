"""What every part shares. What all of them know stands here, and imports no room:

    names       what things are called: the check of whatever crosses a boundary
    errors      every kind of error; `codes` are gRPC's, `items` makes the status of an item of them
    roles       who is at the other end; `access` says who may call what
    protocol    what parts of different releases may say to each other; `version` is this one's
    settings    flags and variables to a frozen dataclass
    lifecycle   how a process starts, runs and stops; `malloc` has it give memory back
    request_ids what a request is called, in replies and in logs
    priorities  what is shed first where there is too much to do
    fairness    whose turn it is where something waits; `codel`, whether what waits stands
    debug_tokens what a reply says of how it was made, for operators
    deadline    when a request is worth nothing any more
    backoff     how long to wait before the next try
    bounded     a dictionary that callers cannot make grow; `recent` counts what was lately
    latencies   buckets of seconds that add up over processes
    files       files that are written whole or not at all; `sealed` ones have a checksum
    fields      protobuf's wire format, natively; `weight` is what a message takes once it is parsed
    priority    which threads give way to which on a processor
    fetched     features that a router fetched, as they travel to a cell
    buffers     proof that what native code fills is filled

Above it are the rooms: `telemetry`, `artifacts` (the packed file), `transport` (the data plane's gRPC),
`grpcio` (the control plane's) and `stores` (etcd, objects).
"""
