"""The prediction log in Spark: `spark-submit examples/log_spark.py s3a://bucket/log --feature alcohol`."""

import argparse

from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", help="the log's folder, or s3a://bucket/prefix")
    parser.add_argument("--family", default="wine")
    parser.add_argument("--feature", default="alcohol")
    options = parser.parse_args()

    spark = SparkSession.builder.appName("prediction-log").getOrCreate()
    log = spark.read.option("mergeSchema", "true").parquet(options.log)
    one = f.col("features").getItem(options.feature)
    found = (
        log.where(f.col("family") == options.family)
        .groupBy("date", "version")
        .agg(
            f.count("*").alias("rows"),
            f.avg(one["number"]).alias("mean"),
            f.avg((one["source"] != "request").cast("int")).alias("not_from_callers"),
        )
    )
    found.orderBy("date", "version").show()


if __name__ == "__main__":
    main()
