"""Version managers of one deployment, which are as good as each other: to which of them a call goes.

    one call     to the first that answers at all, beginning with the one that the last call went to
    a stream     to one after the other: each time that a stream ends, the next one goes elsewhere

A call that was sent is not sent again to another: it may have happened. The first is taken by lot, so that
those who watch spread over the managers.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import grpc

from croupier.errors import InvalidRequest, Unavailable
from croupier.grpcio.channels import open_async
from protos.versions.v1 import versions_pb2_grpc

# One that takes connections and does not speak is not waited for any longer.
_PATIENCE = 2.0


class Managers:
    """`targets`: host:port[,host:port...]. Channels connect when they are first used."""

    def __init__(
        self, targets: str, tls: grpc.ChannelCredentials | None = None, rng: random.Random | None = None
    ) -> None:
        self.targets = [target.strip() for target in targets.split(",") if target.strip()]
        if not self.targets:
            raise InvalidRequest("no version manager is named", field="manager")
        self._channels = [open_async(target, tls) for target in self.targets]
        self._stubs: list[Any] = [
            versions_pb2_grpc.VersionManagerStub(channel)  # type: ignore[no-untyped-call]
            for channel in self._channels
        ]
        rng = rng or random.Random()  # noqa: S311 (spreads load)
        self._at = self._streaming = rng.randrange(len(self.targets))

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def answering(self) -> Any:
        """The stub of one that can be connected to; of a single one, whether or not it can.

        Raises:
            Unavailable: none can.
        """
        count = len(self.targets)
        if count == 1:
            return self._stubs[0]
        for step in range(count):
            index = (self._at + step) % count
            if await _connects(self._channels[index]):
                self._at = index
                return self._stubs[index]
        raise Unavailable(f"none of {count} version managers answers")

    def streaming(self) -> Any:
        """The stub of the one whose turn it is to have a stream."""
        return self._stubs[self._streaming]

    def stream_ended(self) -> None:
        """The next one has its turn."""
        self._streaming = (self._streaming + 1) % len(self.targets)


async def _connects(channel: grpc.aio.Channel) -> bool:
    """Whether `channel` is connected, or is within two seconds, without a failure before."""
    try:
        async with asyncio.timeout(_PATIENCE):
            state = channel.get_state(try_to_connect=True)
            has_begun = state is not grpc.ChannelConnectivity.TRANSIENT_FAILURE
            while state is not grpc.ChannelConnectivity.READY:
                if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE and has_begun:
                    return False
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
                has_begun = True
    except TimeoutError:
        return False
    return True
