"""What a throwaway process runs to have a model's file answered by its own library."""

from __future__ import annotations

import json
import sys
from typing import NoReturn

from croupier.artifacts.apart import Task, serve
from croupier.artifacts.format import view
from croupier.artifacts.packers.checks.library import of_file
from croupier.artifacts.packers.files import FileKind
from croupier.artifacts.tables import dump, load


def main() -> NoReturn:
    """Serve one task, and end the process."""
    # LightGBM and XGBoost import it if they can, for estimators that no file has: most of their start.
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    serve(_answered, refused="the model's library refuses these rows")


def _answered(task: Task, parts: list[bytes]) -> bytes:
    """One line with the library, then the answers, a table for each of the rows."""
    data, artifact, rows = parts
    library = of_file(data, FileKind(task["kind"]), view(artifact))
    answers = [library.answer(table) for table in load(rows)]
    return b"\n".join([json.dumps([library.name, library.version]).encode(), dump(answers)])
