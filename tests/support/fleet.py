"""A local stack for system tests, with a small real model to ask for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

from croupier.artifacts.packers.onnx import pack_sklearn
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.stack import Stack


@dataclass(frozen=True)
class Wine:
    """A classifier of wines: `rows` (178, 13) float32 and its own `probabilities` (178, 3)."""

    artifact: bytes
    rows: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]


def train_wine(seed: int = 0) -> Wine:
    data = load_wine()
    rows = data.data.astype(np.float32)
    picked = np.random.default_rng(seed).choice(len(rows), 120)
    # Scaled by hand, so that the bytes stay small and the solver is done in a few steps.
    model = LogisticRegression(C=1e-4, max_iter=2000).fit(rows[picked], data.target[picked])
    return Wine(pack_sklearn(model, features=data.feature_names, wide=False), rows, model.predict_proba(rows))


def publish(stack: Stack, tenant: str, name: str, artifact: bytes, *, release: bool = True) -> int:
    """Publish as the next version; all traffic if it is the first and `release`. Returns the version."""

    async def call() -> int:
        async with VersionManagerClient(stack.manager) as manager:
            version = await manager.publish(tenant, name, artifact, release_if_first=release)
            return int(version.number)

    return asyncio.run(call())


def small_stack(folder: Path, **settings: Any) -> Stack:
    return Stack(folder, cells=4, zones=2, hand_size=2, **settings)
