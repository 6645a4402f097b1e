"""Rows that try a forest's edges, and what the native engine says of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cell.engines.packed import PackedEngine
from croupier.artifacts.format import view

Array = np.ndarray[Any, np.dtype[Any]]


def scored(artifact: bytes, rows: Array) -> dict[str, Array]:
    """All outputs for float32 or float64 `rows`."""
    found = view(artifact)
    scorer = PackedEngine(found.engine).load(found)
    names = [tensor.name for tensor in found.outputs]
    return dict(scorer.score({"input": rows}, names))


def data(seed: int, rows: int = 600, features: int = 6, zeros: float = 0.0, missing: float = 0.0) -> Array:
    """Normal float32 rows with a share of zeros and of NaN."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(rows, features)).astype(np.float32)
    found[random.random(found.shape) < zeros] = 0
    found[random.random(found.shape) < missing] = np.nan
    return found


def edges(
    seed: int,
    trained: Array,
    thresholds: Array,
    *,
    missing: bool = True,
    infinite: bool = True,
    rows: int = 1_000,
    wide: bool = False,
) -> Array:
    """`rows` float32 rows of normal values, of which some are 0, -0, NaN, ±inf, tiny, huge, or a threshold.

    Thresholds come as the float32 below, the nearest and the one above. `wide` rows are float64; of these
    some values lie a step of float64 beside what float32 holds, and so do thresholds beside themselves.
    """
    random = np.random.default_rng(seed)
    dtype = np.float64 if wide else np.float32
    found = trained[random.integers(len(trained), size=rows)].astype(dtype)
    with np.errstate(over="ignore"):
        near = np.unique(thresholds[np.isfinite(thresholds)]).astype(np.float32)
    near = near[np.isfinite(near)]
    below, above = np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))
    special = [0.0, -0.0, 1e-35, -1e-35, 1.1e-35, 1e-36, 1e30, -1e30]
    special += [np.nan] * 4 if missing else []
    special += [np.inf, -np.inf] if infinite else []
    pool = np.concatenate([np.array(special, dtype).repeat(1 + len(near) // 8), near, below, above])
    if wide:
        exact = thresholds[np.abs(thresholds) < np.finfo(np.float32).max].astype(np.float64)
        band = np.float64([np.float32(1e-35), -np.float32(1e-35)])
        beside = np.concatenate([exact, near, band])
        pool = np.concatenate([pool, exact, *(np.nextafter(beside, side) for side in (-np.inf, np.inf))])
        moved = random.random(found.shape) < 0.3
        found[moved] = np.nextafter(found[moved], random.choice([-np.inf, np.inf], moved.sum()))
    where = random.random(found.shape) < 0.4
    found[where] = random.choice(pool, size=where.sum())
    if not missing:
        found[np.isnan(found)] = 1.0
    return found


def both(seed: int, trained: Array, thresholds: Array, **options: Any) -> tuple[Array, Array]:
    """Float32 rows, and float64 ones."""
    return edges(seed, trained, thresholds, **options), edges(seed, trained, thresholds, wide=True, **options)
