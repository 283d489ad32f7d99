"""ClickHouse's engine (the PyPI package chdb) behind a pipe.

Reads one JSON object a line, `{"sql": "..."}`, and writes one a line: `{"rows": [[...]]}` or
`{"error": "..."}`. Numbers of 64 bits come as JSON numbers; no figure here passes 2**53.
"""

import json
import sys

from chdb import session

engine = session.Session()
engine.query("set output_format_json_quote_64bit_integers = 0")
for line in sys.stdin:
    try:
        text = str(engine.query(json.loads(line)["sql"], "JSONCompact"))
        answer = {"rows": json.loads(text)["data"] if text.strip() else []}
    except Exception as error:  # the test shows the engine's own words
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
