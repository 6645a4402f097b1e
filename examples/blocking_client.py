"""Ask for predictions without an event loop; threads may share the client.

Needs a running stack (`make up`) with a model (`train_and_publish.py`), grpcio and protobuf.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor

from croupier_client import Client
from croupier_client.errors import CroupierError

WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--router", default="127.0.0.1:8500", help="address of a router")
    parser.add_argument("--tenant", default="acme", help="who asks")
    arguments = parser.parse_args()
    with Client(arguments.router, tenant=arguments.tenant, timeout=2.0) as client:
        try:
            print(client.predict("wine", WINE).outputs)
        except CroupierError as error:
            raise SystemExit(f"{error.reason}: {error}") from error

        with ThreadPoolExecutor(4) as pool:
            predictions = pool.map(lambda _: client.predict("wine", WINE), range(8))
            print([prediction.outputs["label"] for prediction in predictions])


if __name__ == "__main__":
    main()
