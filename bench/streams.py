"""A closed loop over PredictStream: so many streams, each with so many messages under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.catalog import Load
from bench.h2load import Loaded
from croupier.transport.client import Channel
from croupier.transport.status import RpcError

# With 8 channels this is what h2load keeps under way: 8 times 32.
_STREAMS, _WINDOW = 4, 8
# Seconds for one stream as a whole: a lost answer must not hang the bench.
_PATIENCE = 120.0


async def closed_loop(channels: Sequence[Channel], load: Load, requests: int) -> Loaded:
    """Send about `requests` messages; stream n has the tenant and the message of ask n."""
    lines = [channel for channel in channels for _ in range(_STREAMS)]
    each = -(-requests // len(lines))
    began = time.perf_counter()
    right = sum(await asyncio.gather(*(_run(line, load, n, each) for n, line in enumerate(lines))))
    seconds = time.perf_counter() - began
    sent = each * len(lines)
    return Loaded(sent, sent - right, right / seconds)


async def _run(channel: Channel, load: Load, number: int, messages: int) -> int:
    """How many messages were answered rightly."""
    message, right = load.message(number), 0
    metadata = (("croupier-tenant", load.tenant(number).decode()),)
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            channel.stream(load.path.decode(), metadata=metadata) as stream,
        ):
            for _ in range(min(_WINDOW, messages)):
                await stream.send(message)
            for answered in range(messages):
                response = await stream.receive()
                right += response is not None and response.endswith(load.expected or b"")
                if answered + _WINDOW < messages:
                    await stream.send(message)
            stream.end()
            await stream.receive()
    except (RpcError, TimeoutError):
        # What was not answered by now is missing in the count.
        pass
    return right
