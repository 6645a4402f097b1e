"""All servers that `python -m bench serving` compares, in the order of its tables."""

from __future__ import annotations

from collections.abc import Iterable

from bench.serving import aio, bentoml, croupier_cell, kserve, mlserver, native, ray_serve, triton
from bench.serving.peer import Peer


def _named(peers: Iterable[Peer]) -> dict[str, Peer]:
    return {peer.name: peer for peer in peers}


PEERS = _named(
    (
        *(croupier_cell.PEER, native.PEER, aio.PLAIN, aio.FASTPREDICT, aio.ONNXRUNTIME),
        *(kserve.PEER, mlserver.PEER, bentoml.PEER, ray_serve.PEER, triton.PEER),
    )
)
# With other settings, for whoever asks for them: those of PEERS are the fastest that were found.
TRIED = _named((*kserve.TRIED, *mlserver.TRIED, *bentoml.TRIED, *ray_serve.TRIED))
ALL = {**PEERS, **TRIED}
