"""Writes tests/workflows/files: the same events and items by many tools.

Run it in an environment of its own. The files were written by Python 3.11 with pandas 3.1.1, polars
2.1.0, DuckDB 2.0.1, PySpark 4.3.0 (Java 17) and pyarrow 26.0.1:

    python tests/workflows/write_files.py tests/workflows/files
"""

import datetime as dt
import decimal
import os
import shutil
import sys
from pathlib import Path

USERS = ["ann", "bob", "cyd", "dee", "eve"]
ITEMS = ["a", "b", "c", "d"]
START = dt.datetime.fromisoformat("2024-05-01")


def events():
    """Returns rows; `code` is a decimal, `big` beyond int64, `tags` nested, `none` null."""
    return [
        {
            "user": USERS[number // 4 % 5],
            "item": None if number == 7 else ITEMS[(number + number // 20) % 4],
            "time": START + dt.timedelta(hours=number),
            "code": decimal.Decimal(number % 4).scaleb(-1),
            "big": 2**63 + number % 4,
            "tags": ["x", "y"][: number % 3],
            "none": None,
        }
        for number in range(40)
    ]


def items():
    return [
        {"item": item, "price": decimal.Decimal(number + 1).scaleb(-1), "tags": ["x", item]}
        for number, item in enumerate(ITEMS)
    ]


def arrow_table():
    import pyarrow as pa

    fields = {"user": pa.string(), "item": pa.string(), "time": pa.timestamp("us")}
    fields.update(code=pa.decimal128(20, 9), big=pa.uint64(), tags=pa.list_(pa.string()))
    return pa.Table.from_pylist(events(), pa.schema({**fields, "none": pa.null()}))


def write_pandas(folder):
    import pandas as pd

    frame = pd.DataFrame(events())
    frame["big"] = frame["big"].astype("uint64")
    frame.to_parquet(folder / "pandas.parquet")
    frame.astype({"user": "category", "item": "category"}).to_parquet(
        folder / "pandas_category.parquet"
    )
    frame.drop(columns="none").to_feather(folder / "pandas.feather")
    frame.to_csv(folder / "pandas.csv.gz", index=False, sep=";")
    frame.to_json(folder / "pandas.jsonl.zst", orient="records", lines=True, date_format="iso")
    pd.DataFrame(items()).to_parquet(folder / "pandas_items.parquet")


def write_polars(folder):
    import polars as pl

    frame = pl.DataFrame(events(), schema_overrides={"big": pl.UInt64, "code": pl.Decimal(10, 2)})
    frame.write_parquet(folder / "polars.parquet")
    frame = frame.with_columns(pl.col("user", "item").cast(pl.Categorical))
    frame.write_parquet(folder / "polars_categorical.parquet")
    frame.write_ipc(folder / "polars.arrow", compat_level=pl.CompatLevel.oldest())
    frame.write_ipc_stream(folder / "polars.arrows", compat_level=pl.CompatLevel.oldest())
    frame.with_columns(pl.col("user").cast(pl.String)).write_ipc(folder / "polars_view.arrow")
    frame.drop("tags").write_csv(folder / "polars.tsv", separator="\t")
    frame.with_columns(pl.col("user", "item").cast(pl.String)).write_ndjson(
        folder / "polars.ndjson"
    )


def write_duckdb(folder):
    import duckdb

    rows = arrow_table()
    con = duckdb.connect()
    con.register("rows", rows)
    select = 'SELECT "user"::ENUM_T AS "user", * EXCLUDE ("user") FROM rows'
    names = ", ".join(f"'{user}'" for user in USERS)
    con.sql(f"CREATE TYPE enum_t AS ENUM ({names})")
    con.sql(f"COPY ({select}) TO '{folder}/duckdb.parquet'")
    con.sql(f"COPY ({select}) TO '{folder}/duckdb.csv' (DELIMITER '|')")
    con.sql(f"COPY ({select}) TO '{folder}/duckdb.json'")
    by_day = f'SELECT *, CAST("time" AS DATE) AS day FROM ({select})'
    con.sql(f"COPY ({by_day}) TO '{folder}/duckdb_days' (FORMAT parquet, PARTITION_BY (day))")


def write_arrow(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = arrow_table()
    for number, name in ((0, "user"), (1, "item")):
        table = table.set_column(number, name, table[name].cast(pa.string_view()))
    with pa.ipc.new_file(folder / "arrow_view.arrow", table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, folder / "arrow_view.parquet")
    plain = table.set_column(0, "user", table["user"].cast(pa.large_string()).dictionary_encode())
    plain = plain.set_column(1, "item", table["item"].cast(pa.large_string()))
    with pa.ipc.new_file(folder / "arrow.arrow", plain.schema) as writer:
        writer.write_table(plain)


def write_spark(folder):
    from pyspark.sql import SparkSession
    from pyspark.sql import types as t

    os.environ["TZ"] = "UTC"
    schema = t.StructType(
        [
            t.StructField("user", t.StringType()),
            t.StructField("item", t.StringType()),
            t.StructField("time", t.TimestampType()),
            t.StructField("code", t.DecimalType(20, 9)),
            t.StructField("big", t.DecimalType(20, 0)),
            t.StructField("tags", t.ArrayType(t.StringType())),
            t.StructField("none", t.StringType()),
        ]
    )
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    rows = [{**row, "big": decimal.Decimal(row["big"])} for row in events()]
    frame = spark.createDataFrame(rows, schema).coalesce(1)
    frame.write.mode("overwrite").parquet(f"{folder}/spark_parquet")
    frame.write.mode("overwrite").json(f"{folder}/spark_json", compression="gzip")
    frame.drop("tags").write.mode("overwrite").csv(f"{folder}/spark_csv", header=True)
    spark.stop()


def main():
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for write in (write_pandas, write_polars, write_duckdb, write_arrow, write_spark):
        write(folder)


if __name__ == "__main__":
    main()
