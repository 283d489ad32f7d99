//! How many people an experiment needs, and how long that takes at the pace of the last weeks.
//!
//! In: what is expected, and what was seen. Out: people and days. The number for one look at the end is the planner's
//! of the analysis; looking every day costs what `docs/experiments.md` says under "Why looking early does no harm".

use serde_json::json;
use tallymark_analysis::answer::AnswerBody;
use tallymark_analysis::stats;

use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// Days that the pace is taken from: whole weeks.
pub const PACE_DAYS: i64 = 28;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The chance to find an effect that is there, and the error that is allowed.
const POWER: f64 = 0.8;
const ALPHA: f64 = 0.05;

/// The methods, and how many more people each needs than one test at the end.
pub const METHODS: [(&str, f64); 5] = [
    ("sequential", 1.9),
    ("hybrid", 1.07),
    ("group_sequential", 1.04),
    ("mixture_sprt", 2.6),
    ("fixed", 1.0),
];

/// What people did in the last weeks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// People who were there.
    pub persons: f64,
    /// People who did the event.
    pub converted: f64,
}

impl Seen {
    /// The share of people who do it.
    pub fn baseline(self) -> f64 {
        if self.persons > 0.0 { self.converted / self.persons } else { 0.0 }
    }

    /// People a day, on average. Somebody who comes on many days is one person of the weeks, as they are one of the
    /// experiment.
    pub fn per_day(self) -> f64 {
        self.persons / PACE_DAYS as f64
    }
}

/// What was seen of an event.
///
/// # Errors
/// What the question says.
pub async fn seen(app: &App, project: &Project, event: &str) -> Result<Seen, ApiError> {
    let now_ms = app.clock.now_ms();
    let instant = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    let body = json!({
        "from": instant(now_ms - PACE_DAYS * DAY_MS), "to": instant(now_ms), "bucket": "month",
        "series": [{ "measure": "persons" }, { "event": event, "measure": "persons" }],
    });
    let answered = app.ask(project, "trend", body).await?;
    let AnswerBody::Trend(trend) = answered.body else {
        return Err(ApiError::Internal(anyhow::anyhow!("a trend answered something else")));
    };
    let total = |at: usize| trend.series.get(at).and_then(|series| series.total.0);
    Ok(Seen { persons: total(0).unwrap_or(0.0), converted: total(1).unwrap_or(0.0) })
}

/// What to plan for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The share of people who convert now, 0..=1.
    pub baseline: f64,
    /// The smallest relative lift worth finding.
    pub lift: f64,
    /// Variants, control included.
    pub variants: usize,
    /// How it is looked at.
    pub method: String,
    /// People a day who could take part.
    pub per_day: f64,
    /// The share of them that takes part, 0..=1.
    pub coverage: f64,
}

/// What it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// People of each variant.
    pub per_variant: u64,
    /// People of all variants.
    pub persons: u64,
    /// Whole weeks of days, if anybody comes at all.
    pub days: Option<u64>,
}

/// How many people, and how long.
///
/// # Errors
/// A sentence that says what cannot be planned for.
pub fn size(wish: &Wish) -> Result<Size, String> {
    let factor = METHODS.iter().find(|(name, _)| *name == wish.method).map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| format!("{:?} is no method", wish.method))?;
    let input = json!({ "baseline": wish.baseline, "relative_mde": wish.lift, "alpha": ALPHA, "power": POWER });
    let got = stats::calculate("sample_size_proportion_pooled", &input)
        .map_err(|error| error.to_string())?;
    let one_look = got["n_treatment_rounded_up"].as_f64();
    let one_look = one_look.filter(|n| n.is_finite() && *n > 0.0);
    let one_look = one_look.ok_or("no number of people is large enough for this")?;
    let per_variant = (one_look * factor).ceil();
    let persons = per_variant * wish.variants as f64;
    let days = persons / (wish.per_day * wish.coverage);
    // People act differently on different days of the week: take whole ones.
    let days = (days.is_finite() && days < 36_500.0).then(|| (days / 7.0).ceil().max(1.0) * 7.0);
    Ok(Size {
        per_variant: per_variant as u64,
        persons: persons as u64,
        days: days.map(|d| d as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn wish(method: &str, per_day: f64) -> Wish {
        let method = method.to_owned();
        Wish { baseline: 0.04, lift: 0.1, variants: 2, method, per_day, coverage: 1.0 }
    }

    /// The numbers of `docs/experiments.md`: 39,475 a variant for one look, 1.9 times as many for daily looks, and
    /// four weeks at 8,000 people a day.
    #[rstest]
    #[case::one_look("fixed", 8_000.0, 39_475, Some(14))]
    #[case::daily("sequential", 8_000.0, 75_003, Some(21))]
    #[case::slow("sequential", 7_000.0, 75_003, Some(28))]
    #[case::nobody_comes("fixed", 0.0, 39_475, None)]
    fn a_plan_says_how_many_and_how_long(
        #[case] method: &str,
        #[case] per_day: f64,
        #[case] per_variant: u64,
        #[case] days: Option<u64>,
    ) {
        let got = size(&wish(method, per_day)).unwrap();
        assert_eq!((got.per_variant, got.persons, got.days), (per_variant, 2 * per_variant, days));
    }

    #[test]
    fn half_of_the_people_take_twice_as_long_in_whole_weeks() {
        let half = Wish { coverage: 0.5, ..wish("fixed", 8_000.0) };
        assert_eq!(size(&half).unwrap().days, Some(21));
    }

    #[rstest]
    #[case::no_lift(Wish { lift: 0.0, ..wish("fixed", 1.0) })]
    #[case::nobody_converts(Wish { baseline: 0.0, ..wish("fixed", 1.0) })]
    #[case::above_everybody(Wish { baseline: 0.9, lift: 0.5, ..wish("fixed", 1.0) })]
    #[case::unknown_method(wish("magic", 1.0))]
    fn what_cannot_be_planned_for_says_so(#[case] wish: Wish) {
        assert!(size(&wish).is_err());
    }
}
