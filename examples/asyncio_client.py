"""Ask for one prediction, then for several in one request, with asyncio.

Needs a running stack (`make up`) with a model (`train_and_publish.py`), grpcio and protobuf.
"""

import argparse
import asyncio

from croupier_client import AsyncClient, Item, PredictError
from croupier_client.errors import NotFound

WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--router", default="127.0.0.1:8500", help="address of a router")
    parser.add_argument("--tenant", default="acme", help="who asks")
    arguments = parser.parse_args()
    async with AsyncClient(arguments.router, tenant=arguments.tenant, timeout=2.0) as client:
        prediction = await client.predict("wine", WINE, key="user-7")
        print(
            f"{prediction.outputs['label']} by version {prediction.version}, {prediction.took * 1e3:.2f} ms"
        )

        # Each item has an outcome of its own: a prediction, or the error that it met.
        for outcome in await client.predict_many([Item("wine", WINE), Item("beer", WINE)]):
            print(f"not predicted: {outcome}" if isinstance(outcome, PredictError) else outcome.outputs)

        try:
            await client.predict("wine", WINE, version=99)
        except NotFound as error:
            print(f"as expected: {error}")


if __name__ == "__main__":
    asyncio.run(main())
