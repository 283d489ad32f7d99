"""The questions of `cargo xtask bench questions` beyond the usual ones, in one SQL for both engines.

Where the dialects differ, `d` has the words: person, time in milliseconds, day of a time, and what is called otherwise.
The forms were chosen by trying: passes of window functions over rows sorted by person and time, aggregates by
session or person, and ASOF joins.
"""

import shapes

DAY_MS = 86_400_000
ACTIVE = "name != 'experiment_exposure'"

CLICKHOUSE = {
    "p": "user",
    "t": "at",
    "ms": "toUnixTimestamp64Milli(at)",
    "day": "toInt32(toDate(at) - toDate('2026-09-01'))",
    "median": lambda of: f"quantileExactInclusive(0.5)({of})",
    "lead": lambda of, rows: f"leadInFrame({of}, {rows})",
    "all_rows": "rows between unbounded preceding and unbounded following",
    "first": "argMin",
    "as_int": lambda of: f"toInt64({of})",
    "as_text": lambda of: f"toString({of})",
}

DUCKDB = {
    "p": "person",
    "t": "ts",
    "ms": "epoch_ms(ts)",
    "day": "(cast(ts as date) - date '2026-09-01')",
    "median": lambda of: f"quantile_cont({of}, 0.5)",
    "lead": lambda of, rows: f"lead({of}, {rows})",
    "all_rows": "",
    "first": "arg_min",
    "as_int": lambda of: f"cast({of} as bigint)",
    "as_text": lambda of: f"cast({of} as varchar)",
}


def distinct(d, of):
    return f"uniqExact({of})" if d["p"] == "user" else f"count(distinct {of})"


def levels(d, rows, steps):
    """People by the best level of their rows."""
    counted = ", ".join(f"sum(case when level >= {step} then 1 else 0 end)" for step in range(1, steps + 1))
    return f"select {counted} from (select {d['p']}, max(level) as level from ({rows}) group by {d['p']})"


def any_order(d, steps):
    window = f"over (partition by {d['p']} order by ms range between current row and {DAY_MS} following)"
    seen = " + ".join(f"max(case when name = '{step}' then 1 else 0 end) {window}" for step in steps)
    names = ", ".join(f"'{step}'" for step in steps)
    rows = f"select {d['p']}, {d['ms']} as ms, name from events where name in ({names})"
    return levels(d, f"select {d['p']}, {seen} as level from ({rows})", len(steps))


def strict(d, steps):
    a, b, c = steps
    window = f"over (partition by {d['p']} order by ms {d['all_rows']})"
    leads = ", ".join(f"{d['lead'](of, rows)} {window} as {of}{rows}" for of in ("name", "ms") for rows in (1, 2))
    rows = (
        f"select {d['p']}, ms, name, {leads} from (select {d['p']}, {d['ms']} as ms, name from events where {ACTIVE})"
    )
    second = f"name1 = '{b}' and ms1 - ms <= {DAY_MS}"
    third = f"name2 = '{c}' and ms2 - ms <= {DAY_MS}"
    level = f"case when {second} and {third} then 3 when {second} then 2 else 1 end"
    return levels(d, f"select {d['p']}, {level} as level from ({rows}) where name = '{a}'", 3)


def by_start_day(d, steps):
    a, b, c = steps
    window = f"over (partition by {d['p']} order by ms rows between current row and unbounded following)"
    names = ", ".join(f"'{step}'" for step in steps)
    rows = f"select {d['p']}, {d['ms']} as ms, {d['day']} as d, name from events where name in ({names})"
    third = f"select *, min(case when name = '{c}' then ms end) {window} as c_at from ({rows})"
    both = (
        f"select *, min(case when name = '{b}' then ms end) {window} as b_at, "
        f"min(case when name = '{b}' then c_at end) {window} as bc_at from ({third})"
    )
    level = f"case when bc_at <= ms + {DAY_MS} then 3 when b_at <= ms + {DAY_MS} then 2 else 1 end"
    best = (
        f"select {d['p']}, d, max(level) as level from (select {d['p']}, d, {level} as level from ({both}) "
        f"where name = '{a}') group by {d['p']}, d"
    )
    counted = ", ".join(f"sum(case when level >= {step} then 1 else 0 end)" for step in (1, 2, 3))
    return f"select d, {counted} from ({best}) group by d order by d"


def attempts(d, steps):
    """Each attempt after the other: a person's events are folded, (step reached, its start, attempts by step) on and on."""
    step = " ".join(f"when '{name}' then {k + 1}" for k, name in enumerate(steps))
    names = ", ".join(f"'{name}'" for name in steps)
    k = d["as_int"](f"case name {step} end")
    rows = f"select {d['p']}, {d['as_int'](d['ms'])} as ms, {k} as k from events where name in ({names})"
    fold = fold_clickhouse if d is CLICKHOUSE else fold_duckdb
    return fold(rows)


def fold_clickhouse(rows):
    further = (
        "(toInt64(if(r.1 = 2, 0, r.1 + 1)), r.2, r.3, toInt64(r.4 + (r.1 = 1)), toInt64(r.5 + (r.1 = 2)))"
    )
    fold = (
        f"arrayFold((r, x) -> multiIf(r.1 > 0 and x.1 - r.2 <= {DAY_MS}, if(x.2 = r.1 + 1, {further}, r), "
        "x.2 = 1, (toInt64(1), x.1, toInt64(r.3 + 1), r.4, r.5), (toInt64(0), r.2, r.3, r.4, r.5)), "
        f"arraySort(groupArray((ms, k))), ({', '.join(['toInt64(0)'] * 5)}))"
    )
    return f"select sum(r.3), sum(r.4), sum(r.5) from (select {fold} as r from ({rows}) group by user)"


def fold_duckdb(rows):
    fields = ("reached", "began", "a", "b", "c", "ms", "k")

    def state(*values):
        return "{" + ", ".join(f"'{field}': {value}" for field, value in zip(fields, values)) + "}"

    zero = ["0::bigint"] * 5
    begun = state("1", "x.ms", "r.a + 1", "r.b", "r.c", "x.ms", "x.k")
    over = state("0", "r.began", "r.a", "r.b", "r.c", "x.ms", "x.k")
    further = state(
        "case when r.reached = 2 then 0 else r.reached + 1 end", "r.began", "r.a",
        "r.b + (r.reached = 1)::bigint", "r.c + (r.reached = 2)::bigint", "x.ms", "x.k",
    )
    fold = (
        f"list_reduce(list({state(*zero, 'ms', 'k')} order by ms), lambda r, x: case "
        f"when r.reached > 0 and x.ms - r.began <= {DAY_MS} then "
        f"case when x.k = r.reached + 1 then {further} else r end "
        f"when x.k = 1 then {begun} else {over} end, {state(*zero, *zero[:2])})"
    )
    return f"select sum(f.a), sum(f.b), sum(f.c) from (select {fold} as f from ({rows}) group by person)"


def rolling(d):
    first = f"min(ms) over (partition by {d['p']})"
    rows = f"select {d['p']}, ms, d, {first} as t0 from (select {d['p']}, {d['ms']} as ms, {d['day']} as d from events where {ACTIVE})"
    since = d["as_int"](f"floor((ms - t0) / {DAY_MS})")
    cohort = d["as_int"](f"floor((t0 - 1788220800000) / {DAY_MS})")
    cells = f"select {cohort} as c, {since} as n, {d['p']} from ({rows})"
    return f"select c, n, {distinct(d, d['p'])} from ({cells}) where n <= 14 group by c, n"


def brackets(d):
    firsts = f"select {d['p']}, min({d['day']}) as c from events where {ACTIVE} group by {d['p']}"
    days = f"select {d['p']}, {d['day']} as d, count(*) as n from events where {ACTIVE} group by {d['p']}, d"
    within = ", ".join(
        f"sum(case when d - c between {a} and {b} then n else 0 end) as n{b}" for a, b in ((1, 7), (8, 14))
    )
    people = f"select f.{d['p']} as who, c, {within} from ({firsts}) f join ({days}) g on f.{d['p']} = g.{d['p']} group by who, c"
    return (
        f"select c, count(*), sum(case when n7 >= 2 then 1 else 0 end), sum(case when n14 >= 2 then 1 else 0 end) "
        f"from ({people}) group by c order by c"
    )


def visits(d):
    return (
        f"select {d['p']}, session, min(ms) as first_ms, max(ms) - min(ms) as took, min(d) as d, "
        "sum(case when name = 'page_view' then 1 else 0 end) as views, "
        "sum(case when name = 'purchase' then 1 else 0 end) as bought, coalesce(sum(engaged_ms), 0) as engaged "
        f"from (select {d['p']}, session, {d['ms']} as ms, {d['day']} as d, name, engaged_ms from events) "
        f"group by {d['p']}, session"
    )


def sessions(d):
    by_day = (
        "select d, count(*), sum(case when views = 1 and bought = 0 and engaged < 10000 then 1 else 0 end), "
        "sum(views) from v group by d"
    )
    whole = f"select -1, {d['as_int'](d['median']('took') + ' * 2')}, 0, 0 from v"
    return f"with v as {'materialized ' if d['p'] == 'person' else ''}({visits(d)}) {by_day} union all {whole}"


def attribution(d):
    touches = (
        f"select {d['p']} as who, min({d['t']}) as met, {d['first']}(coalesce(source, ''), {d['t']}) as came from events "
        f"group by {d['p']}, session"
    )
    known = f"select who, met, came from ({touches}) where came != ''"
    bought = f"select {d['p']} as who, {d['t']} as paid, revenue from events where name = 'purchase'"
    return (
        f"select coalesce(came, '') as c, count(*), round(sum(revenue) * 100) from ({bought}) b asof left join ({known}) k "
        "on b.who = k.who and b.paid >= k.met group by c order by c"
    )


def timeline(d, busiest):
    rows = f"select {d['ms']} as ms, name from events where {d['p']} = {busiest}"
    whole = "count(*) over (), min(ms) over (), max(ms) over ()"
    return f"select name, ms, {whole} from ({rows}) order by ms desc limit 100"


def reached(best):
    return ", ".join(f"sum(case when {best} >= {share} then 1 else 0 end)" for share in (0.25, 0.5, 0.75, 1.0))


def content(d, seen):
    """Contents by views, all of them, and days. `seen` says each person's views of each content."""
    p, viewed = d["p"], "name = '$content_view'"
    of_each = (
        f"select 1 as kind, content_id as id, sum(n) as views, count(*) as viewers, sum(engaged) as engaged, "
        f"{reached('best')} from {seen} group by content_id order by views desc, id limit 50"
    )
    by_person = (
        f"select {p}, count(*) as n, sum(engaged_ms) as engaged, max(completion) as best from events "
        f"where {viewed} group by {p}"
    )
    of_all = f"select 0, '', sum(n), count(*), sum(engaged), {reached('best')} from ({by_person})"
    days = (
        f"select 2, {d['as_text'](d['day'])} as day, count(*), {distinct(d, p)}, 0, 0, 0, 0, 0 "
        f"from events where {viewed} group by day"
    )
    return f"select * from ({of_each}) union all {of_all} union all {days}"


def seen(d):
    return (
        f"(select content_id, {d['p']}, count(*) as n, sum(engaged_ms) as engaged, max(completion) as best "
        f"from events where name = '$content_view' group by content_id, {d['p']})"
    )


def pwa(d):
    """Installs, launches and launches after an install; by display mode who came back; everybody."""
    p = d["p"]
    installs, launches = "name = '$pwa_install'", "name = '$pwa_launch' and display_mode <> 'browser'"
    story = (
        f"select {p}, sum(case when {installs} then 1 else 0 end) as i, sum(case when {launches} then 1 else 0 end) as l, "
        f"min(case when {installs} then {d['ms']} end) as first, max(case when {launches} then {d['ms']} end) as last "
        f"from events where name in ('$pwa_install', '$pwa_launch') group by {p}"
    )
    stages = (
        "select 0, '', sum(i), sum(case when i > 0 then 1 else 0 end), sum(l), sum(case when l > 0 then 1 else 0 end), "
        f"sum(case when last > first then 1 else 0 end) from ({story})"
    )
    here = (
        f"select display_mode as mode, {p}, count(*) as n, max({d['ms']}) - min({d['ms']}) as span from events "
        f"group by display_mode, {p}"
    )
    modes = (
        f"select 1, mode, sum(n), count(*), sum(case when span >= {DAY_MS} then 1 else 0 end), 0, 0 "
        f"from ({here}) group by mode"
    )
    everybody = f"select 2, '', {distinct(d, p)}, 0, 0, 0, 0 from events"
    return f"{stages} union all {modes} union all {everybody}"


def matrix(days, width):
    """(cohort, column, number) rows as a matrix."""

    def shaped(rows):
        cells = [[0] * width for _ in range(days)]
        for cohort, column, number in rows:
            cells[int(cohort)][int(column)] = int(number)
        return cells

    return shaped


def by_cohort(width):
    """(cohort, number, number, …) rows, cohorts of nobody too."""

    def shaped(rows):
        cells = [[0] * width for _ in range(shapes.DAYS)]
        for cohort, *numbers in rows:
            cells[int(cohort)] = [int(number) for number in numbers]
        return cells

    return shaped


def visits_shape(rows):
    days = by_cohort(3)([row for row in rows if int(row[0]) >= 0])
    median = next(int(row[1]) for row in rows if int(row[0]) < 0)
    return [[day[at] for day in days] for at in range(3)] + [median]


def timeline_shape(rows):
    return [[int(number) for number in rows[0][2:]], [[row[0], int(row[1])] for row in rows]]


def content_shape(rows):
    figures = lambda row: [int(figure) for figure in row[2:]]
    whole = next(figures(row) for row in rows if int(row[0]) == 0)
    items = [[row[1], *figures(row)] for row in rows if int(row[0]) == 1]
    days = sorted([int(row[1]), int(row[2]), int(row[3])] for row in rows if int(row[0]) == 2)
    return [whole, sorted(items, key=lambda item: (-item[1], item[0])), [day[1:] for day in days]]


def pwa_shape(rows):
    figures = lambda row, count: [int(figure) for figure in row[2 : 2 + count]]
    stages = next(figures(row, 5) for row in rows if int(row[0]) == 0)
    modes = sorted([row[1], *figures(row, 3)] for row in rows if int(row[0]) == 1)
    return [stages, modes, next(int(row[2]) for row in rows if int(row[0]) == 2)]


def mills(rows):
    """(day, sum, median): in thousandths."""
    figures = [[0] * shapes.DAYS, [0] * shapes.DAYS]
    for day, total, median in rows:
        for column, figure in zip(figures, (total, median)):
            column[int(day)] = int(float(figure) * 1000 + 0.5)
    return figures


def questions(d, run):
    p = d["p"]
    # Whom one asks for by name.
    busiest = run(f"select {p} from events group by {p} order by count(*) desc limit 1")[0][0]
    views = "name = 'page_view'"
    shop = ["page_view", "add_to_cart", "purchase"]
    twice = f"select {p} from events where name = 'purchase' group by {p} having count(*) >= 2"
    return {
        "revenue": [
            (
                f"select {d['day']} as d, sum(revenue), {d['median']('revenue')} from events "
                "where name = 'purchase' group by d",
                mills,
            )
        ],
        "pairs": [
            (
                f"select country, device_type, {distinct(d, p)} from events where {views} group by country, device_type "
                "order by country, device_type",
                shapes.ranked,
            )
        ],
        "cohort": [
            (
                f"select {d['day']} as d, {distinct(d, p)} from events where {views} and {p} in ({twice}) group by d",
                shapes.days,
            )
        ],
        "funnel_any": [(any_order(d, ["search", "add_to_cart", "checkout"]), shapes.steps)],
        "funnel_strict": [(strict(d, ["page_view", "click", "scroll"]), shapes.steps)],
        "funnel_days": [(by_start_day(d, shop), by_cohort(3))],
        "totals": [(attempts(d, shop), shapes.steps)],
        "rolling": [(rolling(d), matrix(shapes.DAYS, 15))],
        "brackets": [(brackets(d), by_cohort(3))],
        "sessions": [(sessions(d), visits_shape)],
        "attribution": [(attribution(d), shapes.ranked)],
        "persons": [
            (f"select count(*) as n from events group by {p} order by n desc limit 50", shapes.column(0))
        ],
        "person": [(timeline(d, busiest), timeline_shape)],
        "content": [(content(d, seen(d)), content_shape)],
        "pwa": [(pwa(d), pwa_shape)],
    }
