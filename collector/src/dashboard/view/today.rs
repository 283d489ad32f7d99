//! Today against the same hours of the same weekday, and how much of what was tracked arrived.

use tallymark_analysis::answer::TrendAnswer;

use super::super::format;
use super::super::words::{say, t};
use super::{Reply, Section, completeness_of, trend_of};

/// Today in a sentence, in pieces: what is told from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Today {
    /// People and views.
    pub figures: String,
    /// Against the same hours a week ago.
    pub change: Option<String>,
}

/// Today, if it is known.
pub fn today(now: &Reply, before: &Reply) -> Option<Today> {
    let total = |trend: &TrendAnswer, index: usize| trend.series.get(index)?.total.0;
    let now = trend_of(now).ok()?;
    let (people, views) = (total(now, 0)?, total(now, 1)?);
    let before = trend_of(before).ok().and_then(|trend| total(trend, 0));
    let change = before.filter(|before| *before > 0.0).map(|before| {
        let change = format::signed_percent(people / before - 1.0);
        say("{change} people against the same hours a week ago", &[("change", &change)])
    });
    let people = format::counted(people as u64, "person", "people");
    let views = format::counted(views as u64, "view", "views");
    Some(Today { figures: format!("{people}, {views}"), change })
}

/// How much arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The share.
    pub ratio: String,
    /// Events here, of how many.
    pub of: String,
    /// What is known of the rest.
    pub lost: Option<String>,
}

/// How much of what pages tracked is here.
pub fn delivery(reply: &Reply) -> Section<Delivery> {
    let all = match completeness_of(reply) {
        Ok(answer) => &answer.total,
        Err(why) => return Section::failed(&why),
    };
    let Some(ratio) = all.completeness_ratio else {
        return Section::empty(
            t("Nothing is known about delivery"),
            t(
                "The SDK numbers the events of a page, so that losses show. Events of servers carry no numbers.",
            ),
        );
    };
    let lost: Vec<String> =
        all.lost.iter().map(|(why, n)| format!("{why}: {}", format::count(*n))).collect();
    let (received, issued) = (format::count(all.received), format::count(all.issued));
    Section::Ready(Delivery {
        ratio: format::percent(ratio),
        of: say(
            "{n} of {all} events that pages tracked are here",
            &[("n", &received), ("all", &issued)],
        ),
        lost: (!lost.is_empty()).then(|| lost.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use tallymark_analysis::answer::{AnswerBody, Figure, Group, TrendSeries};

    use super::super::Completeness;
    use super::*;

    fn reply(people: f64) -> Reply {
        let series = |index: usize| TrendSeries {
            index,
            event: None,
            measure: "persons".into(),
            group: Group::All,
            value: None,
            data: Vec::new(),
            total: Figure::known(people),
            previous: None,
        };
        let trend = TrendAnswer { buckets: Vec::new(), series: vec![series(0), series(1)] };
        Ok((AnswerBody::Trend(trend), Completeness::Open))
    }

    #[test]
    fn today_is_told_from_a_week_ago_where_somebody_was_there() {
        let change = |before| today(&reply(12.0), &reply(before)).and_then(|today| today.change);
        assert_eq!(
            change(10.0).as_deref(),
            Some("+20.0\u{a0}% people against the same hours a week ago")
        );
        assert_eq!(change(0.0), None);
        assert_eq!(today(&Err("no".into()), &reply(1.0)), None);
    }
}
