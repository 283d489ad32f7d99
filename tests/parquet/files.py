"""Parquet files between us and others.

usage: files.py make FOLDER     the same purchases, written by pandas and DuckDB in every compression
       files.py read FOLDER     what pandas, DuckDB and ClickHouse's engine find in all segments below
"""

import glob
import json
import sys

import duckdb
import pandas

ROWS = 5_000


def purchases():
    rows = range(ROWS)
    return pandas.DataFrame(
        {
            "at": pandas.to_datetime([1_788_220_800_000 + row * 431_000 for row in rows], unit="ms"),
            "name": ["purchase" if row % 3 else "refund" for row in rows],
            "user": [row * row % 401 for row in rows],
            "path": [f"/p/{row % 97}" for row in rows],
            "plan": [None if row % 5 == 0 else f"größe {row % 7}" for row in rows],
            "amount": [row % 1000 / 4 for row in rows],
            "seats": [row % 9 for row in rows],
            "first": [row % 2 == 0 for row in rows],
        }
    )


def make(folder):
    frame = purchases()
    for compression in [None, "snappy", "gzip", "zstd", "lz4", "brotli"]:
        frame.to_parquet(f"{folder}/pandas-{compression or 'plain'}.parquet", compression=compression, index=False)
    for compression in ["uncompressed", "snappy", "gzip", "zstd", "lz4", "brotli"]:
        duckdb.sql(
            f"copy frame to '{folder}/duckdb-{compression}.parquet' (format parquet, compression {compression})"
        )


def read(folder):
    pattern = f"{folder}/**/*.parquet"
    frame = pandas.concat(pandas.read_parquet(path) for path in glob.glob(pattern, recursive=True))
    names = frame["event"].astype(str)
    times = frame["ts"].astype("datetime64[ms, UTC]").astype("int64")
    found = {
        "pandas": [
            len(frame),
            frame["person"].nunique(),
            int(names.eq("refund").sum()),
            int(times.min()),
            int(times.max()),
            float(frame["p.amount"].sum()),
            int(frame["p.plan"].count()),
            int(frame["p.first"].fillna(False).astype(bool).sum()),
            frame["path"].astype(str).nunique(),
        ]
    }
    rows = duckdb.sql(
        "select count(*), count(distinct person), count(*) filter (event = 'refund'), "
        "epoch_ms(min(ts)), epoch_ms(max(ts)), sum(\"p.amount\"), count(\"p.plan\"), "
        f"count(*) filter (\"p.first\"), count(distinct path) from read_parquet('{pattern}', union_by_name = true)"
    ).fetchall()
    found["duckdb"] = list(rows[0])
    import chdb

    text = chdb.query(
        "select count(), uniqExact(person), countIf(event = 'refund'), toUnixTimestamp64Milli(min(ts)), "
        "toUnixTimestamp64Milli(max(ts)), sum(`p.amount`), count(`p.plan`), countIf(`p.first`), uniqExact(path) "
        f"from file('{pattern}', Parquet) settings output_format_json_quote_64bit_integers = 0",
        "JSONCompact",
    )
    found["clickhouse"] = json.loads(str(text))["data"][0]
    print(json.dumps(found))


{"make": make, "read": read}[sys.argv[1]](sys.argv[2])
