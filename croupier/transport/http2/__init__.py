"""HTTP/2 without I/O, on an nghttp2 that is looked at before anything of ours is linked with it."""

from croupier.transport.http2.library import check, installed

check(installed())
