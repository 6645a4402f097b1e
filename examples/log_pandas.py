"""The prediction log as a pandas data frame, a column for each feature; needs pyarrow and pandas."""

import argparse

import pandas as pd
import pyarrow.dataset as ds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", help="the log's folder")
    parser.add_argument("--family", default="wine")
    options = parser.parse_args()

    rows = ds.dataset(f"{options.log}/family={options.family}", partitioning="hive")
    log = rows.to_table(columns=["time", "version", "features", "outputs"]).to_pandas(
        maps_as_pydicts="strict"
    )
    features = pd.DataFrame(
        [{name: one["number"] for name, one in row.items()} for row in log.features], index=log.time
    )
    print(features.describe())
    print(log.groupby("version").size())


if __name__ == "__main__":
    main()
