//! The figures of a day, and which of them are worth a line: pure.
//!
//! In: answers over the weeks before a day and the day itself. Out: [`Figure`]s, judged, and the strongest of those that
//! are unusual ([`strongest`]); of a change the value of a property that makes most of it ([`most`]).
//!
//! Deliberately elsewhere: what unusual means (`analysis::unusual`), asking (`look`), words (`words`).

use std::collections::BTreeMap;

use tallymark_analysis::answer::{CompletenessAnswer, Group, SessionsAnswer, TrendAnswer};
use tallymark_analysis::unusual::{self, Judged};

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    People,
    Events,
    Views,
    Sessions,
    Installs,
    /// Events that pages tracked and that are not here.
    Missing,
    /// Events of this name.
    Event(String),
    /// Views of this page.
    Page(String),
    /// People of this value of a property.
    PeopleOf(&'static str, String),
}

impl Subject {
    /// Subjects that are about the same: of each of them a few are enough.
    const fn family(&self) -> u8 {
        match self {
            Self::People | Self::Events | Self::Views | Self::Sessions => 0,
            Self::Installs => 1,
            Self::Missing => 2,
            Self::Event(_) => 3,
            Self::Page(_) => 4,
            Self::PeopleOf(..) => 5,
        }
    }
}

/// A count of the day against the weeks before.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub subject: Subject,
    pub count: f64,
    /// Nothing where there is not enough history.
    pub judged: Option<Judged>,
}

/// Lines that a page has room for, and how many of one family.
const SHOWN: usize = 4;
const OF_FAMILY: usize = 2;

/// Days before the day of an answer in which something happened already: the first of them is the project's.
pub fn known_days(counts: &[f64]) -> usize {
    let before = &counts[..counts.len().saturating_sub(1)];
    before.iter().position(|count| *count > 0.0).map_or(0, |first| before.len() - first)
}

/// Judge a series whose last count is the day's, by so many days before.
pub fn figure(subject: Subject, counts: &[f64], known_days: usize) -> Option<Figure> {
    let (day, before) = counts.split_last()?;
    let before = &before[before.len().saturating_sub(known_days)..];
    Some(Figure { subject, count: *day, judged: unusual::judge(before, *day) })
}

/// The counts of one series of a trend.
pub fn counts(trend: &TrendAnswer, index: usize) -> Vec<f64> {
    let series = trend.series.iter().find(|series| series.index == index);
    series.map(|series| data(&series.data)).unwrap_or_default()
}

fn data(figures: &[tallymark_analysis::answer::Figure]) -> Vec<f64> {
    figures.iter().map(|figure| figure.0.unwrap_or(0.0)).collect()
}

/// The counts of each value of a breakdown.
pub fn by_value(trend: &TrendAnswer) -> Vec<(String, Vec<f64>)> {
    let values = trend.series.iter().filter(|series| series.group == Group::Value);
    let named = values
        .filter_map(|series| Some((series.value.as_ref()?.text()?.to_owned(), data(&series.data))));
    named.collect()
}

/// Sessions of each day.
pub fn sessions(answer: &SessionsAnswer) -> Vec<f64> {
    answer.buckets.iter().map(|bucket| bucket.sessions as f64).collect()
}

/// How complete a day is.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub figure: Figure,
    /// The share of what pages tracked that is here.
    pub ratio: f64,
}

/// Missing events of the last day, against those of the days before as if as many had been tracked on each.
pub fn delivery(answer: &CompletenessAnswer) -> Option<Delivery> {
    let (day, before) = answer.days.split_last()?;
    let (issued, ratio) = (day.all.issued as f64, day.all.completeness_ratio?);
    let scaled = |missing: u64, of: u64| match of {
        0 => 0.0,
        of => missing as f64 / of as f64 * issued,
    };
    let mut counts: Vec<f64> =
        before.iter().map(|day| scaled(day.all.missing, day.all.issued)).collect();
    let tracked: Vec<f64> = answer.days.iter().map(|day| day.all.issued as f64).collect();
    counts.push(day.all.missing as f64);
    Some(Delivery { figure: figure(Subject::Missing, &counts, known_days(&tracked))?, ratio })
}

/// All unusual ones, the strongest first.
pub fn unusual_of(figures: &[Figure]) -> Vec<&Figure> {
    let judged: Vec<Option<Judged>> = figures.iter().map(|figure| figure.judged).collect();
    unusual::unusual(&judged).into_iter().map(|place| &figures[place]).collect()
}

/// The strongest few of them: no more than two of a family, because they tell the same.
pub fn strongest<'a>(unusual: &[&'a Figure]) -> Vec<&'a Figure> {
    let mut families: BTreeMap<u8, usize> = BTreeMap::new();
    let mut wanted = |figure: &&&Figure| {
        let so_far = families.entry(figure.subject.family()).or_default();
        *so_far += 1;
        *so_far <= OF_FAMILY
    };
    unusual.iter().filter(|figure| wanted(figure)).take(SHOWN).copied().collect()
}

/// What part of a change a value makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    pub prop: &'static str,
    pub value: String,
    /// Of the difference between the day and what is usual; 1 for all of it.
    pub ratio: f64,
}

/// A value explains a change when it makes at least this much of it, and so much more than its part of what is usual.
const SHARE_MIN: f64 = 0.5;
const SHARE_OVER_USUAL: f64 = 1.5;

/// The share of a value in a change, if it is the value's change more than everybody's.
pub fn share(of: &Figure, prop: &'static str, value: &str, counts: &[f64]) -> Option<Share> {
    let (all, day) = (of.judged?, *counts.last()?);
    let own = figure(Subject::Events, counts, counts.len() - 1)?.judged?;
    let ratio = (day - own.usual) / (of.count - all.usual);
    let is_own = all.usual <= 0.0 || ratio >= SHARE_OVER_USUAL * own.usual / all.usual;
    (ratio >= SHARE_MIN && is_own && ratio.is_finite()).then(|| Share {
        prop,
        value: value.to_owned(),
        ratio: ratio.min(1.0),
    })
}

/// The largest of shares.
pub fn most(shares: impl IntoIterator<Item = Share>) -> Option<Share> {
    shares.into_iter().reduce(|most, next| if next.ratio > most.ratio { next } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight weeks of the same count, and the day.
    fn counts(usual: f64, day: f64) -> Vec<f64> {
        let mut counts = vec![usual; unusual::DAYS];
        counts.push(day);
        counts
    }

    fn of(subject: Subject, usual: f64, day: f64) -> Figure {
        figure(subject, &counts(usual, day), unusual::DAYS).expect("a day")
    }

    #[test]
    fn the_strongest_come_first_and_no_family_takes_all_lines() {
        let page = |path: &str, day| of(Subject::Page(path.into()), 400.0, day);
        let figures = [
            page("/a", 100.0),
            page("/b", 90.0),
            page("/c", 80.0),
            page("/d", 398.0),
            of(Subject::People, 400.0, 200.0),
            of(Subject::Installs, 10.0, 10.0),
        ];
        let unusual = unusual_of(&figures);
        let names = |of: &[&Figure]| of.iter().map(|f| f.subject.clone()).collect::<Vec<_>>();
        let path = |path: &str| Subject::Page(path.into());
        assert_eq!(names(&unusual), [path("/c"), path("/b"), path("/a"), Subject::People]);
        assert_eq!(names(&strongest(&unusual)), [path("/c"), path("/b"), Subject::People]);
    }

    #[test]
    fn history_begins_with_the_project() {
        let mut young = vec![0.0; unusual::DAYS - 27];
        young.extend([50.0; 28]);
        assert_eq!(known_days(&young), 27);
        assert!(figure(Subject::People, &young, 27).is_some_and(|one| one.judged.is_none()));
        assert_eq!(known_days(&counts(1.0, 1.0)), unusual::DAYS);
        assert_eq!(known_days(&[0.0, 0.0, 7.0]), 0, "the day itself is no history");
    }

    #[test]
    fn a_value_explains_a_change_that_is_its_own_and_not_one_that_is_everybodys() {
        let all = of(Subject::People, 400.0, 200.0);
        let share = |usual, day| share(&all, "country", "DE", &counts(usual, day)).map(|s| s.ratio);
        assert_eq!(share(150.0, 0.0), Some(0.75), "only there");
        assert_eq!(share(300.0, 150.0), None, "half of everything everywhere");
        assert_eq!(share(250.0, 251.0), None, "the other way");
        assert_eq!(share(220.0, 0.0), Some(1.0), "others made up for a part of it");
        assert_eq!(share(120.0, 30.0), None, "not half of the difference");
    }

    #[test]
    fn missing_events_are_compared_as_if_as_many_had_been_tracked() {
        let day = |issued: u64, missing: u64| {
            let all = tallymark_analysis::completeness::Completeness {
                issued,
                received: issued - missing,
                missing,
                completeness_ratio: Some((issued - missing) as f64 / issued as f64),
                ..Default::default()
            };
            tallymark_analysis::completeness::CompletenessDay {
                day: String::new(),
                all,
                browsers: Vec::new(),
            }
        };
        let answer = |last| {
            let mut days: Vec<_> = (0..28).map(|_| day(1_000, 10)).collect();
            days.push(last);
            CompletenessAnswer {
                known_from: String::new(),
                total: Default::default(),
                days,
                browsers: Vec::new(),
            }
        };
        let z = |last| delivery(&answer(last)).unwrap().figure.judged.unwrap().z;
        assert!(z(day(2_000, 20)).abs() < 0.5, "twice the traffic, as complete");
        assert!(z(day(1_000, 300)) > 10.0);
    }
}
