"""Sessions on sockets: asyncio is from here on up.

Imports `http2`. In order: `addresses` binds, `tls` has contexts that follow their files, `listener` takes
connections and `http1` answers those that do not speak HTTP/2, `turns` shares a loop among those with much to
do, and `connection` carries bytes between a socket and its session.
"""
