"""HTTP/2 sessions that carry gRPC, on nghttp2 and without I/O, tasks or a clock.

Imports nothing of ours but errors, codes, the rules of `metadata`, `compression` and `status`, and what
counts the parts of a message. What nghttp2 there is, `library` and `linked` look at first: one that any peer
could harm is refused. A connection is built up in this order, which is a good one to read, too:

    limits      every bound, with what is allowed unless it is said otherwise
    allocator   nghttp2's memory, from Python's
    wire        what is held for a connection, and for all of a server
    meter       what a peer may do that is of no use, and how long it may keep us at work
    headers, outgoing, call     one call: its metadata, what it sends, what it receives
    callbacks   what nghttp2 tells, and what of it a role decides
    session     what the owner of a connection calls
    server_call, server_session, client_call, client_session     the two roles
    counted_call                calls of a load test, which are counted natively
    frame_log   the frames in the log, for whoever asks for them
"""

from croupier.transport.http2.library import check, installed

check(installed())
