"""Event loops: a test module whose `LOOP_FACTORIES` names several runs its tests on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, LoopFactory]:
    factories: Mapping[str, LoopFactory] = getattr(
        item.module, "LOOP_FACTORIES", {"asyncio": asyncio.new_event_loop}
    )
    return factories
