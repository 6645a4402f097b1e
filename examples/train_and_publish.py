"""Train a classifier on scikit-learn's wine data and publish it for tenant "acme".

Needs a running stack (`make up`) and the packages of `pip install croupier[publish]`.
"""

import argparse
import asyncio

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from croupier.artifacts.packers import pack
from croupier.grpcio.manager import VersionManagerClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manager", default="127.0.0.1:8400", help="address of the version manager")
    parser.add_argument(
        "--c", type=float, default=1.0, help="the regularisation: another one, another version"
    )
    arguments = parser.parse_args()
    wine = load_wine()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=arguments.c)).fit(wine.data, wine.target)
    # It answers as scikit-learn does, on these rows and on others made from the model, or it is refused.
    packed = pack(model, wine.data, features=wine.feature_names)
    print(f"{packed.why}; {packed.report}")
    async with VersionManagerClient(arguments.manager) as manager:
        version = await manager.publish("acme", "wine", packed.artifact, release_if_first=True)
    # A request that carries the revision is answered by no router that has not heard of this version yet.
    print(f"acme/wine version {version.number}: {len(packed.artifact):,} bytes, revision {version.revision}")


if __name__ == "__main__":
    asyncio.run(main())
