//! The first screen: headline figures, active people, page views.

use jiff::civil::Date;
use tallymark_analysis::answer::{ActiveAnswer, TrendAnswer, TrendSeries};

use super::super::format;
use super::super::markup::Markup;
use super::super::svg::line::{self, Line, LineChart, Point};
use super::super::words::{say, t};
use super::{Chart, Legend, Reply, Section, Table, active_of, date_of, trend_of};

/// One headline figure.
#[derive(Debug, Clone)]
pub struct Card {
    /// What it counts.
    pub name: String,
    /// The figure.
    pub figure: String,
    /// `+12.5 %`, if the period before is known and not zero.
    pub change: Option<Change>,
    /// What it is compared to, or what it means.
    pub note: String,
    /// Its way through the period.
    pub spark: Markup,
}

/// A change against the period before.
#[derive(Debug, Clone)]
pub struct Change {
    /// `up`, `down` or nothing.
    pub class: &'static str,
    /// With its sign.
    pub text: String,
}

/// What the team noted of each of some days, empty where there is nothing.
pub type Marks<'a> = dyn Fn(&[String]) -> Vec<Option<String>> + 'a;

/// People of the last half hour.
pub fn now(reply: &Reply) -> Option<u64> {
    let total = trend_of(reply).ok()?.series.first()?.total.0?;
    Some(total as u64)
}

/// The headline figures, in the order of the questions asked.
pub fn cards(
    headline: &Reply,
    active: &Reply,
    goal: Option<&str>,
    days: i64,
) -> Section<Vec<Card>> {
    let trend = match trend_of(headline) {
        Ok(trend) => trend,
        Err(why) => return Section::failed(&why),
    };
    let mut cards = Vec::new();
    for series in &trend.series {
        let name = match (series.index, goal) {
            (0, _) => t("People").to_owned(),
            (1, _) if series.event.is_some() => t("Page views").to_owned(),
            (1, _) => t("Events").to_owned(),
            (2, Some(goal)) => goal.to_owned(),
            (_, Some(goal)) => format!("{goal}: {}", t("value")),
            _ => continue,
        };
        cards.push(card(name, series, days));
    }
    if let Ok(active) = active_of(active)
        && let Some(mean) = active.stickiness_mean
    {
        let known: Vec<f64> = active.stickiness.iter().map(|s| s.unwrap_or(f64::NAN)).collect();
        cards.push(Card {
            name: t("Stickiness").into(),
            figure: format::percent(mean),
            change: None,
            note: t("daily of monthly people").into(),
            spark: line::spark(&known),
        });
    }
    Section::Ready(cards)
}

fn card(name: String, series: &TrendSeries, days: i64) -> Card {
    let previous = series.previous.as_ref().and_then(|previous| previous.total.0);
    let change = match (series.total.0, previous) {
        // Beyond tenfold there was hardly anything to compare with, and a percentage that nobody
        // can read says less than the two figures.
        (Some(now), Some(then)) if then > 0.0 && now < 10.0 * then => {
            let ratio = now / then - 1.0;
            let class = match ratio {
                r if r >= 0.0005 => "up",
                r if r <= -0.0005 => "down",
                _ => "",
            };
            Some(Change { class, text: format::signed_percent(ratio) })
        }
        _ => None,
    };
    let days = format::counted(days.unsigned_abs(), "day", "days");
    let note = match previous {
        Some(then) if then != 0.0 && change.is_some() => {
            say("from {n}", &[("n", &format::figure(then))])
        }
        Some(then) if then != 0.0 => {
            say("{n} in the {days} before", &[("n", &format::figure(then)), ("days", &days)])
        }
        _ => say("none in the {days} before", &[("days", &days)]),
    };
    let data: Vec<f64> = series.data.iter().map(|figure| figure.0.unwrap_or(0.0)).collect();
    Card { name, figure: format::maybe(series.total.0), change, note, spark: line::spark(&data) }
}

/// Daily, weekly and monthly active people.
pub fn active(reply: &Reply, today: Date, marks: &Marks<'_>) -> Section<Chart> {
    let answer = match active_of(reply) {
        Ok(answer) => answer,
        Err(why) => return Section::failed(&why),
    };
    if answer.dau.iter().all(|people| *people == 0) {
        return Section::empty(
            t("Nobody was active in this time"),
            t("Choose a longer range, or wait for the first events to arrive."),
        );
    }
    let figures = |counts: &[Option<u64>]| -> Vec<Option<f64>> {
        counts.iter().map(|count| count.map(|n| n as f64)).collect()
    };
    let marks = marks(&answer.days);
    let daily: Vec<Option<u64>> = answer.dau.iter().copied().map(Some).collect();
    let svg = line::draw(&LineChart {
        title: t("Daily, weekly and monthly active people; the table below has the figures").into(),
        points: points(&answer.days, &marks),
        lines: vec![
            Line { name: t("Month").into(), class: "c", values: figures(&answer.mau), area: false },
            Line { name: t("Week").into(), class: "b", values: figures(&answer.wau), area: false },
            Line { name: t("Day").into(), class: "a", values: figures(&daily), area: true },
        ],
        unfinished: answer.days.last().and_then(|day| date_of(day)) == Some(today),
        format: format::figure,
    });
    let remark = answer.reason.map(|_| OVER_DAYS_UNKNOWN);
    Section::Ready(Chart {
        svg,
        legend: legend(),
        table: noted(active_table(answer), marks),
        remark,
    })
}

/// Said where weekly and monthly figures have gaps.
const OVER_DAYS_UNKNOWN: &str = "Cookieless visitors get a new id every day, so nobody can know how many \
    there are in a week or a month: days with one of them have no such figure.";

fn legend() -> Vec<Legend> {
    let entry = |class, name| Legend { class, name };
    vec![
        entry("a", t("on the day")),
        entry("b", t("Week, trailing")),
        entry("c", t("Month, trailing")),
    ]
}

fn active_table(answer: &ActiveAnswer) -> Table {
    let rows = (0..answer.days.len()).map(|i| {
        let count = |count: Option<u64>| count.map_or(format::UNKNOWN.into(), format::count);
        let over_days = |counts: &[Option<u64>]| count(counts.get(i).copied().flatten());
        vec![
            answer.days[i].clone(),
            count(answer.dau.get(i).copied()),
            over_days(&answer.wau),
            over_days(&answer.mau),
            format::maybe_percent(answer.stickiness.get(i).copied().flatten()),
        ]
    });
    Table {
        head: [t("Day"), t("People on the day"), t("in 7 days"), t("in 30 days"), t("Stickiness")]
            .map(str::to_owned)
            .into(),
        rows: rows.collect(),
    }
}

/// Page views per day, over those of the period before.
pub fn views(headline: &Reply, today: Date, marks: &Marks<'_>) -> Section<Chart> {
    let trend = match trend_of(headline) {
        Ok(trend) => trend,
        Err(why) => return Section::failed(&why),
    };
    let Some(series) = trend.series.iter().find(|series| series.index == 1) else {
        return Section::empty(
            t("No page views in this time"),
            t("The SDK sends one per page by itself."),
        );
    };
    if series.total.0.unwrap_or(0.0) == 0.0 {
        return Section::empty(t("No page views in this time"), t("Choose a longer range."));
    }
    Section::Ready(views_chart(trend, series, today, marks(&trend.buckets)))
}

fn views_chart(
    trend: &TrendAnswer,
    series: &TrendSeries,
    today: Date,
    marks: Vec<Option<String>>,
) -> Chart {
    let now: Vec<Option<f64>> = series.data.iter().map(|figure| figure.0).collect();
    let then: Vec<Option<f64>> = match &series.previous {
        Some(previous) => previous.data.iter().map(|f| f.0).take(now.len()).collect(),
        None => Vec::new(),
    };
    // A line along the floor compares nothing: the project was hardly there yet.
    let sum = |values: &[Option<f64>]| values.iter().flatten().sum::<f64>();
    let known_then = sum(&then) > 0.02 * sum(&now);
    let mut lines = Vec::new();
    let mut legend = vec![Legend { class: "a", name: t("This period") }];
    if known_then {
        let name = t("Before").to_owned();
        lines.push(Line { name, class: "past", values: then.clone(), area: false });
        legend.push(Legend { class: "past", name: t("Period before") });
    }
    lines.push(Line { name: t("Views").into(), class: "a", values: now.clone(), area: true });
    let svg = line::draw(&LineChart {
        title: t("Page views per day; the table below has the figures").into(),
        points: points(&trend.buckets, &marks),
        lines,
        unfinished: trend.buckets.last().and_then(|day| date_of(day)) == Some(today),
        format: format::figure,
    });
    let rows = trend.buckets.iter().enumerate().map(|(i, day)| {
        let figure = |values: &[Option<f64>]| format::maybe(values.get(i).copied().flatten());
        vec![day.clone(), figure(&now), figure(&then)]
    });
    let head = [t("Day"), t("Views"), t("Period before")].map(str::to_owned).into();
    let table = noted(Table { head, rows: rows.collect() }, marks);
    Chart { svg, legend, table, remark: None }
}

/// A table with a column of what was noted of each row, if anything was.
fn noted(mut table: Table, marks: Vec<Option<String>>) -> Table {
    if !marks.is_empty() {
        table.head.push(t("Notes").to_owned());
        for (row, mark) in table.rows.iter_mut().zip(marks) {
            row.push(mark.unwrap_or_default());
        }
    }
    table
}

/// Points with a label under about seven of them, on Mondays when there are weeks.
fn points(days: &[String], marks: &[Option<String>]) -> Vec<Point> {
    let every = days.len().div_ceil(7).max(1);
    // Whole weeks between labels keep weekdays comparable by eye.
    let every = if days.len() > 14 { every.next_multiple_of(7) } else { every };
    let last = days.len().saturating_sub(1);
    let point = |(index, day): (usize, &String)| match date_of(day) {
        Some(date) => Point {
            tick: (last - index).is_multiple_of(every).then(|| format::day(date)),
            label: format::full_day(date),
            mark: marks.get(index).cloned().flatten(),
        },
        None => Point { tick: None, label: day.clone(), mark: None },
    };
    days.iter().enumerate().map(point).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tallymark_analysis::answer::{AnswerBody, Figure, Group, Reason};
    use tallymark_analysis::trend::answer::Previous;

    use super::super::Completeness;
    use super::*;

    #[rstest]
    #[case::more(120.0, Some(100.0), Some("+20.0\u{a0}%"), "from 100")]
    #[case::less(80.0, Some(100.0), Some("−20.0\u{a0}%"), "from 100")]
    #[case::just_below_tenfold(999.0, Some(100.0), Some("+899\u{a0}%"), "from 100")]
    #[case::tenfold(1_000.0, Some(100.0), None, "100 in the 30\u{a0}days before")]
    #[case::from_nothing(5.0, Some(0.0), None, "none in the 30\u{a0}days before")]
    #[case::from_a_loss(5.0, Some(-5.0), None, "−5 in the 30\u{a0}days before")]
    #[case::not_known(5.0, None, None, "none in the 30\u{a0}days before")]
    fn a_figure_is_compared_to_the_period_before(
        #[case] now: f64,
        #[case] then: Option<f64>,
        #[case] change: Option<&str>,
        #[case] note: &str,
    ) {
        let previous =
            then.map(|then| Previous { buckets: vec![], data: vec![], total: Figure::known(then) });
        let series = TrendSeries {
            index: 0,
            event: None,
            measure: "persons".into(),
            group: Group::All,
            value: None,
            data: vec![],
            total: Figure::known(now),
            previous,
        };
        let card = card("People".into(), &series, 30);
        assert_eq!(card.change.map(|change| change.text).as_deref(), change);
        assert_eq!(card.note, note);
    }

    #[test]
    fn days_without_a_monthly_figure_are_gaps_and_the_chart_says_why() {
        let answer = |reason: Option<Reason>| ActiveAnswer {
            days: vec!["2026-11-20".into(), "2026-11-21".into()],
            dau: vec![3, 4],
            wau: vec![Some(5), reason.map_or(Some(6), |_| None)],
            mau: vec![Some(7), reason.map_or(Some(8), |_| None)],
            stickiness: vec![Some(3.0 / 7.0), None],
            stickiness_mean: None,
            active_days: None,
            persons: None,
            reason,
        };
        let chart = |reason| {
            let reply = Ok((AnswerBody::Active(answer(reason)), Completeness::Complete));
            match active(&reply, jiff::civil::date(2026, 11, 22), &|_| Vec::new()) {
                Section::Ready(chart) => chart,
                other => panic!("{other:?}"),
            }
        };
        let gaps = chart(Some(Reason::DAILY_IDS));
        assert_eq!(gaps.table.rows[1][1..4], ["4", format::UNKNOWN, format::UNKNOWN]);
        assert_eq!(gaps.table.rows[0][1..4], ["3", "5", "7"]);
        assert_eq!(gaps.remark, Some(OVER_DAYS_UNKNOWN));
        assert_eq!(chart(None).remark, None);
    }

    #[test]
    fn the_last_day_has_a_label_and_a_quarter_has_whole_weeks_between_labels() {
        let first = jiff::civil::date(2026, 8, 25);
        let days: Vec<String> = (0..90)
            .map(|day| first.saturating_add(jiff::Span::new().days(day)).to_string())
            .collect();
        let labelled: Vec<usize> = points(&days, &[])
            .iter()
            .enumerate()
            .filter_map(|(index, point)| point.tick.as_ref().map(|_| index))
            .collect();
        assert_eq!(labelled, [5, 19, 33, 47, 61, 75, 89]);
        assert!(points(&[], &[]).is_empty());
    }
}
