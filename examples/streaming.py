"""Score a source of any length: answers come as they are ready, and the source waits for them.

Needs a running stack (`make up`) with a model (`train_and_publish.py`), grpcio and protobuf.
"""

import argparse
import asyncio
import random
from collections.abc import AsyncIterator

from croupier_client import AsyncClient, Item, PredictError

WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]


async def orders(count: int) -> AsyncIterator[Item]:
    """Stands for a queue, a file, a database cursor."""
    for number in range(count):
        yield Item("wine", [value * random.uniform(0.5, 1.5) for value in WINE], entity_id=f"order-{number}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--router", default="127.0.0.1:8500", help="address of a router")
    parser.add_argument("--tenant", default="acme", help="who asks")
    parser.add_argument("--count", type=int, default=1000, help="how many predictions")
    arguments = parser.parse_args()
    labels: dict[object, int] = {}
    async with AsyncClient(arguments.router, tenant=arguments.tenant) as client:
        # At most 64 orders are read ahead of the answers.
        async for index, outcome in client.stream(orders(arguments.count), in_flight=64):
            if isinstance(outcome, PredictError):
                print(f"order {index}: {outcome}")
            else:
                label = outcome.outputs["label"][0]
                labels[label] = labels.get(label, 0) + 1
    print(labels)


if __name__ == "__main__":
    asyncio.run(main())
