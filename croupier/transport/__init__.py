"""gRPC over HTTP/2 for the data plane: bytes in, calls out; replies in, bytes out (docs/transport.md).

Read `http2/` first, without I/O; then `net/`, which puts it on sockets; then what people call:

    http2/          sessions and calls on nghttp2
    net/            sockets, TLS, connections
    context.py      an ordinary handler and its call
    routes.py       what handlers register with
    services/       health and reflection, handlers like any other
    server.py       serves what was registered; `serving.py` with health and reflection
    client.py       calls to a peer over one `client_connection.py`; `stream.py` a call with many messages
    status.py       errors to gRPC status and back, once
    metadata.py, compression.py   gRPC's rules for what travels
    steps.py        what is done for a call, as spans of its trace
"""
