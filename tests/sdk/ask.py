"""Ask a router for rows of a model in every way that the SDK has; prints what came, as JSON.

Runs where nothing but the SDK is installed: `ask.py ROUTER ROWS`, rows as JSON.
"""

import asyncio
import json
import os
import pickle
import sys
import typing
from concurrent.futures import ThreadPoolExecutor

import google.protobuf
import grpc

from croupier_client import AsyncClient, Client, Item, Prediction, errors


def blocking(router, items):
    with Client(router, tenant="acme", timeout=20.0) as client:
        yield "predict", [client.predict("wine", item.features) for item in items]
        yield "predict_many", client.predict_many(items)
        yield "stream", [outcome for _, outcome in sorted(client.stream(items, timeout=20.0))]
        with ThreadPoolExecutor(4) as pool:
            yield "threads", list(pool.map(lambda item: client.predict("wine", item.features), items))
        yield "forked", forked(client, items)
        *_, missing = client.predict_many([*items, Item("beer", [1.0])])
        assert isinstance(missing, errors.NotFound), missing
        assert str(pickle.loads(pickle.dumps(missing))) == str(missing)


def forked(client, items):
    """Parent and child ask at once, each by the client that was opened before."""
    child = os.fork()
    answers = [client.predict("wine", item.features) for item in items for _ in range(5)]
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    return answers[::5]


async def aio(router, items):
    async with AsyncClient(router, tenant="acme", timeout=20.0) as client:
        yield "aio predict", await asyncio.gather(*[client.predict("wine", item.features) for item in items])
        yield "aio predict_many", await client.predict_many(items)
        yield "aio stream", [outcome async for _, outcome in client.stream(items, in_flight=1, timeout=20.0)]


async def collected(router, items):
    return [pair async for pair in aio(router, items)]


def check_signatures():
    """What callers see can be read as the program runs, as by what injects clients into handlers."""
    for public in (Client, AsyncClient, Item, Prediction):
        typing.get_type_hints(public)
        for name, member in vars(public).items():
            if callable(member) and (name == "__init__" or not name.startswith("_")):
                typing.get_type_hints(member)


def main():
    check_signatures()
    router, rows = sys.argv[1], json.loads(sys.argv[2])
    items = [Item("wine", row) for row in rows]
    # Without a loop first: grpcio's threads for one do not outlive a fork.
    answers = dict(blocking(router, items))
    answers.update(asyncio.run(collected(router, items)))
    found = {
        way: [list(one.outputs["probabilities"]) for one in outcomes] for way, outcomes in answers.items()
    }
    versions = {"grpcio": grpc.__version__, "protobuf": google.protobuf.__version__}
    sys.stdout.write(json.dumps(versions | {"answers": found}))


if __name__ == "__main__":
    main()
