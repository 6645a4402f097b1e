"""A cell that says that it is of the release before features were fetched: `python -m support.old_cell`."""

import sys

from cell.app import main
from croupier import protocol

if __name__ == "__main__":
    protocol.CURRENT = protocol.FETCHED - 1  # type: ignore[misc]
    sys.exit(main())
