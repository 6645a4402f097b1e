"""Score rows of a NumPy matrix: a vector holds every feature, in the model's order.

Needs a running stack (`make up`) with a model (`train_and_publish.py`), NumPy and scikit-learn.
"""

import argparse

import numpy as np
from sklearn.datasets import load_wine

from croupier_client import Client, Item, Prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--router", default="127.0.0.1:8500", help="address of a router")
    parser.add_argument("--tenant", default="acme", help="who asks")
    arguments = parser.parse_args()
    wine = load_wine()
    with Client(arguments.router, tenant=arguments.tenant) as client:
        outcomes = client.predict_many(Item("wine", row) for row in wine.data)
    predictions = [outcome for outcome in outcomes if isinstance(outcome, Prediction)]
    print(f"{len(predictions)} of {len(outcomes)} rows predicted")
    if len(predictions) == len(outcomes):
        probabilities = np.array([prediction.outputs["probabilities"] for prediction in predictions])
        print(f"{np.mean(probabilities.argmax(axis=1) == wine.target):.1%} of the labels are right")


if __name__ == "__main__":
    main()
