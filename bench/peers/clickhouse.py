"""ClickHouse's engine. Persons on days are bit masks, funnels `windowFunnel`: the fastest forms found.

Order `day` is (date, event, hash of the user), as PostHog keeps its events; order `user` is (user,
time), which suits what follows one person. `cargo xtask bench` reports the better one per question.
"""

import json

import every
import shapes
from chdb import session

ORDERS = {"day": "(toDate(at), name, cityHash64(user))", "user": "(user, at)"}
FIRST = "toDate('2026-09-01')"
DAY = f"toUInt8(toDate(at) - {FIRST})"
# What makes nobody active.
ACTIVE = "name != 'experiment_exposure'"


def masks(where):
    """One bit for each day on which a person was active, from the first day on."""
    return (
        f"select user, groupBitOr(bitShiftLeft(toUInt64(1), {DAY})) as m from events "
        f"where {where} group by user"
    )


def each_day(condition):
    return f"sumForEach(arrayMap(k -> toUInt64({condition}), range({shapes.DAYS})))"


def trailing(days):
    return each_day(
        f"bitAnd(bitShiftRight(m, greatest(k - {days - 1}, 0)), "
        f"bitShiftLeft(toUInt64(1), least(k + 1, {days})) - 1) != 0"
    )


def active(where):
    return f"select {trailing(1)}, {trailing(7)}, {trailing(30)} from ({masks(where)})"


def funnel(steps, window_ms, by):
    names = ", ".join(f"'{step}'" for step in steps)
    conditions = ", ".join(f"name = '{step}'" for step in steps)
    group = f"any({by}) as value, " if by else ""
    levels = ", ".join(f"countIf(level >= {k + 1})" for k in range(len(steps)))
    return (
        f"select {'value, ' if by else ''}{levels} from (select user, {group}"
        f"windowFunnel({window_ms})(toUInt64(toUnixTimestamp64Milli(at)), {conditions}) as level "
        f"from events where name in ({names}) group by user) {'where level > 0 group by value' if by else ''}"
    )


class ClickHouse:
    def __init__(self, order):
        self.order = ORDERS[order]

    def open(self, folder):
        self.session = session.Session(folder)
        self.session.query("use bench")

    def load(self, events, folder):
        self.session = session.Session(folder)
        self.session.query("create database bench engine = Atomic")
        self.session.query("use bench")
        text = "LowCardinality(String)"
        self.session.query(
            f"create table events (at DateTime64(3, 'UTC') codec(Delta, LZ4), name {text}, user UInt64, "
            f"session Int64, path {text}, country {text}, device_type {text}, source {text}, "
            f"experiment {text}, variant {text}, revenue Float64, content_id {text}, engaged_ms Float64, "
            f"completion Float64, display_mode {text}) engine = MergeTree "
            f"partition by toYYYYMM(at) order by {self.order}"
        )
        self.session.query(f"insert into events select * from file('{events}/day-*.parquet', Parquet)")
        self.session.query("optimize table events final")

    def run(self, sql):
        return json.loads(str(self.session.query(sql, "JSONCompact")))["data"]

    def questions(self):
        views = "name = 'page_view'"
        pages = (
            f"select path, count() as n, uniqExact(user) from events where {views} "
            "group by path order by n desc, path limit 50"
        )
        by_session = (
            "select t.1 as a, t.2 as b, count() as n from (select arrayJoin(arrayZip(arrayPopBack(p), "
            "arrayPopFront(p))) as t from (select arrayMap(x -> x.2, arraySort(x -> x.1, "
            f"groupArray((at, path)))) as p from events where {views} group by session having "
            "length(p) > 1)) group by a, b order by n desc, a, b limit 50"
        )
        by_window = (
            "select a, b, count() as n from (select path as b, lagInFrame(toNullable(path)) over "
            "(partition by session order by at rows between 1 preceding and current row) as a "
            f"from events where {views}) where a is not null group by a, b "
            "order by n desc, a, b limit 50"
        )
        experiment = (
            "select v, count(), countIf(n > 0), sum(total), sum(total * total) from (select user, "
            "argMinIf(variant, at, name = 'experiment_exposure') as v, "
            "minIf(at, name = 'experiment_exposure') as met, arrayFilter(x -> x.1 > met and "
            "x.1 <= met + interval 7 day, groupArrayIf((at, revenue), name = 'purchase')) as bought, "
            "length(bought) as n, arraySum(x -> x.2, bought) as total from events where name in "
            "('experiment_exposure', 'purchase') group by user having v != '' and "
            "minIf(variant, name = 'experiment_exposure') = maxIf(variant, name = 'experiment_exposure')) "
            "group by v order by v"
        )
        lifecycle = ", ".join(
            each_day(condition)
            for condition in (
                "bitTest(m, k) and bitAnd(m, bitShiftLeft(toUInt64(1), k) - 1) = 0",
                "k > 0 and bitTest(m, k) and bitTest(m, greatest(k - 1, 0))",
                "k > 0 and bitTest(m, k) and not bitTest(m, greatest(k - 1, 0)) "
                "and bitAnd(m, bitShiftLeft(toUInt64(1), k) - 1) != 0",
                "k > 0 and not bitTest(m, k) and bitTest(m, greatest(k - 1, 0))",
            )
        )
        retention = (
            f"select c, {each_day('bitTest(bitShiftRight(m, c), k)')} from (select m, "
            f"toUInt8(bitCount(bitXor(m, m - 1)) - 1) as c from ({masks(ACTIVE)})) group by c order by c"
        )
        shop = ["page_view", "add_to_cart", "purchase"]
        visit = ["session_start", "page_view", "add_to_cart", "checkout", "purchase"]
        by_day = f"select {DAY} as d, {{}} from events where {{}} group by d order by d"
        return {
            "trend": [(by_day.format("uniqExact(user)", views), shapes.days)],
            "countries": [
                (
                    f"select country, {DAY} as d, uniqExact(user) from events where {views} "
                    "group by country, d",
                    shapes.by_text,
                )
            ],
            "active": [(active(ACTIVE), shapes.lists)],
            "stickiness": [
                (f"select bitCount(m) - 1 as d, count() from ({masks(ACTIVE)}) group by d", shapes.days)
            ],
            "lifecycle": [(f"select {lifecycle} from ({masks(ACTIVE)})", shapes.lists)],
            "retention": [(retention, shapes.triangle)],
            "active_mobile": [(active(f"{ACTIVE} and device_type = 'mobile'"), shapes.lists)],
            "funnel_3": [(funnel(shop, 86_400_000, None), shapes.steps)],
            "funnel_5": [(funnel(visit, 604_800_000, "device_type"), shapes.steps_by_text)],
            "experiment": [(experiment, shapes.money)],
            "pages": [(pages, shapes.ranked)],
            "transitions": [(by_session, shapes.ranked), (by_window, shapes.ranked)],
            "three_filters": [
                (
                    by_day.format(
                        "count()",
                        "path like '/p/000%' and source = 'google' and device_type = 'mobile'",
                    ),
                    shapes.days,
                )
            ],
            "needle": [(by_day.format("count()", "path = '/p/05000'"), shapes.days)],
            **every.questions(every.CLICKHOUSE, self.run),
        }

    def bytes(self):
        """What the events take. The folder holds more for a while: parts that were merged into others."""
        parts = "select sum(bytes_on_disk) from system.parts where active and database = 'bench'"
        return int(self.run(parts)[0][0])
