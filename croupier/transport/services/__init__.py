"""What every server serves besides its own: `health` (grpc.health.v1) and `reflection` (v1 and v1alpha).

Handlers like any other: they import what handlers register with (`routes`), and no server.
"""
