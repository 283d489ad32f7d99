//! Random events, random questions: our kernels against ClickHouse's engine, equal tables.
//!
//! Both read the same JSON lines. Where the rules differ by intent (one event serving two steps of
//! a funnel) the question says `compat: clickhouse`. All events are months old, so that no cell
//! is incomplete; incompleteness is tested where it is computed, in `analysis`.

mod both;

use std::fmt::Write;

use rand::{Rng, RngExt};
use serde_json::{Value, json};
use tallymark_tests::seed::{amount, seeded};

use both::Sides;

/// 2026-03-01T00:00:00Z: the range holds the DST change of Europe/Berlin (29 March).
const FROM_MS: u64 = 1_772_323_200_000;
const DAYS: u64 = 40;
const DAY_MS: u64 = 86_400_000;
const EVENTS: [&str; 4] = ["a", "b", "c", "d"];
const PLANS: [&str; 3] = ["free", "team", "pro"];
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/New_York"];

#[test]
fn random_questions_over_random_events_have_equal_answers() {
    let (_, mut random) = seeded("differential");
    let rounds = amount("TALLYMARK_TEST_QUESTIONS", 40);
    let mut sides = Sides::load(&mut random);
    for _ in 0..rounds {
        funnel(&mut sides, &mut random);
        trend(&mut sides, &mut random);
        retention(&mut sides, &mut random);
        active(&mut sides, &mut random);
        experiment(&mut sides, &mut random);
        paths(&mut sides, &mut random);
    }
}

fn funnel(sides: &mut Sides, random: &mut impl Rng) {
    const WINDOWS: [(&str, u64); 4] =
        [("10m", 600_000), ("1h", 3_600_000), ("6h", 21_600_000), ("1d", DAY_MS)];
    let (window, window_ms) = *pick(random, &WINDOWS);
    let (mut steps, mut conditions) = (Vec::new(), Vec::new());
    for _ in 0..random.random_range(2..=5) {
        let event = *pick(random, &EVENTS);
        let (filter, sql) = filters(random);
        steps.push(json!({ "event": event, "where": filter }));
        // A condition that is NULL would take the row from all conditions.
        conditions.push(format!("ifNull(event = '{event}'{sql}, 0)"));
    }
    let (filter, sql) = filters(random);
    let question = json!({
        "from": "2026-03-01", "to": "2026-04-15", "tz": "UTC", "compat": "clickhouse",
        "window": window, "steps": steps, "where": filter,
    });
    let levels: Vec<_> = (1..=conditions.len()).map(|k| format!("countIf(level >= {k})")).collect();
    let sql = format!(
        "select {} from (select user, windowFunnel({window_ms})(toUInt64(at), {}) as level \
         from events where true{sql} group by user)",
        levels.join(", "),
        conditions.join(", ")
    );

    let answer = sides.collector.query(&sides.project, "funnel", &question);
    let steps = answer["steps"].as_array().expect("a funnel has steps");
    let got: Vec<_> = steps.iter().map(|step| step["persons"].as_f64()).collect();
    let want: Vec<_> = sides.peer.rows(&sql)[0].iter().map(Value::as_f64).collect();
    assert_eq!(got, want, "{question}\n{sql}");
}

fn trend(sides: &mut Sides, random: &mut impl Rng) {
    const MEASURES: [(&str, &str); 7] = [
        ("count", "count()"),
        ("persons", "uniqExact(user)"),
        ("sum", "sumOrNull(n)"),
        ("min", "minOrNull(n)"),
        ("max", "maxOrNull(n)"),
        ("avg", "avgOrNull(n)"),
        ("per_person", "count() / uniqExact(user)"),
    ];
    let (measure, expression) = *pick(random, &MEASURES);
    let (event, tz) = (*pick(random, &EVENTS), *pick(random, &ZONES));
    let (filter, sql) = filters(random);
    let mut series = json!({ "event": event, "measure": measure });
    if expression.contains("(n)") {
        series["prop"] = json!("n");
    }
    let question = json!({
        "from": "2026-03-01", "to": "2026-04-15", "tz": tz, "bucket": "day",
        "series": [series], "where": filter, "breakdown": { "prop": "plan", "limit": 10 },
    });
    let sql = format!(
        "select plan, toString(toDate(fromUnixTimestamp64Milli(at), '{tz}')) as day, \
         {expression} from events where event = '{event}'{sql} \
         and day >= '2026-03-01' group by plan, day"
    );

    let answer = sides.collector.query(&sides.project, "trend", &question);
    let days = answer["buckets"].as_array().expect("a trend has buckets");
    let series = answer["series"].as_array().expect("a trend has series");
    let mut want = sides.peer.rows(&sql);
    for line in series {
        let data = line["data"].as_array().expect("a series has data");
        for (day, got) in days.iter().zip(data) {
            let found = want.iter().position(|row| row[0] == line["value"] && row[1] == *day);
            let want = found.map_or(Value::Null, |at| want.swap_remove(at)[2].clone());
            // A day without events is 0 for counts and null for the rest: both mean none here.
            let (got, want) = (got.as_f64().unwrap_or(0.0), want.as_f64().unwrap_or(0.0));
            let close = (got - want).abs() <= 1e-9 * want.abs().max(1.0);
            assert!(close, "{day} {}: {got} is not {want}\n{question}\n{sql}", line["value"]);
        }
    }
    assert!(want.is_empty(), "missing from our answer: {want:?}\n{question}\n{sql}");
}

fn retention(sides: &mut Sides, random: &mut impl Rng) {
    let (start, back, tz) = (*pick(random, &EVENTS), *pick(random, &EVENTS), *pick(random, &ZONES));
    let (filter, sql) = filters(random);
    let question = json!({
        "from": "2026-03-01", "to": "2026-04-15", "tz": tz, "bucket": "day", "periods": 20,
        "start": { "event": start }, "return": { "event": back, "where": filter },
        "mode": "on", "cohort_by": "first_ever", "clock": "calendar",
    });
    let sql = format!(
        "with toDate(fromUnixTimestamp64Milli(at), '{tz}') as day, \
         firsts as (select user, min(day) as cohort from events where event = '{start}' group by user), \
         backs as (select distinct user, day as back from events where event = '{back}'{sql}) \
         select toString(cohort), dateDiff('day', cohort, back) as n, uniqExact(user) \
         from firsts left join backs using user \
         where n between 0 and 19 group by cohort, n order by cohort, n"
    );
    let sizes = format!(
        "with toDate(fromUnixTimestamp64Milli(at), '{tz}') as day \
         select toString(cohort), count() from \
         (select user, min(day) as cohort from events where event = '{start}' group by user) \
         where cohort >= toDate('2026-03-01') group by cohort"
    );

    let answer = sides.collector.query(&sides.project, "retention", &question);
    let sizes = sides.peer.rows(&sizes);
    let cells = sides.peer.rows(&sql);
    for cohort in answer["cohorts"].as_array().expect("a list of cohorts") {
        let from = &cohort["from"];
        let want = sizes.iter().find(|row| row[0] == *from).and_then(|row| row[1].as_f64());
        assert_eq!(cohort["size"].as_f64(), Some(want.unwrap_or(0.0)), "{from}\n{question}");
        let returned = cohort["returned"].as_array().expect("a list of periods");
        // Period 0 is the cohort itself by definition when both events are the same.
        for (n, got) in returned.iter().enumerate().skip(1).take(19) {
            let cell = cells.iter().find(|row| row[0] == *from && row[1] == json!(n));
            let want = cell.map_or(0.0, |row| row[2].as_f64().expect("a count"));
            assert_eq!(got.as_f64(), Some(want), "{from} day {n}\n{question}\n{sql}");
        }
    }
    let (counted, all) = (
        answer["cohorts"].as_array().into_iter().flatten().filter_map(|c| c["size"].as_f64()),
        sizes.iter().filter_map(|row| row[1].as_f64()),
    );
    assert_eq!(counted.sum::<f64>(), all.sum::<f64>(), "{question}");
}

fn active(sides: &mut Sides, random: &mut impl Rng) {
    let (event, tz) = (*pick(random, &EVENTS), *pick(random, &ZONES));
    let question = json!({ "from": "2026-03-20", "to": "2026-04-05", "tz": tz, "event": event });
    let sql = format!(
        "with seen as (select distinct user, toDate(fromUnixTimestamp64Milli(at), '{tz}') as day from events where event = '{event}'), \
         days as (select toDate('2026-03-20') + number as d from numbers(16)) \
         select toString(d), uniqExactIf(user, day = d), uniqExactIf(user, day > d - 7 and day <= d), \
         uniqExactIf(user, day > d - 30 and day <= d) \
         from days cross join seen group by d order by d"
    );

    let answer = sides.collector.query(&sides.project, "active", &question);
    let want = sides.peer.rows(&sql);
    let days = answer["days"].as_array().expect("a list of days");
    assert_eq!(days.len(), want.len(), "{answer}");
    for (at, row) in want.iter().enumerate() {
        assert_eq!(days[at], row[0]);
        let got = ["dau", "wau", "mau"].map(|figure| answer[figure][at].as_f64());
        let want = [&row[1], &row[2], &row[3]].map(Value::as_f64);
        assert_eq!(got, want, "{} {question}", days[at]);
    }
}

fn experiment(sides: &mut Sides, random: &mut impl Rng) {
    const WINDOWS: [(&str, u64); 3] = [("1h", 3_600_000), ("1d", DAY_MS), ("7d", 7 * DAY_MS)];
    let (window, window_ms) = *pick(random, &WINDOWS);
    let (converts, sums) = (*pick(random, &EVENTS), *pick(random, &EVENTS));
    let question = json!({
        "from": "2026-03-01", "to": "2026-04-15", "tz": "UTC", "experiment": "button",
        "window": window, "control": "control", "metrics": [
            { "name": "converted", "event": converts },
            { "name": "n", "event": sums, "kind": "mean", "prop": "n" },
        ],
    });
    let after = format!("at > met and at - met <= {window_ms}");
    let sql = format!(
        "select arm, count(), countIf(conversions > 0), sum(total) from (\
           select user, any(arm) as arm, countIf(event = '{converts}' and {after}) as conversions, \
             sumIf(ifNull(n, 0), event = '{sums}' and {after}) as total \
           from (select user, argMin(variant, at) as arm, min(at) as met from events \
                 where event = '$exposure' group by user having uniqExact(variant) = 1) as met \
           join events using user group by user) \
         group by arm order by arm"
    );
    let several = "select count() from (select user from events where event = '$exposure' \
                   group by user having uniqExact(variant) > 1)";

    let answer = sides.collector.query(&sides.project, "experiment", &question);
    let want = sides.peer.rows(&sql);
    let arms = answer["arms"].as_array().expect("an experiment has arms");
    assert_eq!(arms.len(), want.len(), "{answer}");
    for (index, row) in want.iter().enumerate() {
        let (converted, mean) =
            (&answer["metrics"][0]["arms"][index], &answer["metrics"][1]["arms"][index]);
        let got =
            [&converted["persons"], &converted["conversions"], &mean["sum"]].map(Value::as_f64);
        let want = [&row[1], &row[2], &row[3]].map(Value::as_f64);
        assert_eq!((&converted["variant"], got), (&row[0], want), "{question}\n{sql}");
    }
    let several = sides.peer.rows(several)[0][0].clone();
    assert_eq!(answer["excluded"]["multi_variant"], several, "{question}");
}

/// Steps of one kind from one event to the next within sessions that silence ends.
fn paths(sides: &mut Sides, random: &mut impl Rng) {
    const SILENCE_MS: u64 = 1_800_000;
    let (filter, sql) = filters(random);
    let question = json!({
        "from": "2026-03-01", "to": "2026-04-15", "tz": "UTC", "by": "event", "limit": 1000,
        "where": filter,
    });
    let before = "rows between 1 preceding and current row";
    let sql = format!(
        "with opens as (select *, at - lagInFrame(at, 1, at) over (partition by user order by at, id \
           {before}) > {SILENCE_MS} as opens from events), \
         cut as (select *, sum(opens) over (partition by user order by at, id) as session from opens), \
         steps as (select user, event as b, lagInFrame(toNullable(event)) over (partition by user, \
           session order by at, id {before}) as a from cut where event != '$exposure'{sql}) \
         select a, b, count() as n, uniqExact(user) from steps where a is not null \
         group by a, b order by n desc, a, b"
    );

    let answer = sides.collector.query(&sides.project, "paths", &question);
    let edges = answer["edges"].as_array().expect("a list of edges");
    let fields = ["from", "to", "count", "persons"];
    let got: Vec<Vec<Value>> =
        edges.iter().map(|edge| fields.map(|field| edge[field].clone()).to_vec()).collect();
    assert_eq!(got, sides.peer.rows(&sql), "{question}\n{sql}");
}

/// Often none, at most two filters, and the same in SQL.
fn filters(random: &mut impl Rng) -> (Value, String) {
    let mut list = Vec::new();
    let mut sql = String::new();
    for _ in 0..random.random_range(0..=3_u32).saturating_sub(1) {
        let plan = *pick(random, &PLANS);
        let number = random.random_range(0..10);
        let (op, prop, value, condition) = match random.random_range(0..6) {
            0 => ("eq", "plan", json!(plan), format!("plan = '{plan}'")),
            1 => ("ne", "plan", json!(plan), format!("plan != '{plan}'")),
            2 => ("in", "plan", json!([plan, "free"]), format!("plan in ('{plan}', 'free')")),
            3 => ("gt", "n", json!(number), format!("n > {number}")),
            4 => ("lte", "n", json!(number), format!("n <= {number}")),
            _ => ("starts_with", "plan", json!(&plan[..1]), format!("plan like '{}%'", &plan[..1])),
        };
        list.push(json!({ "prop": prop, "op": op, "value": value }));
        write!(sql, " and {condition}").expect("text takes text");
    }
    (json!(list), sql)
}

pub fn pick<'a, T>(random: &mut impl Rng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}
