"""Ray Serve with `serve.multiplexed`: one replica that loads a model when it is first asked for.

A caller reaches it through a proxy, a process of its own; or, with direct ingress, without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.serving.foreign import SERVERS, Foreign
from bench.serving.models import Models
from bench.serving.oip import OipWire
from bench.serving.peer import ROOT, Headers, Wire
from croupierctl.stack_process import free_port

# Nothing is reported to its makers, no token is left in anybody's home, and its servers listen on loopback.
_ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_INGRESS = "RAY_SERVE_ENABLE_DIRECT_INGRESS"
_DIRECT = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", _INGRESS: "1"}
_PROXY = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", _INGRESS: "0"}


class RayServe(Foreign):
    """`variables` of the environment are how Ray Serve is tuned."""

    home = "ray"
    tells = ("ray", "grpcio", "lightgbm")

    def __init__(self, name: str, settings: str, variables: Mapping[str, str]) -> None:
        self.name = name
        self.settings = settings
        self._variables = variables

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        # Its processes want generated code of the protocol, and no more of ours.
        (home / "path").mkdir()
        (home / "path/protos").symlink_to(ROOT / "protos")
        # Its proxy runs even where nobody asks it, and has ports of its own then.
        direct = self._variables.get(_INGRESS) == "1"
        http = free_port()
        return self.alone(
            str(SERVERS / "ray_server.py"),
            *(str(models.lightgbm(count)), str(free_port()), str(free_port() if direct else port)),
            path=(home / "path",),
            **_ALONE,
            **self._variables,
            RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT=str(http),
            RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT=str(http + 1),
            RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT=str(port),
            RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT=str(port + 1),
        )

    def wire(self, models: Models) -> Wire:
        return _RayWire()


class _RayWire(OipWire):
    def headers(self, number: int) -> Headers:
        return ((b"application", b"forests"), (b"multiplexed_model_id", b"m%d" % number))


PEER = RayServe(
    "ray",
    "one replica, multiplexed without a bound, direct ingress, RAY_SERVE_THROUGHPUT_OPTIMIZED, "
    "max_ongoing_requests=1000, C FastPredict, num_threads=1",
    _DIRECT,
)
TRIED = (
    RayServe("ray-proxy", "the same behind its gRPC proxy", _PROXY),
    RayServe("ray-defaults", "behind its gRPC proxy, its defaults but for max_ongoing_requests", {}),
)
