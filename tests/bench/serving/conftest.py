from pathlib import Path

import pytest

from bench.serving.models import Models


class _Texts(Models):
    """Models that nobody reads."""

    def __init__(self, folder: Path) -> None:
        self._texts = folder

    def lightgbm(self, count: int) -> Path:
        return self._texts


@pytest.fixture
def texts(tmp_path: Path) -> Models:
    """Their files would lie in the folder `texts` of `tmp_path`."""
    return _Texts(tmp_path / "texts")
