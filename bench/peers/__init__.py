"""The proxies that the router is compared with: their configurations and how each is started.

Each has one worker on one core, HTTP/2 on both sides, connections that are kept, no access log, and
nothing to do but forward: each peer at its best, not at what our router does besides.

`known` has them all, `launch` starts one.
"""
