"""What docs/generate writes between marks: a function for each block, of what lies in the tree.

Sources and results are read, not imported, so nothing but Python itself is needed; of the code only
`sharding.overlap`, which is arithmetic, says by itself what pages quote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page (from the root of the tree), and who writes it; pages say the name in their marks."""

    page: str
    name: str
    write: Callable[[], str]

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: written by docs/generate -->\n"

    @property
    def end(self) -> str:
        return f"<!-- end of {self.name} -->\n"

    def put_into(self, text: str) -> str:
        """The page's `text` with this block as it should be.

        Raises:
            ValueError: the page has not both marks, in their order, once.
        """
        head, begin, rest = text.partition(self.begin)
        _, end, tail = rest.partition(self.end)
        if not begin or not end or self.begin in tail or self.end in tail:
            raise ValueError(f"{self.page} has no two marks of {self.name}")
        return head + begin + self.write() + end + tail
