"""DuckDB, its table sorted by event and time, so that what a question does not name is skipped.

It has no funnel function: a chain of ASOF joins and passes of window functions are both timed.
"""

import os

import duckdb
import every
import shapes

FIRST = "date '2026-09-01'"
DAY = f"(cast(ts as date) - {FIRST})"
ACTIVE = "name != 'experiment_exposure'"
SPAN = f"(select unnest(range({shapes.DAYS}))::integer as k)"
FOLLOWING = "over (partition by person order by ts rows between current row and unbounded following)"


def masks(where):
    return f"select person, bit_or(1::ubigint << {DAY}) as m from events where {where} group by person"


def each_day(where, *conditions):
    counts = ", ".join(f"count(*) filter ({condition})" for condition in conditions)
    return f"with p as materialized ({masks(where)}) select k, {counts} from p, {SPAN} group by k order by k"


def trailing(days):
    return f"(m >> greatest(k - {days - 1}, 0)) & ((1::ubigint << least(k + 1, {days})) - 1) != 0"


def active(where):
    return each_day(where, trailing(1), trailing(7), trailing(30))


def levels(count, by, source):
    counted = ", ".join(f"count(*) filter (level >= {k + 1})" for k in range(count))
    if by:
        return f"select value, {counted} from ({source}) group by value order by value"
    return f"select {counted} from ({source})"


def asof(steps, window_ms, by):
    """From every first step to the next second one, from there to the next third one, …"""
    value = f"{by} as value, " if by else "0 as value, "
    parts = [f"s1 as (select person, {value}ts, ts as began from events where name = '{steps[0]}')"]
    for k, step in enumerate(steps[1:], 2):
        parts.append(
            f"s{k} as (select p.person, p.value, n.ts, p.began from s{k - 1} p asof join "
            f"(select person, ts from events where name = '{step}') n on p.person = n.person and n.ts >= p.ts "
            f"where n.ts <= p.began + interval {window_ms} milliseconds)"
        )
    reached = " union all ".join(
        f"select person, value, {k} as level from s{k}" for k in range(1, len(steps) + 1)
    )
    best = f"select person, any_value(value) as value, max(level) as level from ({reached}) group by person"
    return f"with {', '.join(parts)} {levels(len(steps), by, best)}"


def windowed(steps, window_ms, by):
    """For each row the earliest ends of the chains that begin at it or later, last steps first."""
    names = ", ".join(f"'{step}'" for step in steps)
    value = f"{by} as value" if by else "0 as value"
    parts = [f"e{len(steps)} as (select person, ts, name, {value} from events where name in ({names}))"]
    for k in range(len(steps) - 1, 0, -1):
        ends = [f"min(case when name = '{steps[k]}' then ts end) {FOLLOWING} as c{k}_{k}"]
        ends += [
            f"min(case when name = '{steps[k]}' then c{k + 1}_{last} end) {FOLLOWING} as c{k}_{last}"
            for last in range(k + 1, len(steps))
        ]
        parts.append(f"e{k} as (select *, {', '.join(ends)} from e{k + 1})")
    within = " ".join(
        f"when c1_{k} <= ts + interval {window_ms} milliseconds then {k + 1}"
        for k in range(len(steps) - 1, 0, -1)
    )
    best = (
        f"select person, any_value(value) as value, max(case {within} else 1 end) as level "
        f"from e1 where name = '{steps[0]}' group by person"
    )
    return f"with {', '.join(parts)} {levels(len(steps), by, best)}"


class Duck:
    def open(self, folder):
        self.file = os.path.join(folder, "events.db")
        self.db = duckdb.connect(self.file)
        self.db.execute(f"set temp_directory = '{folder}/spill'; set preserve_insertion_order = false")

    def load(self, events, folder):
        os.makedirs(folder)
        self.open(folder)
        self.db.execute(
            'create table events as select "at" as ts, name, "user" as person, session, path, country, '
            "device_type, source, experiment, variant, revenue, content_id, engaged_ms, completion, display_mode "
            f"from read_parquet('{events}/day-*.parquet') order by name, ts"
        )
        self.db.execute("checkpoint")
        self.db.close()

    def run(self, sql):
        return [list(row) for row in self.db.execute(sql).fetchall()]

    def questions(self):
        views = "name = 'page_view'"
        shop = ["page_view", "add_to_cart", "purchase"], 86_400_000, None
        visit = (
            ["session_start", "page_view", "add_to_cart", "checkout", "purchase"],
            604_800_000,
            "device_type",
        )
        transitions = (
            "select a, b, count(*) as n from (select path as a, lead(path) over (partition by session "
            f"order by ts) as b from events where {views}) where b is not null group by a, b "
            "order by n desc, a, b limit 50"
        )
        experiment = (
            "with met as (select person, min(ts) as ts, arg_min(variant, ts) as v from events where "
            "name = 'experiment_exposure' group by person having min(variant) = max(variant)), bought as (select person, ts, revenue from "
            "events where name = 'purchase'), persons as (select met.person, met.v, count(b.ts) as n, "
            "coalesce(sum(b.revenue), 0) as total from met left join bought b on b.person = met.person "
            "and b.ts > met.ts and b.ts <= met.ts + interval 7 day group by all) "
            "select v, count(*), count(*) filter (n > 0), sum(total), sum(total * total) from persons "
            "group by v order by v"
        )
        retention = (
            f"with p as (select m, bit_count(xor(m, m - 1)) - 1 as c from ({masks(ACTIVE)})) "
            f"select c, k, count(*) filter ((m >> (c + k)) & 1 = 1) from p, {SPAN} "
            "where c + k < 30 group by c, k"
        )
        today, yesterday = "(m >> k) & 1 = 1", "k > 0 and (m >> greatest(k - 1, 0)) & 1 = 1"
        earlier = "m & ((1::ubigint << k) - 1) != 0"
        by_day = f"select {DAY} as d, {{}} from events where {{}} group by d"
        return {
            "trend": [(by_day.format("count(distinct person)", views), shapes.days)],
            "countries": [
                (
                    f"select country, {DAY} as d, count(distinct person) from events where {views} "
                    "group by country, d",
                    shapes.by_text,
                )
            ],
            "active": [(active(ACTIVE), shapes.columns)],
            "stickiness": [
                (f"select bit_count(m) - 1 as d, count(*) from ({masks(ACTIVE)}) group by d", shapes.days)
            ],
            "lifecycle": [
                (
                    each_day(
                        ACTIVE,
                        f"{today} and not {earlier}",
                        f"{today} and {yesterday}",
                        f"{today} and {earlier} and not ({yesterday})",
                        f"not ({today}) and {yesterday}",
                    ),
                    shapes.columns,
                )
            ],
            "retention": [(retention, shapes.triangle_of_cells)],
            "active_mobile": [(active(f"{ACTIVE} and device_type = 'mobile'"), shapes.columns)],
            "funnel_3": [(asof(*shop), shapes.steps), (windowed(*shop), shapes.steps)],
            "funnel_5": [(asof(*visit), shapes.steps_by_text), (windowed(*visit), shapes.steps_by_text)],
            "experiment": [(experiment, shapes.money)],
            "pages": [
                (
                    "select path, count(*) as n, count(distinct person) from events where "
                    f"{views} group by path order by n desc, path limit 50",
                    shapes.ranked,
                )
            ],
            "transitions": [(transitions, shapes.ranked)],
            "three_filters": [
                (
                    by_day.format(
                        "count(*)",
                        "path like '/p/000%' and source = 'google' and device_type = 'mobile'",
                    ),
                    shapes.days,
                )
            ],
            "needle": [(by_day.format("count(*)", "path = '/p/05000'"), shapes.days)],
            **every.questions(every.DUCKDB, self.run),
        }

    def bytes(self):
        return os.path.getsize(self.file)
