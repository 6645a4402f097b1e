"""Which block stands in which page, and who writes it."""

from __future__ import annotations

from functools import partial

from blocks import Block, benchmarks, code, demo, families, first, front, odds, plans, programs

BLOCKS = (
    Block("README.md", "first", first.commands),
    Block("README.md", "demo", demo.page),
    Block("README.md", "front", front.table_of_ratios),
    Block("README.md", "odds", odds.odds),
    Block("docs/operating.md", "limits", code.limits),
    Block("docs/families.md", "families", families.fields),
    Block("docs/faults.md", "faults", code.faults),
    Block("docs/sharding.md", "plans", plans.three),
    *(Block("docs/languages.md", name, partial(programs.program, name)) for name in programs.PROGRAMS),
    *(Block("docs/benchmarks.md", name, partial(benchmarks.section, name)) for name in benchmarks.NAMES),
)
