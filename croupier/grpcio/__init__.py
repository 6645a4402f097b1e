"""What our own parts serve and call by grpcio: the control plane, where speed is no matter.

`server` and `tls` are the version manager's server, `channels` what every channel of ours is opened with,
`rpc_errors` and `ending` say how a call failed, `certificate` who called. `manager` calls the version
manager's API, `bulk` for many models at a time, `publisher` for programs that train models, and `failover`
chooses among several managers; `outgoing` is what goes with each call, and `part` what a process tells them
of itself. Predictions go by `croupier.transport`, and those who ask for them use the SDK.
"""
