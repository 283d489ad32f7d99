"""ClickHouse's engine (chdb) or DuckDB on the questions of `cargo xtask bench store`.

usage: main.py ENGINE load EVENTS FOLDER
       main.py ENGINE ask FOLDER REPEATS SECONDS [QUESTION...]

ENGINE is clickhouse-day, clickhouse-user or duckdb. Prints one JSON object: after `load` the seconds,
after `ask` the bytes of the events on disk, and for each question the best time of any form it is written
in, and the answer in the shape that `xtask/src/bench/store/questions.rs` gives ours. Two forms that
disagree are an error.
"""

import json
import os
import sys
import time


def engine_of(name):
    if name == "duckdb":
        import duck

        return duck.Duck()
    import clickhouse

    return clickhouse.ClickHouse(name.removeprefix("clickhouse-"))


def ask(engine, least, until, wanted):
    answers = {}
    for question, forms in engine.questions().items():
        if wanted and question not in wanted:
            continue
        best, answer = None, None
        for sql, shaped in forms:
            asked, spent = 0, 0.0
            while asked < least or spent < until:
                began = time.perf_counter()
                rows = engine.run(sql)
                took = time.perf_counter() - began
                best = took if best is None else min(best, took)
                asked, spent = asked + 1, spent + took
            got = shaped(rows)
            if answer is not None and answer != got:
                raise SystemExit(f"two forms of {question} disagree: {answer} {got}")
            answer = got
        answers[question] = {"seconds": best, "answer": answer}
    return answers


engine, verb, *rest = engine_of(sys.argv[1]), sys.argv[2], *sys.argv[3:]
if verb == "load":
    events, folder = rest
    began = time.perf_counter()
    engine.load(events, folder)
    took = time.perf_counter() - began
    print(json.dumps({"seconds": took}))
else:
    folder, least, until, *wanted = rest
    engine.open(folder)
    print(json.dumps({"answers": ask(engine, int(least), float(until), wanted), "bytes": engine.bytes()}))
sys.stdout.flush()
os._exit(0)  # chdb's teardown is slow and nothing is left to do
