"""ClickHouse's engine (chdb) or DuckDB on the questions of `cargo xtask bench`, each at its best.

usage: peers.py clickhouse|duckdb EVENTS.parquet FOLDER REPEATS

Prints one JSON object: seconds to load, bytes on disk, and for each question the best time and
the answer in the shape that `xtask/src/bench.rs` compares. ClickHouse keeps its table in the
order (user, at), reads only the columns a question needs, and answers retention and active
persons with one bit a day; that was the fastest form found, by far. DuckDB has no funnel
function: a chain of ASOF joins and a pass of window functions are both timed, the faster counts.
"""

import json
import os
import sys
import time

engine, events, folder, repeats = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
DAYS = 30
FIRST_MS = 1788220800000  # 2026-09-01T00:00:00Z
DAY_MS = 86400000


def clickhouse():
    from chdb import session

    engine = session.Session(folder)
    engine.query("create database bench engine = Atomic")
    engine.query("use bench")
    began = time.time()
    engine.query(
        "create table events (at Int64 codec(Delta, LZ4), name LowCardinality(String), user UInt64, "
        "plan LowCardinality(String), gadget LowCardinality(String), value Nullable(Float64)) "
        "engine = MergeTree order by (user, at)"
    )
    engine.query(f"insert into events select * from file('{events}', Parquet)")
    engine.query("optimize table events final")
    loaded = time.time() - began

    def run(sql):
        return json.loads(str(engine.query(sql, "JSONCompact")))["data"]

    # One bit for each day on which the person viewed a page, from the first day on.
    days = (
        "select user, groupBitOr(bitShiftLeft(toUInt64(1), toUInt8(intDiv(at - "
        f"{FIRST_MS}, {DAY_MS})))) as m from events where name = 'page_viewed' group by user"
    )
    trailing = (
        "sumForEach(arrayMap(k -> toUInt64(bitAnd(bitShiftRight(m, greatest(k - {n} + 1, 0)), "
        "bitShiftLeft(toUInt64(1), least(k + 1, {n})) - 1) != 0), range(30)))"
    )
    questions = {
        "trend": [
            f"select intDiv(at - {FIRST_MS}, {DAY_MS}) as day, uniqExact(user) from events "
            "where name = 'page_viewed' group by day order by day"
        ],
        "funnel": [
            "select countIf(level >= 1), countIf(level >= 2), countIf(level >= 3) from (select "
            f"user, windowFunnel({DAY_MS})(toUInt64(at), name = 'page_viewed', "
            "name = 'added_to_cart', name = 'purchased') as level from events where name in "
            "('page_viewed', 'added_to_cart', 'purchased') group by user)"
        ],
        "retention": [
            "select c, sumForEach(arrayMap(i -> toUInt64(bitTest(bitShiftRight(m, c), i)), "
            f"range(30))) from (select m, toUInt8(bitCount(bitXor(m, m - 1)) - 1) as c from ({days})) "
            "group by c order by c"
        ],
        "active": [
            f"select {trailing.format(n=1)}, {trailing.format(n=7)}, {trailing.format(n=30)} "
            f"from ({days})"
        ],
    }
    return loaded, questions, run


def duckdb():
    import duckdb

    os.makedirs(folder)
    connection = duckdb.connect(f"{folder}/events.db")
    began = time.time()
    connection.execute(f"create table events as select \"at\" as ts, "
        f"name, user, plan, gadget, value from read_parquet('{events}') order by ts")
    connection.execute("checkpoint")
    loaded = time.time() - began

    def run(sql):
        return [list(row) for row in connection.execute(sql).fetchall()]

    day = f"cast((ts - {FIRST_MS}) // {DAY_MS} as integer)"
    masks = (
        f"select user, bit_or(1::ubigint << {day}) as m from events "
        "where name = 'page_viewed' group by user"
    )
    a, b, c = (f"select user, ts from events where name = '{name}'"
               for name in ("page_viewed", "added_to_cart", "purchased"))
    joined = (
        f"with s1 as ({a}), s2 as (select s1.user, s1.ts as began, n.ts from s1 asof join ({b}) n "
        f"on s1.user = n.user and n.ts >= s1.ts where n.ts - s1.ts <= {DAY_MS}), "
        f"s3 as (select s2.user from s2 asof join ({c}) n on s2.user = n.user and n.ts >= s2.ts "
        f"where n.ts - s2.began <= {DAY_MS}) select (select count(distinct user) from s1), "
        "(select count(distinct user) from s2), (select count(distinct user) from s3)"
    )
    following = "over (partition by user order by ts rows between current row and unbounded following)"
    windowed = (
        "with e as (select user, ts, name from events where name in "
        "('page_viewed', 'added_to_cart', 'purchased')), "
        f"third as (select *, min(case when name = 'purchased' then ts end) {following} as t3 from e), "
        "second as (select *, min(case when name = 'added_to_cart' then ts end) "
        f"{following} as t2, min(case when name = 'added_to_cart' then t3 end) {following} as t23 from third), "
        f"level as (select user, max(case when t23 - ts <= {DAY_MS} then 3 when t2 - ts <= {DAY_MS} "
        "then 2 else 1 end) as level from second where name = 'page_viewed' group by user) "
        "select count(*), count(*) filter (level >= 2), count(*) filter (level >= 3) from level"
    )
    span = "select unnest(range(30))::integer as k"
    within = "count(*) filter ((m >> greatest(k - {n} + 1, 0)) & ((1::ubigint << least(k + 1, {n})) - 1) != 0)"
    questions = {
        "trend": [
            f"select {day} as day, count(distinct user) from events where name = 'page_viewed' "
            "group by day order by day"
        ],
        "funnel": [joined, windowed],
        "retention": [
            f"with p as ({masks}), q as (select m, bit_count(xor(m, m - 1)) - 1 as c from p) "
            f"select c, k, count(*) filter ((m >> (c + k)) & 1 = 1) from q, ({span}) "
            "where c + k < 30 group by c, k order by c, k",
            f"with d as (select distinct user, {day} as day from events where name = 'page_viewed'), "
            "f as (select user, min(day) as c from d group by user) select c, day - c as k, count(*) "
            "from d join f using (user) group by c, k order by c, k",
        ],
        "active": [
            f"with p as ({masks}) select k, {within.format(n=1)}, {within.format(n=7)}, "
            f"{within.format(n=30)} from p, ({span}) group by k order by k"
        ],
    }
    return loaded, questions, run


def shaped(kind, rows):
    """The figures alone, the same for all engines."""
    if kind == "trend":
        return [row[1] for row in rows]
    if kind == "funnel":
        return list(rows[0])
    if kind == "active":
        return rows[0] if engine == "clickhouse" else [[row[n] for row in rows] for n in (1, 2, 3)]
    if engine == "clickhouse":
        return [cells[: DAYS - cohort] for cohort, cells in rows]
    cohorts = {}
    for cohort, k, count in rows:
        cohorts.setdefault(cohort, [0] * (DAYS - cohort))[k] = count
    return list(cohorts.values())


loaded, questions, run = clickhouse() if engine == "clickhouse" else duckdb()
answers = {}
for kind, forms in questions.items():
    best, answer = None, None
    for sql in forms:
        for _ in range(repeats):
            began = time.time()
            rows = run(sql)
            took = time.time() - began
            best = took if best is None else min(best, took)
        got = json.loads(json.dumps(shaped(kind, rows)), parse_int=int, parse_float=lambda n: int(float(n)))
        got = [[int(n) for n in row] if isinstance(row, list) else int(row) for row in got]
        assert answer is None or answer == got, f"two forms of {kind} disagree: {answer} {got}"
        answer = got
    answers[kind] = {"seconds": best, "answer": answer}
size = sum(
    os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names
)
print(json.dumps({"load_seconds": loaded, "bytes": size, "questions": answers}))
sys.stdout.flush()
os._exit(0)  # chdb's teardown is slow and nothing is left to do
