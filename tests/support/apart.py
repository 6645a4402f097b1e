"""Files packed in a process of their own, and why they were refused."""

from __future__ import annotations

import pytest
import xgboost
from support.forests import data

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.process import Limits, pack_file_apart

X = data(1, rows=60)
XGBOOST = bytes(xgboost.train({"nthread": 1}, xgboost.DMatrix(X, X[:, 0].copy()), 1).save_raw("json"))


def refusal(content: bytes, **limits: float) -> str:
    """Why `content` is not packed."""
    with pytest.raises(InvalidArtifact) as caught:
        pack_file_apart(content, limits=Limits(**limits))  # type: ignore[arg-type]
    return caught.value.message
