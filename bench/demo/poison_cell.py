"""A supervised cell that has the poison's engine: `Stack(…, cell_module="bench.demo.poison_cell")`.

As in `cell.supervisor`, the parent imports next to nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cell.supervisor import PROGRAM, SupervisorSettings, supervise
from croupier import settings

if __name__ == "__main__":
    # Its children import the engine from wherever this one is.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    known = settings.load_known(SupervisorSettings, PROGRAM)
    sys.exit(supervise("bench.demo.poison_engine", sys.argv[1:], known.listen))
