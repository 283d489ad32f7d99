//! A look in words: sentences with numbers, each with the way to the question that shows it.
//!
//! In: what was [looked](super::look) at, notes and experiments of the time. Out: what templates print.

use jiff::civil::Date;

use super::figures::{Figure, Share, Subject, unusual_of};
use super::look::Looked;
use crate::dashboard::address::builder;
use crate::dashboard::format;
use crate::dashboard::period::plus;
use crate::dashboard::view::{Section, Table, tables};
use crate::dashboard::words::{say, t};
use tallymark_analysis::unusual::{WEEKS, WEEKS_MIN};

/// The changes of a day.
pub struct Changes {
    pub lines: Vec<Line>,
    /// Unusual figures that have no line.
    pub more: usize,
    /// What is as usual, said where nothing else is to be said.
    pub usual: Vec<String>,
    /// What happened at the time.
    pub reasons: Vec<Reason>,
    /// Everything that was looked at.
    pub table: Table,
}

/// A change.
pub struct Line {
    /// `up` or `down`.
    pub class: &'static str,
    pub href: String,
    pub what: String,
    pub count: String,
    /// What is usual, and the difference.
    pub against: String,
    pub why: Vec<String>,
}

/// Something that happened at the time.
pub struct Reason {
    pub at_ms: i64,
    pub day: String,
    pub text: String,
}

/// What a day is called against its today.
pub fn day_words(day: Date) -> String {
    say(
        "{day} against the same weekday of the {n} weeks before",
        &[("day", &format::full_day(day)), ("n", &WEEKS.to_string())],
    )
}

/// The page's part.
pub fn changes(looked: &Looked, slug: &str, tz: &str, reasons: Vec<Reason>) -> Section<Changes> {
    let known: Vec<&Figure> = looked.figures.iter().filter(|one| one.judged.is_some()).collect();
    if known.is_empty() {
        let (days, weeks) = (looked.known_days, WEEKS_MIN.to_string());
        let days = format::counted(days as u64, "day", "days");
        return Section::empty(
            t("Not enough history yet"),
            say(
                "A day is compared with the same weekday of at least {weeks} weeks before it; there are {days} so far.",
                &[("weeks", &weeks), ("days", &days)],
            ),
        );
    }
    let unusual = unusual_of(&looked.figures);
    let to = Way { slug, tz, day: looked.day };
    let lines: Vec<Line> =
        looked.changes.iter().map(|(one, share)| line(one, share.as_ref(), looked, &to)).collect();
    let usual = match lines.is_empty() {
        true => {
            known.iter().filter(|one| is_total(&one.subject)).map(|one| sentence(one)).collect()
        }
        false => Vec::new(),
    };
    Section::Ready(Changes {
        more: unusual.len() - lines.len(),
        lines,
        usual,
        reasons,
        table: table(&known, &unusual),
    })
}

const fn is_total(subject: &Subject) -> bool {
    matches!(subject, Subject::People | Subject::Views | Subject::Sessions)
}

fn line(one: &Figure, share: Option<&Share>, looked: &Looked, to: &Way<'_>) -> Line {
    let is_more = one.judged.is_some_and(|judged| judged.z > 0.0);
    let mut why: Vec<String> = share.map(share_words).into_iter().collect();
    if let Some(ratio) = looked.incomplete.filter(|_| !is_more && one.subject != Subject::Missing) {
        why.push(say(
            "Only {ratio} of what pages tracked arrived: the number may be incomplete rather than changed.",
            &[("ratio", &format::percent(ratio))],
        ));
    }
    Line {
        class: match (&one.subject, is_more) {
            // More of what is missing is not better.
            (Subject::Missing, _) => "",
            (_, true) => "up",
            (_, false) => "down",
        },
        href: to.question(&one.subject),
        what: what(&one.subject),
        count: format::figure(one.count.round()),
        against: against(one),
        why,
    }
}

fn share_words(Share { prop, value, ratio }: &Share) -> String {
    let values = [("ratio", &*format::percent(*ratio)), ("value", &*tables::in_words(prop, value))];
    say("{ratio} of the difference: {value}", &values)
}

/// What is counted.
fn what(subject: &Subject) -> String {
    match subject {
        Subject::People => t("People").to_owned(),
        Subject::Events => t("Events").to_owned(),
        Subject::Views => t("Page views").to_owned(),
        Subject::Sessions => t("Sessions").to_owned(),
        Subject::Installs => t("Installs").to_owned(),
        Subject::Missing => t("Events that pages tracked and that did not arrive").to_owned(),
        Subject::Event(name) => name.clone(),
        Subject::Page(path) => say("Page views of {page}", &[("page", path)]),
        Subject::PeopleOf(prop, value) => {
            say("People, {value}", &[("value", &tables::in_words(prop, value))])
        }
    }
}

/// `usually about 1,030 (−60 %)`.
fn against(one: &Figure) -> String {
    let usual = one.judged.map_or(0.0, |judged| judged.usual);
    if usual < 0.5 {
        return t("usually none").to_owned();
    }
    let values = [
        ("n", &*format::figure(usual.round())),
        ("change", &*format::signed_percent(one.count / usual - 1.0)),
    ];
    say("usually about {n} ({change})", &values)
}

fn sentence(one: &Figure) -> String {
    format!("{}: {}, {}", what(&one.subject), format::figure(one.count.round()), against(one))
}

/// Everything that was looked at, the unusual first.
fn table(known: &[&Figure], unusual: &[&Figure]) -> Table {
    let rest = known.iter().filter(|one| !unusual.contains(one));
    let row = |one: &&Figure| {
        let judged = one.judged?;
        let is_unusual = unusual.contains(one);
        let usual = judged.usual;
        let change = (usual >= 0.5).then(|| format::signed_percent(one.count / usual - 1.0));
        Some(vec![
            what(&one.subject),
            format::figure(one.count.round()),
            format::figure(usual.round()),
            change.unwrap_or_else(|| format::UNKNOWN.into()),
            if is_unusual { t("unusual") } else { t("as usual") }.to_owned(),
        ])
    };
    Table {
        head: [t("Figure"), t("On the day"), t("Usually"), t("Difference"), ""]
            .map(str::to_owned)
            .into(),
        rows: unusual.iter().chain(rest).filter_map(row).collect(),
    }
}

/// Where figures lead.
struct Way<'a> {
    slug: &'a str,
    tz: &'a str,
    day: Date,
}

impl Way<'_> {
    /// The question that shows the day and the weeks before.
    fn question(&self, subject: &Subject) -> String {
        let (from, to) = (plus(self.day, -7 * WEEKS as i64).to_string(), self.day.to_string());
        let time = [("range", "custom"), ("from", &*from), ("to", &*to), ("tz", self.tz)];
        let only = |prop, value| [("fp", prop), ("fo", "eq"), ("fv", value)];
        let mut asked: Vec<(&str, &str)> = Vec::new();
        match subject {
            Subject::Missing => return format!("/p/{}#delivery", self.slug),
            Subject::Sessions => return builder(self.slug, "sessions", time, &[]),
            Subject::People => asked.extend([("event", ""), ("measure", "persons")]),
            Subject::Events => asked.extend([("event", ""), ("measure", "count")]),
            Subject::Views => asked.extend([("event", "$pageview"), ("measure", "count")]),
            Subject::Installs => asked.extend([("event", "$pwa_install"), ("measure", "count")]),
            Subject::Event(name) => asked.extend([("event", &**name), ("measure", "count")]),
            Subject::Page(path) => {
                asked.extend([("event", "$pageview"), ("measure", "count")]);
                asked.extend(only("path", path));
            }
            Subject::PeopleOf(prop, value) => {
                asked.extend([("event", ""), ("measure", "persons")]);
                asked.extend(only(prop, value));
            }
        }
        builder(self.slug, "trend", time, &asked)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tallymark_analysis::unusual::Judged;

    use super::*;

    fn figure(subject: Subject, count: f64, usual: f64, p_value: f64) -> Figure {
        let z = if count < usual { -9.0 } else { 9.0 };
        Figure { subject, count, judged: Some(Judged { usual, z, p_value }) }
    }

    fn looked(changes: Vec<(Figure, Option<Share>)>, incomplete: Option<f64>) -> Looked {
        let mut figures: Vec<Figure> = changes.iter().map(|(one, _)| one.clone()).collect();
        figures.push(figure(Subject::People, 99.0, 100.0, 0.9));
        let day = jiff::civil::date(2026, 9, 15);
        Looked { day, known_days: 56, figures, changes, incomplete }
    }

    fn ready(looked: &Looked) -> Changes {
        match changes(looked, "shop", "UTC", Vec::new()) {
            Section::Ready(changes) => changes,
            other => panic!("{:?}", matches!(other, Section::Empty(_))),
        }
    }

    #[test]
    fn a_change_is_a_sentence_with_numbers_that_leads_to_its_question() {
        let share = Share { prop: "country", value: "DE".into(), ratio: 0.812 };
        let page = figure(Subject::Page("/a&b".into()), 412.0, 1_030.0, 0.0);
        let shown = ready(&looked(vec![(page, Some(share))], Some(0.7)));
        let line = &shown.lines[0];
        let said = format!("{}: {}, {}", line.what, line.count, line.against);
        assert_eq!(said, "Page views of /a&b: 412, usually about 1,030 (−60.0\u{a0}%)");
        assert_eq!(line.class, "down");
        assert_eq!(line.why[0], "81.2\u{a0}% of the difference: Germany");
        assert!(line.why[1].starts_with("Only 70.0\u{a0}% of"), "{:?}", line.why);
        assert_eq!(
            line.href,
            "/p/shop/ask/trend?range=custom&from=2026-07-21&to=2026-09-15&tz=UTC&event=%24pageview&measure=count&fp=path&fo=eq&fv=%2Fa%26b"
        );
        assert!(shown.usual.is_empty());
        assert_eq!(shown.table.rows.len(), 2);
    }

    #[test]
    fn what_grew_is_not_explained_by_what_is_missing() {
        let event = figure(Subject::Event("purchase".into()), 9.0, 0.0, 0.0);
        let shown = ready(&looked(vec![(event, None)], Some(0.7)));
        assert_eq!((shown.lines[0].class, &*shown.lines[0].against), ("up", "usually none"));
        assert!(shown.lines[0].why.is_empty());
    }

    #[test]
    fn where_nothing_changed_the_totals_are_said() {
        let shown = ready(&looked(Vec::new(), None));
        assert_eq!(shown.usual, ["People: 99, usually about 100 (−1.0\u{a0}%)"]);
        assert_eq!((shown.lines.len(), shown.more), (0, 0));
    }

    #[rstest]
    #[case::young(0)]
    #[case::almost(27)]
    fn without_history_nothing_is_said_to_be_usual(#[case] days: usize) {
        let mut looked = looked(Vec::new(), None);
        looked.known_days = days;
        looked.figures.iter_mut().for_each(|one| one.judged = None);
        assert!(matches!(changes(&looked, "shop", "UTC", Vec::new()), Section::Empty(_)));
    }
}
