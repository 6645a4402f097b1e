"""From a request to an answer, in one of two ways. Imports `loading` and all rooms behind it.

The hot path (`hot`) answers what nearly every caller sends, for models that are resident, before the event
loop turns: `codec/plain` reads it natively, `engines/form` fills its rows in, `score` scores a read's rows
in one call, `encode` makes the answers; no task, future or lease is made. `cold` has plain calls wait for
their models without a task.

The general way has the same answers and takes the rest: cold models, other tensors, ONNX, long work.
`pipeline` has its stages in order; `batcher` groups by artifact before anything is filled, and `gathering`
is what waits for company; `batch` is what a thread does with a group, `batchsize` how large an expensive
call may be. docs/decisions/0013 says why there are two.

Owners, numbers that routers make of tenants, share both ways (docs/decisions/0017): `jobqueue` and
`backlog` hold what waits, `croupier/fairness` says whose turn it is, `queuebounds` how much may wait,
`overruns` what does not come to an end. `latency` is what it all takes.

To read it: `hot`, `score`, `encode`, `cold`; then `pipeline`, `batcher`, `jobqueue`, `batch`.
"""
