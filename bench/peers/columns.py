"""Bytes of each column of all Parquet files below a folder, as one JSON object. usage: columns.py FOLDER"""

import json
import sys

import duckdb

rows = duckdb.sql(
    "select path_in_schema, sum(total_compressed_size)::bigint from "
    f"parquet_metadata('{sys.argv[1]}/**/*.parquet') group by all"
)
print(json.dumps(dict(rows.fetchall())))
