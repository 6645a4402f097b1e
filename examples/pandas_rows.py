"""Score rows of a data frame: a row is sent as named features, whatever the order of its columns.

Needs a running stack (`make up`) with a model (`train_and_publish.py`), pandas and scikit-learn.
"""

import argparse

from sklearn.datasets import load_wine

from croupier_client import Client, Item, PredictError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--router", default="127.0.0.1:8500", help="address of a router")
    parser.add_argument("--tenant", default="acme", help="who asks")
    arguments = parser.parse_args()
    frame = load_wine(as_frame=True).frame.sample(5, random_state=1)
    rows = frame.drop(columns="target")[sorted(set(frame.columns) - {"target"})]
    with Client(arguments.router, tenant=arguments.tenant) as client:
        outcomes = client.predict_many(Item("wine", row) for _, row in rows.iterrows())
    frame["predicted"] = [
        None if isinstance(outcome, PredictError) else outcome.outputs["label"][0] for outcome in outcomes
    ]
    print(frame[["alcohol", "proline", "target", "predicted"]])


if __name__ == "__main__":
    main()
