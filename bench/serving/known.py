"""All servers that `python -m bench serving` compares, in the order of its tables."""

from __future__ import annotations

from bench.serving import aio, croupier_cell, native
from bench.serving.peer import Peer

PEERS: dict[str, Peer] = {
    peer.name: peer for peer in (croupier_cell.PEER, native.PEER, aio.PLAIN, aio.ONNXRUNTIME)
}
