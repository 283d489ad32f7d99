//! One function per kind of answer.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tallymark_analysis::answer::*;

use super::super::super::address::builder;
use super::super::super::format;
use super::super::super::notes::Note;
use super::super::super::svg::columns::{self, Column};
use super::super::super::svg::line::Line;
use super::super::super::svg::sankey::{self, Flow};
use super::super::super::svg::{bars, funnel as funnel_svg};
use super::super::super::view::Words;
use super::super::super::words::{say, t};
use super::super::question::Fields;
use super::over_time::{self, drawing, group};
use super::{Block, Cell, Data, Drawing, Grid, Headline, Moment, Ranked, Step};

/// What is needed to lead on from an answer.
pub struct Around<'a> {
    /// The project's part of addresses.
    pub slug: &'a str,
    /// The fields of the question.
    pub fields: &'a Fields,
    /// The question in full.
    pub definition: &'a Value,
    /// Where the days are.
    pub tz: &'a TimeZone,
    /// Today, there.
    pub today: Date,
    /// What the team noted of the time.
    pub notes: &'a [Note],
}

impl Around<'_> {
    /// The address of another question over the same time.
    fn ask(&self, kind: &str, fields: &[(&str, &str)]) -> String {
        let time = ["range", "from", "to", "tz"];
        let time = time.into_iter().filter_map(|name| Some((name, self.fields.get(name)?)));
        builder(self.slug, kind, time, fields)
    }

    fn moment(&self, ms: i64) -> Cell {
        let zoned = Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(self.tz.clone());
        let date = zoned.date();
        let day = match date.year() == self.today.year() {
            true => format::day(date),
            false => format!("{} {}", format::day(date), date.year()),
        };
        Cell::Moment(ms, format!("{day}, {}", zoned.strftime("%H:%M")))
    }
}

/// The blocks of an answer.
pub fn blocks(answer: &AnswerBody, around: &Around<'_>) -> Vec<Block> {
    match answer {
        AnswerBody::Trend(answer) => over_time::trend(answer, around),
        AnswerBody::Active(answer) => over_time::active(answer, around),
        AnswerBody::Lifecycle(answer) => over_time::lifecycle(answer),
        AnswerBody::Stickiness(answer) => stickiness(answer),
        AnswerBody::Funnel(answer) => funnel(answer, around),
        AnswerBody::Retention(answer) => retention(answer, around),
        AnswerBody::Paths(answer) => paths(answer, around),
        AnswerBody::Sessions(answer) => sessions(answer, around),
        AnswerBody::Content(answer) => content(answer),
        AnswerBody::Pwa(answer) => pwa(answer),
        AnswerBody::Attribution(answer) => attribution(answer),
        AnswerBody::Revenue(answer) => revenue(answer, around),
        AnswerBody::Persons(answer) => persons(answer, around),
        AnswerBody::Person(answer) => person(answer, around),
        AnswerBody::Completeness(_) | AnswerBody::Experiment(_) | AnswerBody::Explain(_) => {
            nothing()
        }
    }
}

/// Nothing in this time.
pub fn nothing() -> Vec<Block> {
    vec![Block::Nothing(Words {
        title: t("Nothing in this time").to_owned(),
        text: t("Choose a longer range, another event, or fewer filters.").to_owned(),
    })]
}

/// Figures with their names and notes.
pub fn figures(all: &[(&str, Cell, &str)]) -> Block {
    let headline = |(name, value, note): &(&str, Cell, &str)| Headline {
        name: (*name).to_owned(),
        value: value.clone(),
        note: (*note).to_owned(),
    };
    Block::Figures(all.iter().map(headline).collect())
}

/// A table with bars of its second column; `link` gives the address of a row by its number.
pub fn ranked(title: &str, data: Data, link: impl Fn(usize) -> String) -> Block {
    let size = |row: &[Cell]| match row.get(1) {
        Some(Cell::Count(count)) => *count as f64,
        Some(Cell::Figure(value) | Cell::Share(value) | Cell::Length(value)) => {
            value.unwrap_or(0.0)
        }
        _ => 0.0,
    };
    let most = data.rows.iter().map(|row| size(row)).fold(0.0, f64::max);
    let bars = data.rows.iter().map(|row| bars::behind(size(row) / most)).collect();
    let links = (0..data.rows.len()).map(link).collect();
    Block::Ranked(Ranked { title: title.to_owned(), data, bars, links })
}

fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn histogram(title: &str, labels: Vec<String>, counts: &[u64], name: &str) -> Block {
    let every = counts.len().div_ceil(12).max(1);
    let columns: Vec<Column> = labels
        .iter()
        .zip(counts)
        .enumerate()
        .map(|(index, (label, count))| Column {
            tick: index.is_multiple_of(every).then(|| label.clone()),
            title: format!("{label}: {}", format::count(*count)),
            parts: vec![("a", *count as f64)],
        })
        .collect();
    let rows =
        labels.into_iter().zip(counts).map(|(label, count)| vec![text(label), Cell::Count(*count)]);
    let data = Data { head: heads(&[name, t("People")]), rows: rows.collect() };
    Block::Chart(Drawing {
        title: title.to_owned(),
        legend: Vec::new(),
        svg: columns::draw(title, &columns),
        wide: false,
        data,
    })
}

fn stickiness(answer: &StickinessAnswer) -> Vec<Block> {
    let Some(exactly) = &answer.exactly else {
        return vec![Block::Nothing(Words {
            title: t("This is not known").to_owned(),
            text: t("Visitors without cookies have another id every day, so nobody knows on how many days they were there.").to_owned(),
        })];
    };
    let labels = (1..=exactly.len()).map(|n| n.to_string()).collect();
    vec![
        figures(&[
            (t("People"), Cell::Figure(answer.persons.map(|n| n as f64)), t("in all of this time")),
            (t("Mean share"), Cell::Share(answer.ratio_mean), t("of the time they are there")),
        ]),
        histogram(t("People by how often they were there"), labels, exactly, t("Times")),
    ]
}

fn funnel(answer: &FunnelAnswer, around: &Around<'_>) -> Vec<Block> {
    let all = &answer.steps;
    if all.first().is_none_or(|step| step.persons == 0) {
        return nothing();
    }
    let name = |step: &FunnelStep| step.event.clone().unwrap_or_else(|| t("any event").to_owned());
    let share = |step: &FunnelStep| step.conversion_ratio.unwrap_or(0.0);
    let steps = all.iter().enumerate().map(|(index, step)| {
        let after = all.get(index + 1);
        Step {
            number: step.step,
            name: name(step),
            people: Cell::Count(step.persons),
            share: Cell::Share(step.conversion_ratio),
            svg: funnel_svg::step(share(step), after.map(share)),
            next: after.map(|next| {
                let left = step.persons.saturating_sub(next.persons);
                (
                    Cell::Share(next.from_previous_ratio),
                    Cell::Count(left),
                    Cell::Length(next.median_ms),
                )
            }),
            links: (behind(around, all, index, None), behind(around, all, index, after)),
        }
    });
    let converted = all.last().map_or(0, |step| step.persons);
    let mut blocks = vec![
        figures(&[
            (
                t("Came through"),
                Cell::Share(all.last().and_then(|step| step.conversion_ratio)),
                t("of those who did the first step"),
            ),
            (t("People"), Cell::Count(converted), t("did all steps")),
            (
                t("Median time"),
                Cell::Length(answer.time_to_convert.median_ms),
                t("from the first step to the last"),
            ),
            (
                t("90 % within"),
                Cell::Length(answer.time_to_convert.p90_ms),
                t("from the first step to the last"),
            ),
        ]),
        Block::Funnel(steps.collect()),
    ];
    let counts: Vec<u64> = answer.time_to_convert.histogram.iter().map(|bar| bar.persons).collect();
    if counts.iter().any(|count| *count > 0) {
        let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let label = |bar: &tallymark_analysis::funnel::answer::Duration| match bar.to_ms {
            Some(to) => format!("< {}", format::duration(to as f64)),
            None => format!("≥ {}", format::duration(bar.from_ms as f64)),
        };
        let labels = answer.time_to_convert.histogram[first..=last].iter().map(label).collect();
        blocks.push(histogram(
            t("Time from the first step to the last"),
            labels,
            &counts[first..=last],
            t("Time"),
        ));
    }
    let head = [
        t("Step"),
        t("People"),
        t("Of those who entered"),
        t("Of the step before"),
        t("Median time"),
        t("90 % within"),
    ];
    let row = |of: Option<String>, step: &FunnelStep| {
        let called = format!("{}. {}", step.step, name(step));
        vec![
            text(of.map_or(called.clone(), |of| format!("{of}: {called}"))),
            Cell::Count(step.persons),
            Cell::Share(step.conversion_ratio),
            Cell::Share(step.from_previous_ratio),
            Cell::Length(step.median_ms),
            Cell::Length(step.p90_ms),
        ]
    };
    let rows = all.iter().map(|step| row(None, step));
    blocks.push(ranked(
        t("Step by step"),
        Data { head: heads(&head), rows: rows.collect() },
        |_| String::new(),
    ));
    if !answer.breakdown.is_empty() {
        let of = |row: &FunnelGroup| match (&row.value, row.group) {
            (Some(value), _) => group(value),
            (None, Group::Other) => t("all others").to_owned(),
            (None, _) => t("not known").to_owned(),
        };
        let rows = answer.breakdown.iter().map(|row| {
            let mut cells = vec![text(of(row))];
            cells.push(Cell::Count(row.steps.first().map_or(0, |step| step.persons)));
            cells.push(Cell::Share(row.steps.last().and_then(|step| step.conversion_ratio)));
            cells.extend(row.steps.iter().skip(1).map(|step| Cell::Count(step.persons)));
            cells
        });
        let mut head = heads(&[t("Value"), t("People"), t("Came through")]);
        head.extend(all.iter().skip(1).map(|step| format!("{}. {}", step.step, name(step))));
        blocks.push(ranked(t("By value"), Data { head, rows: rows.collect() }, |_| String::new()));
    }
    blocks
}

/// The people who did all events up to a step; with `not`, those of them who did not do the next.
///
/// By cohort rules, which know no order and no window: their list may be longer than the step.
fn behind(
    around: &Around<'_>,
    steps: &[FunnelStep],
    index: usize,
    not: Option<&FunnelStep>,
) -> String {
    let (from, to) = (&around.definition["from"], &around.definition["to"]);
    let did = |step: &FunnelStep| match &step.event {
        Some(event) => json!({ "did": { "event": event, "from": from, "to": to } }),
        None => json!({ "did": { "from": from, "to": to } }),
    };
    let mut rules: Vec<Value> =
        steps[..=index].iter().filter(|step| !step.optional).map(did).collect();
    rules.extend(not.map(|step| json!({ "not": did(step) })));
    let question = json!({ "cohort": rules });
    around.ask("persons", &[("json", &question.to_string())])
}

fn retention(answer: &RetentionAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.cohorts.iter().all(|cohort| cohort.size == 0) {
        return nothing();
    }
    let mark = |name: &str, usual: f64| {
        around.fields.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(usual) / 100.0
    };
    let (good, fair) = (mark("good", 40.0), mark("fair", 20.0));
    let share = |mark: f64| format!("{}\u{a0}%", format::figure(mark * 100.0));
    let known =
        |ratios: &[Option<f64>]| ratios.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
    let width = answer.cohorts.iter().map(|cohort| known(&cohort.ratio)).max().unwrap_or(0).max(1);
    let cell = |index: usize, ratio: Option<f64>| match ratio {
        None => ("pending", "·".to_owned()),
        Some(ratio) if index == 0 => ("start", format::percent(ratio)),
        Some(ratio) => (marked(ratio, good, fair), format::percent(ratio)),
    };
    let cells = |ratios: &[Option<f64>]| -> Vec<(&'static str, String)> {
        ratios.iter().take(width).enumerate().map(|(index, ratio)| cell(index, *ratio)).collect()
    };
    let size = answer.cohorts.iter().map(|cohort| cohort.size).sum();
    let mut rows = vec![(t("All").to_owned(), format::count(size), cells(&answer.overall))];
    rows.extend(answer.cohorts.iter().filter(|cohort| cohort.size > 0).map(|cohort| {
        (over_time::short_day(&cohort.from), format::count(cohort.size), cells(&cohort.ratio))
    }));
    let columns: Vec<String> = match &answer.brackets {
        Some(brackets) => brackets.iter().map(|[from, to]| format!("{from}–{to}")).collect(),
        None => (0..width).map(|index| index.to_string()).collect(),
    };
    let mut head = heads(&[t("Start"), t("People")]);
    head.extend(columns.iter().cloned());
    let full = |name: String, size: u64, ratios: &[Option<f64>]| {
        let shares = (0..width).map(|index| Cell::Share(ratios.get(index).copied().flatten()));
        [text(name), Cell::Count(size)].into_iter().chain(shares).collect::<Vec<_>>()
    };
    let mut table = vec![full(t("All").to_owned(), size, &answer.overall)];
    table.extend(answer.cohorts.iter().map(|c| full(c.from.clone(), c.size, &c.ratio)));
    let line = Line {
        name: t("All").to_owned(),
        class: "a",
        values: answer
            .overall
            .iter()
            .take(width)
            .map(|ratio| ratio.map(|ratio| ratio * 100.0))
            .collect(),
        area: true,
    };
    let curve = Data {
        head: heads(&[t("Period"), t("Came back")]),
        rows: columns
            .iter()
            .zip(&answer.overall)
            .map(|(period, ratio)| vec![text(period.clone()), Cell::Share(*ratio)])
            .collect(),
    };
    let legend = vec![("a", t("Came back, in per cent, by periods after the start").to_owned())];
    vec![
        Block::Grid(Grid {
            title: t("By start").to_owned(),
            marks: [
                say("{n} or more", &[("n", &share(good))]),
                say("{n} or more", &[("n", &share(fair))]),
                say("less than {n}", &[("n", &share(fair))]),
            ],
            heads: columns.clone(),
            rows,
            data: Data { head, rows: table },
        }),
        drawing(t("How many stay"), &columns, vec![line], legend, curve, around),
    ]
}

/// The class of a share; a share that is exactly at a mark has reached it.
pub fn marked(ratio: f64, good: f64, fair: f64) -> &'static str {
    match ratio {
        ratio if ratio >= good => "mark-good",
        ratio if ratio >= fair => "mark-fair",
        _ => "mark-low",
    }
}

fn paths(answer: &PathsAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.edges.is_empty() {
        return nothing();
    }
    let backwards = around.definition.get("to_event").is_some_and(|anchor| !anchor.is_null());
    let deepest = answer.edges.iter().map(|edge| edge.depth).max().unwrap_or(1);
    let flows: Vec<Flow> = answer
        .edges
        .iter()
        .map(|edge| Flow {
            column: if backwards { deepest - edge.depth } else { edge.depth - 1 },
            from: edge.from.clone(),
            to: edge.to.clone(),
            size: edge.count as f64,
        })
        .collect();
    let by_event = around.definition["by"] == "event";
    let href = |name: &str| {
        let (anchor, at) =
            if by_event { (name, "") } else { (around.fields.get("anchor").unwrap_or(""), name) };
        let query = around.fields.with(&[("anchor", anchor), ("at", at), ("json", "")]);
        format!("/p/{}/ask/paths{query}", around.slug)
    };
    let title = t("Where people go, step by step: every step is a link that goes on from there");
    let svg = sankey::draw(title, &flows, href, format::figure);
    let rows = answer.edges.iter().map(|edge| {
        vec![
            text(format!("{} → {}", edge.from, edge.to)),
            Cell::Count(edge.count),
            Cell::Count(edge.persons),
            Cell::Count(edge.depth as u64),
        ]
    });
    let head = heads(&[t("From and to"), t("Times"), t("People"), t("Step")]);
    vec![Block::Chart(Drawing {
        title: t("Choose a step to go on from there").to_owned(),
        legend: Vec::new(),
        svg,
        wide: true,
        data: Data { head, rows: rows.collect() },
    })]
}

fn sessions(answer: &SessionsAnswer, around: &Around<'_>) -> Vec<Block> {
    let total = &answer.total;
    if total.sessions == 0 {
        return nothing();
    }
    let buckets: Vec<String> =
        answer.buckets.iter().filter_map(|bucket| bucket.bucket.clone()).collect();
    let values = answer.buckets.iter().map(|bucket| Some(bucket.sessions as f64)).collect();
    let rows = answer.buckets.iter().map(|bucket| {
        vec![
            text(bucket.bucket.clone().unwrap_or_default()),
            Cell::Count(bucket.sessions),
            Cell::Share(bucket.bounce_ratio),
            Cell::Length(bucket.median_duration_ms.0),
            Cell::Figure(bucket.pages_per_session),
        ]
    });
    let head = [t("Time"), t("Sessions"), t("Bounced"), t("Median length"), t("Pages per session")];
    let data = Data { head: heads(&head), rows: rows.collect() };
    let line = Line { name: t("Sessions").to_owned(), class: "a", values, area: true };
    let mut blocks = vec![
        figures(&[
            (t("Sessions"), Cell::Count(total.sessions), ""),
            (t("Bounced"), Cell::Share(total.bounce_ratio), t("one page, under ten seconds")),
            (t("Median length"), Cell::Length(total.median_duration_ms.0), ""),
            (t("Pages per session"), Cell::Figure(total.pages_per_session), ""),
        ]),
        drawing(t("Sessions"), &buckets, vec![line], Vec::new(), data, around),
    ];
    if !answer.breakdown.is_empty() {
        let head = [t("Value"), t("Sessions"), t("People"), t("Bounced"), t("Success")];
        let rows = answer.breakdown.iter().map(|row| {
            let name = match (&row.value, row.group) {
                (Some(value), _) => group(value),
                (None, Group::Other) => t("all others").to_owned(),
                (None, _) => t("not known").to_owned(),
            };
            let people = Cell::Figure(row.persons.map(|n| n as f64));
            vec![
                text(name),
                Cell::Count(row.sessions),
                people,
                Cell::Share(row.bounce_ratio),
                Cell::Share(row.conversion_ratio),
            ]
        });
        blocks.push(ranked(
            t("By value"),
            Data { head: heads(&head), rows: rows.collect() },
            |_| String::new(),
        ));
    }
    let pages = |path: &str| around.ask("paths", &[("at", path)]);
    let rows = answer.entry_pages.iter().map(|page| {
        vec![text(page.path.clone()), Cell::Count(page.sessions), Cell::Share(page.bounce_ratio)]
    });
    let data =
        Data { head: heads(&[t("Page"), t("Sessions"), t("Bounced")]), rows: rows.collect() };
    blocks.push(ranked(t("Where they come in"), data, |row| pages(&answer.entry_pages[row].path)));
    let rows = answer
        .exit_pages
        .iter()
        .map(|page| vec![text(page.path.clone()), Cell::Count(page.sessions)]);
    let data = Data { head: heads(&[t("Page"), t("Sessions")]), rows: rows.collect() };
    blocks.push(ranked(t("Where they leave"), data, |row| pages(&answer.exit_pages[row].path)));
    blocks
}

fn content(answer: &ContentAnswer) -> Vec<Block> {
    if answer.items.is_empty() {
        return vec![Block::Nothing(Words {
            title: t("No content views in this time").to_owned(),
            text: t(
                "Call contentView({ id, type, owner }) where people read or look at something.",
            )
            .to_owned(),
        })];
    }
    let rows = answer.items.iter().map(|item| {
        let name = item.id.as_ref().or(item.owner.as_ref()).or(item.content_type.as_ref());
        let share =
            |n: u64| Cell::Share((item.viewers > 0).then(|| n as f64 / item.viewers as f64));
        let mut row = vec![
            text(name.cloned().unwrap_or_else(|| t("not known").to_owned())),
            Cell::Count(item.views),
            Cell::Count(item.viewers),
            Cell::Length(item.engaged_ms_mean.0),
        ];
        row.extend(item.reached.map(share));
        row
    });
    let head = [
        t("Content"),
        t("Views"),
        t("People"),
        t("Mean time"),
        "25 %",
        "50 %",
        "75 %",
        t("To the end"),
    ];
    vec![
        figures(&[
            (t("Views"), Cell::Count(answer.total.views), ""),
            (t("People"), Cell::Count(answer.total.viewers), ""),
            (t("Mean time"), Cell::Length(answer.total.engaged_ms_mean.0), t("in sight")),
        ]),
        ranked(t("Content"), Data { head: heads(&head), rows: rows.collect() }, |_| String::new()),
    ]
}

fn pwa(answer: &PwaAnswer) -> Vec<Block> {
    let stage = |stage: &str| match stage {
        "prompt_shown" => t("were asked to install"),
        "prompt_accepted" => t("said yes"),
        "installed" => t("installed it"),
        "launched_standalone" => t("opened it as an app"),
        _ => t("went on"),
    };
    let most = answer.stages.first().map_or(0, |stage| stage.persons);
    let share = |n: u64| if most == 0 { 0.0 } else { n as f64 / most as f64 };
    let steps = answer.stages.iter().enumerate().map(|(index, at)| {
        let after = answer.stages.get(index + 1);
        Step {
            number: index + 1,
            name: stage(&at.stage).to_owned(),
            people: Cell::Count(at.persons),
            share: Cell::Share((most > 0).then(|| share(at.persons))),
            svg: funnel_svg::step(share(at.persons), after.map(|next| share(next.persons))),
            next: after.map(|next| {
                let left = at.persons.saturating_sub(next.persons_after_previous);
                (Cell::Share(next.from_previous_ratio), Cell::Count(left), Cell::Length(None))
            }),
            links: Default::default(),
        }
    });
    let rows = answer.display_modes.iter().map(|mode| {
        let name = match mode.display_mode.as_deref() {
            Some("browser") => t("In a browser tab").to_owned(),
            Some("standalone") => t("As an installed app").to_owned(),
            other => other.unwrap_or(t("not known")).to_owned(),
        };
        vec![
            text(name),
            Cell::Count(mode.persons),
            Cell::Count(mode.events),
            Cell::Share(mode.returned_ratio),
        ]
    });
    let head = [t("How it is opened"), t("People"), t("Events"), t("Came back")];
    vec![
        Block::Funnel(steps.collect()),
        figures(&[(
            t("Without a network"),
            Cell::Share(answer.offline_ratio),
            t("of the people used it so"),
        )]),
        ranked(t("How it is opened"), Data { head: heads(&head), rows: rows.collect() }, |_| {
            String::new()
        }),
    ]
}

fn attribution(answer: &AttributionAnswer) -> Vec<Block> {
    if answer.touches.is_empty() {
        return nothing();
    }
    let models: Vec<String> = answer.touches[0]
        .models
        .iter()
        .map(|model| {
            serde_json::to_value(model.model)
                .ok()
                .and_then(|name| Some(name.as_str()?.to_owned()))
                .unwrap_or_default()
        })
        .collect();
    let rows = answer.touches.iter().map(|touch| {
        let name = match (touch.group, &touch.value) {
            (TouchGroup::Value, Some(value)) => value.clone(),
            (TouchGroup::Direct, _) => t("direct").to_owned(),
            (TouchGroup::Other, _) => t("all others").to_owned(),
            _ => t("not known").to_owned(),
        };
        let shares = touch.models.iter().map(|model| Cell::Figure(Some(model.conversions)));
        std::iter::once(text(name)).chain(shares).collect()
    });
    let mut head = vec![t("Credit").to_owned()];
    head.extend(models);
    vec![
        figures(&[
            (t("Successes"), Cell::Count(answer.conversions), ""),
            (t("People"), Cell::Count(answer.persons), ""),
        ]),
        ranked(t("Who gets the credit, by model"), Data { head, rows: rows.collect() }, |_| {
            String::new()
        }),
    ]
}

fn revenue(answer: &RevenueAnswer, around: &Around<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    for money in &answer.currencies {
        let currency = money.currency.as_deref().unwrap_or("");
        let titled = |title: &str| {
            if currency.is_empty() { title.to_owned() } else { format!("{title}, {currency}") }
        };
        let last = money.recurring.last();
        let figure = |value: Option<f64>| Cell::Figure(value);
        blocks.push(figures(&[
            (t("Recurring by the month"), figure(last.map(|r| r.end)), currency),
            (t("By the year"), figure(last.map(|r| r.arr)), currency),
            (t("Customers"), figure(last.map(|r| r.customers.end as f64)), ""),
            (
                t("Customers lost"),
                Cell::Share(last.and_then(|r| r.customer_churn_ratio)),
                t("in the last period"),
            ),
        ]));
        let value =
            |read: fn(&Recurring) -> f64| money.recurring.iter().map(|r| Some(read(r))).collect();
        let line =
            Line { name: titled(t("Recurring")), class: "a", values: value(|r| r.end), area: true };
        let rows = answer.buckets.iter().zip(&money.recurring).map(|(bucket, r)| {
            let parts =
                [r.start, r.new, r.reactivation, r.expansion, -r.contraction, -r.churn, r.end];
            std::iter::once(text(bucket.clone()))
                .chain(parts.map(|part| Cell::Figure(Some(part))))
                .collect()
        });
        let head = [
            t("Time"),
            t("Start"),
            t("new"),
            t("reactivated"),
            t("more"),
            t("less"),
            t("lost"),
            t("End"),
        ];
        let data = Data { head: heads(&head), rows: rows.collect() };
        blocks.push(drawing(
            &titled(t("Recurring by the month")),
            &answer.buckets,
            vec![line],
            Vec::new(),
            data,
            around,
        ));
        let rows = answer.buckets.iter().zip(&money.taken).map(|(bucket, taken)| {
            vec![
                text(bucket.clone()),
                Cell::Figure(Some(taken.net)),
                Cell::Figure(Some(taken.gross)),
                Cell::Figure(Some(taken.refunded)),
                Cell::Count(taken.payers),
                Cell::Figure(taken.arppu),
                Cell::Figure(taken.ltv),
            ]
        });
        let head = [
            t("Time"),
            t("Net"),
            t("Paid"),
            t("Given back"),
            t("Who paid"),
            t("Each who paid"),
            t("A customer's worth"),
        ];
        blocks.push(ranked(
            &titled(t("Taken")),
            Data { head: heads(&head), rows: rows.collect() },
            |_| String::new(),
        ));
    }
    if blocks.is_empty() { nothing() } else { blocks }
}

fn persons(answer: &PersonsAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.persons.is_empty() {
        return nothing();
    }
    let columns: Vec<String> = around.definition["columns"]
        .as_array()
        .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let rows = answer.persons.iter().map(|person| {
        let props =
            columns.iter().map(|name| text(person.props.get(name).map(plain).unwrap_or_default()));
        let fixed = [
            text(person.person.clone()),
            Cell::Count(person.events),
            around.moment(person.first_seen),
            around.moment(person.last_seen),
        ];
        fixed.into_iter().chain(props).collect()
    });
    let mut head = heads(&[t("Person"), t("Events"), t("First seen"), t("Last seen")]);
    head.extend(columns.iter().cloned());
    let link = |row: usize| around.ask("person", &[("person", &answer.persons[row].person)]);
    let mut blocks = vec![
        figures(&[(t("People"), Cell::Count(answer.count), t("in all"))]),
        ranked(t("People"), Data { head, rows: rows.collect() }, link),
    ];
    blocks.extend(more(answer.next.as_deref(), "persons", around));
    blocks
}

/// The way to the next page.
fn more(next: Option<&str>, kind: &str, around: &Around<'_>) -> Option<Block> {
    let query = around.fields.with(&[("after", next?)]);
    Some(Block::More(format!("/p/{}/ask/{kind}{query}", around.slug), t("More").to_owned()))
}

fn person(answer: &PersonAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.events.is_empty() {
        return nothing();
    }
    let mut day = None;
    let mut session = None;
    let moments = answer.events.iter().map(|event| {
        let zoned =
            Timestamp::from_millisecond(event.at).unwrap_or_default().to_zoned(around.tz.clone());
        let date = zoned.date();
        let is_new_day = day.replace(date) != Some(date);
        let is_new_session = session.replace(event.session) != Some(event.session);
        Moment {
            day: is_new_day.then(|| format::full_day(date)),
            time: zoned.strftime("%H:%M:%S").to_string(),
            event: event.event.clone(),
            props: event
                .props
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
            session: is_new_session && !is_new_day,
        }
    });
    let moments: Vec<Moment> = moments.collect();
    let seen = |ms: Option<i64>| ms.map_or(Cell::Figure(None), |ms| around.moment(ms));
    let mut blocks = vec![
        figures(&[
            (t("Events"), Cell::Count(answer.count), ""),
            (t("Sessions"), Cell::Count(answer.sessions), ""),
            (t("First seen"), seen(answer.first_seen), ""),
            (t("Last seen"), seen(answer.last_seen), ""),
        ]),
        Block::Timeline(moments),
    ];
    blocks.extend(more(answer.next.as_deref(), "person", around));
    blocks
}

/// A property's value as text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.4, "mark-good")]
    #[case(0.399_999, "mark-fair")]
    #[case(0.2, "mark-fair")]
    #[case(0.199_999, "mark-low")]
    #[case(0.0, "mark-low")]
    fn a_share_at_a_mark_has_reached_it(#[case] ratio: f64, #[case] want: &str) {
        assert_eq!(marked(ratio, 0.4, 0.2), want);
    }
}
