"""Where the time of a request goes in a cell: until its rows are scored, and while they are.

What a model's load takes is in `cell.loading.loader`'s metrics; how long whole calls take, in the server's.
"""

from __future__ import annotations

from croupier.telemetry.metrics import SECONDS, LoopHistogram

_QUEUE = LoopHistogram(
    "croupier_cell_queue_seconds",
    "From a request's arrival until its rows are scored; of those that wait in the batcher, from there on",
    SECONDS,
    ["way"],
)
_SCORE = LoopHistogram(
    "croupier_cell_score_seconds",
    "Time of one go of scoring, for all that share it",
    (1e-5, *SECONDS),
    ["way"],
)

# The models were in memory, or had to be loaded first; or the request went the general way.
HOT_QUEUE, COLD_QUEUE, BATCH_QUEUE = (_QUEUE.labels(way) for way in ("hot", "cold", "batch"))
HOT_SCORE, BATCH_SCORE = _SCORE.labels("hot"), _SCORE.labels("batch")
